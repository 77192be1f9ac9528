"""Puts what a block gives into the cache, as it is recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from runstone.cache.pieces import KEY_BYTES, Header
from runstone.core import events as ev
from runstone.core.cached import INPUT_BYTES, Recipe
from runstone.core.ranges import numbers
from runstone.core.statuses import BlockStatus
from runstone.folder.failed_cells import OK

if TYPE_CHECKING:
    from runstone.engine.caching.run_cache import RunCache
    from runstone.engine.work import BlockEnd

Buffer = bytes | memoryview

NO_KEY = bytes(KEY_BYTES)
"""Stands for the key of a result that is not kept."""


class Keeper:
    """Keeps the results of one block. Only what came out well is kept, and nothing that saved artifacts: they would be
    missing where it is taken.

    keys: of every element, one after the other; facts: the digests of what varies, for every element.
    """

    def __init__(
        self, cache: RunCache, block: str, recipe: Recipe, keys: bytes, facts: bytes, *, is_mapped: bool
    ) -> None:
        self._cache = cache
        self._block = block
        self._recipe = recipe
        self._keys = keys
        self._facts = facts
        self._fact_bytes = INPUT_BYTES * len(recipe.varying)
        self._is_mapped = is_mapped
        self._with_artifacts: set[int] = set()
        self._large: tuple[list[ev.ColumnMeta], bytes] = ([], b"")

    def saved_artifact(self, element: int | None) -> None:
        """A call has saved a file with the run."""
        self._with_artifacts.add(element or 0)

    def chunk(self, header: ev.Chunk, payload: Sequence[Buffer]) -> None:
        """A chunk was recorded."""
        if not header.ok or self._cache.off:
            return
        skipped = sum(column.bytes for column in (header.outcomes, header.failures) if column is not None)
        if not self._is_mapped:
            self._large = (header.columns, b"".join(payload)[skipped:])
            return
        which = list(numbers(header.elements))
        data: Sequence[Buffer] = payload
        if header.outcomes is not None:
            joined = b"".join(payload)
            codes = joined[: header.outcomes.bytes]
            which = [number for number, code in zip(which, codes, strict=True) if code == OK]
            data = [memoryview(joined)[skipped:]]
        keys = b"".join(map(self._key, which))
        if not keys.strip(b"\0"):
            return
        size = self._fact_bytes
        facts = b"".join([self._facts[number * size : (number + 1) * size] for number in which])
        found = Header(count=len(which), outputs=self._recipe.outputs, columns=header.columns)
        self._cache.attempt(lambda store: store.keep(self._recipe, self._cache.run_id, found, keys, facts, data))

    def _key(self, number: int) -> bytes:
        if number in self._with_artifacts:
            return NO_KEY
        return self._keys[number * KEY_BYTES : (number + 1) * KEY_BYTES]

    def ended(self, end: BlockEnd) -> None:
        """The block has ended: what it gave, if it is not mapped, is all there."""
        if self._with_artifacts:
            self._cache.explain(
                self._block,
                f"block {self._block!r} saves artifacts; results of calls that do are not kept in the cache",
            )
        if self._is_mapped or end.status is not BlockStatus.COMPLETED or self._with_artifacts:
            return
        columns, data = self._large
        if not set(self._recipe.outputs) <= {*end.values, *(column.name for column in columns)}:
            return
        header = Header(count=1, outputs=self._recipe.outputs, columns=columns, values=end.values)
        self._cache.attempt(
            lambda store: store.keep(self._recipe, self._cache.run_id, header, self._keys, self._facts, [data])
        )
