"""guest/lib/nexus.py, what apps import: each function asks the right service for the right thing, and each refusal is its own exception.

The app runs as a text; whoever it asks is the test. What policy makes of it is shown on the booted system.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from shims import micropython
from shims.alone import Kernel, Question
from shims.asker import Answer
from shims.frame import Frame
from shims.kernel import Error
from shims.loader import Loader

from nexus.layout import find_root

GUEST = find_root() / "guest"
INIT = 0x102
WAYS = {b"rngd": 0x201, b"keystored": 0x202, b"logd:append": 0x203}
PURPOSE = 3  # sample
Reply = Callable[[int, bytes], Answer | bytes]


class AppKernel(Kernel):
    """Of one app, which has nothing but init; a route is a capability that comes with an answer."""

    def __init__(self, contract: SimpleNamespace, reply: Reply, refused: dict[bytes, int]) -> None:
        servers = {INIT: self._init} | dict.fromkeys(WAYS.values(), self._served)
        super().__init__(servers, bytearray())
        self.contract, self.reply_of, self.refused = contract, reply, refused
        self.asked: list[tuple[str, int, bytes]] = []
        self.handle_called = 0

    def call(self, handle: int, length: int, deadline: int, behalf: int = 0, sent: int = 0, accept: int = 0) -> int:
        assert (behalf, sent, accept) == (0, 0, 1 if handle == INIT else 0)
        self.received, self.handle_called = (), handle
        return super().call(handle, length, deadline)

    def caps(self, number: int) -> int:
        return self.received[number]

    def drop(self, handle: int) -> None:
        raise AssertionError(f"dropped {handle:#x}")

    def _init(self, question: Question) -> Answer:
        assert question.op == self.contract.OP_INIT_ROUTE_GET
        self.asked.append(("init", question.op, question.payload))
        if question.payload in self.refused:
            return Answer(self.refused[question.payload], b"")
        self.received = (WAYS[question.payload],)
        return Answer(self.contract.STATUS_OK, b"")

    def _served(self, question: Question) -> Answer | bytes:
        name = next(name.decode() for name, handle in WAYS.items() if handle == self.handle_called)
        self.asked.append((name, question.op, question.payload))
        return self.reply_of(question.op, question.payload)


class Run:
    """An app's text, run to its end; `found` is what it left in names of its own."""

    def __init__(
        self, contract: SimpleNamespace, text: str, reply: Reply, refused: dict[bytes, int] | None = None
    ) -> None:
        self.kernel = AppKernel(contract, reply, refused or {})
        given = {"contract": contract, "micropython": micropython, "kernel": self.kernel}
        given["caps"] = SimpleNamespace(CONSOLE=0x100, NOTIFICATION=0x101, INIT=INIT)
        given["frame"] = Frame(self.kernel, contract)  # type: ignore[arg-type]
        self.found = vars(Loader([GUEST / "lib"], given, {"main": f"import nexus\n{text}"}).load("main"))

    @property
    def asked(self) -> list[tuple[str, int, bytes]]:
        """Of services, routes not counted."""
        return [one for one in self.kernel.asked if one[0] != "init"]


def always(payload: bytes = b"", status: int = 0) -> Reply:
    return lambda _op, _payload: Answer(status, payload)


def of_key(contract: SimpleNamespace, rest: bytes) -> bytes:
    return struct.pack("<IB", 1, contract.KEY_MODE_DEVICE) + b"key id.." + rest


def test_entropy_comes_in_pieces_that_rngd_serves(contract: SimpleNamespace) -> None:
    pieces: list[bytes] = []

    def served(_op: int, payload: bytes) -> Answer:
        pieces.append(bytes([len(pieces) + 1]) * struct.unpack("<H", payload)[0])
        return Answer(0, pieces[-1])

    run = Run(contract, "found = nexus.entropy(600)", served)
    most = contract.LIMIT_ENTROPY_BYTES
    lengths = [most, most, 600 - 2 * most]
    get = contract.OP_RNGD_GET_ENTROPY
    assert run.asked == [("rngd", get, struct.pack("<H", length)) for length in lengths]
    assert run.found["found"] == b"".join(pieces)
    assert list(map(len, pieces)) == lengths


@pytest.mark.parametrize("length", [0, 15, 17])
def test_entropy_of_another_length_is_none(length: int, contract: SimpleNamespace) -> None:
    assert raised(contract, "nexus.entropy(16)", always(bytes(length))) == "Unavailable"


def test_no_entropy_asks_nobody(contract: SimpleNamespace) -> None:
    run = Run(contract, "found = nexus.entropy(0)", always())
    assert (run.found["found"], run.kernel.asked) == (b"", [])


