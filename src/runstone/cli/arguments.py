"""Arguments that several commands take."""

from __future__ import annotations

import math
from typing import Any

import click


class Seconds(click.FloatRange):
    """A number of seconds; `nan` and `inf`, which are floats too, are none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds = float(super().convert(value, param, ctx))
        if not math.isfinite(seconds):
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        return seconds


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
