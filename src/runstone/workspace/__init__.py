"""Workspaces in Python: named containers of runs, to find, replay, compare, export and delete what is in them.

For asyncio here; the same names without it are in `runstone.workspace.sync`.
"""

from __future__ import annotations

from runstone.errors import RunError, WorkspaceNotFound
from runstone.errors import RunNotFound as RunNotFoundError
from runstone.workspace.records import RunHistory, Runs
from runstone.workspace.twin import Job, Run, Workspace, WorkspaceManager

__all__ = [
    "Job",
    "Run",
    "RunError",
    "RunHistory",
    "RunNotFoundError",
    "Runs",
    "Workspace",
    "WorkspaceManager",
    "WorkspaceNotFound",
]
