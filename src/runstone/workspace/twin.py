"""Workspaces for asyncio: every call is that of `runstone.workspace.sync`, made in a thread."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Unpack

from runstone.core.compare import Comparison
from runstone.core.events import ArtifactSaved
from runstone.pipeline import Pipeline
from runstone.run import RunRecord
from runstone.workspace import sync
from runstone.workspace.filters import Filters
from runstone.workspace.records import RunHistory, Runs, WorkspaceRecord
from runstone.workspace.replay import JobRecord

if TYPE_CHECKING:
    from runstone.folder.logs import LogLine
    from runstone.folder.why import Explanation


class WorkspaceManager:
    """The workspaces of the project in the current folder. `default` is always there.

    Raises SettingError if the project has no ledger. Every method raises LedgerError if that cannot be used.
    """

    def __init__(self) -> None:
        self._sync = sync.WorkspaceManager()

    async def create(self, name: str, *, description: str = "", exist_ok: bool = False) -> Workspace:
        """Make a workspace. exist_ok: take the one that is there already, as it is.

        Raises SettingError for a name that is taken, or that cannot be one: letters, digits, - and _, at most 100.
        """
        return Workspace(await asyncio.to_thread(self._sync.create, name, description=description, exist_ok=exist_ok))

    async def get(self, name: str) -> Workspace:
        """The workspace with this name or id, which are the same. Raises WorkspaceNotFound."""
        return Workspace(await asyncio.to_thread(self._sync.get, name))

    async def list(self) -> list[Workspace]:
        """All of them, `default` first, the others by name."""
        return [Workspace(each) for each in await asyncio.to_thread(self._sync.list)]

    async def delete(self, name: str) -> int:
        """Delete a workspace with all its runs; returns how many. See the twin in `runstone.workspace.sync`."""
        return await asyncio.to_thread(self._sync.delete, name)


class Workspace(WorkspaceRecord):
    """A named container of runs; nothing here reaches a run of another one.

    Where a run is asked for, its id will do, or the first characters of it (four at least), or its folder, or the name
    of that. Every method raises RunNotFoundError for a run that is not in this workspace. What each does is told by the
    method of the same name in `runstone.workspace.sync`.
    """

    def __init__(self, twin: sync.Workspace) -> None:
        super().__init__(twin._row)
        self._sync = twin

    async def run(self, pipeline: Pipeline, params: Mapping[str, Any] | None = None, /, **options: Any) -> Run:
        """Execute a pipeline in this process, beside the loop, in this workspace; as `Pipeline.run` otherwise.

        Cancelling the task that awaits it cancels the run.
        """
        self._sync._check(pipeline, options.get("run_folder"))
        return Run(await pipeline.run_async(params, workspace=self.name, **options))

    async def get_run(self, run: str | os.PathLike[str]) -> Run:
        """One run, as it is now."""
        return Run(await asyncio.to_thread(self._sync.get_run, run))

    async def list_runs(
        self, *, limit: int = sync.PAGE, cursor: str | None = None, **filters: Unpack[Filters]
    ) -> Runs[Run]:
        """Runs, newest first: `limit` of them, if there are as many; `.cursor` tells where the list goes on."""
        found = await asyncio.to_thread(self._sync.list_runs, limit=limit, cursor=cursor, **filters)
        return Runs([Run(each) for each in found], found.cursor)

    async def replay_run(
        self,
        run: str | os.PathLike[str],
        param_overrides: Mapping[str, Any] | None = None,
        *,
        pipeline: Pipeline | None = None,
    ) -> Job:
        """Start a new run with the pipeline and the parameters of another one; returns once it has started."""
        return Job.of(await asyncio.to_thread(self._sync.replay_run, run, param_overrides, pipeline=pipeline))

    async def get_run_history(self, **filters: Unpack[Filters]) -> RunHistory:
        """How the runs went: how many, how they ended, how long they took. filters: as for `list_runs`."""
        return await asyncio.to_thread(self._sync.get_run_history, **filters)

    async def export_run_history(self, **filters: Unpack[Filters]) -> dict[str, Any]:
        """The same and all that the ledger knows of each run, as data that `json.dumps` takes."""
        return await asyncio.to_thread(self._sync.export_run_history, **filters)

    async def compare_runs(
        self, first: str | os.PathLike[str], second: str | os.PathLike[str], *, trust: bool = False
    ) -> Comparison:
        """In what two runs differ. trust: whether pickled values may be opened, which runs code from their folders."""
        return await asyncio.to_thread(self._sync.compare_runs, first, second, trust=trust)

    async def delete_run(self, run: str | os.PathLike[str]) -> int:
        """Delete a run, with its folder and all that is known of it; returns 1."""
        return await asyncio.to_thread(self._sync.delete_run, run)

    async def cleanup_runs(self, *, older_than: timedelta | datetime | str) -> int:
        """Delete the runs that were not active since then, an age or a moment; returns how many."""
        return await asyncio.to_thread(self._sync.cleanup_runs, older_than=older_than)

    async def keep_recent(self, n: int) -> int:
        """Delete all runs but the newest `n`; returns how many."""
        return await asyncio.to_thread(self._sync.keep_recent, n)


class Run(RunRecord):
    """One run: the properties of `runstone.Run`, and what takes its time to be awaited.

    Values are loaded when they are asked for; `get_result` loads them beside the loop.
    """

    def __init__(self, twin: sync.Run) -> None:
        super().__init__(twin._source, twin._block)
        self._sync = twin

    async def get_result(self) -> dict[str, Any]:
        """All outputs by name, loaded. Raises RunError if the run has not ended, or not well."""
        return await asyncio.to_thread(self._sync.get_result)

    async def list_artifacts(self, artifact_type: str | None = None) -> list[ArtifactSaved]:
        """The files it saved; `path` is below the run folder."""
        return await asyncio.to_thread(self._sync.list_artifacts, artifact_type)

    async def logs(self, **query: Any) -> list[LogLine]:
        """What its blocks printed, logged and warned of, oldest first. query: as for `runstone.Run.logs`."""
        return await asyncio.to_thread(lambda: list(self._sync.logs(**query)))

    async def cancel(self, message: str = "", *, wait: float = 10.0) -> str:
        """Stop it; returns its status then. wait: seconds to wait for the end."""
        return await asyncio.to_thread(self._sync.cancel, message, wait=wait)

    async def why(self, block: str | None = None, element: int | tuple[int, ...] | None = None) -> Explanation:
        """Why it is as it is, or one of its blocks, or an element of that."""
        return await asyncio.to_thread(self._sync.why, block, element)


class Job(JobRecord):
    """What made a run that goes on in this process: it has the id of the run, and waits for its end."""

    @classmethod
    def of(cls, twin: sync.Job) -> Job:
        """The same job, to be awaited."""
        return cls(twin.id, twin._handle)

    async def wait(self, timeout: float | None = None) -> Run:
        """The run, when it has ended, however it did. timeout: in seconds; then TimeoutError, and the run goes on.

        Raises StorageError if it could not be recorded. Cancelling the task that awaits it does the run no harm.
        """
        await asyncio.wait_for(self._handle.ended(), timeout)
        return Run(self._handle.result(0))
