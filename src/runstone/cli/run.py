"""`runstone run`."""

from __future__ import annotations

import sys

import click


@click.command()
@click.argument("pipeline", metavar="FILE.py[:NAME] | MODULE:NAME")
@click.argument("stray", nargs=-1, metavar="")
@click.option("-p", "pairs", multiple=True, metavar="KEY=VALUE", help="A parameter; converted by its annotation.")
@click.option("--params", "params_file", metavar="FILE", help="Parameters from a .json or .toml file.")
@click.option("--run-folder", metavar="F", help="Where to record the run; otherwise runs/<pipeline>-<id>.")
@click.option("--resume", is_flag=True, help="Go on with the run in that folder: compute what is missing.")
@click.option("--overwrite", is_flag=True, help="Move the run in that folder to .trash first.")
@click.option("--take-over", is_flag=True, help="Your word that the process of that run, on another host, is dead.")
@click.option("--strict", is_flag=True, help="Exit 1 for a degraded run.")
@click.option("--json", "as_json", is_flag=True, help="Print the status object at the end.")
@click.option("--progress/--no-progress", default=None, help="Show bars; otherwise where somebody is watching.")
@click.pass_obj
def command(
    own_process: bool,
    pipeline: str,
    stray: tuple[str, ...],
    pairs: tuple[str, ...],
    params_file: str | None,
    run_folder: str | None,
    resume: bool,
    overwrite: bool,
    take_over: bool,
    strict: bool,
    as_json: bool,
    progress: bool | None,
) -> None:
    """Execute a pipeline and record the run.

    Exits 0 if it completed (or ended degraded), 1 if it ended otherwise, 2 if it could not be started as asked, 130
    after Ctrl-C, 143 after SIGTERM.
    """
    from runstone.cli.carrying_out import carry_out
    from runstone.cli.loading import load_pipeline
    from runstone.cli.parameters import read_parameters
    from runstone.engine import supervise
    from runstone.engine.launch import AUTO, launch

    if stray:
        is_parameter = "=" in stray[0]
        raise click.UsageError(f"write -p {stray[0]}" if is_parameter else f"unexpected argument {stray[0]!r}")
    if run_folder == "":
        raise click.UsageError("--run-folder needs the name of a folder")
    if (resume or overwrite) and run_folder is None:
        raise click.UsageError("--resume and --overwrite are about a run that is there: say --run-folder")
    if take_over and not (resume or overwrite):
        raise click.UsageError("--take-over is about a run that is there: say --resume or --overwrite")
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
        resume=resume,
        overwrite=overwrite,
        take_over=take_over,
        trigger="command",
    )
    sys.exit(carry_out(launched, tell, strict=strict, as_json=as_json))
