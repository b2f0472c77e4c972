# How the memory that outlives the interpreter is divided: handles of ways (ways.py), then lines typed (history.py). Programs at the
# prompt can write there too, so whoever reads it believes nothing that it has not looked at.

import terminal

_WAYS_BYTES = 64  # 16 of them

WAYS = terminal.kept[:_WAYS_BYTES]
LINES = terminal.kept[_WAYS_BYTES:]
