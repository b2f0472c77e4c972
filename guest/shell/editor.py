# The line that is being typed: one key after the other changes it, and each change comes with the bytes that make the screen show it.
# Used by main.py and, with other prompts, by whoever wants a line. Pure: reads and writes nothing. Never raises whatever the bytes,
# never holds more than LONGEST characters, never writes beyond its one row: a longer line scrolls in it.

from keys import Keys, width

LONGEST = 256
COLUMNS = 80
_WORDS_SHOWN = 60  # completions listed at once

LINE, INTERRUPT, RESET, RAW = "line", "interrupt", "reset", "raw"
_NOTHING = (None, b"")
_BELL = b"\a"


class Editor:
    # prompt: plain text; drawn: the same with its colours. complete(text before the cursor) -> (where the word begins, what could
    # stand there instead).
    def __init__(self, prompt, drawn, history, complete):
        self.prompt, self.drawn = prompt, drawn
        self.history, self.complete = history, complete
        self.keys = Keys()
        self.killed = ""
        self.begin()

    # Forget the line; the bytes that show an empty one.
    def begin(self):
        self.text, self.at, self.first = "", 0, 0  # of the line: cursor, first character shown
        self.place, self.draft = len(self.history.lines), ""  # in history; what was typed before going there
        return self.drawn

    # One byte typed. (event or None, bytes to show); at LINE the line is in `text` until begin().
    def feed(self, byte):
        key = self.keys.feed(byte)
        if len(key) == 1:
            return None, self._insert(key)
        if key in _ENDS:
            return _ENDS[key](self)
        if key not in _EDITS:
            return _NOTHING
        return None, _EDITS[key](self)

    # ---- what ends a line ----

    def _enter(self):
        self.history.add(self.text)
        return LINE, b"\r\n"

    def _interrupt(self):
        return INTERRUPT, b"^C\r\n"

    def _ctrl_a(self):
        return (None, self._move(0)) if self.text else (RAW, b"")

    def _ctrl_d(self):
        return (None, self._cut(self.at, self.at + 1)) if self.text else (RESET, b"\r\n")

    # ---- what changes it ----

    def _insert(self, text):
        if len(self.text) + len(text) > LONGEST:
            return _BELL
        at_end = self.at == len(self.text)
        self.text = self.text[: self.at] + text + self.text[self.at :]
        self.at += len(text)
        if at_end and self.first == 0 and _columns(self.text) < self._room():
            return text.encode()
        return self.draw()

    # Remove from one place to another one.
    def _cut(self, start, end):
        if start >= end or start < 0 or start >= len(self.text):
            return b""
        self.text = self.text[:start] + self.text[end:]
        self.at = start
        return self.draw()

    def _kill(self, start, end):
        self.killed = self.text[start:end] or self.killed
        return self._cut(start, end)

    def _move(self, at):
        if at == self.at or not 0 <= at <= len(self.text):
            return b""
        self.at = at
        return self.draw()

    def _word_before(self):
        at = self.at
        while at > 0 and self.text[at - 1] == " ":
            at -= 1
        while at > 0 and self.text[at - 1] != " ":
            at -= 1
        return at

    def _word_after(self):
        at = self.at
        while at < len(self.text) and self.text[at] == " ":
            at += 1
        while at < len(self.text) and self.text[at] != " ":
            at += 1
        return at

    # To another line of the history; the one after the last is what was being typed.
    def _recall(self, place):
        lines = self.history.lines
        if not 0 <= place <= len(lines):
            return _BELL
        if self.place >= len(lines):
            self.draft = self.text
        self.place = place
        self.text = self.draft if place == len(lines) else lines[place][:LONGEST]
        self.at, self.first = len(self.text), 0
        return self.draw()

    # ---- completion ----

    def _tab(self):
        start, words = self.complete(self.text[: self.at])
        words = [word for word in words if _is_ascii(word)]
        if not words:
            return _BELL
        typed = self.at - start
        more = words[0] if len(words) == 1 else _common(words)
        if len(words) == 1 and self.text[self.at : self.at + 1] != " ":
            more += " "
        if len(more) > typed:
            return self._insert(more[typed:])
        return b"" if len(words) == 1 else b"\r\n" + _listed(words) + self.draw()

    # ---- the screen ----

    # The row anew, cursor in its place.
    def draw(self):
        self._scroll()
        end, room = self.first, self._room()
        while end < len(self.text) and width(self.text[end]) <= room:
            room -= width(self.text[end])
            end += 1
        column = len(self.prompt) + _columns(self.text[self.first : self.at])
        shown = b"\r" + self.drawn + self.text[self.first : end].encode() + b"\x1b[K\r"
        return shown + b"\x1b[%dC" % column

    # So that the cursor is in the row, and no more of the beginning is hidden than has to be.
    def _scroll(self):
        self.first = min(self.first, self.at)
        while _columns(self.text[self.first : self.at]) > self._room():
            self.first += 1
        while self.first > 0 and _columns(self.text[self.first - 1 :]) <= self._room():
            self.first -= 1

    # Columns for text; behind it there is room for the cursor, and for ^C.
    def _room(self):
        return COLUMNS - len(self.prompt) - 3


_ENDS = {
    "enter": Editor._enter,
    "ctrl-c": Editor._interrupt,
    "ctrl-a": Editor._ctrl_a,
    "ctrl-d": Editor._ctrl_d,
}

_EDITS = {
    "left": lambda line: line._move(line.at - 1),
    "right": lambda line: line._move(line.at + 1),
    "home": lambda line: line._move(0),
    "end": lambda line: line._move(len(line.text)),
    "word-left": lambda line: line._move(line._word_before()),
    "word-right": lambda line: line._move(line._word_after()),
    "backspace": lambda line: line._cut(line.at - 1, line.at),
    "delete": lambda line: line._cut(line.at, line.at + 1),
    "kill-end": lambda line: line._kill(line.at, len(line.text)),
    "kill-start": lambda line: line._kill(0, line.at),
    "kill-word": lambda line: line._kill(line._word_before(), line.at),
    "delete-word": lambda line: line._kill(line.at, line._word_after()),
    "yank": lambda line: line._insert(line.killed),
    "clear": lambda line: b"\x1b[2J\x1b[H" + line.draw(),
    "up": lambda line: line._recall(line.place - 1),
    "down": lambda line: line._recall(line.place + 1),
    "tab": Editor._tab,
}


def _columns(text):
    return sum([width(character) for character in text])


def _is_ascii(word):
    return all(" " <= character <= "~" for character in word)


# How all of them begin.
def _common(words):
    shared = words[0]
    for word in words:
        while not word.startswith(shared):
            shared = shared[:-1]
    return shared


# In as many columns as fit; what is beyond a screenful is counted.
def _listed(words):
    words = sorted(words)
    cell = max([len(word) for word in words]) + 2
    across = max(1, COLUMNS // cell)
    rows = []
    for at in range(0, min(len(words), _WORDS_SHOWN), across):
        row = "".join(["%-*s" % (cell, word) for word in words[at : at + across]])
        rows.append(row.rstrip()[: COLUMNS - 1] + "\r\n")
    if len(words) > _WORDS_SHOWN:
        rows.append("and %d more\r\n" % (len(words) - _WORDS_SHOWN))
    return "".join(rows).encode()
