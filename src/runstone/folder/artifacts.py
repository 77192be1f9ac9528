"""Files that a run saves on purpose: copied into the folder, checked, and recorded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from runstone.core.events import ArtifactSaved
from runstone.errors import InputError
from runstone.folder import disk, layout
from runstone.folder.writer import RunWriter
from runstone.secrets.redaction import redacted

_PIECE = 1024 * 1024
METADATA_LIMIT = 16 * 1024

ABOUT_LIMIT = 48 * 1024
"""Bytes of JSON for what is said about a file: it must fit a line of the journal."""

_TYPES = {"image": "image", "text": "text", "audio": "audio", "video": "video"}
_BY_ENDING = {
    ".md": ("report", "text/markdown"),
    ".html": ("report", "text/html"),
    ".pdf": ("report", "application/pdf"),
    ".csv": ("table", "text/csv"),
    ".tsv": ("table", "text/tab-separated-values"),
    ".parquet": ("table", "application/vnd.apache.parquet"),
    ".arrow": ("table", "application/vnd.apache.arrow.file"),
    ".json": ("data", "application/json"),
    ".jsonl": ("data", "application/jsonl"),
    ".toml": ("data", "application/toml"),
    ".pkl": ("model", "application/octet-stream"),
    ".pt": ("model", "application/octet-stream"),
    ".onnx": ("model", "application/octet-stream"),
    ".safetensors": ("model", "application/octet-stream"),
}


NO_FOLDER = "artifact({!r}) needs a run folder; this run has run_folder=None"


def save(writer: RunWriter, source: str, **about: Any) -> ArtifactSaved:
    """Copy a file into the run and record it; see `copy_in`."""
    writer.check()
    return writer.event(ArtifactSaved, **copy_in(writer.folder, source, **about))


def copy_in(
    run_folder: str,
    source: str,
    *,
    block: str,
    element: int | None,
    name: str | None = None,
    artifact_type: str | None = None,
    content_type: str | None = None,
    metadata: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Copy a file into the folder of a run; returns the fields of the event that records it.

    The original is left as it is. Raises InputError if there is no such file, the name is none, or what is said about
    it cannot be kept.
    """
    shown = name or os.path.basename(source)
    if not shown or "/" in shown or "\\" in shown or "\0" in shown or shown in (".", "..") or shown.startswith("."):
        raise InputError(f"artifact name {shown!r} cannot be a file name; give name='...'")
    _check_about(source, [shown, artifact_type, content_type, metadata])
    if len(msgspec.json.encode(metadata or {})) > METADATA_LIMIT:
        raise InputError(f"the metadata of artifact {shown!r} takes more than {METADATA_LIMIT:,} bytes as JSON")
    folder = f"{run_folder}/{layout.ARTIFACTS}"
    with _opened(source) as reader:
        new = not os.path.isdir(folder)
        disk.make_folder(folder)
        path, descriptor = _fresh(folder, shown)
        try:
            size, digest = _copy(reader, descriptor, path)
            disk.sync(descriptor, path)
        except BaseException:
            disk.remove(path)
            raise
        finally:
            os.close(descriptor)
    # before its event, which would otherwise speak of a file that a dying machine forgets
    disk.sync_folder(folder)
    if new:
        disk.sync_folder(run_folder)
    guessed_type, guessed_content = _kind(shown)
    return {
        "artifact_id": os.urandom(8).hex(),
        "path": f"{layout.ARTIFACTS}/{os.path.basename(path)}",
        "name": shown,
        "artifact_type": artifact_type or guessed_type,
        "content_type": content_type or guessed_content,
        "size_bytes": size,
        "sha256": digest,
        "block": block,
        "element": element,
        "metadata": redacted(metadata or {}),
    }


def _check_about(source: str, about: list[Any]) -> None:
    """Before anything is copied: all this must fit an event."""
    try:
        size = len(msgspec.json.encode(about))
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"artifact({source!r}): name, types and metadata must be what JSON takes: {error}") from error
    if size > ABOUT_LIMIT:
        raise InputError(
            f"artifact({source!r}): name, types and metadata take {size:,} bytes as JSON, at most {ABOUT_LIMIT:,} fit; "
            "put the rest into a file of its own"
        )


def _opened(source: str) -> BinaryIO:
    try:
        return Path(source).open("rb")
    except OSError as error:
        raise InputError(f"artifact({source!r}): {(error.strerror or str(error)).lower()}") from error


def _fresh(folder: str, name: str) -> tuple[str, int]:
    for each in fresh(name):
        try:
            return f"{folder}/{each}", disk.create(f"{folder}/{each}")
        except FileExistsError:
            continue
    raise AssertionError("there is always another name")


def fresh(name: str) -> Iterator[str]:
    """Names for a file that is to be called like this, without end, for when the first ones are taken."""
    stem, ending = os.path.splitext(name)
    yield name
    for number in count(2):
        yield f"{stem}-{number}{ending}"


def _copy(reader: BinaryIO, descriptor: int, path: str) -> tuple[int, str]:
    import hashlib

    digest = hashlib.sha256()
    size = 0
    while data := reader.read(_PIECE):
        digest.update(data)
        disk.append(descriptor, data, path)
        size += len(data)
    return size, digest.hexdigest()


def _kind(name: str) -> tuple[str, str]:
    """The type of artifact and the media type that a file name suggests."""
    ending = os.path.splitext(name)[1].lower()
    if ending in _BY_ENDING:
        return _BY_ENDING[ending]
    import mimetypes

    content = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return _TYPES.get(content.partition("/")[0], "file"), content
