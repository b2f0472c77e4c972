# Commands about bundles and what runs of them: bundles, exec, kill. An app's lines go to the system's console, not to this terminal.

import commands
import contract
import names
import shown
import terminal

import nexus

_NO_KEY = -1


def bundles(words):
    """What is installed, and what it asks for.

    bundles
    """
    if words:
        raise commands.Usage()
    rows = [(one.id, "%d.%d.%d" % one.version, shown.kib(one.size), _asks(one)) for one in nexus.bundles()]
    shown.print_table(("id", "version", ">size", "asks for"), rows)


def _asks(one):
    return " ".join(one.actions) if one.installed else "(uninstalled, still in use)"


def exec(words):
    """Start an installed app and wait for its end; & waits for nothing.

    exec ID [RESTARTS] [&]
    exec dev.hello
    """
    waits = words[-1:] != ["&"]
    words = words if waits else words[:-1]
    if not 1 <= len(words) <= 2:
        raise commands.Usage()
    restarts = commands.number(words[1], 0, contract.LIMIT_APP_RESTARTS) if len(words) > 1 else 0
    number, before = None, terminal.interrupt(_NO_KEY)
    try:
        number = nexus.exec(words[0], restarts)
        terminal.interrupt(before)  # a Ctrl-C typed meanwhile counts from here on, where it is known what to end
        print("started %x" % number)
        end = nexus.wait(number) if waits else None
    except KeyboardInterrupt:
        if number is None:  # it came before the character was off
            raise
        terminal.interrupt(_NO_KEY)  # a second one would leave it running
        nexus.kill(number)
        terminal.interrupt(before)
        end = nexus.wait(number)
    finally:
        terminal.interrupt(before)
    if end is not None:
        _tell(end)


def _tell(end):
    fault = names.FAULTS.get(end.fault, "stopped")
    status = " with status %d" % end.value if end.fault == contract.FAULT_EXIT else ""
    times = ", started %d times" % end.starts if end.starts > 1 else ""
    print("%s%s, %s of CPU%s" % (fault, status, shown.duration(end.cpu), times))


def kill(words):
    """End an app that was started here, by its id or its number.

    kill ID|NUMBER
    kill dev.hello
    """
    if len(words) != 1:
        raise commands.Usage()
    number = _number(words[0])
    if number is not None:
        nexus.kill(number)
        return
    running = [one.number for one in nexus.children(words[0]) if not one.over]
    for one in running:
        nexus.kill(one)
        print("killed %x" % one)
    if not running:
        print("NOT FOUND: none of it runs")


# A number as exec prints it; None for an id.
def _number(word):
    try:
        return int(word, 16) if len(word) <= 8 and word[:1].isdigit() else None
    except ValueError:
        return None
