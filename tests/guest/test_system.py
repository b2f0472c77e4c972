"""The whole guest on the simulated kernel: the run says what the contract's markers say, and a broken service can't get by."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable

import pytest
from shims.device import MILLISECOND, Device, Nature, healthy, short
from shims.machine import Machine

from nexus import layout
from nexus.contract.load import Marker, load_contract
from nexus.policy.evaluate import route_name
from nexus.verdict.grammar import Line
from nexus.verdict.ladder import GATE, matches

Make = Callable[..., Machine]
MARKERS = load_contract(layout.contract_dir(layout.find_root())).markers
# A rngd that answers without a device: the selftest has to see each of these.
FAKE = """
import struct, contract, server
from wire import Refuse
served = [0, 0, 0, 0]
def on_get_entropy(count):
    if count == 0:
        raise Refuse(contract.STATUS_MALFORMED)
    if count > 256:
        raise Refuse(contract.STATUS_TOO_LARGE)
    served[0] += 1
    served[1] += count
    served[2] += count
    return {answer}
def on_stats():
    return struct.pack("<QQQQ", *served)
server.serve({{
    1: (on_get_entropy, contract.REQUEST_RNGD_GET_ENTROPY, 0),
    2: (on_stats, contract.REQUEST_RNGD_STATS, 0),
}}, "ready")
"""


def lines_of(m: Machine) -> list[Line]:
    parts = [text.partition(": ") for text in m.lines]
    return [Line(label, rest, continued=False) for label, _, rest in parts]


def reached(m: Machine) -> list[str]:
    """Names of the marker rows whose lines were said, as far as they were said in their order."""
    rows = iter(MARKERS)
    row = next(rows, None)
    names = []
    for line in lines_of(m):
        if row is not None and matches(row, line):
            names.append(row.name)
            row = next(rows, None)
    return names


def times_said(m: Machine, row: Marker) -> int:
    return sum(matches(row, line) for line in lines_of(m))


@pytest.mark.parametrize(
    "nature", [healthy(), short(1), short(16, after=20 * MILLISECOND)], ids=["whole", "bytes", "16"]
)
def test_run_says_every_marker_in_its_place(machine: Make, nature: Nature) -> None:
    m = machine(device=Device(nature))
    m.boot()
    assert m.exit_code == m.contract.EXIT_OK
    assert reached(m) == [row.name for row in MARKERS]
    assert [row.name for row in MARKERS if row.marker_class == GATE and times_said(m, row) != 1] == []
    strange = [line for line in m.lines if "FAIL" in line or "fault" in line]
    assert [line for line in strange if not line.startswith("kernel: fault label=app:selftest.")] == []


@pytest.mark.parametrize(
    ("process", "module", "table"), [("selftest", "routing", "_OWN"), ("selftest-peer", "peer/asking", "_ROUTES")]
)
def test_every_route_of_the_recipe_is_used(machine: Make, process: str, module: str, table: str) -> None:
    """A route that is added to the recipe has to be added to the proof as well."""
    tree = ast.parse((layout.find_root() / f"guest/selftest/{module}.py").read_text(encoding="utf-8"))
    (rows,) = [
        node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == table
    ]
    assert isinstance(rows, ast.Tuple)
    first = [row.elts[0] for row in rows.elts if isinstance(row, ast.Tuple)]
    named = [name.value.decode() for name in first if isinstance(name, ast.Constant) and isinstance(name.value, bytes)]
    assert sorted(named) == sorted(route_name(edge) for edge in machine().process(process).row.routes)


def test_bytes_taken_are_what_the_device_delivered(machine: Make) -> None:
    device = Device(short(13))
    m = machine(device=device)
    m.boot()
    (line,) = [text for text in m.said("SELFTEST") if text.startswith(m.contract.LINE_RNG_BYTES)]
    assert int(line.removeprefix(m.contract.LINE_RNG_BYTES), 16) == device.delivered


def test_texts_of_lines_agree_with_their_patterns() -> None:
    contract = load_contract(layout.contract_dir(layout.find_root()))
    (row,) = [row for row in MARKERS if row.name == "rng_bytes"]
    assert re.fullmatch(row.pattern or "", contract.table("line")["rng_bytes"] + "0" * 16)


# A facet that is equal to every other.
ANY = """
class _Any:
    def __ne__(self, other):
        return False

