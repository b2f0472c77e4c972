# Bytes of a terminal to keys: UTF-8 put together, escape sequences told apart, all else dropped. Used by editor.py. Pure; holds at most a
# few bytes of what is not whole yet. A key is one character to insert, or a longer word such as "left". Never gives a character that
# a terminal would act on when it is written back.

_ESCAPE = 0x1B
_LONGEST = 8  # bytes of an escape sequence that can mean something

_CONTROLS = {
    0x01: "ctrl-a",
    0x02: "left",
    0x03: "ctrl-c",
    0x04: "ctrl-d",
    0x05: "end",
    0x06: "right",
    0x08: "backspace",
    0x09: "tab",
    0x0A: "enter",
    0x0B: "kill-end",
    0x0C: "clear",
    0x0D: "enter",
    0x0E: "down",
    0x10: "up",
    0x15: "kill-start",
    0x17: "kill-word",
    0x19: "yank",
    0x7F: "backspace",
}

# What follows ESC.
_SEQUENCES = {
    b"[A": "up",
    b"[B": "down",
    b"[C": "right",
    b"[D": "left",
    b"[H": "home",
    b"[F": "end",
    b"[1~": "home",
    b"[4~": "end",
    b"[7~": "home",
    b"[8~": "end",
    b"[3~": "delete",
    b"[1;5C": "word-right",
    b"[1;5D": "word-left",
    b"[1;3C": "word-right",
    b"[1;3D": "word-left",
    b"OA": "up",
    b"OB": "down",
    b"OC": "right",
    b"OD": "left",
    b"OH": "home",
    b"OF": "end",
    b"b": "word-left",
    b"f": "word-right",
    b"d": "delete-word",
}

# First and last of what takes two columns, and of what takes none.
_WIDE = (
    (0x1100, 0x115F),
    (0x2E80, 0x303E),
    (0x3041, 0xA4CF),
    (0xAC00, 0xD7A3),
    (0xF900, 0xFAFF),
    (0xFE30, 0xFE6F),
    (0xFF00, 0xFF60),
    (0xFFE0, 0xFFE6),
    (0x1F300, 0x1F64F),
    (0x1F900, 0x1F9FF),
    (0x20000, 0x3FFFD),
)
_COMBINING = (
    (0x0300, 0x036F),
    (0x1AB0, 0x1AFF),
    (0x1DC0, 0x1DFF),
    (0x20D0, 0x20FF),
    (0xFE00, 0xFE0F),
    (0xFE20, 0xFE2F),
)
# Controls, surrogates, what turns the direction of writing, private use and no characters: never inserted, never shown.
_REFUSED = (
    (0x00, 0x1F),
    (0x7F, 0x9F),
    (0xAD, 0xAD),
    (0x061C, 0x061C),
    (0x200B, 0x200F),
    (0x2028, 0x202E),
    (0x2060, 0x206F),
    (0xD800, 0xF8FF),
    (0xFEFF, 0xFEFF),
    (0xFFF0, 0xFFFF),
    (0xE0000, 0x10FFFF),
)


# Columns that this character takes: 0, 1 or 2; -1 if it is none to insert.
def width(character):
    if " " <= character <= "~":
        return 1
    point = ord(character)
    if point < 0x80 or point > 0x10FFFF or chr(point) != character:  # a control, or spelled too long
        return -1
    if _within(_REFUSED, point):
        return -1
    if _within(_COMBINING, point):
        return 0
    return 2 if _within(_WIDE, point) else 1


def _within(ranges, point):
    return any(first <= point <= last for first, last in ranges)


class Keys:
    def __init__(self):
        self.pending = b""  # of a character or of an escape sequence
        self.after_return = False

    # The key that this byte completes; "" when there is none.
    def feed(self, byte):
        after_return, self.after_return = self.after_return, byte == 0x0D
        if byte < 0x20 or byte == 0x7F:
            return self._control(byte, after_return)
        if self.pending[:1] == b"\x1b":
            return self._sequence(byte)
        if byte < 0x80:
            self.pending = b""
            return chr(byte)
        return self._part(byte)

    # A control byte ends whatever was pending, so that Ctrl-C always works. \r\n is one Enter.
    def _control(self, byte, after_return):
        pending, self.pending = self.pending, b""
        if byte == _ESCAPE:
            self.pending = b"\x1b"
            return ""
        if pending == b"\x1b" and _CONTROLS.get(byte) == "backspace":
            return "kill-word"
        if byte == 0x0A and after_return:
            return ""
        return _CONTROLS.get(byte, "")

    # One that is too long to mean anything is passed over up to its end.
    def _sequence(self, byte):
        said = self.pending[1:] + bytes((byte,))
        if byte < 0x80 and said not in _SEQUENCES and _goes_on(said):
            self.pending = (b"\x1b" + said)[:_LONGEST]
            return ""
        self.pending = b""
        return _SEQUENCES.get(said, "")

    # Of a character beyond ASCII.
    def _part(self, byte):
        if byte >= 0xC0:
            self.pending = bytes((byte,))
            return ""
        if not self.pending:
            return ""
        self.pending += bytes((byte,))
        if len(self.pending) < _length(self.pending[0]):
            return ""
        whole, self.pending = self.pending, b""
        return _character(whole)


# Whether this can be the beginning of a sequence: ESC [ parameters, or ESC O and one byte.
def _goes_on(said):
    if said[:1] == b"[":
        return len(said) == 1 or said[-1] < 0x40
    return said == b"O"


def _length(lead):
    return 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4


# The interpreter's own decoder takes spellings that are too long; this one does not.
def _character(whole):
    point = whole[0] & (0x7F >> len(whole))
    for byte in whole[1:]:
        point = point << 6 | byte & 0x3F
    least = (0x80, 0x800, 0x10000)[len(whole) - 2]
    if whole[0] > 0xF4 or point < least or point > 0x10FFFF:
        return ""
    character = chr(point)
    return character if width(character) >= 0 else ""
