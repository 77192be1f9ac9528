"""One run in one file: the list of what is in it, and what such a list may say. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

ARCHIVE_FORMAT = 1
LIST = "runstone-archive.json"
"""The name of the list in the archive; the files of the run stand below `run/`."""

INSIDE = "run/"
FILES_MOST = 200_000
LIST_LIMIT = 128 * 1024 * 1024
"""Bytes of the list at most."""

_DEEPEST = 16
_LONGEST_PART = 255
_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{0,199}")

_OF_THE_PLACE = ("run.json", "status.json", "manifest.json", "annotations.jsonl", "requests/")
"""What may differ between two copies of one run: what names its place, what follows from the rest, what was said since.
"""

_ARTIFACTS = "artifacts/"

_PLACE_FIELDS = ("id", "workspace", "ledger", "imported_from")
"""The fields of `run.json` that an import changes."""


class ArchivedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the run. path: relative to its folder, with `/`; sha256: in hex."""

    path: str
    bytes: int
    sha256: str


class ArchiveList(msgspec.Struct, frozen=True, kw_only=True):
    """What is in an archive. archive: its format; format: that of the run folder. ended: whether the run had."""

    archive: int
    format: int
    run_id: str
    workspace: str
    pipeline: str
    status: str
    created_at: str
    ended: bool
    runstone: str
    files: list[ArchivedFile]

    @property
    def bytes(self) -> int:
        """Of all files together."""
        return sum(file.bytes for file in self.files)


def problem_with_path(path: str) -> str | None:
    """Why no file of a run may lie there, in words; None if it may."""
    parts = path.split("/")
    if len(path) > 1024 or len(parts) > _DEEPEST:
        return "it is too long"
    if ".." in parts or "." in parts or "" in parts:
        return "it leads out of the folder"
    if "\\" in path or not path.isprintable():
        return "it has letters that no archive takes"
    if path.startswith(".") or ("/." in path and not path.startswith(_ARTIFACTS)):
        return "no file of a run begins with a dot"
    if any(len(part.encode()) > _LONGEST_PART for part in parts):
        return "it is too long"
    return None


def problem_with_list(listed: ArchiveList) -> str | None:
    """What is wrong with a list, in words; None if nothing is."""
    if len(listed.files) > FILES_MOST:
        return f"it lists {len(listed.files):,} files, at most {FILES_MOST:,} are taken"
    if not _ID.fullmatch(listed.run_id):
        return f"no run has the id {listed.run_id!r}"
    folded: set[str] = set()
    for file in listed.files:
        problem = problem_with_path(file.path)
        if problem is not None:
            return f"it lists the file {file.path!r}: {problem}"
        if file.bytes < 0:
            return f"it lists the file {file.path!r} with {file.bytes} bytes"
        if file.path.casefold() in folded:
            return f"it lists the file {file.path!r} twice"
        folded.add(file.path.casefold())
    names = {file.path.casefold() for file in listed.files}
    for file in listed.files:
        above = file.path.casefold()
        while (above := above.rpartition("/")[0]) != "":
            if above in names:
                return f"it lists {above!r} as a file and as a folder"
    return None if "run.json" in folded else "it lists no run.json"


def essence(files: Iterable[ArchivedFile], run_json: bytes) -> str:
    """A digest of what a run is wherever it lies: equal for an archive, and for the folders made from it.

    run_json: the content of that file. Raises ValueError if it is no JSON object.
    """
    told = dict(decode_object(run_json))
    for name in _PLACE_FIELDS:
        told.pop(name, None)
    digest = hashlib.sha256(msgspec.json.encode(sorted((name, bytes(raw)) for name, raw in told.items())))
    for file in sorted(files, key=lambda file: file.path):
        if not file.path.startswith(_OF_THE_PLACE):
            digest.update(msgspec.json.encode([file.path, file.sha256]))
    return digest.hexdigest()


def replaced(data: bytes, fields: Mapping[str, Any]) -> bytes:
    """A JSON object with other values for some of its fields, all else as it was. Raises ValueError."""
    told: dict[str, Any] = dict(decode_object(data))
    told.update(fields)
    return msgspec.json.encode(told)


def decode_object(data: bytes) -> dict[str, msgspec.Raw]:
    """The fields of a JSON object, unread. Raises ValueError."""
    try:
        return msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"no JSON object: {error}") from None


def id_for(original: str, content: str) -> str:
    """The id for a run whose own is taken: always the same for the same run, so that it is known when it comes again.

    content: its essence.
    """
    digest = bytearray(hashlib.sha256(f"{original}/{content}".encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x40
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
