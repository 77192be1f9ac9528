"""How the tracked runs of a project stand, by what is in its journals."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator

import msgspec

from runstone.core.events import Driver
from runstone.core.tracked import TrackDeleted, TrackedState, TrackEvent, TrackSurroundings, apply
from runstone.errors import FolderError
from runstone.folder import identity, track_files
from runstone.folder.track_files import TrackFile


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One run. process: the one that last spoke of it, in the journal at `path`."""

    state: TrackedState
    process: Driver
    path: str


class Deletions(msgspec.Struct):
    """What several journals together say of runs.

    deleted: those that do not count any more. shared: those that more than one journal speaks of.
    """

    deleted: set[str] = msgspec.field(default_factory=set)
    shared: set[str] = msgspec.field(default_factory=set)
    settled: dict[str, bool] = msgspec.field(default_factory=dict)
    """For every journal that can be read, whether all is known that its process finds out later, or never will be."""


def survey(root: str, unreadable: Callable[[str, str], None]) -> Deletions:
    """Go through all journals of a project. unreadable: told which cannot be read, and why. Raises OSError."""
    found = Deletions()
    seen: set[str] = set()
    for path in track_files.paths(root):
        try:
            with TrackFile(path) as file:
                own: set[str] = set()
                settled = False
                for _, event in file.events():
                    if isinstance(event, TrackDeleted):
                        found.deleted.add(event.run)
                    elif isinstance(event, TrackEvent):
                        own.add(event.run)
                    else:
                        settled = True
                found.settled[path] = settled or bool(identity.is_gone(file.header.process))
        except OSError as error:
            unreadable(path, (error.strerror or str(error)).lower())
        except FolderError as error:
            unreadable(path, str(error))
        else:
            found.shared |= seen & own
            seen |= own
    return found


def runs(path: str, survey: Deletions) -> Iterator[Found]:
    """The runs that only this journal speaks of, and that were not deleted. Raises FolderError, OSError."""
    with TrackFile(path) as file:
        states: dict[str, TrackedState] = {}
        _fold(file, states, lambda run: run not in survey.shared and run not in survey.deleted)
        for state in states.values():
            yield Found(state=state, process=file.header.process, path=path)


def shared_runs(survey: Deletions) -> Iterator[Found]:
    """The runs that several journals speak of."""
    yield from gathered(list(survey.settled), survey.shared - survey.deleted)


def gathered(paths: list[str], wanted: set[str]) -> Iterator[Found]:
    """These runs, whichever of some journals their lines are in; journals that cannot be read are left out."""
    if not wanted:
        return
    marks = [f'"run":{_text(run)}'.encode() for run in wanted] if len(wanted) == 1 else []
    told: dict[str, list[tuple[int, str, int, TrackEvent]]] = {}
    files: list[tuple[str, Driver]] = []
    late: dict[int, TrackSurroundings] = {}
    for path in paths:
        try:
            with TrackFile(path) as file:
                number = len(files)
                files.append((path, file.header.process))
                for _, line in file.lines():
                    if marks and marks[0] not in line and b'"event":"found"' not in line:
                        continue
                    event = track_files.decode_line(line)
                    if isinstance(event, TrackSurroundings):
                        late[number] = event
                    elif isinstance(event, TrackDeleted):
                        wanted = wanted - {event.run}
                    elif event is not None and event.run in wanted:
                        told.setdefault(event.run, []).append((event.seq, event.at, number, event))
        except (OSError, FolderError):
            continue
    for run in sorted(told.keys() & wanted):
        state: TrackedState | None = None
        first = last = 0
        for _, _, number, said in sorted(told[run], key=lambda one: one[:3]):
            before = None if state is None else state.seq
            state = apply(state, said)
            if state is not None and state.seq != before:
                first = number if before is None else first
                last = number
        if state is not None:
            _complete(state, late.get(first))
            path, process = files[last]
            yield Found(state=state, process=process, path=path)


def is_being_written(path: str) -> bool:
    """Whether the process of a journal may be alive."""
    try:
        with TrackFile(path) as file:
            return not identity.is_gone(file.header.process)
    except (OSError, FolderError):
        return False


def find(root: str, run_id: str) -> Found | None:
    """One run of a project; None if no journal has it, or it was deleted."""
    try:
        paths = track_files.paths(root)
    except OSError:
        return None
    return next(gathered(paths, {run_id}), None)


def _fold(file: TrackFile, states: dict[str, TrackedState], counts: Callable[[str], bool]) -> None:
    """Go on with states of runs by what a file says."""
    late: TrackSurroundings | None = None
    for _, event in file.events():
        if isinstance(event, TrackSurroundings):
            late = event
        elif isinstance(event, TrackEvent) and counts(event.run):
            state = apply(states.get(event.run), event)
            if state is not None:
                states[event.run] = state
    for state in states.values():
        _complete(state, late)


def _complete(state: TrackedState, found: TrackSurroundings | None) -> None:
    """What the process has found out about itself is true of all its runs that do not say otherwise."""
    if found is not None:
        state.code_ref = state.code_ref or found.code_ref
        state.config_hash = state.config_hash or found.config_hash


_Mark = tuple[str, int, int, int, int]
"""A file as it is now."""


@functools.lru_cache(8)
def _all_of(marks: tuple[_Mark, ...]) -> dict[str, TrackedState]:
    states: dict[str, TrackedState] = {}
    process: Driver | None = None
    for path, *_ in marks:
        try:
            with TrackFile(path) as file:
                process = process or file.header.process
                if track_files.same_process(process, file.header.process):
                    _fold(file, states, lambda run: True)
        except (OSError, FolderError):
            continue
    return states


def last_words(path: str, run_id: str, process: Driver) -> TrackedState | None:
    """How a run stands in the journals of a process that is dead; None if it is not there. Never raises.

    path: one of them.
    """
    try:
        files = track_files.of_process(os.path.dirname(path), process)
        marks = tuple(_mark(each) for each in files)
    except (OSError, ValueError):
        return None
    return _all_of(marks).get(run_id)


def _mark(path: str) -> _Mark:
    found = os.stat(path)
    return path, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _text(run: str) -> str:
    return msgspec.json.encode(run).decode()
