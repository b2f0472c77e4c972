"""The shell of a booted system, typed on its terminal: what default rights give a person and what they don't, and each command where policy
allows it.

Scenario: one boot of system `default`, the others of `test-shell`. Everything refused is looked up in the trail in the machine's memory.
"""

from __future__ import annotations

import re
import time
from collections import Counter

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from nexus.audit.record import Form
from nexus.audit.trail import verify
from nexus.contract.load import load_contract
from nexus.layout import contract_dir, find_root
from nexus.machine.live import Machine
from nexus.plugin import Boot
from nexus.recipe.check import load_system
from nexus.recipe.model import service_id

ROOT = find_root()
CONTRACT = load_contract(contract_dir(ROOT))
FORM = Form(CONTRACT)
ACTIONS = {number: name for name, number in FORM.actions.items()}
PROMPT = r"nexus>\x1b\[0m "
COLOURS = re.compile(r"\x1b\[[0-9;]*m")

# What a person types, and the record that it leaves: action, target, who asked policyd.
REFUSED = {
    "rng": ("route", "rngd"),
    "key make": ("route", "keystored"),
    "sign sample text": ("route", "keystored"),
    "audit all": ("route", "logd:audit_all"),
    "bundles": ("route", "bundlemgrd"),
    "exec dev.hello": ("route", "execd"),
    "log write a line": ("route", "logd:append"),
    "policy check rng.entropy": ("rng.entropy", "-"),
    "shutdown": ("system.shutdown", "-"),
    "reboot": ("system.shutdown", "-"),
}
# The same from a program at MicroPython's prompt, and as it could be tried without module nexus.
ATTEMPTS = {
    "nexus.entropy(16)": ("route", "rngd"),
    "nexus.make_key()": ("route", "keystored"),
    "nexus.audit(1, True)": ("route", "logd:audit_all"),
    "nexus.shutdown()": ("system.shutdown", "-"),
}


