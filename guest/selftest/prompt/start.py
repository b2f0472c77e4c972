# The shell's interpreter without a terminal: compiles a line and says what it answered. Then its prompt's turn comes (main.py).
# The only test process that runs the shell runtime; resumed by the process runtime.

import kernel

kernel.console(b"answered %d" % eval(compile("6*7", "", "eval")))  # noqa: S307 - that it can is what is shown
