"""`runstone workspace`."""

from __future__ import annotations

import click

from runstone.cli.deleting import yes_option


@click.group()
def command() -> None:
    """Make, list and delete workspaces: named containers of runs, each apart from the others.

    All commands about runs take `--workspace NAME`, and are about the runs of that one then.
    """


@command.command()
@click.argument("name")
@click.option("--description", default="", metavar="TEXT", help="What it is for.")
def create(name: str, description: str) -> None:
    """Make the workspace NAME."""
    from runstone.workspace.sync import WorkspaceManager

    manager = WorkspaceManager()
    if any(each.name == name for each in manager.list()):
        raise click.UsageError(f"there is a workspace {name!r} already; run in it with --workspace {name}")
    made = manager.create(name, description=description)
    click.echo(f"workspace {made.name} is there; run in it with --workspace {made.name}")


@command.command("list", short_help="List all workspaces.")
@click.option("--json", "as_json", is_flag=True, help="Print them as one JSON object.")
def list_workspaces(as_json: bool) -> None:
    """List all workspaces, a line each: its name, and what it is for."""
    from runstone.cli.printing import print_json
    from runstone.drawing.lettering import showable
    from runstone.workspace.sync import WorkspaceManager

    found = WorkspaceManager().list()
    if as_json:
        print_json(
            {
                "workspaces": [
                    {"name": each.name, "created_at": each.created_at, "description": each.description}
                    for each in found
                ]
            }
        )
        return
    for each in found:
        click.echo(showable(f"{each.name}  {each.description}".rstrip()))


@command.command()
@click.argument("name")
@yes_option
def delete(name: str, yes: bool) -> None:
    """Delete the workspace NAME, with all its runs. If one of them goes on, nothing is deleted."""
    import sys

    from runstone.workspace.sync import WorkspaceManager

    manager = WorkspaceManager()
    there = [each.name for each in manager.list()]
    if name not in there:
        raise click.UsageError(f"there is no workspace {name!r}, only {', '.join(there)}")
    workspace = manager.get(name)
    if not yes:
        what = f"workspace {workspace.name} with {_runs(workspace.get_run_history().total_runs)}"
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise click.UsageError(f"this deletes {what}; add --yes")
        click.confirm(f"Delete {what}?", abort=True)
    click.echo(f"deleted workspace {workspace.name} with {_runs(manager.delete(name))}")


def _runs(number: int) -> str:
    return f"{number:,} run{'s' * (number != 1)}"