class Person:
    """At the prompt of a machine."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.terminal = machine.terminal
        self.terminal.expect(PROMPT)

    def types(self, line: str, prompt: str = PROMPT) -> list[str]:
        """What the line shows, without colours."""
        self.terminal.send(line + "\r")
        self.terminal.expect(prompt)
        shown = COLOURS.sub("", self.terminal.before.decode()).split("\r\n")
        assert shown[0] == line
        return [row for row in shown[1:] if row not in ("", "nexus> ", "\x1b[1;32m")]

    def program(self, line: str) -> list[str]:
        return self.types(line, ">>> ")

    def refusals(self) -> Counter[tuple[str, str]]:
        """Action and target of what the trail says that the shell was refused, and how often."""
        trail = self.machine.trail()
        assert verify(trail) == []
        found: Counter[tuple[str, str]] = Counter()
        for _, row in trail.records:
            if row.subject == service_id("shell") and row.verdict == FORM.verdicts["deny"]:
                found[ACTIONS[row.action], row.target.rstrip(b"\0").decode()] += row.count
        return found


def test_default_rights_draw_no_entropy_make_no_key_and_read_nobodys_audit(boot: Boot) -> None:
    machine = boot(system="default")
    person = Person(machine)
    assert not person.refusals()
    assert [command for command in REFUSED if person.types(command) != ["DENIED"]] == []
    refused = Counter(REFUSED.values())
    assert person.refusals() == refused

    person.types("repl", ">>> ")
    assert person.program("import nexus") == []
    for attempt in ATTEMPTS:
        assert person.program(attempt)[-1] == "Denied: DENIED", attempt
    assert person.refusals() == refused + Counter(ATTEMPTS.values())
    assert person.program("nexus.policy('rng.entropy')") == ["False"]

    # What a program may still do is what the prompt may: look.
    person.types("exit()")
    names = [process.id_name for process in load_system("default", ROOT, CONTRACT).processes]
    assert [row.split()[1] for row in person.types("ps")[1:]] == names
    assert person.types("audit 3")[0].split() == ["seq", "time", "s", "subject", "what", "action", "and", "target"]
    assert {row.split()[2] for row in person.types("audit 20")[1:]} == {"shell"}
    assert person.types("uptime")[0].startswith("up ")
    assert "policyd: deny (subject=shell action=rng.entropy)" in machine.log


def test_every_command_works_where_policy_allows_it(boot: Boot) -> None:
    person = Person(boot(system="test-shell"))
    (drawn,), (other,) = person.types("rng"), person.types("rng")
    assert re.fullmatch("[0-9a-f]{32}", drawn)
    assert drawn != other

    assert person.types("key") == ["NOT FOUND: there is none"]
    (key,) = person.types("key make")
    assert person.types("key make") == ["EXISTS: there is one already"]
    signature = "".join(person.types("sign sample two words"))
    assert_signed(bytes.fromhex(key), bytes.fromhex(signature), b"two words")
    assert person.types("key destroy") == ["destroyed"]

    rows = [row.split() for row in person.types("bundles")[1:]]
    assert [row[:2] for row in rows] == [["dev.hello", "1.0.0"], ["selftest.stay", "1.0.0"]]
    started, ended = person.types("exec dev.hello")
    assert started.startswith("started ")
    assert re.fullmatch(r"ended with status 0, \d+\.\d{3} s of CPU", ended)
    person.machine.expect("app:dev.hello: hello\n")
    (background,) = person.types("exec selftest.stay &")
    assert any("app:selftest.stay" in row for row in person.types("ps"))
    assert person.types("kill selftest.stay") == [background.replace("started", "killed")]
    person.terminal.send("exec selftest.stay\r")
    person.terminal.expect("started [0-9a-f]+\r\n")
    person.terminal.send("\x03")
    person.terminal.expect("killed, ")
    person.terminal.expect(PROMPT)

    assert person.types("log write a line") == []
    assert person.types("log 1")[1].split()[1:] == ["shell", "info", "a", "line"]
    assert any(row.split()[2] == "policyd" for row in person.types("audit all 100")[1:])
    assert person.types("policy check route rngd") == ["ALLOWED"]
    assert ["logd:audit_all", "held"] in [row.split() for row in person.types("routes")]
    assert person.types("caps")[2].split() == ["1", "endpoint", "init", "call", "shell"]
    assert person.types("mem")[0].startswith("heap of the shell: ")
    person.terminal.send("top\r")
    person.terminal.expect("processor .* busy")
    person.terminal.send("q")
    person.terminal.expect(PROMPT)

    leave_and_come_back(person)

    person.terminal.send("reboot\r")
    person.terminal.expect("help lists the commands")
    person.terminal.expect(PROMPT)
    person.terminal.send("shutdown\r")
    end = person.machine.wait()
    assert end is not None
    assert end.code == CONTRACT.number("exit.ok")


def test_characters_of_others_that_are_spelled_wrong_are_shown_as_hex(boot: Boot) -> None:
    """The interpreter itself takes ASCII in two bytes, of which the second is a terminal's control, and numbers beyond Unicode."""
    person = Person(boot(system="test-shell"))
    wrong = b"X\xc1\x9b31mY\xf7\xbf\xbf\xbfZ\xc0\x9b[1m\xe0\x82\x9b"
    person.types("repl", ">>> ")
    person.program("import nexus")
    assert person.program(f"nexus.log(str({wrong!r}, 'utf-8'))") == []
    person.types("exit()")
    person.terminal.send("log 1\r")
    person.terminal.expect(PROMPT)
    seen = COLOURS.sub("", person.terminal.before.decode("latin-1")).partition("\r\n")[2]
    assert r"X\xc1\x9b31mY\xf7\xbf\xbf\xbfZ\xc0\x9b[1m\xe0\x82\x9b" in seen
    assert re.search("[\x1b\x80-\x9f\xf5-\xff]", seen) is None


def test_interrupt_typed_with_the_command_leaves_no_app_running(boot: Boot) -> None:
    person = Person(boot(system="test-shell"))
    for milliseconds in (0, 0, 2, 5, 10, 20, 50, 100):
        person.terminal.send("exec selftest.stay\r" if milliseconds else "exec selftest.stay\r\x03")
        if milliseconds:
            time.sleep(milliseconds / 1000)
            person.terminal.send("\x03")
        person.terminal.expect(PROMPT)
        assert person.types("kill selftest.stay") == ["NOT FOUND: none of it runs"], milliseconds
    assert not any("app:selftest.stay" in row for row in person.types("ps"))


def leave_and_come_back(person: Person) -> None:
    """History and the ways to services outlive the interpreter; each of them takes up its slot once."""
    before = person.types("caps")
    for _ in range(3):
        person.terminal.send("\x04")
        person.terminal.expect(PROMPT)
        assert re.fullmatch("[0-9a-f]{32}", person.types("rng")[0])
    assert person.types("caps") == before
    person.terminal.send("\x1b[A\x1b[A")
    person.terminal.expect("rng")
    person.terminal.send("\x15")


def assert_signed(public: bytes, signature: bytes, message: bytes) -> None:
    """By this key, over the contract's message for the shell."""
    about = service_id("shell").to_bytes(8, "little") + bytes(
        [CONTRACT.number("kind.service"), CONTRACT.number("key_mode.device")]
    )
    purpose = b"sample"
    covered = str(CONTRACT.table("signed")["tag"]).encode() + bytes([len(purpose)]) + purpose + about
    Ed25519PublicKey.from_public_bytes(public).verify(signature, covered + len(message).to_bytes(4, "little") + message)
