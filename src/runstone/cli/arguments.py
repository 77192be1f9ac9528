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


def read_statuses(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> frozenset[str]:
    """Statuses of runs, or the names that other systems have for them, in any case, as our words."""
    from runstone.core.statuses import parse_run_status

    try:
        return frozenset(parse_run_status(text).value for text in given)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from None


def complete_status(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """The statuses of runs, for the shell."""
    from runstone.core.statuses import RunStatus

    words = [status.value for status in RunStatus if status.value.startswith(incomplete.lower())]
    return [click.shell_completion.CompletionItem(word) for word in words]


def complete_run(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """Run folders below ./runs for the shell, and behind a run and a slash its blocks."""
    import os

    from runstone import config

    if "/" in incomplete:
        return _complete_block(*incomplete.rpartition("/")[::2])
    root = config.runs_root()
    try:
        names = sorted(os.listdir(root))
    except OSError:
        return []
    shown = [name for name in names if name.startswith(incomplete)][:200]
    return [click.shell_completion.CompletionItem(name) for name in shown]


def _complete_block(run: str, incomplete: str) -> list[Any]:
    from runstone.errors import RunstoneError
    from runstone.folder.look import Look
    from runstone.folder.read import read_info
    from runstone.ledger.locating import resolve

    try:
        with Look(resolve(run)) as look:
            names = [block.name for block in read_info(look).blocks]
    except (RunstoneError, OSError):
        # a folder on the way to a run: the shell knows what is in it
        return [click.shell_completion.CompletionItem(incomplete, type="dir")]
    return [click.shell_completion.CompletionItem(f"{run}/{name}") for name in names if name.startswith(incomplete)]


run_argument = click.argument("run", metavar="RUN", shell_complete=complete_run)
pretty_option = click.option("--pretty", is_flag=True, help="Indent the JSON.")


def choose_workspace(ctx: click.Context, param: click.Parameter, given: str | None) -> str | None:
    """Let everything this command does be about one workspace."""
    from runstone import config
    from runstone.errors import SettingError

    if given is not None:
        try:
            before = config.choose_workspace(config.workspace(given))
        except SettingError as error:
            raise click.BadParameter(str(error).partition(": ")[2], ctx, param) from None
        ctx.call_on_close(lambda: config.choose_workspace(before))
    return given


def with_workspace(command: click.Command) -> click.Command:
    """The same command, with the option that all commands about runs have."""
    if not any("--workspace" in option.opts for option in command.params):
        command.params.append(
            click.Option(
                ["--workspace"],
                metavar="W",
                expose_value=False,
                is_eager=True,
                callback=choose_workspace,
                help="The workspace it is about; RUNSTONE_WORKSPACE, or default, if not given.",
            )
        )
    return command
