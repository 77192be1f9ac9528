"""`runstone cleanup`: which runs are old enough to go, in the ledger and in folders that it does not know."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import timedelta

import msgspec

from runstone import config
from runstone.amounts import span
from runstone.core.query import Query
from runstone.errors import FolderError, RunAmbiguous, RunNotFound
from runstone.folder import clock, observe
from runstone.folder.look import Look
from runstone.folder.read import read_info
from runstone.folder.resolve import resolve
from runstone.ledger import claims, deletion
from runstone.ledger.deletion import Deleted, Spared, Target, holds
from runstone.ledger.find import MOST, find, get
from runstone.ledger.find_summary import RunSummary
from runstone.ledger.port import Store

_UNFINISHED = ("scheduled", "pending", "running", "cancelling")
_EVERYTHING = Query()


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """How long runs are kept. older_than: those that were active since then are; keep: so many of the newest are."""

    older_than: timedelta | None = None
    keep: int | None = None

    @property
    def is_set(self) -> bool:
        return self.older_than is not None or self.keep is not None


def cleanup(
    store: Store | None,
    retention: Retention,
    *,
    workspace: str,
    query: Query | None = None,
    dry_run: bool = False,
) -> Deleted:
    """Delete the runs of a workspace that a retention lets go; with a query only runs that it asks for count at all.

    Runs that go on are spared. dry_run: only tell what would go. What earlier deletions left behind goes too.
    Raises LedgerError, SettingError.
    """
    root = config.runs_root(workspace)
    chosen, spared = choose(list(candidates(store, workspace=workspace, query=query)), retention)
    goes = [target if target.folders else _located(store, target) for target in chosen]
    if dry_run:
        planned = deletion.plan(store, goes)
        return msgspec.structs.replace(planned, spared=[*spared, *planned.spared])
    done = deletion.delete_runs(store, goes)
    rest = deletion.finish(store, [root, *(os.path.dirname(folder) for each in goes for folder in each.folders)])
    return msgspec.structs.replace(
        done,
        spared=[*spared, *done.spared],
        bytes=done.bytes + rest.bytes,
        ledger_bytes=done.ledger_bytes + rest.ledger_bytes,
        finished=rest.finished,
        left=[*done.left, *rest.left],
    )


def choose(found: list[Target], retention: Retention) -> tuple[list[Target], list[Spared]]:
    """Those that go, and those that would if they had ended. found: in any order."""
    newest = sorted(found, key=lambda target: (target.created_at, target.run_id), reverse=True)
    goes: list[Target] = []
    spared: list[Spared] = []
    now = time.time()
    for number, target in enumerate(newest):
        if retention.keep is not None and number < retention.keep:
            continue
        if retention.older_than is not None and not _is_older(target, now - retention.older_than.total_seconds()):
            continue
        if target.status in _UNFINISHED:
            spared.append(Spared(target=target, why=f"it is {target.status}"))
        else:
            goes.append(target)
    return goes, spared


def candidates(store: Store | None, *, workspace: str, query: Query | None = None) -> Iterator[Target]:
    """The runs of a workspace: those of the ledger, whose folders are not looked for yet, then those of which there is
    only a folder.

    query: then only runs of the ledger, which is what it asks.
    """
    for run in _of_ledger(store, workspace, query or _EVERYTHING):
        yield _target(run)
    if query is None:
        yield from _folders_alone(store, workspace)


def named(store: Store | None, run: str, *, workspace: str) -> Target:
    """The run that a user names: a folder, or an id or the first characters of one, in ./runs or in the ledger.

    A folder that is a copy of a run which lies elsewhere is only that copy. Raises RunNotFound, FolderError.
    """
    try:
        folder = os.path.abspath(resolve(run))
        with Look(folder) as look:
            info = read_info(look)
    except RunAmbiguous:
        raise
    except (RunNotFound, FileNotFoundError, NotADirectoryError) as error:
        if store is None or os.sep in run:
            raise RunNotFound(str(error)) from None
        return _located(store, _target(get(store, run, workspace=workspace)))
    known = _row(store, info.id)
    if known is not None and info.workspace == known.workspace:
        target = _located(store, _target(known))
        if os.path.realpath(folder) in map(os.path.realpath, target.folders):
            return target
        if target.folders:
            return msgspec.structs.replace(target, folders=[folder], copy=True)
    return _of_folder(folder)


def known(store: Store, run: RunSummary) -> Target:
    """A run of the ledger, with the folders in which it really lies. Raises LedgerError."""
    return _located(store, _target(run))


def configured() -> Retention:
    """What `[retention]` of `runstone.toml` says. Raises SettingError."""
    told = config.section("retention")
    older = told.get("older_than")
    return Retention(older_than=None if older is None else span(older), keep=told.get("keep"))


def _is_older(target: Target, than: float) -> bool:
    moment = clock.seconds(target.at)
    return moment is not None and moment < than


def _of_ledger(store: Store | None, workspace: str, query: Query) -> Iterator[RunSummary]:
    cursor: str | None = None
    while store is not None:
        page = find(store, query, workspace=workspace, limit=MOST, cursor=cursor)
        yield from page.runs
        cursor = page.cursor
        if cursor is None:
            return


def _row(store: Store | None, run_id: str) -> RunSummary | None:
    if store is None:
        return None
    try:
        found = get(store, run_id, workspace=None)
    except RunNotFound:
        return None
    return found if found.run_id == run_id else None


def _target(run: RunSummary) -> Target:
    return Target(
        run_id=run.run_id,
        workspace=run.workspace,
        pipeline=run.pipeline_name,
        status=run.status,
        created_at=run.created_at,
        at=run.finished_at or run.updated_at or run.created_at,
        folders=[],
    )


_FOLDER = "SELECT run_folder FROM pipeline_run WHERE run_id = :run_id AND run_folder IS NOT NULL"
_PLACES = (
    "SELECT p.path FROM place p JOIN pipeline_run r ON r.run_key = p.run_key WHERE r.run_id = :run_id ORDER BY p.path"
)
_ALL_PLACES = (
    "SELECT p.path FROM place p JOIN pipeline_run r ON r.run_key = p.run_key WHERE r.workspace = :workspace"
    " UNION SELECT run_folder FROM pipeline_run WHERE workspace = :workspace AND run_folder IS NOT NULL"
)


def _located(store: Store | None, target: Target) -> Target:
    """The same run with the folders in which it really lies: where it was made, and its copies among the workspace's
    runs. Copies elsewhere are somebody's backup. A project that was copied or moved has its runs where it is now; what
    lies in another project is not ours to delete, whatever the ledger says.
    """
    if store is None:
        return target
    which = {"run_id": target.run_id}
    made = [str(path) for (path,) in store.rows(_FOLDER, which)]
    roots = [root for root in claims.roots() if root.workspace == target.workspace]
    told = [path for path in made if _is_ours(path)]
    told += [os.path.join(root.path, os.path.basename(path)) for path in made for root in roots]
    told += [str(path) for (path,) in store.rows(_PLACES, which) if claims.under(path, roots) is not None]
    found = {os.path.realpath(path): path for path in reversed(told) if holds(path, target.run_id)}
    return msgspec.structs.replace(target, folders=list(reversed(found.values())))


def _is_ours(path: str) -> bool:
    project = config.project_of(os.path.realpath(path))
    return project is None or project == os.path.realpath(config.project_root())


def _folders_alone(store: Store | None, workspace: str) -> Iterator[Target]:
    told = [] if store is None else store.rows(_ALL_PLACES, {"workspace": workspace})
    known = {str(path) for (path,) in told}
    roots = claims.roots()
    for root in roots:
        if root.workspace != workspace:
            continue
        for found in claims.runs_below(root, roots, lambda folder, why: None):
            if found.foreign or found.workspace != workspace or os.path.abspath(found.path) in known:
                continue
            try:
                target = _of_folder(found.path)
            except FolderError:
                # a run of a newer version, or none any more: whoever made it knows what it is worth
                continue
            if target.workspace == workspace and _row(store, target.run_id) is None:
                yield target


def _of_folder(folder: str) -> Target:
    found = observe.status(folder)
    if "error" in found:
        raise FolderError(str(found["error"]))
    return Target(
        run_id=found["id"],
        workspace=found["workspace"],
        pipeline=found["pipeline"]["name"],
        status=found["status"],
        created_at=found["created_at"],
        at=found["finished_at"] or found["updated_at"],
        folders=[os.path.abspath(folder)],
    )
