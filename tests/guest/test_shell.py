"""The shell's commands on the simulated machine, with the real services behind them: what each shows, and that one which is refused says
DENIED and nothing else, and is on record.

Two systems: `default`, whose shell may do next to nothing, and `test-shell`, whose policy allows all that there are commands for.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from shims.asker import Asker
from shims.objects import Halt
from shims.screen import COLUMNS, Screen
from shims.shellworld import CTRL_C, MODES, NO_KEY, Shell, plain

from nexus import layout
from nexus.contract.load import load_contract
from nexus.policy.evaluate import load_evaluator
from nexus.recipe.check import load_system

ROOT = layout.find_root()
COMMANDS = (
    "help ps top caps routes policy audit log rng key sign bundles exec kill mem uptime repl reboot shutdown".split()
)


def records_about(shell: Shell) -> list[tuple[str, str, str]]:
    """Verdict, action and target of the shell's records, as logd has them."""
    asker = Asker(shell.machine, "shell", shell.kernel)
    names = shell.contract.ACTION_NAMES.split()
    found, seq = [], 0
    while True:
        op, way = shell.contract.OP_LOGD_AUDIT_OWN, asker.given("logd", shell.contract.FACET_LOGD_AUDIT_OWN)
        answer = asker.ask(way, op, seq.to_bytes(8, "little"))
        assert answer.status == 0
        count, seq = answer.payload[0], int.from_bytes(answer.payload[1:9], "little")
        for at in range(9, 9 + 128 * count, 128):
            record = answer.payload[at : at + 128]
            verdict = {1: "allow", 2: "deny"}.get(record[1], "none")
            found.append(
                (verdict, names[int.from_bytes(record[4:6], "little") - 1], record[64:96].rstrip(b"\0").decode())
            )
        if count == 0:
            return found


# ---- the prompt ------------------------------------------------------------------------------------------------------


def test_prompt_greets_and_waits(shell: Callable[..., Shell]) -> None:
    shown = plain(shell().type(b""))
    assert shown.endswith("\r\nnexus> ")
    assert "help" in shown


def test_every_command_is_in_the_table_and_explained(shell: Callable[..., Shell]) -> None:
    one = shell()
    lines = one.said("help")
    assert [line.split()[0] for line in lines[:-1]] == COMMANDS
    assert max(map(len, lines)) < COLUMNS
    for command in COMMANDS:
        summary, usage, *rest = one.said(f"help {command}")
        assert f"{command:<9} {summary}" in lines
        assert usage.startswith(f"usage: {command}")
        assert all(line.startswith("  e.g. ") for line in rest)


@pytest.mark.parametrize("command", [one for one in COMMANDS if one not in ("exec", "kill", "help", "sign", "policy")])
def test_words_that_a_command_does_not_take_ask_nobody(command: str, shell: Callable[..., Shell]) -> None:
    one = shell()
    before = one.machine.calls
    (*_, usage) = [line for line in one.said(f"{command} what is this") if not line.startswith("  e.g.")]
    assert usage.startswith(f"usage: {command}")
    assert one.machine.calls == before


@pytest.mark.parametrize(
    "line", ["exec", "exec a b c d", "exec dev.hello 9", "kill", "policy", "policy check", "sign sample", "sign x y"]
)
def test_usage_is_told_for_words_that_make_no_sense(line: str, shell: Callable[..., Shell]) -> None:
    assert any(said.startswith(f"usage: {line.split()[0]}") for said in shell().said(line))


def test_what_is_no_command_is_said_to_be_none(shell: Callable[..., Shell]) -> None:
    one = shell()
    assert one.said("nonsense") == ["no command nonsense: help lists them"]
    assert one.said('log "x') == ['no second "']
    assert one.said("   ") == []


@pytest.mark.parametrize(
    ("keys", "mode"), [(b"\x01", "RAW"), (b"\x04", "PROMPT"), (b"repl\r", "FRIENDLY"), (b"x\x01\x04", None)]
)
def test_ways_out_of_the_prompt(keys: bytes, mode: str | None, shell: Callable[..., Shell]) -> None:
    assert shell().mode(keys) == (MODES[mode] if mode else None)


