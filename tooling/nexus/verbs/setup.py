"""The verb that looks at the computer: doctor. Loaded by cli.py when it is called; what is looked at lies in setup/."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from nexus.layout import find_root
from nexus.verbs.image import json_option_for

json_option = json_option_for("The findings as JSON.")


@click.command()
@json_option
def doctor(json_to: str | None) -> int:
    """Check the tools, sources and limits of this machine; changes nothing.

    Exit code: 0 all is well, 1 something is wrong, 3 something is not installed or set up.
    """
    from nexus import doctor as checks
    from nexus.setup.finding import Computer

    rows = checks.examine(Computer(find_root(), os.environ))
    report = json.dumps(checks.as_json(rows), indent=1)
    if json_to != "-":
        click.echo(checks.as_text(rows))
    if json_to == "-":
        click.echo(report)
    elif json_to:
        Path(json_to).write_text(report + "\n", encoding="utf-8")
    return checks.exit_code(rows)