"""
VARIED = "bytes((i * 37 + served[0] * 11) & 255 for i in range({}))"
FAKES = {
    "constant": "bytes(count)",
    "one byte a draw": "bytes([served[0]]) * count",
    "same block": "bytes((i * 37 + 11) & 255 for i in range(count))",
    "one short": VARIED.format("count - 1"),
    "one more": VARIED.format("count + 1"),
    "nothing": "None",
    "refuses": "1 // 0",
    "window of somebody else": "server.dma(0x999, 0, count)",
}


def test_plausible_fake_shows_what_the_host_has_to_count(machine: Make) -> None:
    """The twin of the fakes below: the guest alone can't tell it from a device, so the emulator's count is held against it."""
    device = Device(healthy())
    m = machine(device=device, sources={"rngd": FAKE.format(answer=VARIED.format("count"))})
    m.boot()
    assert m.contract.MARK_RNG_ENTROPY in m.said("SELFTEST")
    assert device.delivered == 0


@pytest.mark.parametrize("answer", FAKES.values(), ids=FAKES.keys())
def test_false_entropy_fails_the_proof(machine: Make, answer: str) -> None:
    m = machine(sources={"rngd": FAKE.format(answer=answer)})
    m.boot()
    assert m.exit_code == m.contract.EXIT_SELFTEST_FAILED
    assert m.said("SELFTEST")[0].startswith("rng entropy FAIL ")
    assert m.contract.MARK_RNG_ENTROPY not in m.said("SELFTEST")


REFUSALS = {
    "large is malformed": (
        "if count > 256:",
        "if count > 256:\n        raise Refuse(contract.STATUS_MALFORMED)\n    if False:",
    ),
    "large is cut": ("if count > 256:", "count = min(count, 256)\n    if False:"),
    "nothing is fine": ("if count == 0:", "if False:"),
    "denied": ("if count == 0:", "if count in (0, 257):\n        raise Refuse(contract.STATUS_DENIED)\n    if False:"),
    "counted all the same": ("if count > 256:", "served[0] += count > 256\n    if count > 256:"),
}


@pytest.mark.parametrize(("old", "new"), REFUSALS.values(), ids=REFUSALS.keys())
def test_wrong_refusal_fails_the_proof(machine: Make, old: str, new: str) -> None:
    fake = FAKE.format(answer=VARIED.format("count"))
    assert fake.count(old) == 1
    m = machine(sources={"rngd": fake.replace(old, new)})
    m.boot()
    assert m.exit_code == m.contract.EXIT_SELFTEST_FAILED
    assert m.said("SELFTEST")[-1].startswith("rng oversized rejected FAIL ")


@pytest.mark.parametrize("counts", ["64, 62, 1", "64, 64, 0", "63, 60, 3", "0, 0, 0"])
def test_peer_that_lies_about_its_attempts_fails_the_proof(machine: Make, counts: str) -> None:
    peer = f"""
import struct, contract, server
server.serve({{1: (lambda what: struct.pack("<HHH", {counts}), contract.REQUEST_SELFTEST_PEER_TRY, 0)}})
"""
    m = machine(sources={"selftest-peer": peer})
    m.boot()
    assert m.exit_code == m.contract.EXIT_SELFTEST_FAILED
    assert m.said("SELFTEST")[-1].startswith("rng window fenced FAIL ")


@pytest.mark.parametrize("other", ["APPEND", "QUERY", "STATS"])
def test_log_that_opens_an_operation_to_another_facet_fails_the_proof(machine: Make, other: str) -> None:
    """logd as shipped, but that an operation looks at the facet no longer."""
    source = (layout.find_root() / "guest/services/logd/main.py").read_text(encoding="utf-8")
    row = f"contract.REQUEST_LOGD_{other}, contract.FACET_LOGD_{other})"
    assert source.count(row) == 1
    source = source.replace(row, f"contract.REQUEST_LOGD_{other}, _Any())").replace(
        "HANDLERS = {", ANY + "HANDLERS = {"
    )
    m = machine(sources={"logd": source})
    m.boot()
    assert m.exit_code == m.contract.EXIT_SELFTEST_FAILED
    assert m.said("SELFTEST")[-1].startswith("log facet refused FAIL ")


def test_peer_with_the_device_is_found_out(machine: Make) -> None:
    """Were one capability of rngd's in the peer's table, one attempt would meet another status."""
    m = machine(sources={"selftest": "import kernel, caps\nkernel.wait(caps.NOTIFICATION)\n"})
    m.boot()
    driver, peer = m.process("rngd"), m.process("selftest-peer")
    handle = m.handle("rngd", "QUEUE_RNG_0")
    peer.caps[m.contract.HANDLE_BOOT + 40] = driver.caps[handle]
    m.give_device(peer.row.index, m.devices.pop(driver.row.index))
    m.sources.clear()
    m.process("selftest").state = m.contract.STATE_SUSPENDED
    m.start("selftest")
    m.run()
    assert m.exit_code == m.contract.EXIT_SELFTEST_FAILED


def test_window_that_the_kernel_refuses_is_answered_unavailable(machine: Make) -> None:
    m = machine(sources={"rngd": FAKE.format(answer=FAKES["window of somebody else"])})
    m.boot()
    assert m.said("SELFTEST") == ["rng entropy FAIL refused status=05"]


def test_handler_that_breaks_answers_unavailable_and_says_so(machine: Make) -> None:
    source = 'import server\nserver.serve({1: (lambda what: 1 // 0, "<B", 0)})\n'
    m = machine(sources={"selftest-peer": source})
    m.boot()
    assert m.said("selftest-peer") == ["handler fault op=01 ZeroDivisionError"]
    assert m.said("SELFTEST")[-1] == "rng window fenced FAIL refused status=05"