def test_what_mpremote_types_leads_to_the_raw_mode(shell: Callable[..., Shell]) -> None:
    assert shell().mode(b"half a line\r\x03\x03\r\x01") == MODES["RAW"]


def test_history_outlives_the_interpreter(shell: Callable[..., Shell]) -> None:
    one = shell()
    one.type(b"uptime\r")
    assert "uptime" in plain(one.type(b"\x1b[A"))


def test_interrupt_key_is_the_commands_while_one_runs(shell: Callable[..., Shell]) -> None:
    one = shell()
    one.type(b"uptime\r")
    assert one.terminal.interrupt_keys[1:] == [-1, 3, -1]


def test_interrupted_command_gives_a_new_prompt(shell: Callable[..., Shell], monkeypatch: pytest.MonkeyPatch) -> None:
    one = shell()

    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(one.kernel, "call", interrupt)
    assert one.said("ps") == ["^C"]
    assert one.terminal.interrupt_keys[-1] == -1


def test_nothing_is_asked_before_a_command_needs_it(shell: Callable[..., Shell]) -> None:
    one = shell()
    before = one.machine.calls
    one.type(b"help\rpo\t\x15he\t\x15uptime\rroutes\r")
    assert one.machine.calls == before


# ---- default rights --------------------------------------------------------------------------------------------------

REFUSED = [
    ("rng", "route", "rngd"),
    ("rng 64", "route", "rngd"),
    ("key", "route", "keystored"),
    ("key make", "route", "keystored"),
    ("key destroy", "route", "keystored"),
    ("sign sample text", "route", "keystored"),
    ("audit all", "route", "logd:audit_all"),
    ("bundles", "route", "bundlemgrd"),
    ("exec dev.hello", "route", "execd"),
    ("kill dev.hello", "route", "execd"),
    ("kill 1000001", "route", "execd"),
    ("log write a line", "route", "logd:append"),
    ("policy check rng.entropy", "rng.entropy", "-"),
    ("reboot", "system.shutdown", "-"),
    ("shutdown", "system.shutdown", "-"),
]


@pytest.mark.parametrize(("command", "action", "target"), REFUSED)
def test_refused_command_says_denied_alone_and_is_on_record(
    command: str, action: str, target: str, shell: Callable[..., Shell]
) -> None:
    one = shell("default")
    assert ("deny", action, target) not in records_about(one)
    assert one.said(command) == ["DENIED"]
    assert ("deny", action, target) in records_about(one)
    assert one.machine.exit_code is None


def test_default_rights_show_the_system_and_ones_own_records(shell: Callable[..., Shell]) -> None:
    one = shell("default")
    allowed = ("ps", "caps", "mem", "uptime", "routes", "log", "audit", "policy check route policyd")
    assert [command for command in allowed if "DENIED" in one.said(command)] == []


NOTHING_SPECIAL = {("route", "init"), ("route", "policyd"), ("route", "logd:audit_own")}
TO_DEBUG = {("route", "logd:query"), ("system.stats", "-")}


@pytest.mark.parametrize(("gates", "more"), [((), set()), (("debug_image",), TO_DEBUG)])
def test_the_shell_may_do_this_and_nothing_else(gates: tuple[str, ...], more: set[tuple[str, str]]) -> None:
    contract = load_contract(layout.contract_dir(ROOT))
    system = load_system("default", ROOT, contract)
    policy = load_evaluator(system, contract, ROOT, open_gates=gates)
    routes = [server.name for server in system.processes]
    routes += [f"{server}:{facet}" for server in routes for facet in ("ready", *contract.table(f"facet.{server}"))]
    targets = ["-", *routes, "attest", "selftest", "sample", "dev.hello", "selftest.stay", "acme.x"]
    asked = [(action, target) for action in contract.table("action_name").values() for target in targets]
    allowed = {(action, target) for action, target in asked if policy.decide("shell", str(action), target).allow}
    assert allowed == NOTHING_SPECIAL | more


# ---- all rights ------------------------------------------------------------------------------------------------------


