"""The entry: finds the command, and turns errors into one line and an exit code.

A command's module is imported when it is used, so that `runstone status` never pays for the others.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from typing import Any

import click

from runstone.cli.arguments import with_workspace

COMMANDS = {
    "run": ("runstone.cli.run", "Execute a pipeline and record the run."),
    "status": ("runstone.cli.status", "Tell how a run stands, as JSON."),
    "list-runs": ("runstone.cli.list_runs", "List the runs in a folder, as JSON."),
    "watch": ("runstone.cli.watch", "Follow a run until it ends, as JSON."),
    "resume": ("runstone.cli.resume", "Go on with a run."),
    "cancel": ("runstone.cli.cancel", "Stop a run."),
    "show": ("runstone.cli.show", "Show a run to a person."),
    "why": ("runstone.cli.why", "Tell why a run, a block or an element is as it is."),
    "logs": ("runstone.cli.logs", "Print what the blocks of a run have printed and logged."),
    "output": ("runstone.cli.output", "Print or save an output of a run."),
    "graph": ("runstone.cli.graph", "Draw the graph of a pipeline or a run."),
    "runs": ("runstone.cli.runs", "List and show the runs of the database of all runs."),
    "tail": ("runstone.cli.tail", "List the newest runs."),
    "history": ("runstone.cli.history", "Tell how runs went, by day, pipeline or status."),
    "archive": ("runstone.cli.archive", "Write a run into one file."),
    "import": ("runstone.cli.import_", "Take a run out of such a file."),
    "ledger": ("runstone.cli.ledger", "Tend the database of all runs."),
    "delete": ("runstone.cli.delete", "Delete runs, with all that belongs to them."),
    "cleanup": ("runstone.cli.cleanup", "Delete old runs, and give the space back."),
    "tag": ("runstone.cli.tag", "Tag a run, or take a tag away."),
    "note": ("runstone.cli.note", "Write a note about a run."),
    "compare": ("runstone.cli.compare", "Tell in what runs differ."),
    "cache": ("runstone.cli.cache", "List, remove and explain results in the cache."),
    "workspace": ("runstone.cli.workspace", "Make, list and delete workspaces."),
    "sql": ("runstone.cli.sql", "Ask the database of all runs with SQL."),
    "export": ("runstone.cli.export", "Write runs as JSON, CSV or Parquet."),
    "completion": ("runstone.cli.completion", "Print the script that completes commands in your shell."),
}


_CLEARER = {
    "is not a valid integer range": "is no whole number",
    "is not a valid float range": "is no number",
    "is not in the range": "is out of range, which is",
}
"""What click says, in plain words."""

_CALLED_OFTEN = ("status", "list-runs", "watch", "completion")
"""What programs call, and read: they are told nothing that is not about what they asked."""

_ABOUT_NO_RUN = ("cache", "completion", "ledger", "sql", "workspace")


class Commands(click.Group):
    """Loads a command when it is named; its help is known without that."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name][0]).command
        return command if cmd_name in _ABOUT_NO_RUN else with_workspace(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in COMMANDS:
            from difflib import get_close_matches

            close = get_close_matches(name, COMMANDS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(COMMANDS)}"
            raise click.UsageError(f"there is no command {name!r}; {hint}")
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="runstone", message="%(prog)s %(version)s")
@click.pass_context
def runstone(ctx: click.Context) -> None:
    """Run Python pipelines, and keep a record of every run that can be trusted.

    RUN is a run folder, or the name of one in ./runs, or the id of a run there or in the ledger, or the first letters
    of its id. RUN/BLOCK is one block of it.
    """
    if ctx.invoked_subcommand not in _CALLED_OFTEN:
        # at the end, when it is known what of it is an error for this command
        ctx.call_on_close(_tell_of_project_file)


def _tell_of_project_file() -> None:
    from runstone import config
    from runstone.cli.ledger_at_hand import warn

    for problem in config.untold():
        warn(problem)


def main() -> None:
    """What the command `runstone` calls."""
    sys.exit(invoke(sys.argv[1:], own_process=True))


def invoke(args: list[str], *, own_process: bool = False) -> int:
    """Execute one command and return its exit code. own_process: it is all that this process is for."""
    try:
        code = runstone.main(args=args, prog_name="runstone", standalone_mode=False, obj=own_process)
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.exceptions.NoArgsIsHelpError as shown:
        click.echo(shown.format_message())
        return 2
    except click.ClickException as error:
        return complain(_one_line(error), error.exit_code)
    except click.Abort:
        return complain("interrupted", 130)
    except KeyboardInterrupt:
        return complain("interrupted", 130)
    except OSError as error:
        return complain(_refusal(error), 1)
    except Exception as error:
        return _own(error)


def _own(error: Exception) -> int:
    from runstone.errors import CacheError, FolderError, LedgerError, RunError, RunstoneError, StatementError

    if not isinstance(error, RunstoneError):
        raise error
    out_of_order = isinstance(error, (CacheError, FolderError, LedgerError, RunError))
    wrong_use = isinstance(error, StatementError) or not out_of_order
    return complain(str(error), 2 if wrong_use else 1)


def _refusal(error: OSError) -> str:
    """What the system refused, where nobody knew better: mostly to take our output."""
    why = (error.strerror or str(error)).lower()
    if error.filename is not None:
        return f"{error.filename}: {why}"
    if isinstance(error, FileNotFoundError):
        return "the current folder is gone; go to one that exists"
    # what is left in the buffer would be refused once more at the end
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return f"the output cannot be written: {why}"


def _one_line(error: click.ClickException) -> str:
    message = error.format_message()
    for of_click, ours in _CLEARER.items():
        message = message.replace(of_click, ours)
    if isinstance(error, click.UsageError) and error.ctx is not None:
        between = " See" if message.endswith("?") else "; see"
        message = f"{message.rstrip('.')}{between} {error.ctx.command_path} --help"
    return " ".join(message.split())


def complain(message: str, code: int) -> int:
    """Say what went wrong, on standard error; returns the exit code."""
    from runstone.drawing.lettering import showable

    # Much of it comes out of folders and files that nobody vouches for.
    click.echo(f"runstone: {chr(10).join(map(showable, message.splitlines()))}", err=True)
    return code
