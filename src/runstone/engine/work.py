"""What an executor is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from runstone.blocks import Block
from runstone.core import events as ev
from runstone.core.graph import Graph
from runstone.core.inputs import extra_inputs
from runstone.core.reasons import Reason
from runstone.core.receipts import Receipt
from runstone.core.settings import Settings
from runstone.core.statuses import BlockStatus
from runstone.engine.control import Control
from runstone.engine.record import Recorder, Stored
from runstone.secrets.given import handed

if TYPE_CHECKING:
    from runstone.engine.caching.run_cache import RunCache


class Sources(Protocol):
    """Where a block run finds its arguments, and leaves what it makes for others."""

    @property
    def kept(self) -> bool: ...

    def __getitem__(self, name: str) -> Any: ...

    def wanted(self, name: str) -> bool: ...

    def put(self, name: str, value: Any) -> None: ...


class Values:
    """The values a run holds: its parameters, and outputs as long as a block still needs them."""

    def __init__(self, graph: Graph, params: Mapping[str, Any]) -> None:
        self.params = params
        self._graph = graph
        self._values: dict[str, Any] = dict(params)
        self._stored: dict[str, Stored] = {}
        self._waiting: dict[str, set[str]] = {}
        self._taken: dict[str, list[str]] = {}
        for uses in (graph.uses, graph.condition_uses):
            for block, parameters in uses.items():
                for parameter, use in parameters.items():
                    if use.source is not None:
                        self._waiting.setdefault(parameter, set()).add(block)
                        self._taken.setdefault(block, []).append(parameter)
        self.kept = False

    def __getitem__(self, name: str) -> Any:
        if name not in self._values and name in self._stored:
            self._values[name] = self._stored[name].load()
        return self._values[name]

    def __contains__(self, name: str) -> bool:
        return name in self._values or name in self._stored

    def portable(self, name: str) -> Any:
        """What to send to another process: the value, or where it is stored."""
        return self._stored.get(name) or self._values[name]

    def extras(self, block: Block[..., Any]) -> dict[str, Any]:
        """What goes into the `**kwargs` of a block."""
        if not block.takes_extra:
            return {}
        return {name: handed(value, Any) for name, value in extra_inputs(self._graph, self.params).items()}

    def keep_all(self) -> None:
        """Hold on to everything: there is no folder to load it from later."""
        self.kept = True

    def wanted(self, name: str) -> bool:
        """Whether anything will ask for this output."""
        return self.kept or bool(self._waiting.get(name))

    def put(self, name: str, value: Any) -> None:
        """Hold an output, if anything will ask for it."""
        if not self.wanted(name):
            return
        if type(value) is Stored:
            self._stored[name] = value
        else:
            self._values[name] = value

    def release(self, block: str) -> None:
        """A block has ended: let go of what only it was waiting for."""
        for name in self._taken.get(block, ()):
            self._waiting[name].discard(block)
            if not self._waiting[name] and not self.kept:
                self._values.pop(name, None)
                self._stored.pop(name, None)


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """One block run to be executed.

    extras: what goes into its `**kwargs`; code: the identity of its code; cache: where its results are looked for and
    kept, None if they are not.
    """

    block: Block[..., Any]
    settings: Settings
    recorder: Recorder
    control: Control
    values: Sources
    extras: dict[str, Any] = {}
    code: dict[str, str] = {}
    cache: RunCache | None = None


class BlockEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How a block run ended; REUSED if all of it came out of the cache, which is recorded by then.

    error: the exception behind it, for the caller to chain to.

    receipts: of the processes that were ended from outside. cpu_seconds, peak_memory (bytes): of the last attempt, if
    it had a process of its own.
    """

    status: BlockStatus
    reason: Reason | None = None
    message: str = ""
    values: dict[str, ev.StoredValue] = {}
    inner_shapes: dict[str, list[int]] = {}
    error: BaseException | None = None
    receipts: list[Receipt] = []
    cpu_seconds: float | None = None
    peak_memory: int | None = None
