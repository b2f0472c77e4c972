# How the shell's commands show things: tables that fit a terminal of 80 columns, times, sizes, texts of others. Used by every module of
# commands. What somebody else wrote never reaches the terminal as anything but printable characters.

from keys import width

COLUMNS = 80
_BOLD, _RED, _GREEN, _PLAIN = "\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[0m"


def red(text):
    return _RED + text + _PLAIN


def green(text):
    return _GREEN + text + _PLAIN


# Somebody's bytes as text; what is no character that can be shown, as the hex of its bytes.
def text(data):
    try:
        return "".join([_shown(character) for character in str(data, "utf-8")])
    except UnicodeError:
        return "".join([_shown(chr(byte)) if byte < 0x80 else "\\x%02x" % byte for byte in data])


def _shown(character):
    if width(character) >= 0 and character != "\\":
        return character
    return "".join(["\\x%02x" % byte for byte in character.encode()])


# Lines of a table, one after the other. headings: texts, with ">" before one whose column is aligned to the right; the last column is cut where the
# terminal ends.
def table(headings, rows):
    right = [heading[:1] == ">" for heading in headings]
    headings = [heading.lstrip(">") for heading in headings]
    cells = [headings] + [[str(cell) for cell in row] for row in rows]
    widths = [max([_columns(row[at]) for row in cells]) for at in range(len(headings))]
    yield _BOLD + _row(cells[0], widths, right) + _PLAIN
    for row in cells[1:]:
        yield _row(row, widths, right)


def _row(cells, widths, right):
    shown = []
    for at, cell in enumerate(cells):
        blank = " " * (widths[at] - _columns(cell))
        shown.append(blank + cell if right[at] else cell + blank)
    return cut("  ".join(shown).rstrip())


# What fits one row of the terminal.
def cut(line):
    if _columns(line) < COLUMNS:
        return line
    taken, columns = 0, 0
    while columns + width(line[taken]) < COLUMNS - 1:
        columns += width(line[taken])
        taken += 1
    return line[:taken] + ">"


def _columns(line):
    return sum([width(character) for character in line])


def print_table(headings, rows):
    for line in table(headings, rows):
        print(line)


# Microseconds as seconds.
def seconds(micros):
    return "%d.%03d" % (micros // 1_000_000, micros // 1000 % 1000)


# Microseconds as people say it.
def duration(micros):
    whole = micros // 1_000_000
    if whole < 60:
        return "%s s" % seconds(micros)
    hours, minutes = whole // 3600, whole // 60 % 60
    return ("%d h " % hours if hours else "") + "%d min %d s" % (minutes, whole % 60)


def kib(size):
    return "%d KiB" % ((size + 1023) // 1024)


# Bytes as lines of hex.
def print_hex(data, across=32):
    for at in range(0, len(data), across):
        print("".join(["%02x" % byte for byte in data[at : at + across]]))
