"""The `nexus` command: a thin group that loads one module per verb, and the only place that catches NexusError.

To add a verb: a click command named after it in a module under verbs/, and a row in VERBS. Never holds logic of a stage.
"""

from __future__ import annotations

import errno
import importlib
from typing import NamedTuple

import click

from nexus import errors

# What the computer refuses at any step; other errors of the system are bugs here and keep their traceback.
NO_ROOM_OR_RIGHT = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)


class Verb(NamedTuple):
    module: str
    summary: str


# A table, so that `nexus --help` imports none of the modules. The command's function is the verb with '-' as '_'.
VERBS = {
    "build-image": Verb("image", "Build a system's image and manifest."),
    "inspect": Verb("image", "Verify an image against its manifest and show what is in it."),
    "new-service": Verb("image", "Write a new working service: recipe row, module, test, marker."),
    "new-app": Verb("bundle", "Write a new app to begin with."),
    "bundle": Verb("bundle", "Build, sign, verify and show bundles: apps as files."),
    "run": Verb("machine", "Build what changed, boot the system, show its log."),
    "install": Verb("install", "Hand an app to a live machine, which judges it."),
    "console": Verb("console", "A machine's terminal: for you, for a script, for other tools."),
    "top": Verb("top", "Show live what the processes of a machine do."),
    "test-os": Verb("machine", "Boot the selftest system and judge its console."),
    "test-kernel": Verb("machine", "Boot the kernel proof image and judge it."),
    "mutants": Verb("mutants", "Plant known bugs in a copy; the test named for each must fail."),
    "bench": Verb("bench", "Measure the system in exact instruction counts."),
    "policy": Verb("policy", "Check, explain and compare the rules that policyd decides by."),
    "audit": Verb("audit", "Show, verify and export what was decided and what happened."),
    "doctor": Verb("setup", "Check the tools, sources and limits of this machine."),
}


class LazyGroup(click.Group):
    """A click group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        verb = VERBS.get(cmd_name)
        if verb is None:
            return None
        module = importlib.import_module(f"nexus.verbs.{verb.module}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.summary) for name, verb in VERBS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """Build, boot and judge Nexus systems."""


def main(args: list[str] | None = None) -> int:
    """Run one command; the exit code is the answer (recipes/contract/exit.toml has the machine's own)."""
    try:
        result = group.main(args=args, prog_name="nexus", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return errors.EXIT_INTERRUPTED
    except KeyboardInterrupt:
        return errors.EXIT_INTERRUPTED
    except errors.NexusError as error:
        show(error)
        return error.exit_code
    except OSError as error:
        if error.errno not in NO_ROOM_OR_RIGHT:
            raise
        show(
            errors.SetupError(
                f"{error.filename}: {error.strerror}", "nexus doctor tells which folders have to be writable"
            )
        )
        return errors.SetupError.exit_code
    return result if isinstance(result, int) else errors.EXIT_OK


def show(error: errors.NexusError) -> None:
    """One message and, where there is one, the next thing to do."""
    click.echo(f"nexus: {error.message}", err=True)
    if error.hint:
        click.echo(f"  hint: {error.hint}", err=True)
