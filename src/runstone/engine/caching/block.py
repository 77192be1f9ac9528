"""Taking results of a block from the cache: they become part of the run, as if they were adopted from the runs that
have computed them."""

from __future__ import annotations

import os
import secrets
from collections import Counter
from collections.abc import Mapping

import msgspec

from runstone.cache.pieces import Piece
from runstone.cache.store import Store
from runstone.core import events as ev
from runstone.core.cached import INPUT_BYTES, RANGES_KEPT, from_nearest, missed
from runstone.core.causes import Cause, Why
from runstone.core.ranges import missing_ranges, to_ranges
from runstone.core.statuses import BlockStatus
from runstone.engine import mapped
from runstone.engine.caching.keeper import Keeper
from runstone.engine.caching.run_cache import RunCache
from runstone.engine.caching.wanted import Wanted, wanted
from runstone.engine.encode import ElementEncoder, unnumbered
from runstone.engine.record import ElementNotStorable, Elements, Encoded
from runstone.engine.record_folder import FolderRecorder
from runstone.engine.work import BlockEnd, Work
from runstone.errors import FolderError, NotStorable
from runstone.folder import clock, disk, layout
from runstone.folder.adopt import steps
from runstone.folder.journal import EventTooLong
from runstone.folder.pack import encode_frame
from runstone.folder.values import decode_small


def take(cache: RunCache, work: Work) -> BlockEnd | None:
    """Record what the cache has of a block, and let what it computes be kept there; how it ends if nothing is left.

    What cannot be looked at, cannot be looked up: then the block begins, and says itself what is wrong.
    """
    recorder = work.recorder
    assert isinstance(recorder, FolderRecorder)
    stage = f"{recorder.writer.info.pipeline.name}/{work.block.name}"
    try:
        asked = wanted(stage, work)
    except Exception:
        # arguments that cannot be put together, or values whose own code raises
        return None
    if not asked.count:
        return None
    begun = recorder.state.blocks[work.block.name].status is not BlockStatus.PENDING
    if asked.numbers:
        keeper = Keeper(cache, work.block.name, asked.recipe, asked.keys, asked.facts, is_mapped=asked.plan is not None)
        cache.keepers[work.block.name] = recorder.keepers[work.block.name] = keeper
        recorder.listen()
    if begun:
        # by an earlier epoch: what it has taken is recorded
        return None
    taking = _Taking(cache, work, recorder, asked)
    try:
        return taking.run()
    finally:
        taking.close()


class _Pack:
    """The file in the run folder that is being written. name: relative to the folder."""

    def __init__(self, name: str, descriptor: int) -> None:
        self.name = name
        self.descriptor = descriptor
        self.bytes = 0


