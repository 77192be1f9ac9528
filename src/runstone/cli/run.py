"""`runstone run`."""

from __future__ import annotations

import sys

import click

from runstone.cli.exits import code_for


@click.command()
@click.argument("pipeline", metavar="FILE.py[:NAME] | MODULE:NAME")
@click.option("-p", "pairs", multiple=True, metavar="KEY=VALUE", help="A parameter; converted by its annotation.")
@click.option("--params", "params_file", metavar="FILE", help="Parameters from a .json or .toml file.")
@click.option("--run-folder", metavar="F", help="Where to record the run; otherwise runs/<pipeline>-<id>.")
@click.option("--strict", is_flag=True, help="Exit 1 for a degraded run.")
@click.option("--json", "as_json", is_flag=True, help="Print the status object at the end.")
@click.option("--progress/--no-progress", default=None, help="Show bars; otherwise where somebody is watching.")
@click.pass_obj
def command(
    own_process: bool,
    pipeline: str,
    pairs: tuple[str, ...],
    params_file: str | None,
    run_folder: str | None,
    strict: bool,
    as_json: bool,
    progress: bool | None,
) -> None:
    """Execute a pipeline and record the run.

    Exits 0 if it completed (or ended degraded), 1 if it failed, 2 if it could not be started as asked, 130 after
    Ctrl-C.
    """
    from runstone.cli.loading import load_pipeline
    from runstone.cli.parameters import read_parameters
    from runstone.cli.printing import print_json
    from runstone.drawing.lettering import showable
    from runstone.engine import supervise
    from runstone.engine.launch import AUTO, launch
    from runstone.folder.resolve import shown
    from runstone.run import execute

    if run_folder == "":
        raise click.UsageError("--run-folder needs the name of a folder")
    # a process that is for something else must not be forked
    tell = supervise.fork() if own_process and supervise.can_be_supervised() else None
    found = load_pipeline(pipeline)
    params = read_parameters(found, pairs, params_file)
    launched = launch(
        found,
        params,
        run_folder=AUTO if run_folder is None else run_folder,
        show_progress=progress,
        workspace=None,
        settings={},
        trigger="command",
    )
    if tell is not None:
        supervise.tell_of(launched, tell)
    folder = shown(launched.driver.recorder.folder or "")
    click.echo(f"run {launched.info.id[:8]} of {found.name!r}, recorded in {folder}", err=True)
    try:
        run = execute(launched, raise_on_error=False)
    except KeyboardInterrupt:
        click.echo(f"cancelled; what was recorded is kept: runstone show {folder}", err=True)
        sys.exit(130)
    if as_json:
        print_json(run.status_object())
    else:
        saved = [f"  saved: {folder}/{one.path}" for one in run.list_artifacts()[:5]]
        # what went wrong is in the words of the user's code, and may hold anything
        for line in (*run.explain().splitlines(), *saved):
            click.echo(showable(line), err=True)
    sys.exit(code_for(run.status, strict=strict))
