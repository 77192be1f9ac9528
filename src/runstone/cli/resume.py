"""`runstone resume`."""

from __future__ import annotations

import sys

import click

from runstone.cli.arguments import run_argument


@click.command()
@run_argument
@click.option("--take-over", is_flag=True, help="Your word that its process, on another host, is dead.")
@click.option("--strict", is_flag=True, help="Exit 1 for a degraded run.")
@click.option("--json", "as_json", is_flag=True, help="Print the status object at the end.")
@click.option("--progress/--no-progress", default=None, help="Show bars; otherwise where somebody is watching.")
@click.pass_obj
def command(own_process: bool, run: str, take_over: bool, strict: bool, as_json: bool, progress: bool | None) -> None:
    """Go on with a run: compute what is missing, with the pipeline and the parameters it had.

    If its process died, the same run goes on. If it ended and did not complete, or its code has changed, a new run
    beside it takes over what is still valid. A run that completed with the same code is left as it is.

    Exits like `runstone run`.
    """
    from runstone.cli.carrying_out import carry_out
    from runstone.cli.loading import load_pipeline
    from runstone.cli.reading import reading
    from runstone.engine import supervise
    from runstone.engine.launch import launch
    from runstone.engine.resuming import refuse_imported
    from runstone.folder.read import read_run
    from runstone.folder.resolve import typed
    from runstone.run import open_run

    with reading(run) as folder:
        info = read_run(folder).info
        # before the code that it names is imported
        refuse_imported(info)
    by_hand = f"use: runstone run FILE.py --run-folder {typed(folder)} --resume"
    if info.pipeline.loader is None:
        raise click.UsageError(
            f"run {info.id[:8]} does not say where its pipeline {info.pipeline.name!r} is found; {by_hand}"
        )
    tell = supervise.fork() if own_process and supervise.can_be_supervised() else None
    try:
        pipeline = load_pipeline(info.pipeline.loader)
    except click.UsageError as error:
        raise click.UsageError(f"{error.message}; if it is elsewhere now, {by_hand}") from error
    with reading(run) as folder:
        # the run is executed by the code it names, so its values may be opened by it too
        params = dict(open_run(folder, trust=True).params)
    launched = launch(
        pipeline,
        params,
        run_folder=folder,
        show_progress=progress,
        workspace=info.workspace,
        settings={},
        resume=True,
        take_over=take_over,
        trigger="command",
    )
    sys.exit(carry_out(launched, tell, strict=strict, as_json=as_json))