def test_ps_tells_every_process_of_the_recipe(shell: Callable[..., Shell]) -> None:
    one = shell()
    head, *rows = one.said("ps")
    assert head.split() == ["#", "name", "state", "CPU", "s", "memory", "calls", "starts"]
    assert [row.split()[1] for row in rows] == [row.id_name for row in one.machine.system_row.processes]
    assert "idle" in rows[1]


def test_ps_tells_why_a_process_has_stopped(shell: Callable[..., Shell]) -> None:
    one = shell()
    for _ in range(5):
        one.machine.crash("dropd", one.contract.FAULT_MEMORY)
        one.machine.settle()
    assert any("dropd" in row and "memory fault" in row for row in one.said("ps"))


def test_apps_have_the_name_of_their_bundle(shell: Callable[..., Shell]) -> None:
    one = shell()
    one.said("exec selftest.stay &")
    one.loader()
    assert any("app " in row or "app:selftest.stay" in row for row in one.said("ps"))
    assert any("app:selftest.stay" in row for row in plain(one.type(b"bundles\rps\r")).split("\r\n"))


@pytest.mark.parametrize("key", [b"q", b"\x1b[A", b"\x1b[1;5C", "ü".encode()])
def test_top_shows_a_screen_each_second_until_a_key(key: bytes, shell: Callable[..., Shell]) -> None:
    """Of which nothing is left for the prompt."""
    one = shell()
    one.presses = [key]
    shown = one.type(b"top\r")
    screen = Screen(lambda _character: 1)
    screen.write(shown.encode())
    assert one.slept in range(1000, 2100)
    assert shown.count("\x1b[H") in (1, 2)
    assert "processor" in screen.rows[0] or "processor" in screen.text
    assert plain(shown).endswith("\r\nnexus> ") or plain(shown).endswith("nexus> ")
    assert not one.terminal.typed


def test_caps_are_told_in_words(shell: Callable[..., Shell]) -> None:
    one = shell()
    own = [line.split() for line in one.said("caps")[1:]]
    assert own[:2] == [["0", "notification", "shell", "use"], ["1", "endpoint", "init", "call", "shell"]]
    assert ["9", "device", "memory", "terminal", "use"] in own
    of_init = one.said("caps init")
    assert any(re.match(r" *\d+  endpoint +logd:event +call +init", line) for line in of_init)
    assert one.said("caps 0") == of_init
    assert one.said("caps nobody") == ["NOT FOUND: there is none"]
    assert one.said("caps 200") == ["NOT FOUND: there is none"]


def test_routes_are_those_of_the_row(shell: Callable[..., Shell]) -> None:
    one = shell()
    row = one.machine.process("shell").row
    said = dict(
        line.split() for line in plain(one.type(b"rng\rroutes\r")).split("\r\n") if line.endswith(("-", "held"))
    )
    named = {f"{edge.server}:{edge.facet}" if edge.facet else edge.server for edge in row.routes}
    assert set(said) == named
    assert [name for name in said if said[name] == "held"] == ["rngd"]


def test_policy_answers_about_the_shell(shell: Callable[..., Shell]) -> None:
    one = shell()
    assert one.said("policy check route rngd") == ["ALLOWED"]
    assert one.said("policy check route vault") == ["DENIED"]
    assert one.said("policy check device.key.export") == ["DENIED"]
    assert any("rng.entropy" in line for line in one.said("policy check nonsense"))


def test_secrets_are_shown_as_hex(shell: Callable[..., Shell]) -> None:
    one = shell()
    (drawn,), again = one.said("rng"), one.said("rng 64")
    assert re.fullmatch("[0-9a-f]{32}", drawn)
    assert [len(line) for line in again] == [64, 64]
    assert one.said("key") == ["NOT FOUND: there is none"]
    (key,) = one.said("key make")
    assert re.fullmatch("[0-9a-f]{64}", key)
    assert one.said("key make") == ["EXISTS: there is one already"]
    assert one.said("key") == [key]
    signature = one.said('sign sample "two words"')
    assert [len(line) for line in signature] == [64, 64]
    assert one.said("sign sample two words") == signature
    assert one.said("sign selftest text") == ["DENIED"]
    assert one.said("key destroy") == ["destroyed"]
    assert one.said("key") == ["NOT FOUND: there is none"]


