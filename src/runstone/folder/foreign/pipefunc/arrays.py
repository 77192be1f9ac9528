"""File arrays: a folder with one file for each element, written by whichever process computed it."""

from __future__ import annotations

import heapq

from runstone.errors import FolderError
from runstone.folder.foreign.pipefunc import layout, snapshots
from runstone.folder.foreign.pipefunc.files import ends_whole, first_bytes, whole_file
from runstone.folder.foreign.pipefunc.run_info import Output
from runstone.folder.foreign.pipefunc.stored import Allowance, Stored
from runstone.folder.look import Look

# Elements that a dying process may have left cut off are among the last it wrote.
_NEWEST = 64
_DEEP = 70


def count(look: Look, output: Output, allowance: Allowance, tolerant: bool) -> Stored:
    """What is there of an output in a file array."""
    folder = look.inside(layout.array(output.name))
    if folder is None:
        return Stored(there=0)
    with folder:
        elements: dict[int, tuple[float, int, str]] = {}
        stored = Stored(there=0)
        total = output.total
        for name, found in folder.files(allowance.entries, _DEEP):
            allowance.entries -= 1
            stored.bytes += found.st_size
            stored.moments.append(found.st_mtime)
            number = layout.element(name)
            if number is None or (total is not None and number >= total):
                continue
            if found.st_size:
                elements[number] = (found.st_mtime, found.st_size, name)
            else:
                stored.damaged += 1
        _drop_cut_off(folder, elements, stored)
        if tolerant:
            _find_errors(folder, elements, stored, allowance)
        stored.there = len(elements)
        if allowance.entries <= 0:
            _not_counted(stored, output)
    return stored


def sizes(look: Look, output: Output, allowance: Allowance) -> Stored:
    """What the files of an output take, where nothing is known of their names."""
    stored = Stored(there=None)
    folder = look.inside(layout.array(output.name))
    if folder is not None:
        with folder:
            for _, found in folder.files(allowance.entries, _DEEP):
                allowance.entries -= 1
                stored.bytes += found.st_size
                stored.moments.append(found.st_mtime)
    return stored


def _not_counted(stored: Stored, output: Output) -> None:
    stored.there = None
    stored.notes.append(f"{output.name} has more files than are counted")


def _drop_cut_off(folder: Look, elements: dict[int, tuple[float, int, str]], stored: Stored) -> None:
    for number in heapq.nlargest(_NEWEST, elements, key=lambda number: elements[number][0]):
        _, size, name = elements[number]
        try:
            whole = ends_whole(folder, name, size)
        except FolderError:
            # it is there, though not for this user
            continue
        if not whole:
            stored.damaged += 1
            del elements[number]


def _find_errors(
    folder: Look, elements: dict[int, tuple[float, int, str]], stored: Stored, allowance: Allowance
) -> None:
    for number in sorted(elements):
        _, size, name = elements[number]
        if size < snapshots.SMALLEST:
            continue
        if not allowance.head():
            stored.notes.append("not every value was looked at for errors: there are too many")
            return
        try:
            snapshot = snapshots.glance(first_bytes(folder, name, snapshots.HEAD))
        except FolderError:
            continue
        if snapshot is not None:
            in_full = snapshot.called and allowance.tell()
            told = snapshots.tell(whole_file(folder, name, snapshots.LARGEST)) if in_full else None
            stored.count(number, told or snapshot, in_full=in_full)
