"""One tracked run, as the code inside of it sees it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from runstone.core.events import ArtifactSaved
from runstone.core.statuses import RunStatus
from runstone.core.tracked import TrackStarted
from runstone.engine import context
from runstone.engine.launch import new_id
from runstone.engine.track import complaints, given, journals, surrounding
from runstone.engine.track.recording import Recording
from runstone.folder import clock

if TYPE_CHECKING:
    from runstone.engine.track.cached import Checkpoint

F = TypeVar("F", bound=Callable[..., Any])

_current: ContextVar[Tracked | None] = ContextVar("runstone_tracked", default=None)
_live: dict[str, Recording] = {}


class Tracked:
    """A run from `with` until its end; also a decorator, and then every call is a run.

    Nothing here raises into the work: what cannot be recorded is said in one line on standard error.
    """

    item: Any = None
    """What `track.windows` made this run for."""

    def __init__(self, stage: Any, given_by: str = "track", **options: Any) -> None:
        self.run_id = new_id()
        """Known before the run begins."""
        self._stage = stage
        self._options = options
        self._call = given_by
        self._recording: Recording | None = None
        self._entered: list[Token[Tracked | None]] = []
        self._place: context.Place | None = None
        self._clock = 0.0
        self._degraded = False
        self._checkpoint: Checkpoint | None = None
        self._used = False
        self._names = 0
        self._names = len(self.__dict__)

    def __enter__(self) -> Tracked:
        self._place = context.current()
        try:
            if self._used:
                # one object for several runs, one after the other
                self._again()
            self._used = True
            self._begin()
        except Exception as error:
            complaints.unexpected(error)
        except BaseException:
            # Ctrl-C just now: what is inside of `with` does not begin
            self._end(RunStatus.CANCELLED, None)
            raise
        self._entered.append(_current.set(self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        seconds = time.perf_counter() - self._clock
        self.step_out()
        try:
            self._end(self._outcome(error), error, seconds)
        except Exception as fault:
            complaints.unexpected(fault)

    async def __aenter__(self) -> Tracked:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def __call__(self, function: F) -> F:
        """Make every call of a function a run like this one."""
        from runstone.engine.track.functions import decorated

        found: F = decorated(function, self._stage, self._options)
        return found

    # what the code inside says

    @property
    def stage(self) -> str:
        """What this run is called."""
        return given.as_text(self._stage)

    @property
    def status(self) -> str | None:
        """How it stands; None before it has begun."""
        return None if self._recording is None else self._recording.status.value

    @property
    def rows_in(self) -> int:
        """How many rows went in; 0 until it is set."""
        return self._number("rows_in")

    @rows_in.setter
    def rows_in(self, value: int) -> None:
        self._set("rows_in", value)

    @property
    def rows_out(self) -> int:
        """How many rows came out; 0 until it is set."""
        return self._number("rows_out")

    @rows_out.setter
    def rows_out(self, value: int) -> None:
        self._set("rows_out", value)

    @property
    def llm_calls(self) -> int:
        """How often a language model was asked; 0 until it is set."""
        return self._number("llm_calls")

    @llm_calls.setter
    def llm_calls(self, value: int) -> None:
        self._set("llm_calls", value)

    @property
    def tokens(self) -> int:
        """How many tokens that took; 0 until it is set."""
        return self._number("tokens")

    @tokens.setter
    def tokens(self, value: int) -> None:
        self._set("tokens", value)

    def add(self, *, rows_in: int = 0, rows_out: int = 0, llm_calls: int = 0, tokens: int = 0, **unknown: Any) -> None:
        """Count on from several threads at once, where `+=` may lose some."""
        for name, count in (("rows_in", rows_in), ("rows_out", rows_out), ("llm_calls", llm_calls), ("tokens", tokens)):
            found = given.number(name, count)
            if found and self._recording is not None and not self._recording.add(name, found):
                self._too_late(name)
        given.unknown("t.add", unknown)

    def metric(self, name: str, value: float) -> None:
        """Record a number under a name; the last one counts."""
        try:
            found = given.metric(name, value)
            if found is not None and self._recording is not None and not self._recording.metric(*found):
                self._too_late("metric")
        except Exception as error:
            complaints.unexpected(error)

    def degraded(self, message: str = "") -> None:
        """Unless it fails, the run ends as degraded: it went on with something missing. message: with what."""
        self._degraded = True
        try:
            said = given.text("degraded", message, given.MESSAGE_LIMIT) or ""
            if self._recording is not None and not self._recording.set("message", said, now=True):
                self._too_late("degraded")
        except Exception as error:
            complaints.unexpected(error)

    def artifact(
        self,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        artifact_type: str | None = None,
        content_type: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> ArtifactSaved:
        """Save a file with this run, as `runstone.artifact` does; it is copied, the original stays.

        Nothing is raised: of a file that cannot be kept the record has no `artifact_id`, and its `path` is the one that
        was given.
        """
        from runstone.engine.track import saving

        about = {"name": name, "artifact_type": artifact_type, "content_type": content_type, "metadata": metadata}
        return saving.save(self._recording, self.stage, path, about)

    @property
    def cached(self) -> bool:
        """Whether the result of this code for these inputs is in the cache: then `load()` gives it.

        The code is that inside of `with`, unless `code=` names functions. Else `save(result)` keeps it for next time.
        """
        if self._checkpoint is None:
            from runstone.engine.track import cached

            self._checkpoint = cached.of_body(self, self._options, sys._getframe(1))
        return self._checkpoint.found

    def load(self) -> Any:
        """The result that is in the cache; the run says from which run it was taken. Raises RunError if none is."""
        checkpoint = self._checkpoint
        if checkpoint is None or checkpoint.from_run is None:
            from runstone.engine.track import cached

            raise cached.nothing_to_load(self)
        self.say_reused(checkpoint.from_run)
        return checkpoint.value

    def save(self, result: Any) -> None:
        """Keep the result in the cache, after `cached` has said that it is not there."""
        if self._checkpoint is not None:
            self._checkpoint.save(result)
        else:
            # by now its inputs may not be any more what they were
            complaints.once("save", f"the result of {self.stage} is not cached: ask t.cached before it is computed")

    def say_reused(self, from_run: str) -> None:
        """Its result was not computed, but taken from another run."""
        if self._recording is not None:
            self._recording.set("reused_from", from_run)
            self._recording.set("message", f"reused from run {from_run[:8]}", now=True)

    def __repr__(self) -> str:
        return f"<track {self.stage!r}, run {self.run_id[:8]}, {self.status or 'not begun'}>"

    # the record

    def _begin(self) -> None:
        options = self._options
        started = _started(self.run_id, self._stage, options, self._call)
        if started is not None:
            self._recording = Recording(journals.here(), started)
            if started.rows_in is not None:
                self._recording.know("rows_in", started.rows_in)
            _live[self.run_id] = self._recording
            self._recording.begin()
        self._clock = time.perf_counter()

    def _again(self) -> None:
        if self._entered:
            complaints.once("entered", f"track({self.stage!r}) is entered while it goes on: make one for each run")
        self.run_id = new_id()
        self._recording = None
        self._checkpoint = None
        self._degraded = False

    def is_within(self, place: context.Place | None) -> bool:
        """Whether it was begun by the block that is computed here, or where none is."""
        return self._place is place

    def step_out(self) -> None:
        """The code that follows is not inside of this run, though it goes on."""
        if not self._entered:
            return
        token = self._entered.pop()
        try:
            _current.reset(token)
        except ValueError:
            # left in another context than entered, as generators of asyncio may be
            return

    def _end(self, status: RunStatus, error: BaseException | None, seconds: float | None = None) -> None:
        recording = self._recording
        _live.pop(self.run_id, None)
        if recording is None:
            return
        trouble = given.trouble(error) if status is RunStatus.FAILED else None
        recording.end(status, error=trouble, duration_seconds=seconds)
        if len(self.__dict__) > self._names:
            for name in list(self.__dict__)[self._names :]:
                if name != "item":
                    complaints.once(f"attribute {name}", f"t.{name} is not recorded: a tracked run has no {name}")

    def _outcome(self, error: BaseException | None) -> RunStatus:
        if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
            return RunStatus.DEGRADED if self._degraded else RunStatus.COMPLETED
        return RunStatus.CANCELLED if isinstance(error, _stopped()) else RunStatus.FAILED

    def _number(self, name: str) -> int:
        found = None if self._recording is None else self._recording.get(name)
        return found or 0

    def _set(self, name: str, value: Any) -> None:
        try:
            found = given.number(name, value)
            if found is None:
                return
            if self._recording is None:
                if not self._used:
                    complaints.once("early", f"t.{name} is not recorded: the run has not begun")
            elif not self._recording.set(name, found):
                self._too_late(name)
        except Exception as error:
            complaints.unexpected(error)

    def _too_late(self, name: str) -> None:
        complaints.once("late", f"t.{name} is not recorded: run {self.run_id[:8]} has ended")


def current() -> Tracked | None:
    """The tracked run that the current thread or task is inside of."""
    return _current.get()


def innermost() -> Tracked | None:
    """The same, unless a block is computed inside of it: that is nearer."""
    around = _current.get()
    return around if around is None or around.is_within(context.current()) else None


def parent() -> str | None:
    """The id of the run that one which begins now is a child of: a tracked run, or that of the block around."""
    around = innermost()
    if around is not None:
        return around.run_id
    place = context.current()
    return None if place is None else place.recorder.run_id


def live(run_id: str) -> Recording | None:
    """The record of a run that goes on in this process."""
    return _live.get(run_id)


class Called(Tracked):
    """A run around a call that Runstone makes: errors leave it without the frames of that."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, traceback)
        if error is not None:
            from runstone.engine.own_frames import hide_own_frames

            hide_own_frames(error)