@pytest.mark.parametrize(("function", "op"), [("make_key", "DEVICE_KEYGEN"), ("public_key", "DEVICE_PUBKEY")])
def test_key_is_the_public_half(function: str, op: str, contract: SimpleNamespace) -> None:
    public = bytes(range(32))
    run = Run(contract, f"found = nexus.{function}()", always(of_key(contract, public)))
    assert run.found["found"] == public
    assert run.asked == [("keystored", getattr(contract, f"OP_KEYSTORED_{op}"), b"")]


def test_signature_is_asked_for_by_the_name_of_its_purpose(contract: SimpleNamespace) -> None:
    signature = bytes(range(64))
    run = Run(contract, 'found = nexus.sign("sample", b"text")', always(of_key(contract, signature)))
    assert run.found["found"] == signature
    assert contract.PURPOSE_SAMPLE == PURPOSE
    assert run.asked == [("keystored", contract.OP_KEYSTORED_SIGN, struct.pack("<H", PURPOSE) + b"text")]


def test_unknown_purpose_asks_nobody(contract: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match="nonsense"):
        Run(contract, 'nexus.sign("nonsense", b"text")', always())


@pytest.mark.parametrize("text", ['nexus.put("colour", "blue")', 'nexus.put(b"colour", b"blue")'])
def test_value_is_put_under_its_key(text: str, contract: SimpleNamespace) -> None:
    run = Run(contract, text, always())
    assert run.asked == [("keystored", contract.OP_KEYSTORED_PUT, b"\x06colourblue")]


def test_value_is_got_and_deleted_by_its_key(contract: SimpleNamespace) -> None:
    run = Run(contract, 'found = nexus.get("colour")', always(b"blue"))
    assert run.asked == [("keystored", contract.OP_KEYSTORED_GET, b"colour")]
    assert (run.found["found"], type(run.found["found"])) == (b"blue", bytes)
    run = Run(contract, 'nexus.delete(b"colour")', always())
    assert run.asked == [("keystored", contract.OP_KEYSTORED_DEL, b"colour")]


def test_value_stays_what_it_was_when_something_else_is_asked(contract: SimpleNamespace) -> None:
    """The answer lay in the one buffer that every message uses."""
    run = Run(contract, 'found = nexus.get("a")\nnexus.log("x")', always(b"blue"))
    assert run.found["found"] == b"blue"


def test_log_line_is_its_level_and_text(contract: SimpleNamespace) -> None:
    run = Run(contract, 'nexus.log("süß")', always(bytes(8)))
    expected = bytes([contract.LEVEL_INFO]) + "süß".encode()
    assert run.asked == [("logd:append", contract.OP_LOGD_APPEND, expected)]


def test_time_is_in_microseconds_and_asks_nobody(contract: SimpleNamespace) -> None:
    run = Run(contract, "import kernel\nkernel.now = 12_345_678\nfound = nexus.time()", always())
    assert (run.found["found"], run.kernel.asked) == (1_234_567, [])


def test_route_is_asked_for_once(contract: SimpleNamespace) -> None:
    run = Run(contract, 'nexus.put("a", "b")\nnexus.get("a")\nnexus.log("x")\nnexus.delete("a")', always())
    assert [payload for name, _, payload in run.kernel.asked if name == "init"] == [b"keystored", b"logd:append"]


def test_import_asks_nobody(contract: SimpleNamespace) -> None:
    assert Run(contract, "", always()).kernel.asked == []


# ---- refusals --------------------------------------------------------------------------------------------------------

KINDS = {
    "DENIED": "Denied",
    "MALFORMED": "Error",
    "TOO_LARGE": "TooLarge",
    "RATE_LIMITED": "RateLimited",
    "UNAVAILABLE": "Unavailable",
    "NOT_FOUND": "NotFound",
    "EXISTS": "Exists",
    "UNSUPPORTED": "Error",
}


def raised(contract: SimpleNamespace, text: str, reply: Reply, refused: dict[bytes, int] | None = None) -> str:
    """The kind of nexus.Error in which it ends; its status is that of its kind."""
    lines = ["try:", f"    {text}", "except nexus.Error as error:", "    found = error"]
    error: Any = Run(contract, "\n".join(lines), reply, refused).found["found"]
    name = next(name for name in KINDS if getattr(contract, f"STATUS_{name}") == error.status)
    assert KINDS[name] == type(error).__name__
    assert str(error) == (name.replace("_", " ") if KINDS[name] != "Error" else "REFUSED")
    return type(error).__name__


