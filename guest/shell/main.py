# The prompt that people see on the terminal: reads bytes, edits the line, carries it out. The runtime runs this file anew after each soft
# reset; history is in memory that the reset leaves alone. Has no rights of its own: each command asks as any process does.

import commands
import completion
import editor
import kept
import micropython
import repl
import terminal
from history import History

_PROMPT = "nexus> "
_DRAWN = b"\x1b[1;32mnexus>\x1b[0m "
_GREETING = b"Nexus. help lists the commands, repl is MicroPython.\r\n"
_CTRL_C = 3
_NO_KEY = -1


# Until something other than the prompt is to run.
def _serve(line):
    terminal.write(_GREETING + line.begin())
    while True:
        event, out = line.feed(terminal.read())
        if event is None:
            terminal.write(out)
            continue
        if event == editor.RAW:
            repl.enter(repl.RAW)
        terminal.write(out)
        if event == editor.RESET:
            repl.enter(repl.PROMPT)
        if event == editor.LINE and line.text:
            _run(line.text)
        terminal.write(line.begin())


# Ctrl-C ends the command; at the prompt it is a key like others.
def _run(text):
    try:
        micropython.kbd_intr(_CTRL_C)
        commands.run(text)
        micropython.kbd_intr(_NO_KEY)
    except KeyboardInterrupt:  # it came when the command was over
        micropython.kbd_intr(_NO_KEY)


micropython.kbd_intr(_NO_KEY)
_serve(editor.Editor(_PROMPT, _DRAWN, History(kept.LINES), completion.complete))
