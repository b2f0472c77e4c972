"""Any bytes as a question to policyd: the answer is what tests/policy/reference.py reads out of the files that the image holds, about the one
whom the kernel states, and each question is counted once.
"""

from __future__ import annotations

import struct

from reference import Reference
from served import CLIENT, CONTRACT, READY, ROOT, STATUS, Exchange, Service, Way, served
from shims.machine import Machine
from target import Target

from nexus import layout
from nexus.policy.evaluate import policy_files
from nexus.recipe.check import load_system

OP = CONTRACT.table("op.policyd")
CHECK, ROUTE, EXEC, STATS = OP["check"], OP["route"], OP["exec"], OP["stats"]
ACTION = CONTRACT.table("action")
NAMES = {number: str(CONTRACT.table("action_name")[name]) for name, number in ACTION.items()}
LONGEST = CONTRACT.number("policy_limit.name_bytes")
SYSTEM = load_system("selftest", ROOT, CONTRACT)
WAYS = (Way(), Way("stats"), Way("ready"), Way(holder="rngd"), Way("hold"))
FACETS = {"stats": "stats", "stats_of": "stats", "hold": "hold", "go_on": "hold"}  # by operation
COUNTS = (OP["stats"], OP["stats_of"], OP["hold"])


def asking(name: str, target: bytes) -> bytes:
    return struct.pack("<H", ACTION[name]) + target


GOOD = (
    (0, CHECK, asking("rng_entropy", b"-")),
    (0, CHECK, asking("crypto_sign", b"selftest")),
    (0, CHECK, asking("device_key_export", b"-")),
    (0, CHECK, asking("bundle_open", b"demo.a")),
    (0, ROUTE, b"logd:query"),
    (0, ROUTE, b"vault"),
    (0, EXEC, b"demo.a"),
    (1, STATS, b""),
    (1, OP["stats_of"], bytes(8)),
    (2, READY, b""),
    (4, OP["hold"], b""),
    (4, OP["go_on"], b""),
)


def reference() -> Reference:
    """The rules of the system as their second reader reads them."""
    texts = [path.read_text(encoding="utf-8") for path in policy_files(ROOT, SYSTEM.name)]
    contract = layout.contract_dir(ROOT) / "policy.toml"
    return Reference(texts, contract.read_text(encoding="utf-8"))


def question(op: int, payload: bytes) -> tuple[str, bytes]:
    """Name of the action, and the target."""
    if op == CHECK:
        return NAMES.get(int.from_bytes(payload[:2], "little"), "no.action"), payload[2:]
    return ("route" if op == ROUTE else "proc.exec"), payload


def target() -> Target:
    second, subject = reference(), SYSTEM.process(CLIENT).id_name

    def check(_machine: Machine, exchange: Exchange) -> None:
        if exchange.op == OP["go_on"]:
            return
        if exchange.op in COUNTS:
            decisions, allows, denies, _ = struct.unpack("<QQQQ", exchange.answer)
            assert decisions == allows + denies, "a decision that is no verdict"
            return
        action, name = question(exchange.op, exchange.payload)
        if len(name) > LONGEST:
            assert exchange.status == STATUS["malformed"], exchange
        elif b"\0" in name:  # ends a name in the record of it
            assert exchange.status != STATUS["ok"], exchange
        else:
            allowed = second.allows(subject, action, name.decode("latin-1"), set(SYSTEM.gates))
            assert exchange.status == STATUS["ok" if allowed else "denied"], (action, name, exchange.status)

    return served(Service("policyd", WAYS, GOOD, (1, STATS, b""), check, lambda name: FACETS.get(name, "")))
