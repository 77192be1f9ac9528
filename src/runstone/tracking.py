"""The public door to tracking: any code as a run, without a pipeline."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar, overload

from runstone.engine.track import by_hand, complaints, windows
from runstone.engine.track.tracked import Tracked

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
R = TypeVar("R")

Moment = datetime | str | float


class Track:
    """Makes any code a run: `with track("load", rows_in=150) as t: ...`, or `@track` before a function.

    The run is recorded as running from the start, and as crashed if the process dies; an exception is recorded with its
    traceback and raised on unchanged. A run that begins inside of another one is its child. Nothing here raises into
    the work or waits for a database.
    """

    @overload
    def __call__(self, stage: F, /) -> F: ...

    @overload
    def __call__(
        self,
        stage: str | None = None,
        *,
        rows_in: int | None = None,
        workspace: str | None = None,
        tenant_id: str | None = None,
        inputs: Any = None,
        params: Mapping[str, Any] | None = None,
        tags: Sequence[str] | None = None,
        parent: Tracked | str | None = None,
        code: Callable[..., Any] | Sequence[Callable[..., Any]] | None = None,
        trace_id: str | None = None,
        code_ref: str | None = None,
        config_hash: str | None = None,
        input_fingerprint: str | None = None,
    ) -> Tracked: ...

    def __call__(self, stage: Any = None, **options: Any) -> Any:
        if callable(stage) and not isinstance(stage, str):
            return Tracked(None, **options)(stage)
        return Tracked(stage, **options)

    @overload
    def windows(self, items: Iterable[Any], /, **options: Any) -> Iterator[Tracked]: ...

    @overload
    def windows(
        self, items: Iterable[T], process: Callable[[T], Awaitable[R]], /, **options: Any
    ) -> Awaitable[list[R]]: ...

    @overload
    def windows(self, items: Iterable[T], process: Callable[[T], R], /, **options: Any) -> list[R]: ...

    def windows(self, items: Iterable[Any], process: Callable[[Any], Any] | None = None, /, **options: Any) -> Any:
        """A run `window_<n>` for each of many items; `rows_in` is the length of the item, where it has one.

        Without `process`, go through them with `for w in track.windows(items): with w as t: ...`; `w.item` is the item.
        With it, returns the list of what it returns for each; of a coroutine function, something to await that gives
        the list. options: as for `track`; with `cache=True` an item that was processed before, by the same code, gives
        what it gave then.
        """
        if process is None:
            return windows.runs(items, options)
        return windows.processed(items, process, options)


track = Track()


def record_run(
    run_id: str | None = None,
    stage: str | None = None,
    status: str = "running",
    *,
    workspace: str | None = None,
    tenant_id: str | None = None,
    created_at: Moment | None = None,
    started_at: Moment | None = None,
    finished_at: Moment | None = None,
    error: str | BaseException | None = None,
    rows_in: int | None = None,
    rows_out: int | None = None,
    llm_calls: int | None = None,
    tokens: int | None = None,
    metrics: Mapping[str, float] | None = None,
    message: str | None = None,
    inputs: Any = None,
    params: Mapping[str, Any] | None = None,
    tags: Sequence[str] | None = None,
    parent_id: str | None = None,
    trace_id: str | None = None,
    code_ref: str | None = None,
    config_hash: str | None = None,
    input_fingerprint: str | None = None,
    conn: str | None = None,
    **unknown: Any,
) -> str:
    """Record that there is a run, and how it stands; returns its id, a new one if none is given.

    Times are datetimes (without a zone they are in UTC), texts, or seconds since 1970. conn: the path or the URL of
    another ledger than that of the project. Nothing is raised: what cannot be recorded is said on standard error.
    """
    told = _told(locals(), unknown)
    try:
        return by_hand.record("record_run", told)
    except Exception as fault:
        complaints.unexpected(fault)
        return run_id if isinstance(run_id, str) else ""


def update_run(
    run_id: str,
    status: str | None = None,
    *,
    started_at: Moment | None = None,
    finished_at: Moment | None = None,
    error: str | BaseException | None = None,
    rows_in: int | None = None,
    rows_out: int | None = None,
    llm_calls: int | None = None,
    tokens: int | None = None,
    metrics: Mapping[str, float] | None = None,
    message: str | None = None,
    conn: str | None = None,
    **unknown: Any,
) -> None:
    """Say what is new about a run that `record_run` or `track` made, in this process or another one of the project.

    With an end, its duration is computed. A run that has ended stays as it is: that is said once, and nothing raised.
    """
    told = _told(locals(), unknown)
    try:
        by_hand.update("update_run", told.pop("run_id", None), told)
    except Exception as fault:
        complaints.unexpected(fault)


def _told(given: dict[str, Any], unknown: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**given, **unknown}.items() if name != "unknown" and value is not None}


__all__ = ["Tracked", "record_run", "track", "update_run"]
