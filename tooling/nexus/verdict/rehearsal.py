"""A run that never was: the plan and the lines of a flawless one, for tests that break one thing and want to see it found.

Used by unit tests of the ladder and by whoever adds markers. Never part of a verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nexus.contract.load import Contract, Marker
from nexus.verdict.grammar import INIT, KERNEL, KEYSTORE, POLICY, Seen
from nexus.verdict.ladder import GATE, Exit, Failure, Ladder, Plan, describe
from nexus.verdict.signature import of_the_prover

NONCE = "00112233445566778899aabbccddeeff"
SIXTEEN = "[0-9a-f]{16}"
KEY = "[0-9a-f]{64}"
SIGNATURE = "[0-9a-f]{128}"
SEED = bytes(range(32))


class Rehearsal:
    """Transcripts of one contract's markers."""

    def __init__(self, contract: Contract, count: int = 0) -> None:
        self.contract = contract
        self.count = count  # what a marker says whose text ends in a number
        self.gates = tuple(row for row in contract.markers if row.marker_class == GATE)
        self.passed = Exit(code=contract.number("exit.ok"))

    def plan(
        self,
        stop: str | None = None,
        keep: bool = False,
        markers: Sequence[Marker] | None = None,
        policy: str = "none",
    ) -> Plan:
        """Of these rows; without any, of the contract's gates: decisions may come twice, which is no failure."""
        rows = tuple(self.gates if markers is None else markers)
        return Plan(
            phases=self.contract.phases,
            markers=rows,
            nonce=NONCE,
            contract=self.contract.digest,
            policy=policy,
            labels=frozenset({row.label for row in rows} | {KERNEL, INIT, POLICY, KEYSTORE, "selftest-peer"}),
            exits={code: name for name, code in self.contract.table("exit").items()},
            ok_code=self.contract.number("exit.ok"),
            line_bytes=self.contract.number("limit.line_bytes"),
            lines=self.contract.table("line"),
            stop=stop or self.contract.phases[-1],
            keep=keep,
            signed=self.signed,
        )

    @property
    def signed(self) -> bytes:
        return of_the_prover(self.contract, known_entropy=False)

    def sign(self, message: bytes, seed: bytes = SEED) -> tuple[bytes, bytes]:
        """Public key and signature as a vault with that seed would give them."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        key = Ed25519PrivateKey.from_private_bytes(seed)
        return key.public_key().public_bytes_raw(), key.sign(message)

    def say(self, row: Marker) -> str:
        """The line of a row; for a pattern, one that it matches."""
        if row.pattern is None:
            return describe(row)
        key, signature = self.sign(self.signed)
        values = {SIXTEEN: format(self.count, "016x"), KEY: key.hex(), SIGNATURE: signature.hex()}
        text = row.pattern
        for form, value in values.items():
            text = text.replace(form, value)
        return f"{row.label}: {text}"

    def closing(self, phase: str, count: int = 0) -> str:
        words = self.contract.table("line")
        return f"{INIT}: {words['phase']}{phase}{words['decisions']}{count}"

    def boot(self, plan: Plan) -> str:
        return f"{KERNEL}: boot run={plan.nonce} contract={plan.contract} policy={plan.policy}"

    def transcript(self, plan: Plan | None = None) -> list[str]:
        """What a flawless run of that plan prints."""
        plan = plan or self.plan()
        lines = [self.boot(plan), "rngd: some remark"]
        for phase in plan.phases:
            rows = [row for row in plan.markers if row.phase == phase]
            lines += [self.say(row) for row in rows]
            lines.append(self.closing(phase, sum(row.label == POLICY and row.marker_class != GATE for row in rows)))
        return lines if plan.keep else [*lines, f"{KERNEL}: end run={plan.nonce} code={plan.ok_code}"]

    def edited(self, change: Callable[[list[str]], object], plan: Plan | None = None) -> list[str]:
        """The flawless transcript after one change."""
        lines = self.transcript(plan)
        change(lines)
        return lines

    def inserted(self, place: int, *texts: str) -> list[str]:
        return self.edited(lambda lines: lines.__setitem__(slice(place, place), texts))

    def replaced(self, old: int | str, new: str) -> list[str]:
        """`old` is a place, or part of the line that is replaced."""
        return self.edited(lambda lines: lines.__setitem__(old if isinstance(old, int) else place_of(lines, old), new))

    def judge(
        self, lines: Sequence[str | bytes], plan: Plan | None = None, exit: Exit | None = None, rest: bytes = b""
    ) -> Ladder:
        """The ladder after these lines, one each millisecond, and that end of the machine."""
        ladder = Ladder(plan or self.plan())
        for number, text in enumerate(lines):
            ladder.feed(Seen(number / 1000, text.encode() if isinstance(text, str) else text))
        ladder.end(exit or self.passed, rest)
        return ladder

    def failure(
        self, lines: Sequence[str | bytes], plan: Plan | None = None, exit: Exit | None = None, rest: bytes = b""
    ) -> Failure:
        """As judge, for a transcript that has to fail."""
        found = self.judge(lines, plan, exit, rest).failure
        if found is None:
            raise AssertionError("the transcript passes")
        return found


def place_of(lines: Sequence[str], text: str) -> int:
    return next(place for place, line in enumerate(lines) if text in line)
