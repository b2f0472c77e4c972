"""The kernel's lines, torn and raw lines, time-outs, deaths and the end of a run, each against the passing transcript."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from nexus.contract.load import Marker, load_contract
from nexus.layout import contract_dir, find_root
from nexus.recipe.model import service_id
from nexus.verdict.grammar import MAX_LINE_BYTES, Seen
from nexus.verdict.ladder import MAX_LINES, Exit, Failure, Ladder, Plan
from nexus.verdict.rehearsal import NONCE, Rehearsal, place_of
from nexus.verdict.signature import Signed, of_the_prover, signed_bytes

CONTRACT = load_contract(contract_dir(find_root()))
OTHER = "ff" * 16
TAKEN = 0x1A0
RUN = Rehearsal(CONTRACT, count=TAKEN)
plan, say, transcript = RUN.plan, RUN.say, RUN.transcript
edited, inserted, replaced, judge, failure = RUN.edited, RUN.inserted, RUN.replaced, RUN.judge, RUN.failure

# ---- kernel ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line", ["kernel: panic ipc_send cause=2 pc=80000000", "rngd: kernel: panic", "xkernel: panic"]
)
def test_panic(line: str) -> None:
    assert failure(inserted(4, line)).code == "panic"


@pytest.mark.parametrize("torn", ["logd: rea", "", "ker", "SELFTEST: rng entr", "policyd: all"])
def test_panic_explains_the_line_that_it_tore(torn: str) -> None:
    lines = inserted(4, torn, "kernel: panic x cause=2")
    assert failure(lines).code == "panic"


def test_panic_before_the_boot_line() -> None:
    assert failure(["", "kernel: panic early"], exit=Exit(code=44)).code == "panic"


def test_torn_line_counts_when_nothing_explains_it() -> None:
    ladder = Ladder(plan())
    ladder.feed(Seen(0.0, transcript()[0].encode()))
    assert ladder.feed(Seen(0.0, b"garbage")) is None
    assert ladder.waiting
    settled = ladder.settle()
    assert settled
    assert settled.code == "malformed"


def test_console_lost() -> None:
    assert failure(inserted(4, "kernel: console lost label=rngd lines=3")).code == "console-lost"


@pytest.mark.parametrize("data", [b"\x00\x01", b"rngd: \x1b[2J", b"logd:ready", b"", b"unknownd: hello"])
def test_malformed_line(data: bytes) -> None:
    lines: list[str | bytes] = [*transcript()]
    lines.insert(4, data)
    assert failure(lines).code == "malformed"


def test_line_without_end() -> None:
    ladder = Ladder(plan())
    ladder.feed(Seen(0.0, transcript()[0].encode()))
    ladder.feed(Seen(0.0, b"rngd: " + b"x" * MAX_LINE_BYTES, whole=False))
    assert ladder.settle()


@pytest.mark.parametrize("continued", ["rngd| more", "logd| more"])
def test_continuation_of_nothing(continued: str) -> None:
    assert failure(inserted(2, "rngd: short", continued)).code == "malformed"


def test_continuation_of_a_full_line() -> None:
    full = "rngd: " + "x" * CONTRACT.number("limit.line_bytes")
    more = "rngd| " + "y" * CONTRACT.number("limit.line_bytes")
    assert judge(inserted(2, full, more, "rngd| z")).failure is None
    assert failure(inserted(2, full, "logd| z")).code == "malformed"


def test_continued_text_is_no_gate() -> None:
    gate = say(RUN.gates[-1])
    found = failure(replaced(gate, gate.replace(": ", "| ", 1)))
    assert found.code == "malformed"


def test_flood() -> None:
    assert failure(edited(lambda lines: lines.__setitem__(slice(2, 2), ["rngd: again"] * MAX_LINES))).code == "flood"


def test_decisions_are_no_flood() -> None:
    decision, closing = "policyd: deny (subject=shell action=route)", f"decisions={MAX_LINES + 1}"

    def heckled(lines: list[str]) -> None:
        at = next(number for number, line in enumerate(lines) if line.startswith("init: phase "))
        assert lines[at].endswith("decisions=0")
        lines[at] = lines[at].replace("decisions=0", closing)
        lines[at:at] = [decision] * (MAX_LINES + 1)

    assert judge(edited(heckled)).failure is None


# ---- the end ---------------------------------------------------------------------------------------------------------


def test_end_line_missing() -> None:
    found = failure(edited(lambda lines: lines.pop()))
    assert (found.code, found.exit_code) == ("exit-code", 1)


def test_end_line_of_another_run() -> None:
    assert failure(replaced(-1, f"kernel: end run={OTHER} code=42")).code == "nonce"


@pytest.mark.parametrize("line", ["kernel: end", f"kernel: end run={NONCE}", f"kernel: end run={NONCE} code=42 x"])
def test_end_line_of_no_form(line: str) -> None:
    assert failure(replaced(-1, line)).code == "malformed"


def test_end_line_forged() -> None:
    forged = f"rngd: kernel: end run={NONCE} code=42"
    assert failure(replaced(-1, forged)).code == "exit-code"


@pytest.mark.parametrize("code", [43, 44, 45, 46, 47])
def test_end_line_with_another_code(code: int) -> None:
    lines = [*transcript()[:-1], f"kernel: end run={NONCE} code={code}"]
    found = failure(lines, exit=Exit(code=code))
    assert (found.code, found.exit_code) == ("end", 1)


def test_early_end_names_what_is_missing_and_what_was_said() -> None:
    lines = [*transcript()[:3], "rngd: device absent", "init: not ready rngd", f"kernel: end run={NONCE} code=42"]
    found = failure(lines)
    assert found.code == "missing"
    assert "device absent" in found.text
    assert "not ready rngd" in found.text


@pytest.mark.parametrize("late", ["rngd: one more thing", "kernel: boot", ""])
def test_late_line(late: str) -> None:
    assert failure([*transcript(), late]).code == "late"


def test_late_text_without_line_end() -> None:
    assert failure(transcript(), rest=b"rn").code == "late"


@pytest.mark.parametrize("code", [43, 47])
def test_exit_code_contradicts_the_end_line(code: int) -> None:
    found = failure(transcript(), exit=Exit(code=code))
    assert (found.code, found.exit_code) == ("exit-code", 1)


@pytest.mark.parametrize(
    "exit", [Exit(code=0), Exit(code=1), Exit(code=255), Exit(signal=9), Exit(why="console closed")]
)
@pytest.mark.parametrize("length", [0, 1, 5, 100])
def test_death_of_the_machine_is_no_verdict(exit: Exit, length: int) -> None:
    found = failure(transcript()[:length], exit=exit, rest=b"rngd: hal")
    if length < len(transcript()):
        assert (found.code, found.exit_code) == ("machine-died", 6)
    else:
        assert found.code == "late"


def test_machine_that_dies_after_its_end_line() -> None:
    found = failure(transcript(), exit=Exit(signal=9))
    assert (found.code, found.exit_code) == ("machine-died", 6)


@pytest.mark.parametrize(("length", "code"), [(0, "no-output"), (1, "timeout"), (6, "timeout")])
def test_time_out_is_told_from_silence(length: int, code: str) -> None:
    ladder = Ladder(plan())
    for text in transcript()[:length]:
        ladder.feed(Seen(0.0, text.encode()))
    found = ladder.time_out(3)
    assert found
    assert (found.code, found.exit_code) == (code, 7)
    assert "3 s" in found.text


def test_first_failure_stays() -> None:
    ladder = judge([*transcript(), "rngd: late"], exit=Exit(signal=9))
    before = ladder.failure
    ladder.time_out(1)
    ladder.delivered(0)
    assert ladder.failure is before
    assert before
    assert before.code == "late"


# ---- entropy ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [TAKEN, TAKEN - 1, TAKEN + 1, 0])
def test_emulator_counts_what_the_guest_took(count: int) -> None:
    found = judge(transcript()).delivered(count)
    assert (found.code if found else None) == (None if count == TAKEN else "entropy-count")


# ---- what the host checks beside the console -------------------------------------------------------------------------

SIGNED = [
    Marker("public_key", "SELFTEST", "policy", "gate", None, "device public key=[0-9a-f]{64}"),
    Marker("signature", "SELFTEST", "policy", "gate", None, "signature=[0-9a-f]{128}"),
]
UNSIGNED = [row for row in RUN.gates if row.name not in ("public_key", "signature")]
OTHER_SEED = bytes(32)


def signing(*rows: Marker) -> Plan:
    """A plan in which these rows come first in the phase `policy`, in place of the contract's own."""
    place = next(place for place, row in enumerate(UNSIGNED) if row.phase == "policy")
    return plan(markers=[*UNSIGNED[:place], *(rows or SIGNED), *UNSIGNED[place:]])


