"""Every way in which a run fails its verdict, each as a transcript that differs from a passing one in that alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.contract.load import Marker, load_contract
from nexus.layout import contract_dir, find_root
from nexus.verdict.grammar import MAX_LINE_BYTES, Seen
from nexus.verdict.ladder import MAX_LINES, Exit, Failure, Ladder, Plan, describe

CONTRACT = load_contract(contract_dir(find_root()))
NONCE = "00112233445566778899aabbccddeeff"
OTHER = "ff" * 16
DIGEST = CONTRACT.digest
Transcript = list[str]
PASSED = Exit(code=CONTRACT.number("exit.ok"))
TAKEN = 0x1A0


def plan(stop: str = "end", keep: bool = False, markers: Sequence[Marker] = CONTRACT.markers) -> Plan:
    labels = {row.label for row in markers} | {"kernel", "init", "policyd", "keystored", "selftest-peer"}
    return Plan(
        phases=CONTRACT.phases,
        markers=tuple(markers),
        nonce=NONCE,
        contract=DIGEST,
        policy="none",
        labels=frozenset(labels),
        exits={code: name for name, code in CONTRACT.table("exit").items()},
        ok_code=CONTRACT.number("exit.ok"),
        line_bytes=CONTRACT.number("limit.line_bytes"),
        lines=CONTRACT.table("line"),
        stop=stop,
        keep=keep,
    )


def say(row: Marker) -> str:
    """The line of a row; a pattern's is one that it matches."""
    if row.text is not None:
        return describe(row)
    assert row.name == "rng_bytes"
    return f"{row.label}: {CONTRACT.table('line')['rng_bytes']}{TAKEN:016x}"


def transcript(of: Plan) -> Transcript:
    """What a flawless run of that plan prints."""
    lines = [f"kernel: boot run={of.nonce} contract={of.contract} policy={of.policy}", "rngd: some remark"]
    for phase in of.phases:
        lines += [say(row) for row in of.markers if row.phase == phase]
        lines.append(f"init: phase {phase} decisions=0")
    return lines if of.keep else [*lines, f"kernel: end run={of.nonce} code={of.ok_code}"]


def judge(lines: Sequence[str | bytes], of: Plan | None = None, exit: Exit = PASSED, rest: bytes = b"") -> Ladder:
    ladder = Ladder(of or plan())
    for number, text in enumerate(lines):
        ladder.feed(Seen(number / 1000, text.encode() if isinstance(text, str) else text))
    ladder.end(exit, rest)
    return ladder


def failure(*arguments: object, **named: object) -> Failure:
    found = judge(*arguments, **named).failure  # type: ignore[arg-type]
    assert found is not None
    return found


def at(lines: Transcript, text: str) -> int:
    return next(place for place, line in enumerate(lines) if text in line)


def edited(change: Callable[[Transcript], object], of: Plan | None = None) -> Transcript:
    lines = transcript(of or plan())
    change(lines)
    return lines


GATES = [say(row) for row in CONTRACT.markers]


# ---- what passes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop", CONTRACT.phases)
def test_flawless_run_up_to_any_phase_passes(stop: str) -> None:
    ladder = judge(transcript(plan(stop)), plan(stop))
    assert ladder.failure is None
    assert ladder.done
    assert [row.name for row in ladder.verdict(42).phases][-1] == stop


def test_run_that_stays_up_passes_without_an_end() -> None:
    of = plan(keep=True)
    ladder = Ladder(of)
    lines = transcript(of)
    for text in lines[:-1]:
        ladder.feed(Seen(0.0, text.encode()))
        assert not ladder.done
    ladder.feed(Seen(0.0, lines[-1].encode()))
    assert ladder.done
    assert ladder.failure is None


def test_run_that_is_to_stay_up_must_not_end() -> None:
    of = plan(keep=True)
    lines = [*transcript(of), f"kernel: end run={NONCE} code=42"]
    assert failure(lines, of).code == "end"


@pytest.mark.parametrize(
    "extra",
    [
        "rngd: health note",
        "kernel: process note",
        "logd: readyish",
        "init: phases",
        "rngd| ",
        "selftest-peer: not judged",
    ],
)
def test_unjudged_lines_may_come_anywhere(extra: str) -> None:
    for place in range(1, len(transcript(plan()))):
        lines = edited(lambda text, place=place: text.insert(place, extra.replace("| ", ": ")))  # type: ignore[misc]
        assert judge(lines).failure is None


