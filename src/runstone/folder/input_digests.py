"""Digests of the parameters of a run, by the bytes in which they are stored: equal digests, equal values.

Not the other way round: a value that is pickled may have other bytes in another process. Of a secret it is the HMAC
that the record holds, and None if that has none.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from runstone.core.records import ParamInfo
from runstone.errors import FolderError
from runstone.folder import layout
from runstone.folder.look import Look, read_at
from runstone.folder.scan import frames
from runstone.folder.values import Column

_encode = msgspec.json.Encoder().encode


def of_new(infos: Mapping[str, ParamInfo], large: Mapping[str, Column]) -> dict[str, str | None]:
    """Of a run that is about to start; both as `inputs.describe` gives them."""
    return {
        name: _in_record(info) if _is_in_record(info) else _large(large[name].meta, large[name].data)
        for name, info in infos.items()
    }


def of_run(look: Look, infos: Mapping[str, ParamInfo]) -> dict[str, str | None]:
    """Of a run in a folder; None for a parameter whose bytes are missing or damaged. Nothing is unpickled."""
    found = {name: _in_record(info) if _is_in_record(info) else None for name, info in infos.items()}
    if not all(map(_is_in_record, infos.values())):
        stored = _stored(look)
        found.update({name: stored.get(name) for name, info in infos.items() if not _is_in_record(info)})
    return found


def _is_in_record(info: ParamInfo) -> bool:
    return info.is_small or info.secret is not None


def _in_record(info: ParamInfo) -> str | None:
    return _small(info.value) if info.secret is None else info.secret.digest


def _stored(look: Look) -> dict[str, str]:
    try:
        descriptor = look.open(layout.INPUTS_PACK)
    except FolderError:
        return {}
    if descriptor is None:
        return {}
    found: dict[str, str] = {}
    try:
        for frame in frames(descriptor, 0, os.fstat(descriptor).st_size, verify_from=0):
            for column in frame.chunk.columns[:1]:
                data = read_at(descriptor, frame.payload, frame.stop - frame.payload)
                found[column.name] = _large(column.meta, [data])
    except OSError:
        return {}
    finally:
        os.close(descriptor)
    return found


def _small(value: Any) -> str:
    # read and written once more, so that it does not matter whether it comes from a file or is to go there
    return hashlib.sha256(_encode(msgspec.json.decode(_encode(value)))).hexdigest()[:32]


def _large(meta: Any, data: Iterable[bytes | memoryview]) -> str:
    digest = hashlib.sha256(_encode(msgspec.json.decode(_encode(meta))))
    for part in data:
        digest.update(part)
    return digest.hexdigest()[:32]
