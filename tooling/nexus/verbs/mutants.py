"""The verb mutants: plants each bug of tests/mutants in a copy and wants its test to fail. Loaded by cli.py when it is called."""

from __future__ import annotations

import click

from nexus import errors
from nexus.layout import find_root


@click.command()
@click.argument("names", nargs=-1)
def mutants(names: tuple[str, ...]) -> int:
    """Plant each bug of tests/mutants in a copy of the tree; the test named for it must fail. NAMES: only these.

    Exit code: 0 every bug is found, 1 one survives, its patch no longer applies, or its test fails without it.
    """
    from nexus.mutants import run_mutants

    results = run_mutants(find_root(), names, click.echo)
    survivors = [result for result in results if result.finding]
    click.echo(
        f"{sum(result.seconds for result in results):6.1f} s  {len(results)} bugs, {len(survivors)} not found by their tests"
    )
    return errors.VerdictError.exit_code if survivors else errors.EXIT_OK