def test_too_much_is_one_line(shell: Callable[..., Shell]) -> None:
    one = shell()
    assert one.said("rng 4096")[-1] != ""
    assert one.said("rng 4096") == ["RATE LIMITED: too much in a short time; try again"]
    one.said("key make")
    nexus = one.module()
    with pytest.raises(nexus.TooLarge, match=r"^TOO LARGE$"):
        nexus.sign("sample", bytes(257))


def test_service_that_is_gone_is_unavailable(shell: Callable[..., Shell]) -> None:
    one = shell()
    one.said("rng")
    for _ in range(5):
        one.machine.crash("rngd", one.contract.FAULT_MEMORY)
        one.machine.settle()
    assert one.said("rng") == ["UNAVAILABLE: the service did not answer, or has no room for it"]


def test_log_is_written_and_read(shell: Callable[..., Shell]) -> None:
    one = shell()
    assert one.said("log write süß und gut") == []
    (_, line) = one.said("log 1")
    assert line.split()[1:] == ["shell", "info", "süß", "und", "gut"]
    assert one.said("log warning") == one.said("log warning 1")


def test_texts_of_others_never_reach_the_terminal_raw(shell: Callable[..., Shell]) -> None:
    one = shell()
    one.module().log("\x1b[2J\r\n\x07\u202eevil \x9b1m")
    shown = one.type(b"log 1\r")
    assert "\\x1b[2J\\x0d\\x0a\\x07\\xe2\\x80\\xaeevil \\xc2\\x9b1m" in shown
    assert "\x1b[2J" not in shown
    assert "\u202e" not in shown
    asker = Asker(one.machine, "shell", one.kernel)
    payload = bytes([1]) + b"\xff\x1b[31m\xc3"
    assert (
        asker.ask(asker.given("logd", one.contract.FACET_LOGD_APPEND), one.contract.OP_LOGD_APPEND, payload).status == 0
    )
    assert "\\xff\\x1b[31m\\xc3" in one.type(b"log 1\r")


def test_audit_shows_the_newest(shell: Callable[..., Shell]) -> None:
    one = shell()
    for target in ("vault", "x", "y"):
        one.said(f"policy check route {target}")
    rows = one.said("audit 2")
    assert len(rows) == 3
    everybody = one.said("audit all 100")
    assert any(row.split()[2] == "policyd" and "boot grant" in row for row in everybody)
    assert {row.split()[2] for row in one.said("audit 100")[1:]} == {"shell"}
    denied = [row for row in one.said("audit 100") if "DENY" in row]
    assert [row.split()[-1] for row in denied] == ["vault", "x", "y"]


def test_identical_records_are_counted(shell: Callable[..., Shell]) -> None:
    one = shell()
    nexus = one.module()
    assert [nexus.policy("route", "vault") for _ in range(7)] == [False] * 7
    (row,) = [row for row in one.said("audit") if "vault" in row]
    assert row.endswith("route vault x7")


def test_app_is_started_waited_for_and_told_of(shell: Callable[..., Shell]) -> None:
    one = shell()
    assert one.said("bundles")[1].split()[:2] == ["dev.hello", "1.0.0"]
    started, ended = one.said("exec dev.hello")
    assert re.fullmatch("started [0-9a-f]+", started)
    assert re.fullmatch(r"ended with status 0, \d+\.\d{3} s of CPU", ended)
    assert one.said("exec dev.nobody") == ["NOT FOUND: there is none"]


def test_app_in_the_background_can_be_killed(shell: Callable[..., Shell]) -> None:
    one = shell()
    (started,) = one.said("exec selftest.stay &")
    assert one.machine.running_apps() == ["selftest.stay"]
    assert one.said("kill selftest.stay") == [started.replace("started", "killed")]
    assert one.machine.running_apps() == []
    assert one.said("kill selftest.stay") == ["NOT FOUND: none of it runs"]
    (started,) = one.said("exec selftest.stay 1 &")
    assert one.said("kill " + started.split()[1]) == []
    assert one.machine.running_apps() == []


