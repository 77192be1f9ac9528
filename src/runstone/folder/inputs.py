"""The parameters of a run: small ones in `run.json`, larger ones in `inputs/inputs.pack`, a frame each."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any

from runstone.core.events import Chunk, ColumnMeta
from runstone.core.records import ParamInfo, SecretInfo
from runstone.errors import FolderError, InputError, NotStorable
from runstone.folder import clock, disk, layout
from runstone.folder.look import Look, read_at
from runstone.folder.pack import encode_frame
from runstone.folder.preview import preview, type_name
from runstone.folder.scan import frames
from runstone.folder.values import Column, decode_column, decode_small, encode_column, encode_small
from runstone.secrets.redaction import MASK
from runstone.secrets.secret import recorded

Large = dict[str, Column]


ROOM = 1024 * 1024
"""How much of `run.json` parameters may take, in bytes; those beyond it, however small, are kept beside it, unshown."""

# About what the name, the type and the preview of one take.
_BESIDE = 200


def describe(
    params: Mapping[str, Any], given: Mapping[str, Any], secrets: Mapping[str, SecretInfo] | None = None
) -> tuple[dict[str, ParamInfo], Large]:
    """What `run.json` says about every parameter, and the columns of those that are too large for it.

    params: all values of the run; given: those that the caller named, the others are defaults. secrets: what is kept of
    those that are secrets, instead of their values.
    Raises InputError for a value that cannot be stored.
    """
    secrets = secrets or {}
    infos: dict[str, ParamInfo] = {}
    large: Large = {}
    room = ROOM
    for name, value in params.items():
        source = "caller" if name in given else "default"
        if name in secrets:
            kept = secrets[name]
            infos[name] = ParamInfo(type="Secret", preview=kept.reference or MASK, source=source, secret=kept)
            continue
        shown = preview(value) if room > 0 else None
        try:
            raw = encode_small(value) if room > 0 else None
            if raw is None:
                large[name] = encode_column([value])
                infos[name] = ParamInfo(type=type_name(value), preview=shown, source=source)
            else:
                infos[name] = ParamInfo(type=type_name(value), value=raw, preview=shown, source=source)
                room -= len(bytes(raw))
            room -= _BESIDE
        except NotStorable as refusal:
            raise InputError(
                f"parameter {name!r} cannot be kept with the run: {refusal}; pass something storable, or run with "
                "run_folder=None, which keeps nothing"
            ) from refusal
    return infos, large


def saver(folder: str, large: Large) -> Callable[[], tuple[str, str]] | None:
    """What writes the large parameters; None if there are none."""
    return functools.partial(save, folder, large) if large else None


def save(folder: str, large: Large) -> tuple[str, str]:
    """Write the large parameters; returns the file and the folder that are still to be synced."""
    path = f"{folder}/{layout.INPUTS_PACK}"
    disk.make_folder(os.path.dirname(path))
    descriptor = disk.create(path)
    try:
        for number, (name, column) in enumerate(large.items(), start=1):
            meta = ColumnMeta(name=name, bytes=column.size, count=1, meta=column.meta, safe=column.safe)
            chunk = Chunk(seq=number, at=clock.now(), block="", elements=[(0, 1)], ok=1, columns=[meta])
            disk.append_all(descriptor, encode_frame(chunk, list(column.data)), path)
    except BaseException:
        disk.remove(path)
        raise
    finally:
        os.close(descriptor)
    return path, os.path.dirname(path)


def load(look: Look, infos: Mapping[str, ParamInfo], name: str, *, trust: bool) -> Any:
    """The value of a parameter; of a secret a `Secret` that only tells where it is found.

    Raises KeyError, Untrusted, FolderError.
    """
    info = infos[name]
    if info.secret is not None:
        return recorded(info.secret.reference)
    if info.is_small:
        return decode_small(info.value, trust=trust)
    descriptor = look.open(layout.INPUTS_PACK)
    if descriptor is None:
        raise FolderError(f"{layout.INPUTS_PACK} is missing, and with it the parameter {name!r}")
    try:
        for frame in frames(descriptor, 0, os.fstat(descriptor).st_size, verify_from=0):
            column = frame.chunk.columns[0] if frame.chunk.columns else None
            if column is not None and column.name == name:
                data = read_at(descriptor, frame.payload, frame.stop - frame.payload)
                return decode_column(column.meta, data, 1, trust=trust)[0]
    finally:
        os.close(descriptor)
    raise FolderError(f"{layout.INPUTS_PACK} is damaged: the parameter {name!r} is not in it")
