"""`Run`: the record of one run, the same object in the process that made it and in any other."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from runstone.core import events as ev
from runstone.core.annotated import Annotation, acting_tags, notes
from runstone.core.reasons import Reason
from runstone.core.statuses import BlockStatus, RunStatus
from runstone.engine.launch import Known, Launched
from runstone.engine.record_folder import FolderRecorder
from runstone.engine.sources import FolderSource, MemorySource, Source
from runstone.errors import FolderError, RunError, RunFailed
from runstone.folder import manifest, observe
from runstone.folder.load import StoredArray
from runstone.folder.resolve import no_run_in, shown, typed
from runstone.ledger.locating import FolderGone, locate

if TYPE_CHECKING:
    from runstone.folder.logs import LogLine
    from runstone.folder.why import Explanation

_TYPES = 3
_ENDED_WELL = (RunStatus.COMPLETED, RunStatus.DEGRADED)
_MADE = (BlockStatus.COMPLETED, BlockStatus.REUSED, BlockStatus.DEGRADED)


class RunRecord:
    """What a run tells by its properties: the base of `Run` and of its twin for asyncio in `runstone.workspace`.

    Everything is read-only. A run that has not ended is looked at again whenever it is asked; one that has ended never
    changes. Times are RFC 3339 in UTC, durations seconds.
    """

    def __init__(self, source: Source, block: str | None = None) -> None:
        self._source = source
        self._block = block

    # identity

    @property
    def id(self) -> str:
        """The run's id."""
        return self._source.info.id

    run_id = id

    @property
    def pipeline(self) -> str:
        """The name of its pipeline."""
        return self._source.info.pipeline.name

    graph_name = pipeline

    @property
    def workspace(self) -> str:
        """The workspace it belongs to."""
        return self._source.info.workspace

    workspace_id = workspace

    @property
    def job_id(self) -> str | None:
        """The job that made it, if one did."""
        return self._source.info.job_id

    @property
    def replay_of(self) -> str | None:
        """The id of the run whose pipeline and parameters this one was given once more, if it is a replay."""
        return self._source.info.replay_of

    @property
    def run_folder(self) -> str | None:
        """Where it is recorded, None if it is not kept."""
        return self._source.folder

    @property
    def tags(self) -> list[str]:
        """Its tags: those it began with, and those that `runstone tag` has given it since."""
        return acting_tags(self._source.info.tags, self._source.annotations())

    @property
    def notes(self) -> list[Annotation]:
        """What `runstone note` has noted about it, in order: each with `text`, `said_at` and `said_by`."""
        return notes(self._source.annotations())

    # how it stands

    @property
    def status(self) -> str:
        """The word to act on; `crashed` also if its process is proven dead and wrote no end."""
        state = self._source.look()
        return state.status.value if state.done else str(self.status_object()["status"])

    @property
    def done(self) -> bool:
        """Whether an end is recorded."""
        return self._source.look().done

    @property
    def created_at(self) -> str:
        return self._source.info.created_at

    @property
    def started_at(self) -> str | None:
        return self._source.look().started_at

    @property
    def finished_at(self) -> str | None:
        return self._source.look().finished_at

    completed_at = finished_at

    @property
    def duration_seconds(self) -> float | None:
        """From start to end, or to the last that was recorded if it crashed; None while it goes on."""
        if self._source.look().done:
            return self._source.seconds()
        found: float | None = self.status_object().get("duration_seconds")
        return found

    @property
    def progress(self) -> float | None:
        """How much is done, from 0 to 1."""
        found: float | None = self.status_object()["progress_fraction"]
        return found

    def status_object(self) -> dict[str, Any]:
        """All of it, as every surface shows it; see docs/run-folders.md."""
        return self._source.status()

    def manifest(self) -> dict[str, Any]:
        """The run in the shape of `manifest.json`, as it stands now."""
        return manifest.build(self._source.info, self._source.look(), self.status)

    @property
    def blocks(self) -> dict[str, str]:
        """Every block with its status; `crashed` for those that were being executed when its process died."""
        state = self._source.look()
        if self.run_folder is None or state.done:
            return {name: block.status.value for name, block in state.blocks.items()}
        return observe.acting_blocks(self.run_folder)

    @property
    def block(self) -> dict[str, Any] | None:
        """The record of the block that `open` was asked for as RUN/BLOCK, see docs/run-folders.md; else None."""
        if self._block is None or self.run_folder is None:
            return None
        found: dict[str, Any] = observe.status(self.run_folder, self._block)
        if "error" in found:
            raise FolderError(found["error"])
        record: dict[str, Any] = found["block"]
        return record

    @property
    def stages(self) -> list[dict[str, Any]]:
        """Every block with its status and duration."""
        found: list[dict[str, Any]] = self.manifest()["stages"]
        return found

    # what went in and came out

    @property
    def params(self) -> Mapping[str, Any]:
        """The parameters, loaded one by one when they are asked for."""
        return self._source.params()

    @property
    def outputs(self) -> Mapping[str, Any]:
        """The named outputs, loaded one by one when they are asked for.

        What a mapped block made behaves like a list; an element that failed is a `Failed` in its place.
        """
        return self._source.outputs()

    @property
    def errors(self) -> list[RunErrorRecord]:
        """What user code raised, in order; the first 1,000 of each block."""
        return [RunErrorRecord(event, self._source) for event in self._source.errors()]

    @property
    def error(self) -> str | None:
        """What went wrong first, in one line; None if nothing did."""
        return manifest.first_error(self._source.look())

    @property
    def artifacts(self) -> list[str]:
        """The ids of the files it saved; see `list_artifacts`."""
        return [artifact.artifact_id for artifact in self._source.artifacts()]

    def explain(self) -> str:
        """How it ended and where to look, in a few words."""
        return "\n".join([self._headline(), *self._see_it()])

    def _failure(self) -> str:
        """The same, with the line of the user's code that raised, and how to go on; what `RunFailed` says."""
        lines = [self._headline(), *self._where(), *self._see_it()]
        if self.run_folder:
            lines.append(f"  go on:  run(..., run_folder={shown(self.run_folder)!r}, resume=True)")
        return "\n".join(lines)

    def _headline(self) -> str:
        state = self._source.look()
        verb = "ended" if state.done or self.status == "crashed" else "is"
        said = f"run {self.id[:8]} of {self.pipeline!r} {verb} {self.status}"
        why = self.error or ("" if state.done else self.status_object()["message"])
        if why:
            said += f": {why}"
        if state.error_count > 1:
            first = manifest.decisive(state)
            types = dict.fromkeys(error.type for error in self._recorded_errors() if first and error.type != first.type)
            also = f", also {', '.join(list(types)[:_TYPES])}" if types else ""
            said += f" (and {state.error_count - 1:,} more error{'s' * (state.error_count > 2)}{also})"
        return said

    def _where(self) -> list[str]:
        from runstone.folder.why.sentences import where

        first = manifest.decisive(self._source.look())
        for error in self._recorded_errors() if first is not None else ():
            if first is not None and (error.block, error.element) == (first.block, first.element):
                spot = where(error.traceback)
                return [] if spot is None else [f"  where:  {spot[0]}"]
        return []

    def _see_it(self) -> list[str]:
        return [f"  see it: runstone show {typed(self.run_folder)}"] if self.run_folder else []

    def _recorded_errors(self) -> list[ev.ErrorRaised]:
        """What is known in full; nothing if the folder is gone meanwhile."""
        try:
            return self._source.errors()
        except (OSError, FolderError):
            return []

    def __repr__(self) -> str:
        return f"<run {self.id[:8]} of {self.pipeline!r}: {self.status}>"


