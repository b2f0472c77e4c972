# The shell's interpreter without a terminal: compiles a line, says what it answered, and leaves before there is a prompt.
# The only test process that runs the shell runtime; resumed by the process runtime.

import kernel

kernel.console(b"answered %d" % eval(compile("6*7", "", "eval")))  # noqa: S307 - that it can is what is shown
kernel.exit(0)
