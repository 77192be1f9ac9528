"""A run once more: its pipeline is found again where its record says, and given the parameters that it had."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from runstone.core.records import RunInfo
from runstone.engine.background import RunHandle
from runstone.engine.failures import describe
from runstone.engine.importing import attribute, import_named
from runstone.engine.launch import AUTO, launch, new_id
from runstone.engine.resuming import refuse_imported
from runstone.errors import RunError
from runstone.ledger.find_summary import RunSummary
from runstone.pipeline import Pipeline
from runstone.run import Run, execute
from runstone.workspace.recorded import open_folder

TRIGGER = "replay"


class JobRecord:
    """What a job tells of itself: the base of both twins. id: of the job, which the run has as its `job_id`."""

    def __init__(self, job_id: str, handle: RunHandle[Run]) -> None:
        self.id = job_id
        self.run_id = handle.run_id
        self._handle = handle

    @property
    def done(self) -> bool:
        """Whether the run has ended."""
        return self._handle.done

    @property
    def progress(self) -> float | None:
        """How much is done, from 0 to 1; None as long as nothing can be said."""
        return self._handle.progress

    def cancel(self) -> None:
        """Ask the run to stop at its next element or block; `wait` tells when it has."""
        self._handle.cancel()

    def __repr__(self) -> str:
        return f"<job {self.id[:8]}: {self._handle!r}>"


def replay(known: RunSummary, overrides: Mapping[str, Any], *, pipeline: Pipeline | None) -> tuple[str, RunHandle[Run]]:
    """Start a new run in the same workspace, of the same pipeline, with the parameters that a run had.

    overrides: what takes the place of parameters. pipeline: the code to run, otherwise it is imported.
    Returns the id of the job, and a handle. Raises RunError if the code or the parameters cannot be found, Untrusted
    for a run that came out of an archive, InputError for parameters that do not fit.
    """
    source = open_folder(known)
    if source is None:
        raise RunError(
            f"run {known.run_id[:8]} of {known.pipeline_name!r} has no folder with its pipeline and its parameters, "
            "so it cannot be replayed"
        )
    # before the code that it names is imported, and its values are opened
    refuse_imported(source.info)
    code = _pipeline(source.info) if pipeline is None else pipeline
    taken = {
        name: source.params()[name]
        for name, param in source.info.params.items()
        # a default that the code does not know any more was nobody's wish
        if name not in overrides and (param.source == "caller" or name in code.graph.run_parameters)
    }
    job_id = new_id()
    launched = launch(
        code,
        {**taken, **overrides},
        run_folder=AUTO,
        show_progress=False,
        workspace=known.workspace,
        settings={},
        trigger=TRIGGER,
        job_id=job_id,
        replay_of=known.run_id,
    )
    return job_id, RunHandle(launched, functools.partial(execute, raise_on_error=False)).start()


def _pipeline(info: RunInfo) -> Pipeline:
    """The pipeline that a run names. Imports its code. Raises RunError."""
    place = info.pipeline.loader
    named = f"run {info.id[:8]} of {info.pipeline.name!r}"
    by_hand = "give replay_run(..., pipeline=...)"
    if place is None:
        raise RunError(
            f"{named} does not say where its pipeline is found, as it was made inside of something; {by_hand}"
        )
    where, _, name = place.rpartition(":")
    try:
        found = attribute(import_named(where), name)
    except Exception as error:
        raise RunError(
            f"{named} names its pipeline as {place}, which cannot be imported: {describe(error).short}; {by_hand}"
        ) from error
    if not isinstance(found, Pipeline):
        raise RunError(f"{named} names its pipeline as {place}, which is of type {type(found).__name__}; {by_hand}")
    return found