def test_markers_and_phases_carry_their_times() -> None:
    verdict = judge(transcript(plan())).verdict(42)
    assert [marker.text for marker in verdict.markers] == GATES
    assert [marker.ms for marker in verdict.markers] == sorted(marker.ms for marker in verdict.markers)
    assert {row.verdict for row in verdict.phases} == {"pass"}
    assert sum(row.ms for row in verdict.phases) == at(transcript(plan()), "phase end")


# ---- the first line --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (f"kernel: boot run={OTHER} contract={DIGEST} policy=none", "nonce"),
        (f"kernel: boot run=none contract={DIGEST} policy=none", "boot"),
        (f"kernel: boot run={NONCE} contract={'0' * 64} policy=none", "contract"),
        (f"kernel: boot run={NONCE} contract= policy=none", "boot"),
        (f"kernel: boot run={NONCE} contract={DIGEST} policy={'0' * 64}", "policy"),
        (f"kernel: boot run={NONCE} contract={DIGEST}", "boot"),
        (f"kernel: boot run={NONCE} contract={DIGEST} policy=none extra", "boot"),
        (f"rngd: boot run={NONCE} contract={DIGEST} policy=none", "boot"),
        (f"rngd: kernel: boot run={NONCE} contract={DIGEST} policy=none", "boot"),
        ("rngd: early bird", "boot"),
    ],
)
def test_wrong_first_line(line: str, code: str) -> None:
    assert failure(edited(lambda lines: lines.__setitem__(0, line))).code == code


def test_missing_first_line() -> None:
    assert failure(edited(lambda lines: lines.pop(0))).code == "boot"


def test_second_boot() -> None:
    assert failure(edited(lambda lines: lines.insert(3, lines[0]))).code == "reboot"


# ---- gates -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gate", GATES)
def test_gate_left_out(gate: str) -> None:
    found = failure(edited(lambda lines: lines.remove(gate)))
    assert found.code in ("missing", "order")
    assert found.expected in (gate, describe(CONTRACT.markers[GATES.index(gate)]))


@pytest.mark.parametrize("gate", GATES)
def test_gate_repeated(gate: str) -> None:
    found = failure(edited(lambda lines: lines.insert(at(lines, gate) + 1, gate)))
    assert (found.code, found.seen) == ("repeated", gate)


@pytest.mark.parametrize("gate", GATES)
def test_gate_repeated_much_later(gate: str) -> None:
    last = f"init: phase {CONTRACT.phases[-1]} decisions=0"
    assert failure(edited(lambda lines: lines.insert(at(lines, last), gate))).code == "repeated"


@pytest.mark.parametrize("first", range(len(GATES) - 1))
def test_gates_swapped(first: int) -> None:
    def swap(lines: Transcript) -> None:
        one, two = at(lines, GATES[first]), at(lines, GATES[first + 1])
        lines[one], lines[two] = lines[two], lines[one]

    found = failure(edited(swap))
    assert (found.code, found.seen) == ("order", GATES[first + 1])


@pytest.mark.parametrize("gate", [text for text in GATES if text.startswith("SELFTEST")])
def test_gate_renamed(gate: str) -> None:
    found = failure(edited(lambda lines: lines.__setitem__(at(lines, gate), gate + " indeed")))
    assert found.code == "unknown"


@pytest.mark.parametrize("gate", [text for text in GATES if text.endswith("ready")])
def test_ready_renamed(gate: str) -> None:
    found = failure(edited(lambda lines: lines.__setitem__(at(lines, gate), gate.replace("ready", "steady"))))
    assert found.code in ("missing", "order")


@pytest.mark.parametrize("gate", GATES)
def test_gate_forged_by_another_service(gate: str) -> None:
    """The genuine line is left out; somebody else says it, and the kernel labels it as his."""
    found = failure(edited(lambda lines: lines.__setitem__(at(lines, gate), f"selftest-peer: {gate}")))
    assert found.code == ("forged" if gate.startswith("SELFTEST") else found.code)
    assert found.code in ("forged", "missing", "order")


@pytest.mark.parametrize("gate", [text for text in GATES if text.startswith("SELFTEST")])
def test_forgery_fails_beside_the_genuine_line_too(gate: str) -> None:
    assert failure(edited(lambda lines: lines.insert(at(lines, gate), f"rngd: {gate}"))).code == "forged"


def test_forgery_across_a_continuation() -> None:
    long = "rngd: " + "x" * (CONTRACT.number("limit.line_bytes") - 5) + "SELFT"
    assert failure(edited(lambda lines: lines.__setitem__(slice(2, 2), [long, "rngd| EST: end"]))).code == "forged"


