# Commands about the prompt and the machine it runs on: help, repl, reboot, shutdown.

import commands
import repl as modes

import nexus


def help(words):
    """What the commands do, or how one of them is written.

    help [COMMAND]
    help exec
    """
    if len(words) > 1:
        raise commands.Usage()
    if words and commands.module_of(words[0]) is None:
        raise commands.Usage("no such command")
    if words:
        print("%s\n%s" % (commands.summary_of(words[0]), commands.usage_of(words[0])))
        return
    for name, _ in commands.TABLE:
        print("%-9s %s" % (name, commands.summary_of(name)))
    print("Tab completes, up and down recall lines. Ctrl-C ends what runs.")


def repl(words):
    """MicroPython's prompt, with `import nexus`; exit() comes back.

    repl
    """
    _none(words)
    modes.enter(modes.FRIENDLY)


def reboot(words):
    """Start the machine anew.

    reboot
    """
    _none(words)
    nexus.reboot()


def shutdown(words):
    """End the machine.

    shutdown
    """
    _none(words)
    nexus.shutdown()


def _none(words):
    if words:
        raise commands.Usage()