def step_in(run: Tracked | None) -> Token[Tracked | None]:
    """Be inside of a run, or of none, from here until `step_out`, in this context."""
    return _current.set(run)


def step_out(token: Token[Tracked | None]) -> None:
    """Be where one was before."""
    _current.reset(token)


def _started(run_id: str, stage: Any, options: dict[str, Any], call: str) -> TrackStarted | None:
    """The first line of a run; None if it cannot be recorded."""
    workspace = given.workspace(options.get("workspace"), options.get("tenant_id"))
    if workspace is None:
        return None
    told = dict(options)
    for name in ("workspace", "tenant_id"):
        told.pop(name, None)
    known: dict[str, Any] = {}
    rows_in = told.pop("rows_in", None)
    if rows_in is not None:
        known["rows_in"] = given.number("rows_in", rows_in)
    if told:
        _take_more(told, known, call)
    parent_id = known.get("parent_id") or parent()
    return TrackStarted(
        run=run_id,
        seq=1,
        at=clock.now(),
        stage=given.text("stage", stage) or "unnamed",
        workspace=workspace,
        trace_id=known.pop("trace_id", None) or surrounding.trace_id(),
        **{**known, "parent_id": parent_id},
    )


def _take_more(told: dict[str, Any], known: dict[str, Any], call: str) -> None:
    """What few runs say about themselves."""
    # what its result is kept by; see `cached`
    told.pop("code", None)
    said = told.pop("parent", None)
    if said is not None:
        known["parent_id"] = said.run_id if isinstance(said, Tracked) else given.run_id(said, "parent")
    known["tags"] = given.tags(told.pop("tags", None))
    inputs, params = told.pop("inputs", None), told.pop("params", None)
    known["params"] = given.params(params)
    known["trace_id"] = given.text("trace_id", told.pop("trace_id", None), 100)
    known["code_ref"] = given.text("code_ref", told.pop("code_ref", None))
    for name in ("config_hash", "input_fingerprint"):
        known[name] = given.digest(name, told.pop(name, None))
    known["input_fingerprint"] = known["input_fingerprint"] or given.fingerprint(inputs, params)
    given.unknown(call, told)


def _stopped() -> tuple[type[BaseException], ...]:
    """What stops work, and tells of nothing wrong with it."""
    asyncio: Any = sys.modules.get("asyncio.exceptions")
    if asyncio is None:
        return KeyboardInterrupt, GeneratorExit
    return KeyboardInterrupt, GeneratorExit, asyncio.CancelledError
