"""The closed, ordered transcript that a run must print: feed it lines, then the exit of the machine; the first failure stays.

Used by the trial (test-os), by the pytest fixture and by unit tests. Pure: no clock, no file, no process; time comes with each line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from nexus.contract.load import Marker
from nexus.errors import DeadlineError, MachineError, VerdictError
from nexus.verdict import grammar
from nexus.verdict.grammar import Line, Malformed, Seen

# Ten times what the largest test system prints; a guest that says more is not worth more memory of the host. Decisions do not count: any
# process can bring about as many as it likes, and they are none of the verdict's business as long as each is told.
MAX_LINES = 20_000
MAX_REMARKS = 4
# A panic tears the line that was being printed; so what a torn line can look like waits for the line after it.
TORN = ("malformed", "unknown")
GATE = "gate"


@dataclass(frozen=True)
class Plan:
    """What this one run has to say: from the contract, the manifest and the launch, never from the console."""

    phases: tuple[str, ...]
    markers: tuple[Marker, ...]
    nonce: str
    contract: str
    policy: str
    labels: frozenset[str]
    exits: Mapping[int, str]
    ok_code: int
    line_bytes: int
    lines: Mapping[str, str]
    stop: str
    keep: bool = False
    signed: bytes = b""  # what a signature that the run prints has to cover

    def __post_init__(self) -> None:
        last = self.phases.index(self.stop) + 1
        object.__setattr__(self, "phases", self.phases[:last])
        object.__setattr__(self, "markers", tuple(row for row in self.markers if row.phase in self.phases))

    @property
    def close(self) -> re.Pattern[str]:
        return grammar.phase_pattern(self.lines["phase"], self.lines["decisions"])


@dataclass(frozen=True)
class Failure:
    """Why a run failed: a stable code, a sentence, what should have come and what came; and the command's exit code."""

    code: str
    text: str
    expected: str
    seen: str
    exit_code: int = VerdictError.exit_code


@dataclass(frozen=True)
class Exit:
    """How the machine ended: an exit code, or the signal that killed it."""

    code: int | None = None
    signal: int | None = None
    why: str = ""

    def __str__(self) -> str:
        how = f"signal {self.signal}" if self.signal is not None else f"exit code {self.code}"
        return f"{how} ({self.why})" if self.why else how


@dataclass(frozen=True)
class Reached:
    text: str
    phase: str
    ms: int


@dataclass(frozen=True)
class PhaseResult:
    name: str
    ms: int
    verdict: str  # pass, fail, not-run


@dataclass(frozen=True)
class Verdict:
    failure: Failure | None
    nonce: str
    exit_code: int | None
    phases: tuple[PhaseResult, ...]
    markers: tuple[Reached, ...]
    total: int

    @property
    def passed(self) -> bool:
        return self.failure is None


def describe(row: Marker) -> str:
    return f"{row.label}: {row.text if row.text is not None else '/' + str(row.pattern) + '/'}"


def matches(row: Marker, line: Line) -> bool:
    if line.label != row.label or line.continued:
        return False
    if row.text is not None:
        return line.text == row.text
    return re.fullmatch(row.pattern or "", line.text) is not None