class Run(RunRecord):
    """One run: how it stands, what it made, what went wrong.

    Everything is read-only. A run that has not ended is looked at again whenever it is asked; one that has ended never
    changes. Times are RFC 3339 in UTC, durations seconds.
    """

    def get_result(self) -> dict[str, Any]:
        """All outputs by name, loaded; what a mapped block made as a list, of lists if it has more axes.

        An element that failed is a `Failed` in its place; outputs of blocks that were skipped or allowed to fail are
        left out. Raises RunError if the run has not ended, or not well: `outputs` has what was made.
        """
        if self.status not in _ENDED_WELL:
            raise RunError(f"{self._headline()}; what it made so far is in its outputs, one by one")
        state = self._source.look()
        found = {
            name: self.outputs[name]
            for name, block in self._source.info.outputs.items()
            if state.blocks[block.name].status in _MADE
        }
        return {name: value.to_list() if isinstance(value, StoredArray) else value for name, value in found.items()}

    def list_artifacts(self, artifact_type: str | None = None) -> list[ev.ArtifactSaved]:
        """The files it saved, with name, type, size, media type, checksum and metadata; `path` is below the folder."""
        found = self._source.artifacts()
        return [one for one in found if artifact_type is None or one.artifact_type == artifact_type]

    def logs(
        self,
        block: str | None = None,
        element: int | None = None,
        level: str | None = None,
        grep: str | None = None,
    ) -> Iterator[LogLine]:
        """What its blocks printed, logged and warned of, oldest first; nothing if the run is not kept.

        block, element: of these only; level: at least this one; grep: a regular expression that is found in the
        message. Raises SettingError for a level or an expression that does not exist.
        """
        from runstone.folder.log_reading import read_logs
        from runstone.folder.log_search import LogQuery

        query = LogQuery.of(block=block or self._block, element=element, level=level, grep=grep)
        return iter(()) if self.run_folder is None else read_logs(self.run_folder, query)

    def cancel(self, message: str = "", *, wait: float = 10.0) -> str:
        """Stop it, from any process that reaches its folder; returns its status then.

        wait: seconds to wait for the end; 0 only asks. A run whose process is proven dead is recorded as cancelled.
        Raises RunError if it is not kept, FolderError if its folder cannot be written.
        """
        from runstone.engine.stop import cancel

        if self.run_folder is None:
            raise RunError(
                self._of_ledger("cancel")
                or "this run is not kept, so nothing can be left there for it; use the handle of run_async"
            )
        return str(cancel(self.run_folder, message=message, wait=wait)["status"])

    def why(self, block: str | None = None, element: int | tuple[int, ...] | None = None) -> Explanation:
        """Why it is as it is, or one of its blocks, or an element of that: to be printed, or asked for its fields.

        element: its flat number, or an index for each axis. Raises SettingError for what the run does not have, and
        RunError if it is not kept.
        """
        from runstone.folder.why import explain

        if self.run_folder is None:
            raise RunError(
                self._of_ledger("why") or "this run is not kept, so nobody can tell why; give run(...) a run_folder"
            )
        return explain(self.run_folder, block or self._block, element)

    def _of_ledger(self, asked: str) -> str | None:
        """Why a run that only the ledger tells cannot do what is asked of it; None for other ones."""
        from runstone.engine.source_ledger import LedgerSource

        return self._source.refusal(asked) if isinstance(self._source, LedgerSource) else None