def test_gate_text_without_its_label() -> None:
    assert failure(edited(lambda lines: lines.insert(2, "rng entropy fine"))).code == "malformed"


@pytest.mark.parametrize("extra", ["SELFTEST: something else ok", "SELFTEST: ", "rngd: ready", "selftest-peer: ready"])
def test_unknown_judged_line(extra: str) -> None:
    lines = edited(lambda text: text.insert(1, extra))
    assert failure(lines).code in ("unknown", "order")


def test_gate_of_a_phase_that_is_not_run() -> None:
    of = plan("mmio")
    last = next(row for row in CONTRACT.markers if row.phase == "end")
    assert failure(edited(lambda lines: lines.insert(3, describe(last)), of), of).code in ("unknown", "order")


@pytest.mark.parametrize("text", ["SELFTEST: rng entropy FAIL length", "SELFTEST: anything FAIL", "SELFTEST: FAIL"])
def test_selftest_failure(text: str) -> None:
    assert failure(edited(lambda lines: lines.insert(4, text))).code == "selftest"


# ---- phases ----------------------------------------------------------------------------------------------------------


def closing(phase: str, count: int = 0) -> str:
    return f"init: phase {phase} decisions={count}"


@pytest.mark.parametrize("phase", CONTRACT.phases)
def test_phase_not_closed(phase: str) -> None:
    assert failure(edited(lambda lines: lines.remove(closing(phase)))).code in ("order", "phase")


@pytest.mark.parametrize("phase", CONTRACT.phases)
def test_phase_closed_twice(phase: str) -> None:
    assert failure(edited(lambda lines: lines.insert(at(lines, closing(phase)), closing(phase)))).code == "phase"


def test_phase_closed_before_its_gate() -> None:
    def early(lines: Transcript) -> None:
        lines.remove(closing("mmio"))
        lines.insert(at(lines, say(CONTRACT.markers[3])), closing("mmio"))

    assert failure(edited(early)).code == "missing"


@pytest.mark.parametrize("line", ["init: phase mmio", "init: phase mmio decisions=x", "init: phase MMIO decisions=0"])
def test_phase_line_of_no_form(line: str) -> None:
    found = failure(edited(lambda lines: lines.__setitem__(at(lines, closing("mmio")), line)))
    assert found.code == "malformed"


def test_phase_line_of_somebody_else_is_no_phase_line() -> None:
    forged = "rngd: phase mmio decisions=0"
    assert failure(edited(lambda lines: lines.__setitem__(at(lines, closing("mmio")), forged))).code in (
        "order",
        "phase",
    )


# ---- decisions -------------------------------------------------------------------------------------------------------

ALLOW = "policyd: allow (subject=selftest-client action=rng.entropy)"
DENY = "policyd: deny (subject=selftest-peer action=rng.entropy)"
SIGN = "keystored: sign denied (subject=selftest-peer)"


def decided(*rows: str) -> Plan:
    """A plan whose phase mmio expects these decisions, after its gates."""
    extra = []
    for number, row in enumerate(rows):
        label, text = row.split(": ", 1)
        extra.append(Marker(f"d{number}", label, "mmio", "decision", text, None))
    last = max(place for place, row in enumerate(CONTRACT.markers) if row.phase == "mmio") + 1
    return plan(markers=[*CONTRACT.markers[:last], *extra, *CONTRACT.markers[last:]])


def with_decisions(of: Plan, *more: str, count: int) -> Transcript:
    def change(lines: Transcript) -> None:
        place = at(lines, closing("mmio"))
        lines[place : place + 1] = [*more, closing("mmio", count)]

    return edited(change, of)


def test_decisions_in_order_and_counted() -> None:
    of = decided(ALLOW, DENY)
    assert judge(with_decisions(of, count=2), of).failure is None


def test_further_decisions_are_allowed_and_counted() -> None:
    of = decided(ALLOW, DENY)
    assert judge(with_decisions(of, DENY, ALLOW, DENY, count=5), of).failure is None


@pytest.mark.parametrize("count", [0, 1, 3])
def test_wrong_number_of_decisions(count: int) -> None:
    of = decided(ALLOW, DENY)
    assert failure(with_decisions(of, count=count), of).code == "decisions"


def test_sign_denied_is_expected_but_not_counted() -> None:
    of = decided(SIGN)
    assert judge(with_decisions(of, SIGN, count=0), of).failure is None


def test_expected_decision_missing() -> None:
    of = decided(ALLOW, DENY)
    lines = with_decisions(of, ALLOW, count=2)
    lines.remove(DENY)
    assert failure(lines, of).code == "missing"


