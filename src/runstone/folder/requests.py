"""What others ask of a run: files beside its journal, which only its driver answers, by an event."""

from __future__ import annotations

import os

import msgspec

from runstone.errors import FolderError
from runstone.folder import clock, disk, layout
from runstone.folder.look import Look

CANCEL = "cancel"
_LIMIT = 16 * 1024
_MOST = 100


class Request(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What somebody asks. request: "cancel"; at: RFC 3339 in UTC; by: who, in words."""

    request: str
    at: str
    by: str = ""
    message: str = ""


_decode = msgspec.json.Decoder(Request).decode


def leave(folder: str, request: str, *, by: str, message: str = "") -> Request:
    """Leave a request in a run folder. Raises StorageError if it cannot be written there."""
    asked = Request(request=request, at=clock.now(), by=by, message=message)
    place = f"{folder}/{layout.REQUESTS}"
    disk.make_folder(place)
    disk.replace(f"{place}/{os.urandom(16).hex()}.json", msgspec.json.encode(asked))
    return asked


def pending(folder: str, request: str) -> Request | None:
    """The first request of this kind that was left, None if there is none. Never raises for what lies there."""
    try:
        with Look(folder) as look:
            return first(look, request)
    except (OSError, FolderError):
        return None


def first(look: Look, request: str) -> Request | None:
    """The same, for a folder that is being looked at."""
    found: list[Request] = []
    for name in look.names(layout.REQUESTS)[:_MOST]:
        if not name.endswith(".json") or name.startswith("."):
            continue
        data = look.read(f"{layout.REQUESTS}/{name}", _LIMIT)
        try:
            asked = _decode(data or b"")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        if asked.request == request:
            found.append(asked)
    return min(found, key=lambda one: one.at, default=None)


def exist(folder: str) -> bool:
    """Whether anybody has ever asked anything; cheap."""
    return os.path.isdir(f"{folder}/{layout.REQUESTS}")
