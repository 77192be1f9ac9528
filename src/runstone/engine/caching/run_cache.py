"""The cache as one run uses it: whatever is wrong with it is said once, and the run goes on computing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from runstone.cache import limits, place, pruning
from runstone.cache.store import Store
from runstone.core import events as ev
from runstone.errors import CacheError

if TYPE_CHECKING:
    from runstone.engine.caching.keeper import Keeper
    from runstone.engine.record_folder import FolderRecorder
    from runstone.engine.work import BlockEnd, Work

T = TypeVar("T")

_shared: dict[str, Store] = {}


def shared(folder: str) -> Store:
    """The cache in a folder, one for all runs of this process. Raises CacheError."""
    found = _shared.get(folder)
    if found is None:
        found = _shared.setdefault(folder, Store(folder))
    return found


def of_run(recorder: FolderRecorder) -> RunCache:
    """The cache for a run that is recorded. What is wrong with it becomes a warning of the run."""

    def complain(said: str, block: str | None = None) -> None:
        recorder.event(ev.Warned, code="cache", message=said, block=block)

    info = recorder.writer.info
    return RunCache(info.id, info.workspace, complain)


class RunCache:
    """The cache of a workspace, for one run of blocks or for tracked code.

    complain: told once what is wrong, if something is; then nothing more is taken or kept. Raises SettingError for
    limits that cannot be read.
    """

    def __init__(self, run_id: str, workspace: str, complain: Callable[[str, str | None], None]) -> None:
        self.run_id = run_id
        self.keepers: dict[str, Keeper] = {}
        self.off = False
        self._complain = complain
        self._limits = limits.configured()
        self._folder = place.folder_of(workspace)
        self._used: set[int] = set()
        self._looks: list[tuple[str, str, str, Mapping[str, Any]]] = []

    @property
    def since(self) -> float:
        """Results that were computed before are not taken any more, in seconds since 1970."""
        return 0.0 if self._limits.max_age is None else time.time() - self._limits.max_age

    def attempt(self, do: Callable[[Store], T]) -> T | None:
        """Do something with the store; None if that cannot be done, now or any more."""
        if self.off:
            return None
        try:
            return do(shared(self._folder))
        except CacheError as error:
            self.off = True
            self._complain(f"{error}; nothing is taken from it or kept in it for now", None)
            return None

    def explain(self, block: str, said: str) -> None:
        """Something about one block that its user should know."""
        self._complain(said, block)

    def used(self, piece: int) -> None:
        """A piece was taken."""
        self._used.add(piece)

    def looked(self, stage: str, at: str, told: Mapping[str, Any], run: str | None = None) -> None:
        """Something was looked for. told: what came of it, as JSON."""
        self._looks.append((stage, run or self.run_id, at, told))

    def take(self, work: Work) -> BlockEnd | None:
        """Make what the cache has of a block part of the run; how the block ends if that is all of it."""
        from runstone.engine.caching.block import take

        return None if self.off else take(self, work)

    def ended(self, name: str, end: BlockEnd) -> None:
        """A block has ended, and that is recorded."""
        keeper = self.keepers.pop(name, None)
        if keeper is not None:
            keeper.ended(end)

    def close(self) -> None:
        """Write down what was taken, and keep the cache within its limits."""
        if self._used or self._looks:
            used, looks = self._used, self._looks
            self._used, self._looks = set(), []
            self.attempt(lambda store: store.note(used, looks))
            self.attempt(lambda store: pruning.within(store, self._limits))
