"""The verb console: a machine's terminal for a person, for a script and for other tools; and the view of its log. Loaded by cli.py when it
is called. Only chooses and reports: bytes are moved by machine/bridge.py, the screen is machine/consoleview.py.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from nexus import errors
from nexus.layout import contract_dir, find_root
from nexus.machine import registry
from nexus.machine.consolekeys import parse_key
from nexus.verbs.shared import (
    UNTIL_SECONDS,
    attach_uart,
    duration_of,
    end_on_signals,
    ended_before,
    exit_of,
    explain_end,
    progress,
    status_line,
    watch,
)
from nexus.views.files import check_option

if TYPE_CHECKING:
    from nexus.machine.dialogue import Dialogue, Expect, Step
    from nexus.machine.session import Session
    from nexus.machine.terminal import Outcome

DEFAULT = "default"
END_SECONDS = 3.0  # until the owner of a machine that ended has written how
ORDER = "nexus.console.order"


class InOrder(click.Command):
    """Keeps the order in which --send and --expect were given."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        values, _, order = self.make_parser(ctx).parse_args(list(args))
        given = {name: list(values.get(name) or ()) for name in ("send", "expect")}
        ctx.meta[ORDER] = [(one.name, given[one.name].pop(0)) for one in order if one.name in given]
        return super().parse_args(ctx, args)


@dataclass(frozen=True)
class Options:
    """The command line."""

    system: str | None
    machine: str | None
    new: bool
    pty: bool
    listen: str | None
    log: str | None
    send: tuple[str, ...]
    expect: tuple[str, ...]
    forbid: tuple[str, ...]
    timeout: str | None
    escape: str
    raw_escapes: bool
    uart: bool
    until: str | None
    stop: bool

    @property
    def scripted(self) -> bool:
        return bool(self.send or self.expect or self.forbid)


@dataclass(frozen=True)
class Attached:
    """The machine that is meant. `session`: it was started here and ends with the command."""

    root: Path
    record: registry.Record
    session: Session | None = None

    @property
    def own(self) -> bool:
        return self.session is not None

    @property
    def run(self) -> registry.RunDir:
        return registry.RunDir(registry.runs_dir(self.root) / self.record.id)


@click.command(cls=InOrder)
@click.option("--system", help="The machine of this system; started if none is live.  [default]")
@click.option("--machine", metavar="ID", help="Which live machine; default the only one.")
@click.option("--new", is_flag=True, help="Start a machine and end it when leaving, whichever are live.")
@click.option(
    "--pty", is_flag=True, help="Print one line with the name of a pty for other tools, and serve it till the end."
)
@click.option("--listen", metavar="127.0.0.1:PORT", help="Serve the terminal to connections of this computer.")
@click.option(
    "--log",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    callback=check_option,
    help="Write what the terminal prints, byte for byte.",
)
@click.option("--send", metavar="TEXT", multiple=True, help=r"Type this. \r \n \t \e \xNN are what they are in C.")
@click.option("--expect", metavar="RE", multiple=True, help="Wait for this; with --send in the order given.")
@click.option("--forbid", metavar="RE", multiple=True, help="Fail if this comes before all is done.")
@click.option("--timeout", metavar="TIME", help="Leave after this time with exit code 7.")
@click.option(
    "--escape", metavar="KEY", default="ctrl-]", show_default=True, help="The key of the menu: ctrl-A to ctrl-_."
)
@click.option("--raw-escapes", is_flag=True, help="Let all that the guest prints through to this terminal.")
@click.option("--uart", is_flag=True, help="Show the machine's log instead of its terminal.")
@click.option("--until", metavar="TEXT", help="Show the log, and leave when a line of it contains this text.")
@click.option("--stop", is_flag=True, help="End the machine instead of attaching.")
@click.pass_context
def console(ctx: click.Context, /, **given: Any) -> int:
    """A live machine's terminal, in which its shell runs. With no machine live, start one and end it when leaving."""
    end_on_signals()
    options = Options(**given)
    _check(options)
    root = find_root()
    seconds = duration_of(options.timeout, "--timeout")
    if options.stop:
        return _stop(registry.pick_machine(root, options.machine))
    if options.uart or options.until:
        return _watch_uart(root, registry.pick_machine(root, options.machine), options.until, seconds)
    dialogue = _dialogue(ctx.meta[ORDER], options.forbid) if options.scripted else None
    with ExitStack() as stack:
        listener = stack.enter_context(_listener(options.listen)) if options.listen else None
        log = stack.enter_context(Path(options.log).open("wb", buffering=0)) if options.log else None
        attached = stack.enter_context(_machine(root, options))
        deadline = None if seconds is None else time.monotonic() + seconds
        if dialogue is not None:
            return _converse(attached, dialogue, options, log, seconds or UNTIL_SECONDS)
        outcome = _serve(attached, options, listener, log, deadline)
        return _leave(attached, outcome, seconds)