def test_decision_matches_only_after_the_row_before() -> None:
    of = decided(ALLOW, DENY)
    lines = with_decisions(of, count=2)
    lines.remove(DENY)
    lines.insert(at(lines, ALLOW), DENY)
    assert failure(lines, of).code == "missing"


@pytest.mark.parametrize(
    "line",
    ["policyd: allow", "policyd: deny (subject=x)", "policyd: allow (subject=a b action=c)", "keystored: sign denied"],
)
def test_decision_of_no_form(line: str) -> None:
    assert failure(edited(lambda lines: lines.insert(3, line))).code == "unknown"


def test_decision_of_somebody_else_counts_nothing() -> None:
    forged = ALLOW.replace("policyd", "rngd", 1)
    assert judge(edited(lambda lines: lines.insert(3, forged))).failure is None


# ---- kernel ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line", ["kernel: panic ipc_send cause=2 pc=80000000", "rngd: kernel: panic", "xkernel: panic"]
)
def test_panic(line: str) -> None:
    assert failure(edited(lambda lines: lines.insert(4, line))).code == "panic"


@pytest.mark.parametrize("torn", ["logd: rea", "", "ker", "SELFTEST: rng entr", "policyd: all"])
def test_panic_explains_the_line_that_it_tore(torn: str) -> None:
    lines = edited(lambda lines: lines.__setitem__(slice(4, 4), [torn, "kernel: panic x cause=2"]))
    assert failure(lines).code == "panic"


def test_panic_before_the_boot_line() -> None:
    assert failure(["", "kernel: panic early"], exit=Exit(code=44)).code == "panic"


def test_torn_line_counts_when_nothing_explains_it() -> None:
    ladder = Ladder(plan())
    ladder.feed(Seen(0.0, transcript(plan())[0].encode()))
    assert ladder.feed(Seen(0.0, b"garbage")) is None
    assert ladder.waiting
    settled = ladder.settle()
    assert settled
    assert settled.code == "malformed"


def test_console_lost() -> None:
    assert (
        failure(edited(lambda lines: lines.insert(4, "kernel: console lost label=rngd lines=3"))).code == "console-lost"
    )


@pytest.mark.parametrize("data", [b"\x00\x01", b"rngd: \x1b[2J", b"logd:ready", b"", b"unknownd: hello"])
def test_malformed_line(data: bytes) -> None:
    lines: list[str | bytes] = [*transcript(plan())]
    lines.insert(4, data)
    assert failure(lines).code == "malformed"


def test_line_without_end() -> None:
    ladder = Ladder(plan())
    ladder.feed(Seen(0.0, transcript(plan())[0].encode()))
    ladder.feed(Seen(0.0, b"rngd: " + b"x" * MAX_LINE_BYTES, whole=False))
    assert ladder.settle()


@pytest.mark.parametrize("continued", ["rngd| more", "logd| more"])
def test_continuation_of_nothing(continued: str) -> None:
    assert failure(edited(lambda lines: lines.__setitem__(slice(2, 2), ["rngd: short", continued]))).code == "malformed"


def test_continuation_of_a_full_line() -> None:
    full = "rngd: " + "x" * CONTRACT.number("limit.line_bytes")
    more = "rngd| " + "y" * CONTRACT.number("limit.line_bytes")
    assert judge(edited(lambda lines: lines.__setitem__(slice(2, 2), [full, more, "rngd| z"]))).failure is None
    assert failure(edited(lambda lines: lines.__setitem__(slice(2, 2), [full, "logd| z"]))).code == "malformed"


def test_continued_text_is_no_gate() -> None:
    gate = say(CONTRACT.markers[-1])
    found = failure(edited(lambda lines: lines.__setitem__(at(lines, gate), gate.replace(": ", "| ", 1))))
    assert found.code == "malformed"


def test_flood() -> None:
    assert failure(edited(lambda lines: lines.__setitem__(slice(2, 2), ["rngd: again"] * MAX_LINES))).code == "flood"


# ---- the end ---------------------------------------------------------------------------------------------------------


def test_end_line_missing() -> None:
    found = failure(edited(lambda lines: lines.pop()))
    assert (found.code, found.exit_code) == ("exit-code", 1)


def test_end_line_of_another_run() -> None:
    assert failure(edited(lambda lines: lines.__setitem__(-1, f"kernel: end run={OTHER} code=42"))).code == "nonce"


@pytest.mark.parametrize("line", ["kernel: end", f"kernel: end run={NONCE}", f"kernel: end run={NONCE} code=42 x"])
def test_end_line_of_no_form(line: str) -> None:
    assert failure(edited(lambda lines: lines.__setitem__(-1, line))).code == "malformed"


