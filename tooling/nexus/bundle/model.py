"""What a bundle says, where each part of it lies, what bounds it, and the one exception with which a wrong one is refused.

Used by everything in this folder. Pure; numbers and names are the contract's.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from nexus.contract.load import Contract
from nexus.errors import VerdictError
from nexus.verdict.signature import key_id

PAGE = 4096
DIGEST_BYTES = hashlib.sha256().digest_size
ID = re.compile(r"[a-z0-9.-]+")
ENTRY = re.compile(r"[a-z][a-z0-9_]*")
REASON = re.compile(r"[ -~]+")
U32 = 0xFFFF_FFFF


class BundleRefused(VerdictError):
    """A bundle is not taken; `reason` is a key of [bundle_refusal], `code` its number."""

    def __init__(self, form: Form, reason: str, message: str) -> None:
        super().__init__(f"bundle: {reason}: {message}")
        self.reason = reason
        self.code = form.refusals[reason]


@dataclass(frozen=True, order=True)
class Version:
    """Newer is greater."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


@dataclass(frozen=True)
class Request:
    """An action that the app asks for, and why, for the person who has to allow it."""

    action: int
    reason: str


@dataclass(frozen=True)
class Manifest:
    """All that a publisher signs, besides the contents themselves."""

    id: str
    version: Version
    public_key: bytes
    entry: str
    heap_pages: int
    requests: tuple[Request, ...]
    contents_bytes: int
    digest: bytes


@dataclass(frozen=True)
class Frame:
    """The three parts of a file whose lengths and contents agree with its header; nothing else of it has been looked at."""

    manifest: bytes
    signature: bytes
    contents: bytes
    public_key: bytes
    digest: bytes  # of the contents as they are


@dataclass(frozen=True)
class Bundle:
    """A decoded bundle. Whether its signature is right is sign.verify's to say."""

    manifest: Manifest
    signature: bytes
    contents: bytes


class Form:
    """Layout and limits."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        bundle = contract.table("bundle")
        self.magic = str(bundle["magic"]).encode("ascii")
        self.tag = str(bundle["tag"]).encode("ascii")
        self.format = int(bundle["format"])
        self.header_bytes = int(bundle["header_bytes"])
        self.row_bytes = int(bundle["row_bytes"])
        self.requests_max = int(bundle["actions"])
        self.reason_max = int(bundle["reason_bytes"])
        self.signature_bytes = contract.number("key.signature_bytes")
        self.heap_max = contract.number("limit.app_heap_pages")
        self.contents_max = contract.number("limit.app_romfs_pages") * PAGE
        self.manifest_max = self.header_bytes + self.requests_max * (self.row_bytes + self.reason_max)
        offsets: dict[str, int] = contract.table("bundle_at")
        ends = [*list(offsets.values())[1:], self.header_bytes]
        self.places = {name: slice(at, end) for (name, at), end in zip(offsets.items(), ends, strict=True)}
        self.actions = frozenset(contract.table("action").values())
        self.refusals: dict[str, int] = contract.table("bundle_refusal")

    def width(self, name: str) -> int:
        """Bytes of a field of the header."""
        place = self.places[name]
        return int(place.stop - place.start)

    def key_id(self, public_key: bytes) -> bytes:
        return key_id(self.contract, public_key)

    def check(self, manifest: Manifest) -> None:
        """Refuse whatever no bundle may say. Its key is sign.check_key's to judge."""
        self._check_contents(manifest)
        if len(manifest.public_key) != self.width("public_key"):
            raise BundleRefused(self, "public_key", f"found {len(manifest.public_key)} bytes")
        self._check_name("id", manifest.id, ID)
        version = manifest.version
        if not all(0 <= part <= U32 for part in (version.major, version.minor, version.patch)):
            raise BundleRefused(self, "length", f"version: found {version}, expected three numbers of 32 bits")
        self._check_name("entry", manifest.entry, ENTRY)
        if not 1 <= manifest.heap_pages <= self.heap_max:
            raise BundleRefused(self, "heap", f"found {manifest.heap_pages} pages, expected 1 to {self.heap_max}")
        self._check_requests(manifest.requests)

    def _check_contents(self, manifest: Manifest) -> None:
        if manifest.contents_bytes > self.contents_max:
            raise BundleRefused(
                self, "too_large", f"found {manifest.contents_bytes} bytes, expected at most {self.contents_max}"
            )
        if manifest.contents_bytes < 1 or len(manifest.digest) != DIGEST_BYTES:
            raise BundleRefused(self, "length", "found no contents, or no SHA-256 of them")

    def _check_name(self, field: str, name: str, pattern: re.Pattern[str]) -> None:
        most = self.width(field)
        if len(name) > most or not pattern.fullmatch(name):
            raise BundleRefused(self, field, f"found {name!a}, expected 1 to {most} of {pattern.pattern}")

    def _check_requests(self, requests: tuple[Request, ...]) -> None:
        self.check_count(len(requests))
        before = -1
        for request in requests:
            self.check_action(request.action, before)
            self.check_reason(request.reason)
            before = request.action

    def check_count(self, count: int) -> None:
        if count > self.requests_max:
            raise BundleRefused(self, "actions", f"found {count}, expected at most {self.requests_max}")

    def check_action(self, action: int, before: int) -> None:
        """Of a row, behind one that asks for `before`."""
        if action not in self.actions:
            raise BundleRefused(self, "actions", f"found the unknown {action}")
        if action <= before:
            raise BundleRefused(self, "actions", f"found {action} behind {before}, expected each once, ascending")

    def is_reason(self, reason: str) -> bool:
        return len(reason) <= self.reason_max and REASON.fullmatch(reason) is not None

    def check_reason(self, reason: str) -> None:
        if not self.is_reason(reason):
            raise BundleRefused(
                self, "reason", f"found {reason!a}, expected 1 to {self.reason_max} printable characters"
            )
