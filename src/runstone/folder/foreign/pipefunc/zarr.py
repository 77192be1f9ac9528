"""Zarr arrays as pipefunc lays them out, by the names of their chunks: version 2 up to 0.87, version 3 since.

Every element has a chunk of its own in `array`, and one in `mask` from the moment it is there: what is missing equals
the fill value, for which no chunk is written. So the names tell what the chunks hold, and none has to be opened.
"""

from __future__ import annotations

import re

from runstone.folder.foreign.pipefunc import layout, snapshots, zstd
from runstone.folder.foreign.pipefunc.files import first_bytes, whole_file
from runstone.folder.foreign.pipefunc.run_info import Output
from runstone.folder.foreign.pipefunc.stored import Allowance, Stored
from runstone.folder.look import Look

_DEEP = 70
_CHUNK = re.compile(r"(array|mask)/(?:c((?:/[0-9]{1,18})*)|([0-9]{1,18}(?:\.[0-9]{1,18})*))", re.ASCII)
# Before the bytes of the one value in a chunk: how many values there are, and how long it is.
_BEFORE = 8
_SMALLEST = 100

_Index = tuple[int, ...]


def count(look: Look, output: Output, allowance: Allowance, tolerant: bool) -> Stored:
    """What is there of an output in a zarr array that is written element by element."""
    folder = look.inside(layout.array(output.name))
    if folder is None:
        return Stored(there=0)
    stored = Stored(there=0)
    values: dict[_Index, tuple[str, int]] = {}
    present: set[_Index] = set()
    with folder:
        for name, found in folder.files(allowance.entries, _DEEP):
            allowance.entries -= 1
            stored.bytes += found.st_size
            stored.moments.append(found.st_mtime)
            chunk = _CHUNK.fullmatch(name)
            if chunk is None:
                continue
            # version 2 has a chunk "0" also for an array without axes
            index = _index(chunk) if (output.shape if chunk[1] == "mask" else output.mapped) else ()
            if not found.st_size:
                stored.damaged += chunk[1] == "array"
            elif chunk[1] == "mask":
                present.add(index)
            elif len(index) == len(output.mapped):
                values[tuple(at for at, outer in zip(index, output.mapped, strict=True) if outer)] = name, found.st_size
        present = {index for index in present if index in values and output.has(index)}
        stored.there = len(present)
        if allowance.entries <= 0:
            stored.there = None
            stored.notes.append(f"{output.name} has more files than are counted")
        elif tolerant:
            _find_errors(folder, output, {index: values[index] for index in sorted(present)}, stored, allowance)
    return stored


def count_late(look: Look, output: Output, allowance: Allowance, tolerant: bool) -> Stored:
    """The same for an array that is kept in memory and copied to the folder when the run ends."""
    stored = count(look, output, allowance, tolerant)
    if stored.there == 0 and not stored.bytes:
        stored.there, stored.late = None, True
    return stored


def _index(chunk: re.Match[str]) -> _Index:
    text = chunk[3] if chunk[3] is not None else chunk[2].replace("/", ".").lstrip(".")
    return tuple(map(int, text.split("."))) if text else ()


def _find_errors(
    folder: Look, output: Output, values: dict[_Index, tuple[str, int]], stored: Stored, allowance: Allowance
) -> None:
    for index, (name, size) in values.items():
        if size < _SMALLEST:
            continue
        if not zstd.is_available():
            stored.notes.append(
                f"whether values of {output.name} are errors cannot be told: they are compressed; "
                "install pyarrow or zstandard"
            )
            return
        if not allowance.head():
            stored.notes.append("not every value was looked at for errors: there are too many")
            return
        packed = first_bytes(folder, name, 1 << 16)
        snapshot = snapshots.glance(zstd.beginning(packed, _BEFORE + snapshots.HEAD)[_BEFORE:])
        if snapshot is not None:
            in_full = snapshot.called and allowance.tell()
            told = _in_full(folder, name) if in_full else None
            stored.count(output.number(index), told or snapshot, in_full=in_full)


def _in_full(folder: Look, chunk: str) -> snapshots.Snapshot | None:
    packed = whole_file(folder, chunk, snapshots.LARGEST)
    return snapshots.tell(zstd.beginning(packed, snapshots.LARGEST)[_BEFORE:])