def test_end_line_forged() -> None:
    forged = f"rngd: kernel: end run={NONCE} code=42"
    assert failure(edited(lambda lines: lines.__setitem__(-1, forged))).code == "exit-code"


@pytest.mark.parametrize("code", [43, 44, 45, 46, 47])
def test_end_line_with_another_code(code: int) -> None:
    lines = [*transcript(plan())[:-1], f"kernel: end run={NONCE} code={code}"]
    found = failure(lines, exit=Exit(code=code))
    assert (found.code, found.exit_code) == ("end", 1)


def test_early_end_names_what_is_missing_and_what_was_said() -> None:
    lines = [*transcript(plan())[:3], "rngd: device absent", "init: not ready rngd", f"kernel: end run={NONCE} code=42"]
    found = failure(lines)
    assert found.code == "missing"
    assert "device absent" in found.text
    assert "not ready rngd" in found.text


@pytest.mark.parametrize("late", ["rngd: one more thing", "kernel: boot", ""])
def test_late_line(late: str) -> None:
    assert failure([*transcript(plan()), late]).code == "late"


def test_late_text_without_line_end() -> None:
    assert failure(transcript(plan()), rest=b"rn").code == "late"


@pytest.mark.parametrize("code", [43, 47])
def test_exit_code_contradicts_the_end_line(code: int) -> None:
    found = failure(transcript(plan()), exit=Exit(code=code))
    assert (found.code, found.exit_code) == ("exit-code", 1)


@pytest.mark.parametrize(
    "exit", [Exit(code=0), Exit(code=1), Exit(code=255), Exit(signal=9), Exit(why="console closed")]
)
@pytest.mark.parametrize("length", [0, 1, 5, 100])
def test_death_of_the_machine_is_no_verdict(exit: Exit, length: int) -> None:
    found = failure(transcript(plan())[:length], exit=exit, rest=b"rngd: hal")
    if length < len(transcript(plan())):
        assert (found.code, found.exit_code) == ("machine-died", 6)
    else:
        assert found.code == "late"


def test_machine_that_dies_after_its_end_line() -> None:
    found = failure(transcript(plan()), exit=Exit(signal=9))
    assert (found.code, found.exit_code) == ("machine-died", 6)


@pytest.mark.parametrize(("length", "code"), [(0, "no-output"), (1, "timeout"), (6, "timeout")])
def test_time_out_is_told_from_silence(length: int, code: str) -> None:
    ladder = Ladder(plan())
    for text in transcript(plan())[:length]:
        ladder.feed(Seen(0.0, text.encode()))
    found = ladder.time_out(3)
    assert found
    assert (found.code, found.exit_code) == (code, 7)
    assert "3 s" in found.text


def test_first_failure_stays() -> None:
    ladder = judge([*transcript(plan()), "rngd: late"], exit=Exit(signal=9))
    before = ladder.failure
    ladder.time_out(1)
    ladder.delivered(0)
    assert ladder.failure is before
    assert before
    assert before.code == "late"


# ---- entropy ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "code"), [(TAKEN, None), (TAKEN - 1, "entropy-count"), (0, "entropy-count")])
def test_emulator_counts_what_the_guest_took(count: int, code: str | None) -> None:
    found = judge(transcript(plan())).delivered(count)
    assert (found.code if found else None) == code


# ---- anything at all -------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 40), max_size=6), st.lists(st.integers(0, 40), max_size=6))
def test_only_the_whole_order_passes(dropped: list[int], doubled: list[int]) -> None:
    """Whatever is left out or said twice of the judged lines, the run fails."""
    of = plan()
    good = [text for text in transcript(of) if text != "rngd: some remark"]
    lines = [
        text
        for place, text in enumerate(good)
        for _ in range((place not in dropped) + (place in doubled and place not in dropped))
    ]
    assert (judge(lines, of).failure is None) == (lines == good)


@given(st.lists(st.binary(max_size=60), max_size=30))
def test_garbage_never_passes_and_never_raises(lines: list[bytes]) -> None:
    assert judge(lines).failure is not None


def test_failing_phase_is_the_open_one() -> None:
    lines = edited(lambda text: text.insert(at(text, closing("mmio")), "SELFTEST: x FAIL"))
    results = {row.name: row.verdict for row in judge(lines).verdict(43).phases}
    assert results["bring-up"] == "pass"
    assert results["mmio"] == "fail"
    assert results["end"] == "not-run"
