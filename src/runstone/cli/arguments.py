"""Arguments that several commands take."""

from __future__ import annotations

from typing import Any

import click


def complete_run(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """Run folders below ./runs, for the shell."""
    import os

    from runstone import config

    root = config.runs_root()
    try:
        names = sorted(os.listdir(root))
    except OSError:
        return []
    shown = [name for name in names if name.startswith(incomplete)][:200]
    return [click.shell_completion.CompletionItem(name) for name in shown]


run_argument = click.argument("run", metavar="RUN", shell_complete=complete_run)
pretty_option = click.option("--pretty", is_flag=True, help="Indent the JSON.")
