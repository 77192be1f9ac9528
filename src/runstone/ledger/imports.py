"""`runstone import`: a run out of an archive gets its place in a workspace, and its rows in the ledger."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator

import msgspec

from runstone.core.archived import essence, id_for
from runstone.errors import FolderError, LedgerError
from runstone.folder import archive as archives
from runstone.folder import disk, layout
from runstone.folder.look import Look
from runstone.folder.read import read_info
from runstone.folder.unpack import Opened, opened
from runstone.ledger import of_folder
from runstone.ledger.annotations import read, take_in
from runstone.ledger.port import Store
from runstone.ledger.rows import tags

INCOMING = ".incoming"
"""Below a runs root: what is being unpacked, and what was when a process died."""

_NOT_IN_A_NAME = re.compile(r"[^0-9A-Za-z_.-]+")
_ROW = "SELECT workspace, run_folder, pipeline_name, created_at FROM pipeline_run WHERE run_id = :run_id"
_FORGET = "DELETE FROM pipeline_run WHERE run_id = :run_id"


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an archive. known: the run was there already, and nothing was done.

    imported_from: the id that it has in the archive. problem: why the ledger does not have it yet.
    """

    folder: str
    run_id: str
    imported_from: str
    workspace: str
    pipeline: str
    status: str
    ended: bool
    files: int
    bytes: int
    known: bool = False
    problem: str | None = None


def import_run(file: str, *, workspace: str, root: str, store: Store | None) -> Imported:
    """Check the archive and place the run in it below `root`, which is where runs of the workspace are.

    It keeps its id unless another run has that; the same run again is the same id again. Whoever dies meanwhile leaves
    something in `.incoming`, and nothing else. Raises FolderError, StorageError, OSError if the archive is not as it
    should be, or there is no room; then nothing was placed. store: None if there is no ledger.
    """
    with opened(file) as archive:
        run_id, folder, is_known = _destination(archive, workspace, root, store)
        told = Imported(
            folder=folder,
            run_id=run_id,
            imported_from=archive.listed.run_id,
            workspace=workspace,
            pipeline=archive.listed.pipeline,
            status=archive.listed.status,
            ended=archive.listed.ended,
            files=len(archive.listed.files),
            bytes=archive.listed.bytes,
            known=is_known,
        )
        if is_known:
            return told
        with _private(root) as private:
            archive.unpack(private, run_id=run_id, workspace=workspace)
            placed = _place(private, root, archive.listed.pipeline, run_id)
    told = msgspec.structs.replace(told, folder=placed)
    if store is not None:
        try:
            _tell(store, told)
        except LedgerError as error:
            return msgspec.structs.replace(told, problem=str(error))
    return told


def _tell(store: Store, told: Imported) -> None:
    """Bring the run into the ledger; what that had of it while its folder was gone is made anew."""
    with store.writing():
        store.rows(_FORGET, {"run_id": told.run_id})
    of_folder.project(store, told.folder)
    with Look(told.folder) as look:
        info, said = read_info(look), read(look)
    take_in(store, told.run_id, said, tags(info))


def _destination(archive: Opened, workspace: str, root: str, store: Store | None) -> tuple[str, str, bool]:
    """The id that the run gets; if it is there already, where, and True."""
    original = archive.listed.run_id
    for run_id in (original, id_for(original, archive.content)):
        folder = _folder_of(root, run_id) or _told_folder(store, run_id, workspace)
        if folder is not None:
            if _essence(folder) == archive.content:
                return run_id, folder, True
        elif store is None or _is_free(store, run_id, workspace, archive):
            return run_id, "", False
    return id_for(original, secrets.token_hex(16)), "", False


def _folder_of(root: str, run_id: str) -> str | None:
    """The folder of this run, None if there is none in the root."""
    try:
        with os.scandir(root) as entries:
            names = [entry.name for entry in entries if entry.is_dir()]
    except OSError:
        return None
    # most folders end in the first characters of the id
    for name in sorted(names, key=lambda name: run_id[:8] not in name):
        path = os.path.join(root, name)
        with contextlib.suppress(OSError, FolderError), Look(path) as look:
            if read_info(look).id == run_id:
                return path
    return None


def _told_folder(store: Store | None, run_id: str, workspace: str) -> str | None:
    """Where else in this workspace the ledger knows the run to be, if it is."""
    found = [] if store is None else store.rows(_ROW, {"run_id": run_id})
    if not found or found[0][0] != workspace or found[0][1] is None:
        return None
    path = str(found[0][1])
    return path if os.path.isfile(os.path.join(path, layout.RUN)) else None


def _is_free(store: Store, run_id: str, workspace: str, archive: Opened) -> bool:
    """Whether the ledger has no other run of this id; it may still have the row of this one, whose folder is gone."""
    found = store.rows(_ROW, {"run_id": run_id})
    if not found:
        return True
    of, folder, pipeline, created_at = found[0]
    is_gone = folder is not None and not os.path.lexists(folder)
    listed = archive.listed
    return is_gone and (of, pipeline, created_at) == (workspace, listed.pipeline, listed.created_at)


def _essence(folder: str) -> str | None:
    try:
        with Look(folder) as look:
            return essence(archives.digests(look), look.read(layout.RUN, layout.RUN_LIMIT) or b"")
    except (OSError, FolderError, ValueError):
        return None


@contextlib.contextmanager
def _private(root: str) -> Iterator[str]:
    """A folder of our own in the file system of the root."""
    incoming = os.path.join(root, INCOMING)
    path = os.path.join(incoming, secrets.token_hex(8))
    disk.make_folder(path, parents=True, new=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        disk.remove_folder(incoming)


def _place(private: str, root: str, pipeline: str, run_id: str) -> str:
    name = f"{_NOT_IN_A_NAME.sub('_', pipeline)[:80].lstrip('.') or 'run'}-{run_id[:8]}"
    number = 1
    while True:
        path = os.path.join(root, name if number == 1 else f"{name}-{number}")
        if not os.path.lexists(path):
            disk.move(private, path)
            disk.sync_folder(root)
            return path
        number += 1
