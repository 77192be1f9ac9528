"""Workspaces for code without asyncio: the same names, properties and answers as in `runstone.workspace`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Unpack

import msgspec

from runstone import amounts, config
from runstone.cache import place
from runstone.core.compare import Comparison
from runstone.errors import FolderError, RunError, RunNotFound, SettingError, WorkspaceNotFound
from runstone.folder.compare import compare_folders
from runstone.folder.look import Look
from runstone.folder.read import read_info
from runstone.folder.resolve import SEPARATORS, no_run_in
from runstone.ledger import claims, cleanup, deletion, export, find, history, workspace_deletion, workspaces
from runstone.ledger.cleanup import Retention
from runstone.ledger.compare import compare_details
from runstone.ledger.detail import detail
from runstone.ledger.find_summary import RunSummary
from runstone.ledger.port import Store
from runstone.pipeline import Pipeline
from runstone.run import Run
from runstone.workspace.books import Books
from runstone.workspace.filters import Filters, as_utc, query_of
from runstone.workspace.recorded import open_folder, source_of
from runstone.workspace.records import RunHistory, Runs, WorkspaceRecord, history_of
from runstone.workspace.replay import JobRecord, replay

RunNotFoundError = RunNotFound
PAGE = 50


class WorkspaceManager:
    """The workspaces of the project in the current folder. `default` is always there.

    Raises SettingError if the project has no ledger. Every method raises LedgerError if that cannot be used.
    """

    def __init__(self) -> None:
        self._books = Books()

    def create(self, name: str, *, description: str = "", exist_ok: bool = False) -> Workspace:
        """Make a workspace. exist_ok: take the one that is there already, as it is.

        Raises SettingError for a name that is taken, or that cannot be one: letters, digits, - and _, at most 100.
        """
        _check_name(name)
        with self._books.writing() as store:
            try:
                row = workspaces.named(store, name)
            except WorkspaceNotFound:
                row = workspaces.create(store, name, description)
            else:
                if not exist_ok:
                    raise SettingError(f"there is a workspace {name!r} already; get it, or say exist_ok=True")
        return Workspace(self._books, row)

    def get(self, name: str) -> Workspace:
        """The workspace with this name or id, which are the same. Raises WorkspaceNotFound."""
        _check_name(name)
        with self._books.reading() as store:
            return Workspace(self._books, workspaces.named(store, name))

    def list(self) -> list[Workspace]:
        """All of them, `default` first, the others by name."""
        with self._books.reading() as store:
            return [Workspace(self._books, row) for row in workspaces.listed(store)]

    def delete(self, name: str) -> int:
        """Delete a workspace with all its runs, folders and all; returns how many runs that were.

        Raises RunError, and then nothing was deleted, if one of them goes on or is not proven dead. WorkspaceNotFound;
        SettingError for `default`, which is always there.
        """
        _check_name(name)
        with self._books.writing() as store:
            deleted = workspace_deletion.delete(store, name)
        # who makes one of the same name is not to come by its results
        place.remove(name)
        return deleted


class Workspace(WorkspaceRecord):
    """A named container of runs; nothing here reaches a run of another one.

    Where a run is asked for, its id will do, or the first characters of it (four at least), or its folder, or the name
    of that. Every method raises RunNotFoundError for a run that is not in this workspace, RunAmbiguous (which is one)
    where several could be meant, and LedgerError if the ledger cannot be used.
    """

    def __init__(self, books: Books, row: workspaces.WorkspaceRow) -> None:
        super().__init__(row)
        self._books = books

    def run(self, pipeline: Pipeline, params: Mapping[str, Any] | None = None, /, **options: Any) -> Run:
        """Execute a pipeline in this process, as `Pipeline.run` does, in this workspace. options: of `Pipeline.run`."""
        self._check(pipeline, options.get("run_folder"))
        return pipeline.run(params, workspace=self.name, **options)

    def get_run(self, run: str | os.PathLike[str]) -> Run:
        """One run, as it is now."""
        with self._books.reading() as store:
            return Run(source_of(self._books, store, self._find(store, run)))

    def list_runs(self, *, limit: int = PAGE, cursor: str | None = None, **filters: Unpack[Filters]) -> Runs[Run]:
        """Runs, newest first: `limit` of them, if there are as many.

        filters: `status`, `graph_name` or `pipeline`, `created_after`, `created_before`, `tags`, `query`; all that are
        given must hold. cursor: of the list before, asked with the same filters. Raises SettingError (CursorError too).
        """
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            raise SettingError(f"limit={limit!r}: write how many runs, 1 at least")
        query, now = query_of(filters), datetime.now(UTC)
        found: list[Run] = []
        with self._books.reading() as store:
            while True:
                # where runs are hard to find, a page has fewer than were asked for
                page = find.find(store, query, workspace=self.name, limit=limit - len(found), cursor=cursor, now=now)
                for known in page.runs:
                    # deleted since it was found
                    with contextlib.suppress(RunNotFound):
                        found.append(Run(source_of(self._books, store, known)))
                cursor = page.cursor
                if cursor is None or len(found) >= limit:
                    return Runs(found, cursor)

    def replay_run(
        self,
        run: str | os.PathLike[str],
        param_overrides: Mapping[str, Any] | None = None,
        *,
        pipeline: Pipeline | None = None,
    ) -> Job:
        """Start a new run with the pipeline and the parameters of another one; returns at once.

        The code is imported from where the record says it is found, as it is now, and runs in this process.
        param_overrides: parameters that are to be others. pipeline: the code to run, where it cannot be imported.
        Raises RunError if the code or the parameters cannot be found, Untrusted for a run that came out of an archive,
        InputError for parameters that do not fit.
        """
        with self._books.reading() as store:
            known = self._find(store, run)
        return Job(*replay(known, param_overrides or {}, pipeline=pipeline))

    def get_run_history(self, **filters: Unpack[Filters]) -> RunHistory:
        """How the runs went: how many, how they ended, how long they took. filters: as for `list_runs`."""
        query = query_of(filters)
        with self._books.reading() as store:
            return history_of(history.history(store, query, history.By.PIPELINE, workspace=self.name))

    def export_run_history(self, **filters: Unpack[Filters]) -> dict[str, Any]:
        """The same and all that the ledger knows of each run, newest first, as data that `json.dumps` takes.

        Of parameters that are no plain values there is a preview. filters: as for `list_runs`.
        """
        query = query_of(filters)
        figures = self.get_run_history(**filters)
        with self._books.reading() as store:
            runs = [
                {**run, export.PARAMS: msgspec.json.decode(run[export.PARAMS])}
                for part in export.runs(store, query, self.name)
                for run in part
            ]
        return {"workspace": self.name, "history": msgspec.to_builtins(figures), "runs": runs}

    def compare_runs(
        self, first: str | os.PathLike[str], second: str | os.PathLike[str], *, trust: bool = False
    ) -> Comparison:
        """In what two runs differ: parameters, code, environment, inputs, outputs, durations, counts.

        trust: whether pickled values may be opened, which runs code from their folders; otherwise they are compared by
        what can be seen of them. If one has no folder, as runs that were tracked, both are compared by what the ledger
        has of them: no outputs.
        """
        with self._books.reading() as store:
            known = [self._find(store, run) for run in (first, second)]
            folders = [source.folder for each in known if (source := open_folder(each)) is not None]
            if len(folders) < len(known):
                details = [detail(store, each.run_id, workspace=self.name) for each in known]
                return compare_details(details)
        return compare_folders([folder for folder in folders if folder is not None], trust=trust)

    def delete_run(self, run: str | os.PathLike[str]) -> int:
        """Delete a run, with its folder and all that is known of it; returns 1.

        Raises RunError for a run that goes on, or whose process is not proven dead.
        """
        with self._books.writing() as store:
            target = cleanup.known(store, self._find(store, run))
            done = deletion.delete_runs(store, [target])
        deletion.refuse_spared(done)
        return len(done.runs)

    def cleanup_runs(self, *, older_than: timedelta | datetime | str) -> int:
        """Delete the runs that were not active since then; returns how many.

        older_than: an age, as a timedelta or such as `30d`, or a moment (without a zone in UTC). Runs that go on stay.
        Raises SettingError.
        """
        return self._clean_up(Retention(older_than=_age(older_than)))

    def keep_recent(self, n: int) -> int:
        """Delete all runs but the newest `n`; returns how many. Runs that go on stay. Raises SettingError."""
        if not isinstance(n, int) or isinstance(n, bool) or n < 0:
            raise SettingError(f"keep_recent({n!r}): write how many runs to keep")
        return self._clean_up(Retention(keep=n))

    def _clean_up(self, retention: Retention) -> int:
        with self._books.writing() as store:
            return len(cleanup.cleanup(store, retention, workspace=self.name).runs)

    def _find(self, store: Store, run: str | os.PathLike[str]) -> RunSummary:
        """The run that is meant, if it is in this workspace."""
        if not isinstance(run, str | os.PathLike):
            raise SettingError(f"{run!r} names no run: give its id, the first characters of that, or its folder")
        text = os.fspath(run)
        if any(separator in text for separator in SEPARATORS) or claims.holds_run(text):
            return self._in_folder(store, os.path.abspath(text))
        by_name = os.path.join(config.runs_root(self.name), text)
        if text and claims.holds_run(by_name):
            return self._in_folder(store, by_name)
        return find.get(store, text, workspace=self.name)

    def _check(self, pipeline: object, run_folder: object) -> None:
        """Raise SettingError for what is no pipeline, else as `_check_folder` does."""
        if not isinstance(pipeline, Pipeline):
            raise SettingError(f"{pipeline!r} is no pipeline: give the Pipeline itself, not its name")
        self._check_folder(run_folder)

    def _check_folder(self, given: object) -> None:
        """Raise RunNotFound for a folder to run in where a run of another workspace is, or the place of such runs."""
        if not isinstance(given, (str, os.PathLike)):
            return
        folder = os.path.abspath(os.fspath(given))
        root = claims.under(folder, claims.roots())
        whose = None if root is None else root.workspace
        with contextlib.suppress(OSError, FolderError), Look(folder) as look:
            whose = whose if whose not in (None, self.name) else read_info(look).workspace
        if whose not in (None, self.name):
            raise RunNotFound(f"{folder} is not for runs of workspace {self.name!r}")

    def _in_folder(self, store: Store, folder: str) -> RunSummary:
        """The run in a folder. What the folder says of itself counts only if the ledger has it there."""
        try:
            with Look(folder) as look:
                run_id = read_info(look).id
        except (FileNotFoundError, NotADirectoryError):
            raise no_run_in(folder) from None
        except (OSError, FolderError) as error:
            raise RunNotFound(f"no run in {folder} that can be read: {error}") from None
        try:
            known = find.get(store, run_id, workspace=self.name)
        except RunNotFound:
            known = None
        if known is None or known.run_id != run_id or known.run_folder is None or not _same(known.run_folder, folder):
            raise RunNotFound(f"{folder} is not where a run of workspace {self.name!r} is, as far as the ledger knows")
        return known


class Job(JobRecord):
    """What made a run that goes on in this process: it has the id of the run, and waits for its end."""

    def wait(self, timeout: float | None = None) -> Run:
        """The run, when it has ended, however it did. timeout: in seconds; then TimeoutError, and the run goes on.

        Raises StorageError if it could not be recorded.
        """
        return self._handle.result(timeout)


def _check_name(name: object) -> None:
    """Raise SettingError for what is no text; None would mean the workspace that this process is in."""
    if not isinstance(name, str):
        raise SettingError(f"{name!r} is no name of a workspace: use letters, digits, - and _")


def _same(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _age(said: timedelta | datetime | str) -> timedelta:
    if isinstance(said, datetime):
        age = datetime.now(UTC) - as_utc(said)
    elif isinstance(said, timedelta):
        age = said
    else:
        try:
            age = amounts.span(said)
        except (ValueError, AttributeError) as error:
            raise SettingError(
                f"older_than={said!r}: write a timedelta, a datetime, or a text such as '30d'"
            ) from error
    if age < timedelta():
        raise SettingError(f"older_than={said!r} lies in the future")
    return age


__all__ = ["Job", "Run", "RunError", "RunNotFoundError", "Workspace", "WorkspaceManager"]