def signed_run(key: bytes, signature: bytes, of: Plan | None = None) -> Failure | None:
    of = of or signing()
    lines = transcript(of)
    lines[place_of(lines, "device public key=")] = f"SELFTEST: device public key={key.hex()}"
    lines[place_of(lines, "SELFTEST: signature=")] = f"SELFTEST: signature={signature.hex()}"
    ladder = judge(lines, of)
    assert ladder.failure is None, "the form alone is right"
    return ladder.signed()


def test_signature_of_the_printed_key_passes() -> None:
    assert signed_run(*RUN.sign(RUN.signed)) is None


def test_signature_covers_what_the_contract_says() -> None:
    """Against bytes that are put together here, by another hand."""
    message = b"signed in front of the host"
    subject = 0x52C6C4A34FFB3F69.to_bytes(8, "little")
    head = b"nexus signature 1" + b"\x08selftest" + subject + b"\x00"
    assert of_the_prover(CONTRACT, known_entropy=False) == head + b"\x00" + bytes([len(message), 0, 0, 0]) + message
    assert of_the_prover(CONTRACT, known_entropy=True) == head + b"\x01" + bytes([len(message), 0, 0, 0]) + message


@pytest.mark.parametrize(
    "signed",
    [
        Signed("attest", service_id("selftest-client"), 0, 0, b"signed in front of the host"),
        Signed("selftest", service_id("selftest-peer"), 0, 0, b"signed in front of the host"),
        Signed("selftest", service_id("selftest-client"), 1, 0, b"signed in front of the host"),
        Signed("selftest", service_id("selftest-client"), 0, 1, b"signed in front of the host"),
        Signed("selftest", service_id("selftest-client"), 0, 0, b"signed in front of the hosT"),
    ],
    ids=["purpose", "subject", "kind", "mode", "message"],
)
def test_signature_over_anything_else_fails(signed: Signed) -> None:
    found = signed_run(*RUN.sign(signed_bytes(CONTRACT, signed)))
    assert found
    assert found.code == "signature"


