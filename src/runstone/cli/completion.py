"""`runstone completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the script that completes commands, options and runs in SHELL.

    For bash, put this line into ~/.bashrc:

    \b
        eval "$(runstone completion bash)"
    """
    from runstone.cli.main import runstone

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(runstone, {}, "runstone", "_RUNSTONE_COMPLETE").source())