class RunErrorRecord:
    """One error of a run: what was raised, where, for which arguments."""

    def __init__(self, event: ev.ErrorRaised, source: Source) -> None:
        self._event = event
        self._source = source
        self.type: str = event.type
        self.message: str = event.message
        self.traceback: str = event.traceback
        self.block: str = event.block
        self.element: int | None = event.element
        self.index: tuple[int, ...] | None = None if event.index is None else tuple(event.index)
        self.attempt: int = event.attempt
        self.reason: str = event.reason.value
        self.occurred_at: str = event.at
        self.params: dict[str, Any] = event.params

    def reproduce(self) -> Any:
        """Call the function again, here, with the inputs that were stored, and return what it gives.

        Works in any process that can import the function. Raises what the function raises, and RunError if the
        function or its inputs cannot be found.
        """
        if self.reason == Reason.CONDITION_ERROR.value:
            raise RunError(
                f"it was the condition of block {self.block!r} that raised; its function was not called, and is not now"
            )
        return self._source.reproduce(self.block, self.element)

    def __repr__(self) -> str:
        where = self.block if self.element is None else f"{self.block}[{', '.join(map(str, self.index or ()))}]"
        return f"<{where}: {self.type}: {self.message}>"


def execute(launched: Launched | Known, *, raise_on_error: bool) -> Run:
    """Execute a launched run and return its record; see `Pipeline.run` for what is raised."""
    if isinstance(launched, Known):
        return open_run(launched.folder)
    launched.execute()
    driver, recorder = launched.driver, launched.driver.recorder
    functions = {name: block.function for name, block in driver.task.blocks.items()}
    if isinstance(recorder, FolderRecorder):
        run = Run(FolderSource(recorder.writer.folder, launched.info, recorder.state, functions=functions))
    else:
        run = Run(MemorySource(launched.info, recorder, driver.values, functions))
    if raise_on_error and recorder.state.status not in _ENDED_WELL:
        raise RunFailed(run._failure(), run) from driver.error
    return run


def open_run(run: str | os.PathLike[str], *, trust: bool | None = None) -> Run:
    """Open the record of a run, in any process.

    run: its folder, its id, or the first characters of its id; behind a `/` a block of it may be named, whose record
    is `.block` then. trust: whether stored values may be unpickled when they are asked for, which runs code from the
    folder; left out, they may unless the run was imported. Say False for folders that somebody else made.
    A run that has no folder, as one that was tracked, or whose folder is gone, is told by the ledger.
    Raises RunNotFound, FolderError.
    """
    try:
        found = locate(run)
    except FolderGone as gone:
        if gone.of_block:
            raise
        from runstone.engine.source_ledger import of_project

        return Run(of_project(gone.run_id))
    try:
        return Run(FolderSource.open(found.folder, trust=trust), found.block)
    except (FileNotFoundError, NotADirectoryError):
        raise no_run_in(found.folder) from None