class _Taking:
    """Takes what there is of one block."""

    def __init__(self, cache: RunCache, work: Work, recorder: FolderRecorder, asked: Wanted) -> None:
        self._cache = cache
        self._work = work
        self._recorder = recorder
        self._asked = asked
        self._block = work.block.name
        self._found: dict[int, str] = {}
        self._pack: _Pack | None = None
        self._shares: dict[str, ev.AdoptedOutput] = {}
        self._frames = 0

    def close(self) -> None:
        """Let go of the file."""
        if self._pack is not None:
            os.close(self._pack.descriptor)

    def run(self) -> BlockEnd | None:
        """Take it, and record that."""
        asked = self._asked
        values: Mapping[str, ev.StoredValue] = {}
        for number, elements in (self._cache.attempt(self._places) or {}).items():
            piece = self._cache.attempt(lambda store: store.piece(number))  # noqa: B023  # called at once
            taken = None
            if piece is not None and all(piece.is_at(asked.key(one), at) for one, (at, _) in elements.items()):
                taken = self._call(piece, elements) if asked.plan is None else self._elements(piece, elements)
            if taken is None:
                self._cache.attempt(lambda store: store.forget([number]))  # noqa: B023  # called at once
                continue
            values = taken
            self._found.update((one, run) for one, (_, run) in elements.items())
            self._cache.used(number)
        self._record(values)
        if asked.plan is None:
            return self._ended(values) if self._found else None
        state = self._recorder.state.blocks[self._block]
        return self._ended({}) if not missing_ranges(state.recorded, asked.plan.count) else None

    def _places(self, store: Store) -> dict[int, dict[int, tuple[int, str]]]:
        """By piece: which elements it has, where in it, and the run that has computed them."""
        asked = self._asked
        found = store.find({asked.key(number) for number in asked.numbers}, since=self._cache.since)
        by_piece: dict[int, dict[int, tuple[int, str]]] = {}
        for number in asked.numbers:
            at = found.get(asked.key(number))
            if at is not None:
                by_piece.setdefault(at.piece, {})[number] = (at.position, at.run)
        return by_piece

    # values

    def _elements(self, piece: Piece, elements: Mapping[int, tuple[int, str]]) -> dict[str, ev.StoredValue] | None:
        """Write some elements into the folder; None if their values cannot be read any more."""
        assert self._asked.plan is not None
        outputs = self._work.block.outputs
        which = sorted(elements)
        positions = [elements[number][0] for number in which]
        try:
            columns = [piece.cells(name) for name in outputs]
            picked = [[cells[at] for at in positions] for cells in columns]
            ended = Elements(
                block=self._block,
                outputs=outputs,
                ranges=to_ranges(which),
                cells=picked[0] if len(outputs) == 1 else list(zip(*picked, strict=True)),
                bad=(),
                shape=list(self._asked.plan.shape),
            )
            encoded = list(ElementEncoder().encode(ended))
        except (FolderError, NotStorable, ElementNotStorable, IndexError):
            # a class that was moved since, say
            return None
        (run,) = {run for _, run in elements.values()}
        for each in encoded:
            self._append(each, run)
        return {}

    def _call(self, piece: Piece, elements: Mapping[int, tuple[int, str]]) -> Mapping[str, ev.StoredValue] | None:
        """The outputs of a block that is not mapped: small ones come back, the others are written into the folder."""
        header = piece.header
        names = {*header.values, *(column.name for column in header.columns)}
        if not names >= set(self._work.block.outputs):
            return None
        try:
            for stored in header.values.values():
                decode_small(stored.value, trust=True)
            for column in header.columns:
                if not column.safe:
                    # whoever needs it is to find that it can be read
                    piece.cells(column.name)
        except FolderError:
            return None
        if header.columns:
            whole = unnumbered(self._block, [(0, 1)], [piece.payload], ok=1, columns=header.columns)
            self._append(whole, elements[0][1])
        return header.values

    def _append(self, encoded: Encoded, run: str) -> None:
        """Write a frame into the pack of what is taken."""
        self._frames += 1
        chunk = msgspec.structs.replace(encoded.header, seq=self._frames, at=clock.now(), from_run=run)
        buffers = encode_frame(chunk, list(encoded.payload))
        folder = self._recorder.writer.folder
        if self._pack is None:
            disk.make_folder(f"{folder}/{layout.OUTPUTS}")
            name = layout.adopted_pack(self._block, secrets.token_hex(4))
            self._pack = _Pack(name, disk.create(f"{folder}/{name}"))
        disk.append_all(self._pack.descriptor, buffers, f"{folder}/{self._pack.name}")
        self._pack.bytes += sum(map(len, buffers))
        for column in chunk.columns:
            before = self._shares.get(column.name)
            self._shares[column.name] = ev.AdoptedOutput(
                type=column.type or (before.type if before else ""),
                count=column.count + (before.count if before else 0),
                bytes=column.bytes + (before.bytes if before else 0),
            )

    # the record

    def _record(self, values: Mapping[str, ev.StoredValue]) -> None:
        """Say what was looked for, and what was found; the files that are spoken of are on the disk before."""
        asked, recorder, writer = self._asked, self._recorder, self._recorder.writer
        if self._pack is not None:
            outputs = f"{writer.folder}/{layout.OUTPUTS}"
            writer.must_sync(files=[f"{writer.folder}/{self._pack.name}"], folders=[outputs, writer.folder])
            writer.sync()
        runs = Counter(self._found.values())
        told = {"block": self._block, "wanted": asked.count, "found": len(self._found), "from_runs": len(runs)}
        try:
            looked = recorder.event(ev.BlockLookedUp, **told, misses=self._misses())
        except EventTooLong:
            looked = recorder.event(ev.BlockLookedUp, **told)
        self._cache.looked(
            asked.recipe.stage,
            looked.at,
            {"wanted": looked.wanted, "found": looked.found, "misses": msgspec.to_builtins(looked.misses)},
        )
        if not runs:
            return
        most = runs.most_common(1)[0][0]
        if asked.plan is None:
            files = [] if self._pack is None else [self._file([(0, 1)])]
            writer.event(
                ev.BlockAdopted,
                block=self._block,
                from_run=most,
                files=files,
                outputs=self._shares,
                values=values,
                whole=True,
            )
            for name, stored in values.items():
                writer.keep_value(name, stored.value)
        else:
            shape = list(asked.plan.shape)
            for file, shares in steps(self._file(to_ranges(sorted(self._found))), self._shares):
                writer.event(
                    ev.BlockAdopted, block=self._block, from_run=most, shape=shape, files=[file], outputs=shares
                )
        recorder.flush()

    def _file(self, elements: list[tuple[int, int]]) -> ev.AdoptedFile:
        assert self._pack is not None
        return ev.AdoptedFile(path=self._pack.name, bytes=self._pack.bytes, elements=elements, copied=True)

    def _misses(self) -> list[ev.Miss]:
        asked = self._asked
        left = {number: asked.made_of(number) for number in asked.numbers if number not in self._found}
        if not left:
            return asked.unknown
        known = self._cache.attempt(lambda store: store.recipes(asked.recipe.stage))
        if known is None:
            return asked.unknown
        why = list(map(self._told, from_nearest(asked.recipe, known)))
        if why or not asked.recipe.varying:
            # of one that is not mapped: it was there, and is not any more
            gone = [Why(cause=Cause.NOT_CACHED, elements=len(left))]
            found = [ev.Miss(elements=to_ranges(left)[:RANGES_KEPT], why=why or gone)]
        else:
            seen = self._seen()
            found = [ev.Miss(elements=each.elements, why=each.why) for each in missed(asked.recipe.varying, left, seen)]
        return [*found, *asked.unknown]

    def _told(self, why: Why) -> Why:
        """An input that is a parameter of the run is called so; others are outputs of blocks before."""
        if why.cause != Cause.INPUT:
            return why
        named = {each.python_name: each.name for each in self._work.block.parameters}
        name = named.get(why.subject, why.subject)
        is_parameter = name in self._recorder.writer.info.params
        return msgspec.structs.replace(why, cause=Cause.PARAMETER) if is_parameter else why

    def _seen(self) -> list[set[bytes]]:
        """Of each input that varies, the digests with which something was computed by the same recipe."""
        names = self._asked.recipe.varying
        seen: list[set[bytes]] = [set() for _ in names]
        size = INPUT_BYTES * len(names)
        told = self._cache.attempt(lambda store: list(store.facts(self._asked.recipe.digest))) or []
        for facts in told:
            for at in range(len(names)):
                seen[at].update(
                    facts[start : start + INPUT_BYTES] for start in range(at * INPUT_BYTES, len(facts), size)
                )
        return seen

    def _ended(self, values: Mapping[str, ev.StoredValue]) -> BlockEnd:
        """How the block ends: its outputs are there for those who need them."""
        work, recorder = self._work, self._recorder
        name = self._block
        if self._asked.plan is not None:
            shapes = mapped.shapes_of(work, self._asked.plan)
            recorder.event(
                ev.BlockAdopted,
                block=name,
                from_run=recorder.state.blocks[name].adopted_from or "",
                shape=list(self._asked.plan.shape),
                inner_shapes=shapes,
                whole=True,
            )
            recorder.flush()
        for output in work.block.outputs:
            if not work.values.wanted(output):
                continue
            stored = values.get(output)
            if stored is not None:
                work.values.put(output, decode_small(stored.value, trust=True))
            else:
                work.values.put(output, recorder.made(output, None))
        return BlockEnd(status=BlockStatus.REUSED)
