"""A conversation with a machine over one of its byte streams, as a test writes it: expect, send. Made by live.py for the UART and for
the terminal. Every wait has a deadline, and a pattern that any stream would match is refused.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from typing import Any

from nexus.errors import DeadlineError, MachineError, UsageError

EXPECT_SECONDS = 30.0
SEND_SECONDS = 30.0
WINDOW_BYTES = 4096
ENDLESS = re.compile(r"(?<!\\)\.[*+]\??\)*\Z")


def check_pattern(pattern: str) -> re.Pattern[bytes]:
    """The pattern, compiled. On a stream an open end matches what happens to have come, so it is refused."""
    try:
        compiled = re.compile(pattern.encode("utf-8", "surrogateescape"), re.DOTALL)
    except re.error as error:
        raise UsageError(f"pattern `{pattern}` is no regular expression: {error}") from error
    if ENDLESS.search(pattern):
        raise UsageError(f"pattern `{pattern}` has no end: on a stream it matches by chance")
    if compiled.search(b""):
        raise UsageError(f"pattern `{pattern}` matches nothing at all, so it proves nothing")
    return compiled


class Script:
    """`ended` says how the machine ended, `evidence` what an error is to show of it."""

    def __init__(self, stream: socket.socket, ended: Callable[[], object], evidence: Callable[[], str]) -> None:
        from pexpect.socket_pexpect import SocketSpawn

        self._stream = stream
        self._ended, self._evidence = ended, evidence
        # Bytes only: with an encoding SocketSpawn of pexpect 4.9 raises TypeError.
        # It searches no more than the window's worth of bytes at the end, so what it reads at once has to be less.
        self._spawn: Any = SocketSpawn(stream, searchwindowsize=WINDOW_BYTES, maxread=WINDOW_BYTES // 2)

    @property
    def before(self) -> bytes:
        """What came before the match of the last `expect`."""
        return bytes(self._spawn.before or b"")

    def expect(self, pattern: str, timeout: float = EXPECT_SECONDS) -> re.Match[bytes]:
        """Wait for a regular expression, searched from where the last one ended."""
        import pexpect

        compiled = check_pattern(pattern)
        try:
            self._spawn.expect(compiled, timeout=timeout)
        except pexpect.TIMEOUT as error:
            raise DeadlineError(f"`{pattern}` did not come in {timeout:g} s", self._evidence()) from error
        except pexpect.EOF as error:
            raise MachineError(
                f"the machine ended ({self._ended()}) before `{pattern}` came", self._evidence()
            ) from error
        match: re.Match[bytes] = self._spawn.match
        return match

    def send(self, data: str | bytes) -> None:
        """Type. A machine that takes none of it runs into a deadline."""
        self._stream.settimeout(SEND_SECONDS)
        try:
            self._stream.sendall(data.encode() if isinstance(data, str) else data)
        except TimeoutError as error:
            raise DeadlineError(f"the machine takes no input for {SEND_SECONDS:g} s", self._evidence()) from error
        except OSError as error:
            raise MachineError(f"the machine ended ({self._ended()}) before it could be typed to") from error

    def close(self) -> None:
        self._spawn.close()
