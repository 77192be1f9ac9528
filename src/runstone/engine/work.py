"""What an executor is given, and what it gives back."""

from __future__ import annotations

from typing import Any

import msgspec

from runstone.blocks import Block
from runstone.core import events as ev
from runstone.core.graph import Graph
from runstone.core.reasons import Reason
from runstone.core.settings import Settings
from runstone.core.statuses import BlockStatus
from runstone.engine.control import Control
from runstone.engine.record import Recorder


class Values:
    """The values a run holds in memory: its parameters, and outputs as long as a block still needs them."""

    def __init__(self, graph: Graph, params: Any) -> None:
        self.params = params
        self._values: dict[str, Any] = dict(params)
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
        return self._values[name]

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def keep_all(self) -> None:
        """Hold on to everything: there is no folder to load it from later."""
        self.kept = True

    def wanted(self, name: str) -> bool:
        """Whether anything will ask for this output."""
        return self.kept or bool(self._waiting.get(name))

    def put(self, name: str, value: Any) -> None:
        """Hold an output, if anything will ask for it."""
        if self.wanted(name):
            self._values[name] = value

    def release(self, block: str) -> None:
        """A block has ended: let go of what only it was waiting for."""
        for name in self._taken.get(block, ()):
            self._waiting[name].discard(block)
            if not self._waiting[name] and not self.kept:
                self._values.pop(name, None)


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """One block run to be executed."""

    block: Block[..., Any]
    graph: Graph
    settings: Settings
    recorder: Recorder
    control: Control
    values: Values


class BlockEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How a block run ended. error: the exception behind it, for the caller to chain to."""

    status: BlockStatus
    reason: Reason | None = None
    message: str = ""
    values: dict[str, ev.StoredValue] = {}
    inner_shapes: dict[str, list[int]] = {}
    error: BaseException | None = None
