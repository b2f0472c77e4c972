"""Every way in which a run fails its verdict, each as a transcript that differs from a passing one in that alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.contract.load import Marker, load_contract
from nexus.layout import contract_dir, find_root
from nexus.verdict.grammar import Seen
from nexus.verdict.ladder import Ladder, Plan, describe
from nexus.verdict.rehearsal import NONCE, Rehearsal, place_of

CONTRACT = load_contract(contract_dir(find_root()))
OTHER = "ff" * 16
DIGEST = CONTRACT.digest
RUN = Rehearsal(CONTRACT, count=0x1A0)
plan, say, closing, transcript = RUN.plan, RUN.say, RUN.closing, RUN.transcript
edited, inserted, replaced, judge, failure = RUN.edited, RUN.inserted, RUN.replaced, RUN.judge, RUN.failure
ROWS = RUN.gates
GATES = [say(row) for row in ROWS]


# ---- what passes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop", CONTRACT.phases)
def test_flawless_run_up_to_any_phase_passes(stop: str) -> None:
    ladder = judge(transcript(plan(stop)), plan(stop))
    assert ladder.failure is None
    assert ladder.done
    assert [row.name for row in ladder.verdict(42).phases][-1] == stop


def test_every_row_of_the_contract_can_be_reached() -> None:
    of = plan(markers=CONTRACT.markers)
    ladder = judge(transcript(of), of)
    assert ladder.failure is None
    assert len(ladder.reached) == len(CONTRACT.markers)
    assert ladder.signed() is None


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
        "logd: steady",
        "init: phases",
        "rngd| ",
        "selftest-peer: not judged",
    ],
)
def test_unjudged_lines_may_come_anywhere(extra: str) -> None:
    for place in range(1, len(transcript())):
        lines = edited(lambda text, place=place: text.insert(place, extra.replace("| ", ": ")))  # type: ignore[misc]
        assert judge(lines).failure is None


def test_markers_and_phases_carry_their_times() -> None:
    verdict = judge(transcript()).verdict(42)
    assert [marker.text for marker in verdict.markers] == GATES
    assert [marker.ms for marker in verdict.markers] == sorted(marker.ms for marker in verdict.markers)
    assert {row.verdict for row in verdict.phases} == {"pass"}
    assert sum(row.ms for row in verdict.phases) == place_of(transcript(), "phase end")


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
    assert failure(replaced(0, line)).code == code


POLICY = "0123456789abcdef" * 4


def test_first_line_with_a_policy_is_one_line_and_binds_it() -> None:
    of = plan(policy=POLICY)
    lines = transcript(of)
    assert len(lines[0]) <= len("kernel: ") + of.line_bytes, "a longer one would go on in another line"
    assert judge(lines, of).failure is None
    lines[0] = lines[0][:-1] + "0"
    found = failure(lines, of)
    assert (found.code, found.expected) == ("policy", POLICY)
    lines[0] = transcript()[0]
    assert (failure(lines, of).code, failure(lines, of).seen) == ("policy", "none")


def test_missing_first_line() -> None:
    assert failure(edited(lambda lines: lines.pop(0))).code == "boot"


def test_second_boot() -> None:
    assert failure(inserted(3, transcript()[0])).code == "reboot"


# ---- gates -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gate", GATES)
def test_gate_left_out(gate: str) -> None:
    found = failure(edited(lambda lines: lines.remove(gate)))
    assert found.code in ("missing", "order")
    assert found.expected in (gate, describe(ROWS[GATES.index(gate)]))


@pytest.mark.parametrize("gate", GATES)
def test_gate_repeated(gate: str) -> None:
    found = failure(edited(lambda lines: lines.insert(place_of(lines, gate) + 1, gate)))
    assert (found.code, found.seen) == ("repeated", gate)


@pytest.mark.parametrize("gate", GATES)
def test_gate_repeated_much_later(gate: str) -> None:
    last = f"init: phase {CONTRACT.phases[-1]} decisions=0"
    assert failure(edited(lambda lines: lines.insert(place_of(lines, last), gate))).code == "repeated"


@pytest.mark.parametrize("first", range(len(GATES) - 1))
def test_gates_swapped(first: int) -> None:
    def swap(lines: list[str]) -> None:
        one, two = place_of(lines, GATES[first]), place_of(lines, GATES[first + 1])
        lines[one], lines[two] = lines[two], lines[one]

    found = failure(edited(swap))
    assert (found.code, found.seen) == ("order", GATES[first + 1])


@pytest.mark.parametrize("gate", [text for text in GATES if text.startswith("SELFTEST")])
def test_gate_renamed(gate: str) -> None:
    found = failure(replaced(gate, gate + " indeed"))
    assert found.code == "unknown"


@pytest.mark.parametrize("gate", [text for text in GATES if text.endswith("ready")])
def test_ready_renamed(gate: str) -> None:
    found = failure(replaced(gate, gate.replace("ready", "steady")))
    assert found.code in ("missing", "order")


@pytest.mark.parametrize("gate", GATES)
def test_gate_forged_by_another_service(gate: str) -> None:
    """The genuine line is left out; somebody else says it, and the kernel labels it as his."""
    found = failure(replaced(gate, f"selftest-peer: {gate}"))
    assert found.code == ("forged" if gate.startswith("SELFTEST") else found.code)
    assert found.code in ("forged", "missing", "order")


@pytest.mark.parametrize("gate", [text for text in GATES if text.startswith("SELFTEST")])
def test_forgery_fails_beside_the_genuine_line_too(gate: str) -> None:
    assert failure(edited(lambda lines: lines.insert(place_of(lines, gate), f"rngd: {gate}"))).code == "forged"


def test_forgery_across_a_continuation() -> None:
    long = "rngd: " + "x" * (CONTRACT.number("limit.line_bytes") - 5) + "SELFT"
    assert failure(inserted(2, long, "rngd| EST: end")).code == "forged"


def test_gate_text_without_its_label() -> None:
    assert failure(inserted(2, "rng entropy fine")).code == "malformed"


@pytest.mark.parametrize("extra", ["SELFTEST: something else ok", "SELFTEST: ", GATES[1], "selftest-peer: ready"])
def test_unknown_judged_line(extra: str) -> None:
    lines = edited(lambda text: text.insert(1, extra))
    assert failure(lines).code in ("unknown", "order")


def test_gate_of_a_phase_that_is_not_run() -> None:
    of = plan("mmio")
    last = next(row for row in ROWS if row.phase == "end")
    assert failure(edited(lambda lines: lines.insert(3, describe(last)), of), of).code in ("unknown", "order")


@pytest.mark.parametrize("text", ["SELFTEST: rng entropy FAIL length", "SELFTEST: anything FAIL", "SELFTEST: FAIL"])
def test_selftest_failure(text: str) -> None:
    assert failure(inserted(4, text)).code == "selftest"


# ---- phases ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", CONTRACT.phases)
def test_phase_not_closed(phase: str) -> None:
    assert failure(edited(lambda lines: lines.remove(closing(phase)))).code in ("order", "phase")


@pytest.mark.parametrize("phase", CONTRACT.phases)
def test_phase_closed_twice(phase: str) -> None:
    assert failure(edited(lambda lines: lines.insert(place_of(lines, closing(phase)), closing(phase)))).code == "phase"


def test_phase_closed_before_its_gate() -> None:
    gate = say(next(row for row in ROWS if row.phase == "mmio"))

    def early(lines: list[str]) -> None:
        lines.remove(closing("mmio"))
        lines.insert(place_of(lines, gate), closing("mmio"))

    assert failure(edited(early)).code == "missing"


@pytest.mark.parametrize("line", ["init: phase mmio", "init: phase mmio decisions=x", "init: phase MMIO decisions=0"])
def test_phase_line_of_no_form(line: str) -> None:
    found = failure(replaced(closing("mmio"), line))
    assert found.code == "malformed"


def test_phase_line_of_somebody_else_is_no_phase_line() -> None:
    forged = "rngd: phase mmio decisions=0"
    assert failure(replaced(closing("mmio"), forged)).code in (
        "order",
        "phase",
    )


# ---- decisions -------------------------------------------------------------------------------------------------------

ALLOW = "policyd: allow (subject=shell action=rng.entropy)"
DENY = "policyd: deny (subject=shell action=rng.entropy)"
SIGN = "keystored: sign denied (subject=shell)"


def decided(*rows: str) -> Plan:
    """A plan whose phase mmio expects these decisions, after its gates."""
    extra = []
    for number, row in enumerate(rows):
        label, text = row.split(": ", 1)
        extra.append(Marker(f"d{number}", label, "mmio", "decision", text, None))
    last = max(place for place, row in enumerate(ROWS) if row.phase == "mmio") + 1
    return plan(markers=[*ROWS[:last], *extra, *ROWS[last:]])


def with_decisions(of: Plan, *more: str, count: int) -> list[str]:
    def change(lines: list[str]) -> None:
        place = place_of(lines, "phase mmio")
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
    lines.insert(place_of(lines, ALLOW), DENY)
    assert failure(lines, of).code == "missing"


def test_decision_before_its_phase_is_a_further_one() -> None:
    """It is counted where it comes, and the row still waits for one in its own phase."""
    of = decided(ALLOW)

    def early(lines: list[str]) -> None:
        place = place_of(lines, closing("bring-up"))
        lines[place : place + 1] = [ALLOW, closing("bring-up", 1)]

    lines = with_decisions(of, count=1)
    early(lines)
    assert judge(lines, of).failure is None
    lines.remove(ALLOW)
    lines[place_of(lines, "phase bring-up")] = closing("bring-up", 0)
    assert judge(lines, of).failure is None
    lines = with_decisions(of, count=0)
    lines.remove(ALLOW)
    early(lines)
    assert failure(lines, of).code == "missing"


def test_decision_left_out_before_a_gate() -> None:
    """A gate after the row does not stand in for it."""
    first = next(place for place, row in enumerate(ROWS) if row.phase == "mmio")
    label, text = DENY.split(": ", 1)
    row = Marker("d", label, "mmio", "decision", text, None)
    of = plan(markers=[*ROWS[:first], row, *ROWS[first:]])
    whole = transcript(of)
    assert judge(whole, of).failure is None
    whole.remove(DENY)
    found = failure(whole, of)
    assert (found.code, found.expected) == ("order", DENY)


@pytest.mark.parametrize(
    "line",
    ["policyd: allow", "policyd: deny (subject=x)", "policyd: allow (subject=a b action=c)", "keystored: sign denied"],
)
def test_decision_of_no_form(line: str) -> None:
    assert failure(inserted(3, line)).code == "unknown"


def test_decision_of_somebody_else_counts_nothing() -> None:
    forged = ALLOW.replace("policyd", "rngd", 1)
    assert judge(inserted(3, forged)).failure is None


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
    lines = edited(lambda text: text.insert(place_of(text, closing("mmio")), "SELFTEST: x FAIL"))
    results = {row.name: row.verdict for row in judge(lines).verdict(43).phases}
    assert results["bring-up"] == "pass"
    assert results["mmio"] == "fail"
    assert results["end"] == "not-run"