def test_interrupt_ends_the_app_that_is_waited_for(
    shell: Callable[..., Shell], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = shell()
    call, op = one.kernel.call, one.contract.OP_EXECD_WAIT
    waits: list[int] = []

    def interrupted(handle: int, *rest: int) -> int:
        if one.kernel.buffer[1] == op:
            waits.append(op)
            if len(waits) == 2:
                raise KeyboardInterrupt
        return call(handle, *rest)

    monkeypatch.setattr(one.kernel, "call", interrupted)
    said = one.said("exec selftest.stay")
    assert said[-1].startswith("killed, ")
    assert one.machine.running_apps() == []


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("line", ["exec selftest.stay", "exec selftest.stay &"])
def test_interrupt_while_an_app_is_started_ends_it(line: str, again: bool, shell: Callable[..., Shell]) -> None:
    """As soon as it is known which; another Ctrl-C meanwhile changes nothing about that."""
    one = shell()
    one.during("execd", one.contract.OP_EXECD_EXEC, lambda: one.terminal.press(CTRL_C))
    if again:
        one.during("execd", one.contract.OP_EXECD_KILL, lambda: one.terminal.press(CTRL_C))
    (said,) = one.said(line)
    assert said == "^C" if again else said.startswith("killed, ")
    assert one.machine.running_apps() == []
    assert one.terminal.interrupt_keys[-2:] == [CTRL_C, NO_KEY]


def test_interrupt_is_heard_again_after_an_app_that_is_refused(shell: Callable[..., Shell]) -> None:
    one = shell()
    assert one.said("exec dev.nobody") == ["NOT FOUND: there is none"]
    assert one.terminal.interrupt_keys[-2:] == [CTRL_C, NO_KEY]


def test_machine_is_shut_down(shell: Callable[..., Shell]) -> None:
    one = shell()
    with pytest.raises((Halt, AssertionError)):
        one.said("shutdown")
    assert one.machine.exit_code == one.contract.EXIT_OK


# ---- what everything is written in -----------------------------------------------------------------------------------


def test_every_line_fits_the_terminal(shell: Callable[..., Shell]) -> None:
    one = shell()
    one.module().log("long " * 40)
    for command in (
        "ps",
        "caps init",
        "mem",
        "audit all 200",
        "log",
        "bundles",
        "routes",
        *(f"help {c}" for c in COMMANDS),
    ):
        assert max(map(len, one.said(command))) < COLUMNS, command


def test_nexus_help_tells_what_the_docstrings_say(shell: Callable[..., Shell]) -> None:
    one = shell()
    nexus = one.module()
    nexus.help("entropy")
    nexus.help("pubkey")
    nexus.help("nonsense")
    nexus.help()
    said = one.terminal.shown.decode().split("\r\n")
    assert said[0] == "nexus.entropy(count)"
    assert "So many fresh bytes (an int), as bytes. Action rng.entropy." in said
    listed = {
        line.removeprefix("nexus.").partition("(")[0]
        for line in said[said.index("no nexus.nonsense: nexus.help() lists all") + 1 : -2]
    }
    functions = {name for name, value in vars(nexus).items() if callable(value) and not isinstance(value, type)}
    public = {name for name in functions if not name.startswith("_")} - {"namedtuple"}
    assert listed == public


def test_denied_says_that_and_nothing_else(shell: Callable[..., Shell]) -> None:
    nexus = shell("default").module()
    for ask in (lambda: nexus.entropy(1), nexus.make_key, nexus.shutdown, lambda: nexus.audit(1, True), nexus.pubkey):
        with pytest.raises(nexus.Denied) as caught:
            ask()
        assert (str(caught.value), caught.value.args) == ("DENIED", ("DENIED",))


def test_apps_and_prompt_have_the_same_functions(shell: Callable[..., Shell]) -> None:
    """Of what apps have, the prompt has every name, and it is the same thing."""
    one = shell()
    loader = one.loader()
    nexus, calls = loader.load("nexus"), loader.load("calls")
    text = (ROOT / "guest/lib/nexus.py").read_text(encoding="utf-8")
    named = re.findall(r"^(\w+) = calls\.(\w+)$", text, re.MULTILINE)
    assert len(named) > 10
    assert all(getattr(nexus, name) is getattr(calls, origin) for name, origin in named)
