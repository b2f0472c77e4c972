"""The one exception tree of the host tool: what went wrong, what to do about it, and the exit code of the command.

Raised everywhere below cli.py and caught only there. Never prints, never exits the process.
"""

from __future__ import annotations

EXIT_OK = 0
EXIT_INTERRUPTED = 130


class NexusError(Exception):
    """Something a person has to act on; `hint` says how when the message alone does not."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class VerdictError(NexusError):
    """A check ran to its end and its answer is no."""

    exit_code = 1


class UsageError(NexusError):
    """The command line asks for something that does not exist."""

    exit_code = 2


class SetupError(NexusError):
    """A tool, package or source is missing; the hint is the command that gets it."""

    exit_code = 3


class RecipeError(NexusError):
    """A recipe, a contract file or the policy says something that can't be built."""

    exit_code = 4


class BuildError(NexusError):
    """The recipe is fine but a build step failed or produced something unsafe."""

    exit_code = 5


class MachineError(NexusError):
    """The emulator did not start, or died."""

    exit_code = 6


class DeadlineError(NexusError):
    """Something did not happen in time."""

    exit_code = 7
