# Lines typed before, oldest first, kept in memory that outlives the prompt's soft resets. Used by editor.py. Pure; whatever lies in that
# memory is believed only as far as it is text that somebody could have typed, since programs can write there too.

from keys import width

_HEAD = 2  # bytes: how many follow


class History:
    # memory: a view of bytes.
    def __init__(self, memory):
        self.memory = memory
        self.lines = _read(memory)

    # Keep a line; nothing for one that is empty, as the one before, or too long to be kept.
    def add(self, line):
        size = len(line.encode()) + 1
        if not line or self.lines[-1:] == [line] or size > len(self.memory) - _HEAD:
            return
        self.lines.append(line)
        self._write()

    # The oldest make room.
    def _write(self):
        data = "".join([line + "\n" for line in self.lines]).encode()
        while len(data) > len(self.memory) - _HEAD:
            data = data[len(self.lines.pop(0).encode()) + 1 :]
        self.memory[:_HEAD] = bytes((len(data) & 0xFF, len(data) >> 8))
        self.memory[_HEAD : _HEAD + len(data)] = data


def _read(memory):
    size = memory[0] | memory[1] << 8
    if size > len(memory) - _HEAD:
        return []
    try:
        text = str(bytes(memory[_HEAD : _HEAD + size]), "utf-8")
    except UnicodeError:
        return []
    return [line for line in text.split("\n") if line and _is_plain(line)]


def _is_plain(line):
    return all(width(character) >= 0 for character in line)
