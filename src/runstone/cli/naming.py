"""How a run is named in a command that somebody may type next."""

from __future__ import annotations

import shlex

from runstone import config


def typed(run: str) -> str:
    """RUN as the user has named it, for the shell, with the workspace if that was said with this command."""
    workspace = config.chosen_workspace()
    return shlex.quote(run) if workspace is None else f"{shlex.quote(run)} --workspace {shlex.quote(workspace)}"
