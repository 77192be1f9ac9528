"""Executing a run that a command has launched, and saying how it goes."""

from __future__ import annotations

import sys

import click

from runstone.cli.exits import code_for
from runstone.cli.printing import print_json
from runstone.drawing.lettering import showable
from runstone.engine import supervise
from runstone.engine.launch import Known, Launched
from runstone.folder.resolve import shown, typed
from runstone.run import execute


def carry_out(launched: Launched | Known, tell: supervise.Tell | None, *, strict: bool, as_json: bool) -> int:
    """Execute it to its end; returns the code to exit with. tell: the process that supervises this one."""
    folder = shown(launched.folder or "")
    name = launched.run_id[:8]
    if isinstance(launched, Launched):
        if tell is not None:
            supervise.tell_of(launched, tell)
        whose = f"of {launched.info.pipeline.name!r}"
        epoch = launched.driver.recorder.state.epoch
        how = "recorded in" if epoch == 1 else "goes on in"
        click.echo(f"run {name} {whose}, {how} {folder}", err=True)
    else:
        click.echo(f"run {name} in {folder} has completed with the same code and parameters", err=True)
    try:
        run = execute(launched, raise_on_error=False)
    except KeyboardInterrupt:
        click.echo(f"cancelled; what was recorded is kept: runstone show {typed(launched.folder or '')}", err=True)
        return 130
    except SystemExit:
        click.echo(f"cancelled; what was recorded is kept: runstone show {typed(launched.folder or '')}", err=True)
        raise
    if as_json:
        print_json(run.status_object())
    else:
        saved = [f"  saved: {folder}/{one.path}" for one in run.list_artifacts()[:5]]
        # what went wrong is in the words of the user's code, and may hold anything
        for line in (*run.explain().splitlines(), *saved):
            click.echo(showable(line), err=True)
    sys.stdout.flush()
    return code_for(run.status, strict=strict)