def _check(options: Options) -> None:
    ways = {"--pty": options.pty, "--listen": options.listen, "--send/--expect/--forbid": options.scripted}
    ways |= {"--uart/--until": options.uart or options.until, "--stop": options.stop}
    chosen = [name for name, given in ways.items() if given]
    if len(chosen) > 1:
        raise errors.UsageError(f"{' and '.join(chosen)} are different things", "give one of them")
    if options.new and (options.machine is not None or options.uart or options.until or options.stop):
        raise errors.UsageError("--new is for a machine that is not there yet", "leave it out to have one that is live")
    parse_key(options.escape)
    if options.forbid and not options.expect:
        raise errors.UsageError("--forbid alone has no end", "say with --expect what is to come instead")


def _dialogue(order: Sequence[tuple[str, str]], forbidden: Sequence[str]) -> Dialogue:
    from nexus.machine.dialogue import Dialogue, Expect, Send, unescape
    from nexus.machine.script import check_pattern

    def expect(text: str) -> Expect:
        return Expect(check_pattern(text), text)

    steps: list[Step] = [Send(unescape(text)) if name == "send" else expect(text) for name, text in order]
    return Dialogue(steps, [expect(text) for text in forbidden])


# ---- the machine that is meant ---------------------------------------------------------------------------------------


@contextmanager
def _machine(root: Path, options: Options) -> Iterator[Attached]:
    """The live one, or one that is started and ends with the block."""
    live = [] if options.new else registry.live_machines(root)
    if options.system is not None:
        live = [record for record in live if record.system == options.system]
    if options.machine is not None or (live and options.system is None):
        yield Attached(root, registry.pick_machine(root, options.machine))
    elif len(live) > 1:
        raise errors.UsageError(f"several machines of system {options.system} are live", "say which with --machine ID")
    elif live:
        yield Attached(root, live[0])
    else:
        with _started(root, options) as session:
            yield Attached(root, registry.pick_machine(root, session.run.id), session)


@contextmanager
def _started(root: Path, options: Options) -> Iterator[Session]:
    from nexus.contract.load import load_contract
    from nexus.machine.argv import has_terminal, parse_rng
    from nexus.machine.session import Session
    from nexus.machine.target import launch_of, prepare

    # A tool that reads the name of the pty from the first line may have put both outputs together.
    quiet = (options.pty or options.listen) and not sys.stderr.isatty()
    target = prepare(root, options.system or DEFAULT, build=True, progress=(lambda _text: None) if quiet else progress)
    if not has_terminal(target.devices):
        raise errors.UsageError(f"system {target.system} has no terminal", "the default system has one")
    launch = launch_of(target, load_contract(contract_dir(root)), rng=parse_rng(""))
    with Session(root, target.system, launch) as session:
        yield session


def _stop(record: registry.Record) -> int:
    os.kill(record.pid, signal.SIGKILL)
    click.echo(f"machine {record.id} was ended")
    return errors.EXIT_OK


# ---- ways to be attached ---------------------------------------------------------------------------------------------


def _watch_uart(root: Path, record: registry.Record, until: str | None, seconds: float | None) -> int:
    bar = status_line("Ctrl-] leaves, the machine stays up", f"{record.system}, machine {record.id}")
    code = watch(attach_uart(record), bar, until, seconds or (UNTIL_SECONDS if until else None))
    if code is not None:
        return code
    code = _explain(Attached(root, record))
    if until is not None:
        raise ended_before(f"`{until}` came", root, record.id)
    return code


