"""A run that only the ledger tells: tracked ones have no folder, and that of another one may be gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from runstone import config
from runstone.core import events as ev
from runstone.core.annotated import Annotation
from runstone.core.moves import DONE
from runstone.core.reasons import Reason
from runstone.core.records import BlockInfo, ParamInfo, PipelineInfo, RunInfo
from runstone.core.run_state import ArtifactSummary, BlockState, ErrorSummary, RunState
from runstone.core.status import Observation, status_object
from runstone.core.statuses import BlockStatus, Liveness, RunStatus
from runstone.engine.sources import Lazy
from runstone.errors import FolderError, RunError, RunNotFound
from runstone.folder import identity
from runstone.ledger import opening
from runstone.ledger.annotations import of_run
from runstone.ledger.artifacts import artifacts
from runstone.ledger.detail import ErrorRecord, RunDetail, detail
from runstone.ledger.find import get
from runstone.ledger.find_summary import RunSummary
from runstone.ledger.place import find as find_place
from runstone.ledger.port import Store

Reading = Callable[[], AbstractContextManager[Store]]
"""Opens the ledger to be looked at, for as long as that takes. Raises LedgerError."""

_NOTHING: Mapping[str, Any] = {}
_WHOLE = (RunStatus.COMPLETED.value, RunStatus.DEGRADED.value)
_REASONS = {reason.value for reason in Reason}


def of_project(run_id: str) -> LedgerSource:
    """A run of the project and workspace that this process is in, by its id. Raises RunNotFound, LedgerError."""
    place = find_place()

    @contextmanager
    def reading() -> Iterator[Store]:
        store = None if place is None else opening.open_for_reading(place)
        if store is None:
            raise RunNotFound(f"there is no ledger any more that knows run {run_id}")
        try:
            yield store
        finally:
            store.close()

    with reading() as store:
        known = get(store, run_id, workspace=config.workspace())
        return LedgerSource(reading, store, known, why_gone(known))


def why_gone(known: RunSummary) -> str | None:
    """What to say of the folder of a run that is not there; None if it never had one."""
    return None if known.run_folder is None else f"its folder {known.run_folder} is not there any more"


class LedgerSource:
    """A run that has no folder, because it was tracked, or not any more: what the ledger has of it.

    why: what is wrong with its folder, None if it never had one. Parameters that are no plain values are their
    previews; of the errors there are the first ones.
    """

    folder: str | None = None

    def __init__(self, reading: Reading, store: Store, known: RunSummary, why: str | None) -> None:
        self._reading = reading
        self._which = {"workspace": known.workspace}
        self._why = why
        self._read(store, known.run_id)

    def _read(self, store: Store, run_id: str) -> None:
        told = self._told = detail(store, run_id, **self._which)
        self._artifacts = artifacts(store, run_id, **self._which)
        self.info = _info(told)
        self._state = _state(told, self._artifacts)

    def look(self) -> RunState:
        if not self._state.done:
            with self._reading() as store:
                self._read(store, self.info.id)
        return self._state

    def seconds(self) -> float | None:
        return self._told.run.duration_seconds

    def status(self) -> dict[str, Any]:
        ended = self.look().done
        run = self._told.run
        here = run.host == identity.host()
        alive = Liveness.LIVE if here else Liveness.LOST
        gone = run.status == RunStatus.CRASHED.value
        notes = [] if self._why is None else [self._why]
        if gone and not ended:
            notes.insert(
                0, f"its process on {run.host or 'its host'} is gone and wrote no end; what was recorded is kept"
            )
        found = status_object(
            self.info,
            self._state,
            Observation(
                liveness=Liveness.ENDED if ended else Liveness.GONE if gone else alive,
                source="ledger",
                run_folder=None,
                duration_seconds=run.duration_seconds,
                notes=notes,
            ),
        )
        # nothing is there to go on from; and without outputs to count, its end tells whether its work was done
        whole = found["all_complete"] and found["status"] in _WHOLE
        return {**found, "resumable": False, "all_complete": whole}

    def refusal(self, asked: str) -> str:
        """Why it cannot do what takes a folder, and what can be done. asked: `cancel` or `why`."""
        run = f"run {self.info.id[:8]}"
        if self._why is not None:
            return f"{run} cannot be asked for {asked}(): {self._why}"
        if asked == "cancel":
            where = self._told.run.host
            return f"{run} was tracked, and nobody can ask it to stop: end its process{f' on {where}' if where else ''}"
        return (
            f"{run} was tracked, and has no blocks to explain; what is known of it: runstone runs show {self.info.id}"
        )

    def params(self) -> Mapping[str, Any]:
        return Lazy(list(self._told.params), self._told.params.__getitem__, "parameters of this run")

    def outputs(self) -> Mapping[str, Any]:
        if self._why is not None:
            raise FolderError(f"run {self.info.id[:8]} has no outputs here: {self._why}")
        return _NOTHING

    def errors(self) -> list[ev.ErrorRaised]:
        return [_error_event(number, each) for number, each in enumerate(self._told.errors, start=1)]

    def artifacts(self) -> list[ev.ArtifactSaved]:
        return self._artifacts

    def annotations(self) -> list[Annotation]:
        with self._reading() as store:
            return of_run(store, self.info.id)

    def reproduce(self, block: str, element: int | None) -> Any:
        raise RunError(f"run {self.info.id[:8]} has no folder with the inputs of its calls, so none can be made again")


def _info(told: RunDetail) -> RunInfo:
    run = told.run
    return RunInfo(
        id=run.run_id,
        workspace=run.workspace,
        job_id=told.job_id,
        retry_of=run.retry_of,
        replay_of=told.replay_of,
        parent_id=run.parent_id,
        imported_from=told.imported_from,
        trigger=run.trigger,
        trace_id=run.trace_id,
        created_at=run.created_at,
        pipeline=PipelineInfo(name=run.pipeline_name, version=run.pipeline_version, code_ref=told.code_ref),
        blocks=[BlockInfo(name=block.block, outputs=[]) for block in told.blocks],
        params={name: ParamInfo(type=type(value).__name__, preview=value) for name, value in told.params.items()},
        tags=run.tags,
        config_hash=told.config_hash,
    )


def _state(told: RunDetail, saved: list[ev.ArtifactSaved]) -> RunState:
    run = told.run
    recorded = RunStatus(run.recorded_status)
    # nobody has recorded that end
    crashed = run.status == RunStatus.CRASHED.value and recorded not in DONE
    return RunState(
        status=recorded if crashed else RunStatus(run.status),
        started_at=run.started_at,
        updated_at=run.updated_at,
        status_changed_at=run.updated_at,
        finished_at=run.finished_at,
        cancel_requested_at=told.cancel_requested_at,
        reason=_reason(run.reason),
        message=run.message,
        blocks={
            block.block: BlockState(
                status=BlockStatus(block.recorded_status),
                attempt=block.attempt,
                ok=block.ok,
                failed=block.failed,
                upstream_failed=block.upstream_failed,
                retries=block.retries,
                started_at=block.started_at,
                finished_at=block.finished_at,
                duration=block.duration_seconds,
                message=block.message,
            )
            for block in told.blocks
        },
        errors=[_error_summary(each) for each in told.errors],
        error_count=run.error_count,
        artifacts=[
            ArtifactSummary(seq=each.seq, artifact_id=each.artifact_id, path=each.path, size_bytes=each.size_bytes)
            for each in saved
        ],
        artifact_count=run.artifact_count,
    )


def _reason(said: str | None) -> Reason | None:
    return Reason(said) if said in _REASONS else None


def _error_summary(error: ErrorRecord) -> ErrorSummary:
    return ErrorSummary(
        block=error.block,
        type=error.type,
        message=error.message,
        at=error.at,
        element=error.element,
        attempt=error.attempt,
        reason=_reason(error.reason),
    )


def _error_event(number: int, error: ErrorRecord) -> ev.ErrorRaised:
    return ev.ErrorRaised(
        seq=number,
        at=error.at,
        block=error.block,
        element=error.element,
        index=None if error.element is None else [error.element],
        attempt=error.attempt,
        reason=_reason(error.reason) or Reason.EXCEPTION,
        type=error.type,
        message=error.message,
        traceback=error.traceback,
    )
