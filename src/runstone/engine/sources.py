"""Where a `Run` finds what it tells: in a folder, or in the memory of the process that ran it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from runstone.core import events as ev
from runstone.core.annotated import Annotation
from runstone.core.arrays import Form, MappedArray
from runstone.core.records import RunInfo
from runstone.core.run_state import RunState
from runstone.core.status import Observation, status_object
from runstone.core.statuses import Liveness
from runstone.engine.record import Recorder
from runstone.engine.record_memory import MemoryRecorder
from runstone.engine.reproduce import call_again
from runstone.engine.work import Values
from runstone.errors import FolderError, RunError, Untrusted
from runstone.folder import observe, read
from runstone.folder.annotations import read_from
from runstone.folder.load import Loader, StoredArray
from runstone.folder.observe import duration

Functions = Mapping[str, Callable[..., Any]]


class Lazy(Mapping[str, Any]):
    """Values by name, loaded when they are asked for and then kept."""

    def __init__(self, names: list[str], load: Callable[[str], Any], what: str) -> None:
        self._names = names
        self._load = load
        self._what = what
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            if name not in self._names:
                from difflib import get_close_matches

                close = get_close_matches(str(name), self._names, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(self._names) or 'none'}"
                raise KeyError(f"{name!r} is not one of the {self._what}; {hint}")
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return f"<{self._what}: {', '.join(self._names) or 'none'}>"


class Source(Protocol):
    """What a `Run` needs to know of its run. info: its start; look: the fold as it is now; seconds: how long it took,
    None if it has not ended."""

    @property
    def info(self) -> RunInfo: ...

    @property
    def folder(self) -> str | None: ...

    def look(self) -> RunState: ...

    def seconds(self) -> float | None: ...

    def status(self) -> dict[str, Any]: ...

    def params(self) -> Mapping[str, Any]: ...

    def outputs(self) -> Mapping[str, Any]: ...

    def errors(self) -> list[ev.ErrorRaised]: ...

    def artifacts(self) -> list[ev.ArtifactSaved]: ...

    def annotations(self) -> list[Annotation]: ...

    def reproduce(self, block: str, element: int | None) -> Any: ...


class FolderSource:
    """A run in its folder. functions: of the blocks, where the process that ran it still has them."""

    def __init__(
        self, folder: str, info: RunInfo, state: RunState, *, functions: Functions | None = None, trust: bool = True
    ) -> None:
        self.folder: str | None = folder
        self.info = info
        self._path = folder
        self._state = state
        self._functions = functions or {}
        self._loader = Loader(folder, trust=trust)
        self._params = Lazy(list(info.params), self._loader.param, "parameters of this run")
        self._outputs = Lazy(list(info.outputs), self._output, "outputs of this run")

    @classmethod
    def open(cls, folder: str, *, trust: bool | None) -> FolderSource:
        """Read the run in a folder. trust: None for all runs but those that were imported.

        Raises FileNotFoundError, NotADirectoryError, FolderError.
        """
        reading = read.read_run(folder)
        trusted = reading.info.imported_from is None if trust is None else trust
        return cls(folder, reading.info, reading.state, trust=trusted)

    def look(self) -> RunState:
        if not self._state.done:
            self._state = read.read_run(self._path).state
        return self._state

    def seconds(self) -> float | None:
        return observe.run_seconds(self.look(), crashed=False)

    def status(self) -> dict[str, Any]:
        return observe.status(self._path)

    def params(self) -> Mapping[str, Any]:
        return self._params

    def outputs(self) -> Mapping[str, Any]:
        if not self.look().done:
            # more may have been recorded since the last look
            return Lazy(list(self.info.outputs), self._output, "outputs of this run")
        return self._outputs

    def _output(self, name: str) -> Any:
        return self._loader.output(name)

    def errors(self) -> list[ev.ErrorRaised]:
        return self._loader.errors()

    def artifacts(self) -> list[ev.ArtifactSaved]:
        return self._loader.artifacts()

    def annotations(self) -> list[Annotation]:
        return read_from(self._path)

    def reproduce(self, block: str, element: int | None) -> Any:
        if not self._loader.trust:
            raise Untrusted(
                f"calling a function of run {self.info.id[:8]} again runs the code that its folder names; if you trust "
                "where the folder came from, open it with trust=True"
            )
        return call_again(self.info, block, element, self._value, self._functions.get(block), self.info.params)

    def _value(self, name: str) -> Any:
        if name in self.info.outputs:
            found = self._loader.output(name)
            return found.as_mapped() if isinstance(found, StoredArray) else found
        return self._loader.param(name)


class MemorySource:
    """A run that was not kept: what its process still holds."""

    def __init__(self, info: RunInfo, recorder: Recorder, values: Values, functions: Functions) -> None:
        assert isinstance(recorder, MemoryRecorder)
        self.info = info
        self.folder: str | None = None
        self._recorder = recorder
        self._values = values
        self._functions = functions

    def look(self) -> RunState:
        return self._recorder.state

    def seconds(self) -> float | None:
        return observe.run_seconds(self.look(), crashed=False)

    def status(self) -> dict[str, Any]:
        state = self._recorder.state
        return status_object(
            self.info,
            state,
            Observation(
                liveness=Liveness.ENDED if state.done else Liveness.LIVE,
                source="journal",
                run_folder=None,
                duration_seconds=duration(state.started_at, state.finished_at, running=not state.done),
            ),
        )

    def params(self) -> Mapping[str, Any]:
        return dict(self._values.params)

    def outputs(self) -> Mapping[str, Any]:
        return Lazy(list(self.info.outputs), self._output, "outputs of this run")

    def _output(self, name: str) -> Any:
        if name not in self._values:
            raise FolderError(f"output {name!r} has no value: its block has not made it")
        value = self._values[name]
        return value.whole(Form.LIST) if isinstance(value, MappedArray) else value

    def errors(self) -> list[ev.ErrorRaised]:
        return self._recorder.errors

    def artifacts(self) -> list[ev.ArtifactSaved]:
        return []

    def annotations(self) -> list[Annotation]:
        return []

    def reproduce(self, block: str, element: int | None) -> Any:
        if block not in self._functions:
            raise RunError(f"there is no block {block!r} in this run")
        function, params = self._functions[block], self._values.params
        return call_again(self.info, block, element, self._values.__getitem__, function, params)
