"""Lies that a service can tell: one line of its source changed, and the proof of the booted system that has to notice, with its words.

Used by test_liars.py. Knows of each service only the line that is changed, and refuses to change one that is not there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nexus import layout

SERVICES = Path(layout.find_root(), "guest/services")
PEER = Path(layout.find_root(), "guest/selftest/peer/main.py")


@dataclass(frozen=True)
class Lie:
    service: str
    old: str
    new: str
    proof: str  # name of the marker
    words: str
    module: str = "main"

    def source(self) -> str:
        path = PEER if self.service == "selftest-peer" else SERVICES / self.service / f"{self.module}.py"
        text = path.read_text(encoding="utf-8")
        assert text.count(self.old) == 1, f"{path}: `{self.old}` is there {text.count(self.old)} times"
        return text.replace(self.old, self.new)

    def told(self) -> dict[str, Any]:
        """As Machine takes it."""
        if self.module == "main":
            return {"sources": {self.service: self.source()}}
        return {"modules": {self.service: {self.module: self.source()}}}


def policyd(said: str, proof: str, words: str) -> Lie:
    return Lie("policyd", "    allowed = said > 0\n", f"    allowed = {said}\n", proof, words)


def policyd_masks(mask: str, words: str) -> Lie:
    """policyd that takes another mask for that of the app on whose behalf it is asked."""
    old = "    mask = _SERVICE_MASK if kind == contract.KIND_SERVICE else kernel.subject_mask() & _APP_MASK\n"
    return Lie("policyd", old, f"    mask = {mask}\n", "exec_started", words)


def when(action: str, verdict: str) -> str:
    """Of this action the lie, of others the truth."""
    return f"{verdict} if action == contract.ACTION_{action} else said > 0"


def about_the_peer(action: str) -> str:
    """An allow of this action where it is about the peer, and a lie of no other."""
    name = 'caps.SUBJECTS[kernel.sender() if kernel.subject() < 0 else kernel.subject()] == "selftest-peer"'
    return f"said > 0 or (action == contract.ACTION_{action} and {name})"


def written(change: str, proof: str, words: str) -> Lie:
    """policyd that writes down something else than it decided."""
    asked = "    _record.question(verdict, op, nexus_sel.reason(said), action, nexus_sel.rule(said), name)\n"
    return Lie("policyd", asked, f"{asked}    {change}\n", proof, words)


def keystored(old: str, new: str, proof: str, words: str) -> Lie:
    return Lie("keystored", old, new, proof, words)


HANDLERS = "HANDLERS.update(audit.HANDLERS)\n"
AGAIN = "_real = audit.HANDLERS[contract.OP_LOGD_{0}]\nHANDLERS[contract.OP_LOGD_{0}] = ({1}, _real[1], _real[2])\n"


def logd(op: str, handler: str, proof: str, words: str, before: str = "") -> Lie:
    """logd with another handler for one operation of the trail."""
    return Lie("logd", HANDLERS, HANDLERS + before + AGAIN.format(op, handler), proof, words)


NOT_MERGED = """
import frame
def _apart(draft):
    copy = bytearray(draft)
    copy[contract.AUDIT_AT_REASON] = frame.nonce() & 127
    _real[0](copy)
"""
CHANGED = """
def _changed(draft):
    copy = bytearray(draft)
    if copy[contract.AUDIT_AT_KIND] == contract.AUDIT_KIND_DECISION and {when}:
        {change}
    _real[0](copy)
"""


def changed(change: str, proof: str, words: str, when: str = "True") -> Lie:
    """logd that writes down something else than it was told."""
    return logd("DECISION", "_changed", proof, words, CHANGED.format(change=change, when=when))


def at(field: str, value: str) -> str:
    return f"copy[contract.AUDIT_AT_{field}] {value}"


OF_SIGN = "copy[contract.AUDIT_AT_ACTION] == contract.ACTION_CRYPTO_SIGN and copy[contract.AUDIT_AT_VIA_IX + 1] == 0"
LOSES_ONE = """
def _lossy(draft):
    if bytes(draft[contract.AUDIT_AT_TARGET:contract.AUDIT_AT_TARGET + 6]) != b"vault3":
        _real[0](draft)
"""
LOSES = """
_taken = [0]
def _lossy(draft):
    _taken[0] += 1
    if _taken[0] % 4 or draft[contract.AUDIT_AT_ACTION] != contract.ACTION_ROUTE:
        _real[0](draft)
"""
GIVEN = """    import gate
    import server
    name = bytes(name)
    if len(name) > contract.POLICY_LIMIT_NAME_BYTES:
        raise Refuse(contract.STATUS_MALFORMED)
    {gate}
    handle, facet = caps.ROUTES.get(name, (0, 0))
    if not handle:
        raise Refuse(contract.STATUS_{unknown})
    kernel.grant(0, handle, {rights}, {badge})
    return server.grant(1)
"""
ASKED, BADGE = "gate.require_route(name)", "facet << contract.BADGE_FACET_SHIFT | kernel.sender()"
CALL = "contract.RIGHT_CALL"
# The one route that neither of the provers may have and that there is, for the shell: not given to them either.
BUT_ONE = "if name == b'logd:audit_all':\n        name = b'nowhere'"


def init(
    proof: str, words: str, gate: str = ASKED, unknown: str = "NOT_FOUND", rights: str = CALL, badge: str = BADGE
) -> Lie:
    """init with routes of its own making."""
    given = GIVEN.format(gate=gate, unknown=unknown, rights=rights, badge=badge)
    return Lie("init", "    return routes.give(bytes(name), _system.gone)\n", given, proof, words)


PEERS = 'kernel.kind() == contract.KIND_SERVICE and caps.SUBJECTS[kernel.sender()] == "selftest-peer"'


def bundlemgrd(old: str, new: str, proof: str, words: str, module: str = "main") -> Lie:
    return Lie("bundlemgrd", old, new, proof, words, module)


def unchecked(old: str, new: str = "") -> Lie:
    """bundlemgrd that looks over one thing that is wrong with a bundle."""
    return bundlemgrd(old, new, "bundle_signature", "a bundle that is none was taken", "manifest")


def execd(old: str, new: str, proof: str, words: str, module: str = "main") -> Lie:
    return Lie("execd", old, new, proof, words, module)


def peer(op: str, handler: str, proof: str, words: str) -> Lie:
    handlers = {"ASK": "asking.on_ask", "PASS_ON": "passing.on_pass_on", "LEND": "passing.on_lend"}
    return Lie("selftest-peer", handlers[op], f"({handler})", proof, words)