def _serve(
    attached: Attached, options: Options, listener: socket.socket | None, log: BinaryIO | None, deadline: float | None
) -> Outcome:
    from nexus.machine import bridge

    if listener is not None:
        return _serve_port(attached, listener, log, deadline)
    if options.pty:
        return _serve_pty(attached, log, deadline)
    with bridge.attach(attached.record, history=True) as wire:
        if sys.stdin.isatty() and sys.stdout.isatty():
            return _sit_at(attached, wire, options, log, deadline)
        ends = bridge.Bridge(wire, sys.stdin.fileno(), sys.stdout.fileno(), _change(options), log)
        return bridge.run(ends, deadline)


def _sit_at(
    attached: Attached, wire: socket.socket, options: Options, log: BinaryIO | None, deadline: float | None
) -> Outcome:
    from nexus.machine.controls import Controls
    from nexus.machine.interactive import Interactive, Person
    from nexus.machine.logtail import LogTail

    person = Person(sys.stdin.fileno(), sys.stdout.fileno(), parse_key(options.escape), _change(options), log)
    with LogTail(attached.run.console) as tail:
        return Interactive(wire, tail, Controls(attached.root, attached.record), person, own=attached.own).run(deadline)


def _serve_port(attached: Attached, listener: socket.socket, log: BinaryIO | None, deadline: float | None) -> Outcome:
    from nexus.machine import bridge

    host, port = listener.getsockname()
    address = f"socket://{host}:{port}"
    return _till_told(address, lambda: bridge.serve(attached.record, listener, deadline, log))


def _serve_pty(attached: Attached, log: BinaryIO | None, deadline: float | None) -> Outcome:
    from nexus.machine import bridge

    with bridge.attach(attached.record, history=attached.own) as wire, bridge.open_pty(attached.run.pty) as (end, name):
        return _till_told(name, lambda: bridge.run(bridge.Bridge(wire, end, end, None, log), deadline))


def _till_told(address: str, serve: Callable[[], Outcome]) -> Outcome:
    """Say where, alone on the first line, since tools read it. Ctrl-C and SIGTERM are how serving others is meant to end."""
    from nexus.machine.terminal import Outcome

    try:
        click.echo(address)
        sys.stdout.flush()
        return serve()
    except KeyboardInterrupt:
        return Outcome.LEFT


def _converse(attached: Attached, dialogue: Dialogue, options: Options, log: BinaryIO | None, seconds: float) -> int:
    from nexus.machine import bridge
    from nexus.machine.terminal import Outcome

    with bridge.attach(attached.record, history=attached.own) as wire:
        deadline = time.monotonic() + seconds
        outcome = bridge.converse(wire, dialogue, sys.stdout.fileno(), _change(options), log, deadline)
    place = f"the terminal's log: {attached.run.terminal.relative_to(attached.root)}"
    if dialogue.failure is not None:
        raise errors.VerdictError(dialogue.failure, place)
    if outcome is Outcome.LATE:
        what = (
            f"`{dialogue.waits_for}` did not come" if dialogue.waits_for else "the machine did not take what was sent"
        )
        raise errors.DeadlineError(f"{what} in {seconds:g} s", place)
    return errors.EXIT_OK


def _change(options: Options) -> Callable[[bytes], bytes]:
    """A terminal gets what may pass; a file or a pipe gets every byte."""
    from nexus.machine.escapes import Filter

    return bytes if options.raw_escapes or not sys.stdout.isatty() else Filter().feed


def _listener(address: str) -> socket.socket:
    from nexus.machine.bridge import listen

    return listen(address)


# ---- how it ended ----------------------------------------------------------------------------------------------------


def _leave(attached: Attached, outcome: Outcome, seconds: float | None) -> int:
    from nexus.machine.terminal import Outcome

    if outcome is Outcome.LATE:
        raise errors.DeadlineError(f"the machine was still up after {seconds:g} s")
    if outcome is Outcome.LEFT:
        return errors.EXIT_OK
    return _explain(attached)


def _explain(attached: Attached) -> int:
    """The machine has ended: the exit code if that was wanted."""
    exit = attached.session.wait(END_SECONDS) if attached.session else exit_of(attached.run, END_SECONDS)
    code = explain_end(exit, attached.run.qemu_words(), attached.root, attached.record.id)
    click.echo(f"nexus: machine {attached.record.id} has ended", err=True)
    return code
