"""The verb bench: prints the figures and fails on one above its budget. Loaded by cli.py when it is called."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click

from nexus import layout
from nexus.errors import VerdictError
from nexus.verbs.image import json_option, progress_to, write_json


@click.command("bench")
@json_option
def bench(json_to: str | None) -> None:
    """Measure IPC, boot, sizes and memory. Counts are guest instructions, so they hold on any machine."""
    from nexus.bench import load_budgets, measure, over_budget

    root = layout.find_root()
    figures = measure(root, progress_to(sys.stderr.isatty()))
    budgets = load_budgets(root)
    if json_to:
        write_json(json.dumps({name: asdict(row) for name, row in figures.items()}, indent=1) + "\n", json_to)
    else:
        for name, row in figures.items():
            budget = f"budget {budgets[name]:,.10g}" if name in budgets else ""
            click.echo(
                f"{name:<18} {row.value:>14,.10g} {row.unit:<13} {'exact' if row.exact else 'median':<7} {budget}"
            )
    if above := over_budget(figures, budgets):
        raise VerdictError("above budget: " + "; ".join(above), "docs/testing.md says how each figure is measured")
