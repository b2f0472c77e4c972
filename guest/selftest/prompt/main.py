# A prompt without a terminal: types two lines and Ctrl-D into the shell's interpreter and says what it answered.
# The only test process that runs the shell runtime; resumed by the process runtime.

import kernel
import repl

_TYPED = iter(b"compile('6*7', '', 'eval')\r6*7\r\x04")
_answered = bytearray()


def _read():
    return next(_TYPED)


repl.run(_read, _answered.extend)
lines = bytes(_answered).split(b"\r\n")
kernel.console(b"answered " + lines[lines.index(b">>> 6*7") + 1])