@dataclass
class Ladder:
    """The state of one judgement. `feed` and the ways to end return the failure, if there is one by now."""

    plan: Plan
    failure: Failure | None = None
    reached: list[Reached] = field(default_factory=list)
    closed: list[tuple[str, int]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    _lines: int = 0
    _row: int = 0
    _decisions: int = 0
    _decided: int = 0  # over all phases
    _end_code: int | None = None
    _previous: Line | None = None
    _last: str = ""
    _pending: Failure | None = None

    @property
    def done(self) -> bool:
        """Whether everything up to the end of the plan has been said."""
        said = self._row == len(self.plan.markers) and len(self.closed) == len(self.plan.phases)
        return said and (self.plan.keep or self._end_code is not None)

    @property
    def waiting(self) -> bool:
        """Whether a line was torn and what tore it may follow."""
        return self.failure is None and self._pending is not None

    @property
    def phase(self) -> str:
        """The phase that is open, or the last one."""
        return self.plan.phases[min(len(self.closed), len(self.plan.phases) - 1)]

    def expected(self) -> str:
        """What must come next, in words of the console."""
        if self._lines == 0:
            return f"kernel: boot run={self.plan.nonce} ..."
        row = self._next()
        if row is not None and row.phase == self.phase:
            return describe(row)
        if len(self.closed) < len(self.plan.phases):
            words = self.plan.lines
            return f"{grammar.INIT}: {words['phase']}{self.phase}{words['decisions']}{self._decisions}"
        return f"kernel: end run={self.plan.nonce} code={self.plan.ok_code}"

    def feed(self, seen: Seen) -> Failure | None:
        if self.failure is None:
            self._last = grammar.escape(seen.data)
            found = self._judge(seen)
            if found and found.code in TORN and self._pending is None:
                self._pending = found
            else:
                self.failure = found
            self._lines += 1
        return self.failure

    def settle(self) -> Failure | None:
        """No line came for a while, or none can come any more: what waited for its explanation now counts."""
        self.failure = self.failure or self._pending
        return self.failure

    def end(self, exit: Exit, rest: bytes = b"") -> Failure | None:
        """The machine has ended; `rest` is what it printed of a line that it did not finish."""
        if self.settle() is None:
            self.failure = self._judge_end(exit, rest)
        return self.failure

    def time_out(self, seconds: float) -> Failure | None:
        """The budget is used up and the machine still runs."""
        if self.settle() is None:
            code, what = ("timeout", "the run is not at its end") if self._lines else ("no-output", "not one line came")
            text = f"{what} after {seconds:g} s{self._after()}"
            self.failure = Failure(code, text, self.expected(), self._last, DeadlineError.exit_code)
        return self.failure

    def delivered(self, count: int) -> Failure | None:
        """The emulator's own count of entropy bytes must be what the guest says it took, if it said so."""
        opening = self._opening("rng_bytes")
        for marker in self.reached:
            if self.failure is None and marker.text.startswith(opening):
                taken = int(marker.text.removeprefix(opening), 16)
                if taken != count:
                    text = f"the guest took {taken} bytes of entropy, the device delivered {count}"
                    self.failure = Failure("entropy-count", text, str(count), str(taken))
        return self.failure

    def signed(self) -> Failure | None:
        """A signature that the run printed must be that of the key printed before it, over what the plan says."""
        from nexus.ed25519 import verifies

        for key, signature in self._signatures():
            if self.failure is None and not (key and verifies(key, signature, self.plan.signed)):
                text = "the signature is not that of the printed key over what the prover had signed"
                self.failure = Failure("signature", text, f"one by {key.hex() or 'a printed key'}", signature.hex())
        return self.failure

    def mapped(self, problem: str) -> Failure | None:
        """What is wrong with the policy as the machine had it mapped, if anything."""
        if problem and self.failure is None:
            text = f"the policy that is mapped is not that of the manifest: {problem}"
            self.failure = Failure("policy-pages", text, self.plan.policy, problem)
        return self.failure

    def verdict(self, exit_code: int | None) -> Verdict:
        return Verdict(
            self.failure, self.plan.nonce, exit_code, self._phases(), tuple(self.reached), len(self.plan.markers)
        )

    def _opening(self, line: str) -> str:
        return f"{grammar.SELFTEST}: {self.plan.lines[line]}"

    def _signatures(self) -> Iterator[tuple[bytes, bytes]]:
        """Each signature that was printed, and the newest key before it."""
        key = b""
        for marker in self.reached:
            if marker.text.startswith(self._opening("public_key")):
                key = bytes.fromhex(marker.text.removeprefix(self._opening("public_key")))
            elif marker.text.startswith(self._opening("signature")):
                yield key, bytes.fromhex(marker.text.removeprefix(self._opening("signature")))

    def _next(self) -> Marker | None:
        return self.plan.markers[self._row] if self._row < len(self.plan.markers) else None

    def _fail(self, code: str, text: str) -> Failure:
        return Failure(code, text, self.expected(), self._last)

    def _after(self) -> str:
        """What the system itself said in this phase: mostly the cause."""
        return "; it said " + ", ".join(f"`{remark}`" for remark in self.remarks) if self.remarks else ""

    def _judge(self, seen: Seen) -> Failure | None:
        if grammar.PANIC in seen.data:
            return self._fail("panic", "the kernel panicked")
        if self._end_code is not None:
            return self._fail("late", "a line after the end line")
        if self._lines - self._decided >= MAX_LINES:
            return self._fail("flood", f"more than {MAX_LINES} lines")
        if self._pending:
            return self._pending
        line = grammar.parse(seen, self.plan.labels)
        if isinstance(line, Malformed):
            return self._fail("malformed", line.why)
        if self._lines == 0:
            return self._boot(line)
        if line.continued:
            return self._continued(line)
        self._previous = line
        return self._said(line, round(seen.at * 1000))

    def _boot(self, line: Line) -> Failure | None:
        """The first line binds the console to this launch, this contract and this policy."""
        said = grammar.BOOT.fullmatch(line.text) if line.label == grammar.KERNEL and not line.continued else None
        if said is None:
            return self._fail("boot", "the first line is not the kernel's boot line")
        plan = self.plan
        facts = (
            ("nonce", plan.nonce, "the nonce is not that of this run"),
            ("contract", plan.contract, "the image was built from another contract"),
            ("policy", plan.policy, "the image holds another policy than its manifest says"),
        )
        for found, (code, wanted, text) in zip(said.groups(), facts, strict=True):
            if found != wanted:
                return Failure(code, text, wanted, found)
        return None

    def _continued(self, line: Line) -> Failure | None:
        """A continuation follows a full line of its own label (an escape is never split, hence the three)."""
        before = self._previous
        if before is None or before.label != line.label or len(before.text) < self.plan.line_bytes - 3:
            return self._fail("malformed", "a continuation of nothing")
        joined = before.text + line.text
        self._previous = line
        return self._forged(Line(line.label, joined, continued=True)) or self._selftest_failed(line)

    def _said(self, line: Line, ms: int) -> Failure | None:
        bad = self._forged(line) or self._selftest_failed(line)
        if bad:
            return bad
        if line.label == grammar.KERNEL and line.text.split(" ", 1)[0] in ("boot", "end", "console"):
            return self._kernel(line)
        if line.label == grammar.INIT and line.text.startswith(self.plan.lines["phase"]):
            return self._close(line, ms)
        return self._marker(line, ms)

    def _forged(self, line: Line) -> Failure | None:
        if line.label != grammar.SELFTEST and f"{grammar.SELFTEST}: " in line.text:
            return self._fail("forged", f"`{line.label}` prints what only {grammar.SELFTEST} may say")
        return None

    def _selftest_failed(self, line: Line) -> Failure | None:
        if line.label == grammar.SELFTEST and re.search(r"\bFAIL\b", line.text):
            return self._fail("selftest", "the selftest says that a check failed")
        return None

    def _kernel(self, line: Line) -> Failure | None:
        if line.text.startswith("console lost"):
            return self._fail("console-lost", "the kernel refused console lines, so the transcript is not whole")
        if line.text.startswith("boot"):
            return self._fail("reboot", "the machine booted again")
        said = grammar.END.fullmatch(line.text)
        if said is None:
            return self._fail("malformed", "this is neither an end line nor any other line of the contract")
        if said[1] != self.plan.nonce:
            return Failure("nonce", "the end line is not of this run", self.plan.nonce, said[1])
        return self._ended(int(said[2]))

    def _ended(self, code: int) -> Failure | None:
        if code != self.plan.ok_code:
            return self._fail("end", f"the system gave up with code {code} ({self._meaning(code)}){self._after()}")
        row = self._next()
        if row is not None:
            return self._fail("missing", f"the run ended without `{describe(row)}`{self._after()}")
        if len(self.closed) < len(self.plan.phases):
            return self._fail("phase", f"the run ended before phase {self.phase} was closed")
        if self.plan.keep:
            return self._fail("end", "the machine was to stay up")
        self._end_code = code
        return None

    def _close(self, line: Line, ms: int) -> Failure | None:
        said = self.plan.close.fullmatch(line.text)
        if said is None:
            return self._fail("malformed", "a phase line that says no phase and count")
        if len(self.closed) == len(self.plan.phases) or said[1] != self.phase:
            return self._fail("phase", f"phase `{said[1]}` is closed out of order")
        row = self._next()
        if row is not None and row.phase == self.phase:
            return self._fail("missing", f"phase {self.phase} was closed without `{describe(row)}`{self._after()}")
        if int(said[2]) != self._decisions:
            return self._fail("decisions", f"{self._decisions} decision lines came in phase {self.phase}")
        self.closed.append((self.phase, ms))
        self.remarks.clear()
        self._decisions = 0
        return None

    def _marker(self, line: Line, ms: int) -> Failure | None:
        decision = self._decision(line)
        row = self._next()
        early = decision and row is not None and row.phase != self.phase
        if row is not None and matches(row, line) and not early:
            if row.phase != self.phase:
                return self._fail("order", f"`{line}` came before phase {self.phase} was closed")
            self.reached.append(Reached(str(line), row.phase, ms))
            self._row += 1
            return None
        if decision:
            return None
        return self._out_of_place(line, row)

    def _decision(self, line: Line) -> bool:
        """Decision lines may come any number of times; those of policyd are counted."""
        if line.label == grammar.POLICY and grammar.DECISION.fullmatch(line.text):
            self._decisions += 1
            self._decided += 1
            return True
        return line.label == grammar.KEYSTORE and grammar.SIGN_DENIED.fullmatch(line.text) is not None

    def _out_of_place(self, line: Line, row: Marker | None) -> Failure | None:
        gates = [(at, gate) for at, gate in enumerate(self.plan.markers) if gate.marker_class == GATE]
        for at, gate in gates:
            if matches(gate, line):
                if at < self._row:
                    return self._fail("repeated", f"`{line}` came a second time")
                return self._fail("order", f"`{line}` came in place of `{describe(row or gate)}`{self._after()}")
        if line.label == grammar.SELFTEST or line.text == "ready" or self._half_decision(line):
            return self._fail("unknown", f"`{line}` is in no row of markers.toml up to phase {self.plan.stop}")
        if len(self.remarks) < MAX_REMARKS and str(line) not in self.remarks:
            self.remarks.append(str(line))
        return None

    def _half_decision(self, line: Line) -> bool:
        starts = {grammar.POLICY: ("allow", "deny"), grammar.KEYSTORE: ("sign denied",)}
        return line.text.startswith(starts.get(line.label, ("\0",)))

    def _judge_end(self, exit: Exit, rest: bytes) -> Failure | None:
        if self._end_code is not None and rest:
            self._last = grammar.escape(rest)
            return self._fail("late", "text after the end line")
        if exit.code is None or exit.code not in self.plan.exits:
            text = f"the machine died: {exit}{self._after()}"
            return Failure("machine-died", text, self.expected(), self._last, MachineError.exit_code)
        meaning = self._meaning(exit.code)
        if self._end_code is None:
            return self._fail(
                "exit-code", f"the machine ended with {exit.code} ({meaning}) without its end line{self._after()}"
            )
        if exit.code != self._end_code:
            said = f"the end line says {self._end_code}, the machine {exit.code} ({meaning})"
            return Failure("exit-code", said, str(self._end_code), str(exit.code))
        return None

    def _meaning(self, code: int) -> str:
        return self.plan.exits.get(code, "no code of the contract").replace("_", " ")

    def _phases(self) -> tuple[PhaseResult, ...]:
        results: list[PhaseResult] = []
        before = 0
        for name, ms in self.closed:
            results.append(PhaseResult(name, ms - before, "pass"))
            before = ms
        for place, name in enumerate(self.plan.phases[len(self.closed) :]):
            failed = self.failure is not None and place == 0
            results.append(PhaseResult(name, 0, "fail" if failed else "not-run"))
        if self.failure is not None and results and all(row.verdict == "pass" for row in results):
            results[-1] = PhaseResult(results[-1].name, results[-1].ms, "fail")
        return tuple(results)