def test_every_status_has_its_kind(contract: SimpleNamespace) -> None:
    known = {name for name in vars(contract) if name.startswith("STATUS_")} - {"STATUS_OK"}
    assert {f"STATUS_{name}" for name in KINDS} == known


@pytest.mark.parametrize("status", KINDS)
def test_refusal_of_a_service_is_its_exception(status: str, contract: SimpleNamespace) -> None:
    number = getattr(contract, f"STATUS_{status}")
    assert raised(contract, 'nexus.get("a")', always(status=number)) == KINDS[status]


def test_denied_route_is_denied_and_asked_for_anew_next_time(contract: SimpleNamespace) -> None:
    refused = {b"rngd": contract.STATUS_DENIED}
    assert raised(contract, "nexus.entropy(1)", always(), refused) == "Denied"
    text = "for _ in range(2):\n    try:\n        nexus.entropy(1)\n    except nexus.Denied:\n        pass"
    run = Run(contract, text, always(), refused)
    assert [payload for _, _, payload in run.kernel.asked] == [b"rngd", b"rngd"]


@pytest.mark.parametrize("answer", [b"", b"nonsense", bytes(512)])
def test_nonsense_of_a_service_is_unavailable(answer: bytes, contract: SimpleNamespace) -> None:
    assert raised(contract, 'nexus.get("a")', lambda *_: answer) == "Unavailable"


def test_dead_service_is_unavailable(contract: SimpleNamespace) -> None:
    def die(*_: object) -> Answer:
        raise Error(contract.E_PEER_DIED)

    assert raised(contract, 'nexus.get("a")', die) == "Unavailable"


TOO_LARGE = [
    'nexus.log("x" * 504)',
    'nexus.get("k" * 505)',
    'nexus.put("k" * 65, "")',
    'nexus.sign("sample", bytes(503))',
]


@pytest.mark.parametrize("text", TOO_LARGE)
def test_what_no_message_holds_is_too_large_and_never_sent(text: str, contract: SimpleNamespace) -> None:
    assert raised(contract, text, always()) == "TooLarge"
    with pytest.raises(Exception, match="TOO LARGE") as caught:
        Run(contract, text, pytest.fail)  # type: ignore[arg-type]  # never called
    assert type(caught.value).__name__ == "TooLarge"


# ---- the sample apps -------------------------------------------------------------------------------------------------


def sample(contract: SimpleNamespace, name: str, reply: Reply, lines: list[str]) -> Sequence[tuple[str, int, bytes]]:
    """Run a sample app as it ships; what it asked for."""
    kernel = AppKernel(contract, reply, {})
    caps = SimpleNamespace(CONSOLE=0x100, NOTIFICATION=0x101, INIT=INIT)
    given: dict[str, Any] = {"contract": contract, "micropython": micropython, "kernel": kernel, "caps": caps}
    given["frame"] = Frame(kernel, contract)  # type: ignore[arg-type]
    loader = Loader([Path(GUEST / "apps" / name), GUEST / "lib"], given, {})
    loader.builtins["print"] = lambda *words: lines.append(" ".join(map(str, words)))
    loader.load("main")
    return kernel.asked


def test_hello_says_so_and_asks_nobody(contract: SimpleNamespace) -> None:
    lines: list[str] = []
    assert sample(contract, "hello", always(), lines) == []
    assert lines == ["hello"]


def test_entropy_shows_what_it_drew(contract: SimpleNamespace) -> None:
    lines: list[str] = []
    sample(contract, "entropy", always(bytes(range(16))), lines)
    assert lines == [f"sixteen bytes: {bytes(range(16)).hex()}"]


@pytest.mark.parametrize("exists", [False, True])
def test_signer_makes_a_key_only_if_there_is_none(exists: bool, contract: SimpleNamespace) -> None:
    public, signature = bytes(range(32)), bytes(range(64))

    def keystored(op: int, _payload: bytes) -> Answer:
        if op == contract.OP_KEYSTORED_DEVICE_KEYGEN and exists:
            return Answer(contract.STATUS_EXISTS, b"")
        return Answer(0, of_key(contract, signature if op == contract.OP_KEYSTORED_SIGN else public))

    lines: list[str] = []
    asked = sample(contract, "signer", keystored, lines)
    assert lines == [f"public key: {public.hex()}", f"signature:  {signature.hex()}"]
    read = [(contract.OP_KEYSTORED_DEVICE_PUBKEY)] if exists else []
    expected = [contract.OP_KEYSTORED_DEVICE_KEYGEN, *read, contract.OP_KEYSTORED_SIGN]
    assert [op for name, op, _ in asked if name == "keystored"] == expected
