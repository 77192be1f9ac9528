"""What each storage of pipefunc has put on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeGuard

from runstone.errors import FolderError
from runstone.folder.foreign.pipefunc import arrays, layout, pickles, snapshots, zarr
from runstone.folder.foreign.pipefunc.files import ends_whole, first_bytes, whole_file
from runstone.folder.foreign.pipefunc.run_info import Output
from runstone.folder.foreign.pipefunc.stored import Allowance, Stored
from runstone.folder.look import Look

_Counter = Callable[[Look, Output, Allowance, bool], Stored]


def count(look: Look, output: Output, allowance: Allowance, *, tolerant: bool) -> Stored:
    """What is there of an output. tolerant: values may be errors, and are looked at for that."""
    try:
        counter = _value if output.storage is None else _STORAGES.get(output.storage, _unknown)
        return counter(look, output, allowance, tolerant)
    except FolderError as error:
        return Stored(there=None, notes=[str(error)])


def _value(look: Look, output: Output, allowance: Allowance, tolerant: bool) -> Stored:
    """An output that is one file."""
    path = layout.value(output.name)
    found = look.stat(path)
    if found is None:
        return Stored(there=0)
    stored = Stored(there=1, bytes=found.st_size, moments=[found.st_mtime])
    if not ends_whole(look, path, found.st_size):
        stored.there, stored.damaged = 0, 1
    elif tolerant and found.st_size >= snapshots.SMALLEST:
        snapshot = snapshots.glance(first_bytes(look, path, snapshots.HEAD))
        if snapshot is not None:
            in_full = snapshot.called and allowance.tell()
            told = snapshots.tell(whole_file(look, path, snapshots.LARGEST)) if in_full else None
            stored.count(None, told or snapshot, in_full=in_full)
    return stored


def _dict(look: Look, output: Output, allowance: Allowance, tolerant: bool) -> Stored:
    """An array that is kept in memory and written as one dict when the run ends."""
    path = f"{layout.array(output.name)}/{layout.DICT_ARRAY}"
    found = look.stat(path)
    if found is None:
        return Stored(there=None, late=True)
    stored = Stored(there=None, bytes=found.st_size, moments=[found.st_mtime])
    if not ends_whole(look, path, found.st_size):
        stored.there, stored.damaged = 0, 1
        return stored
    try:
        if found.st_size > pickles.MOST_BYTES:
            raise pickles.TooLong
        value = pickles.read(whole_file(look, path, pickles.MOST_BYTES), allowance.opcodes)
    except pickles.TooLong:
        # it is written in one piece when all is done, and it is whole
        stored.there = output.total
        stored.notes = [f"{output.name} is too large to be counted, and taken to be complete"]
        return stored
    except pickles.Unreadable:
        stored.there, stored.damaged = 0, 1
        return stored
    entries = value.entries if isinstance(value, pickles.Pairs) else []
    elements = {key: element for key, element in entries if _is_index(key) and output.has(key)}
    stored.there = len(elements)
    for index, element in elements.items() if tolerant else ():
        snapshot = snapshots.of(element)
        if snapshot is not None:
            stored.count(output.number(index), snapshot, in_full=snapshot.called and allowance.tell())
    return stored


def _is_index(key: Any) -> TypeGuard[tuple[int, ...]]:
    return isinstance(key, tuple) and all(type(index) is int for index in key)


def _unknown(look: Look, output: Output, allowance: Allowance, tolerant: bool) -> Stored:
    """An array in a storage that is not pipefunc's own."""
    stored = arrays.sizes(look, output, allowance)
    name = f"storage {output.storage!r}" if output.storage else "no storage"
    stored.notes.append(f"how much of {output.name} is there cannot be told: it has {name}")
    return stored


_STORAGES: dict[str, _Counter] = {
    "file_array": arrays.count,
    "dict": _dict,
    "shared_memory_dict": _dict,
    "zarr_file_array": zarr.count,
    "zarr_memory": zarr.count_late,
    "zarr_shared_memory": zarr.count_late,
}