def test_signature_of_another_key_fails() -> None:
    key, _ = RUN.sign(RUN.signed)
    _, signature = RUN.sign(RUN.signed, OTHER_SEED)
    found = signed_run(key, signature)
    assert found
    assert (found.code, found.seen) == ("signature", signature.hex())


def test_signature_that_anybody_can_make_fails() -> None:
    """The library takes it: the neutral point as key, R the base point, S = 1, for any message."""
    neutral, base = b"\x01" + bytes(31), b"\x58" + b"\x66" * 31
    Ed25519PublicKey.from_public_bytes(neutral).verify(base + neutral, RUN.signed)
    found = signed_run(neutral, base + neutral)
    assert found
    assert found.code == "signature"


@pytest.mark.parametrize("place", [0, 31, 32, 63])
def test_flipped_bit_of_a_signature_fails(place: int) -> None:
    key, signature = RUN.sign(RUN.signed)
    changed = bytes(byte ^ (number == place) for number, byte in enumerate(signature))
    found = signed_run(key, changed)
    assert found
    assert found.code == "signature"


def test_signature_before_its_key_fails() -> None:
    of = signing(*reversed(SIGNED))
    found = signed_run(*RUN.sign(RUN.signed), of)
    assert found
    assert found.code == "signature"


def test_newest_key_counts() -> None:
    """As after a rotation: a signature of the key before it no longer shows anything."""
    rotated = Marker("rotated", "SELFTEST", "policy", "gate", None, "device public key=[0-9a-f]{64}")
    of = signing(*SIGNED, rotated, SIGNED[1])
    lines = transcript(of)
    assert judge(lines, of).signed() is None
    key, signature = RUN.sign(RUN.signed, OTHER_SEED)
    keys = [place for place, line in enumerate(lines) if "device public key=" in line]
    lines[keys[1]] = f"SELFTEST: device public key={key.hex()}"
    found = judge(lines, of).signed()
    assert found
    assert found.expected == f"one by {key.hex()}"
    lines[-1 - lines[::-1].index(next(line for line in lines if "signature=" in line))] = (
        f"SELFTEST: signature={signature.hex()}"
    )
    assert judge(lines, of).signed() is None


def test_run_without_a_signature_has_none_to_check() -> None:
    of = plan(markers=UNSIGNED)
    assert judge(transcript(of), of).signed() is None


def test_policy_that_is_mapped_otherwise_fails_the_run() -> None:
    ladder = judge(transcript())
    assert ladder.mapped("") is None
    found = ladder.mapped("policyd: found digest 00")
    assert found
    assert (found.code, found.seen) == ("policy-pages", "policyd: found digest 00")


def test_first_failure_stays_whatever_is_checked_later() -> None:
    ladder = judge(inserted(4, "kernel: panic x"))
    ladder.mapped("something")
    assert ladder.failure
    assert ladder.failure.code == "panic"
