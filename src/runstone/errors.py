"""Every error that Runstone raises on purpose.

    RunstoneError
    ├── PipelineError          a pipeline that cannot be run as it is written
    │   ├── MapSpecError       a mapspec that cannot be read; knows the position
    │   └── InputError         the parameters of a run do not fit the pipeline
    ├── SettingError           a setting that does not exist, or not with this value
    │   ├── QueryError         a query over runs that cannot be read; knows the position
    │   ├── CursorError        a cursor that was not made here, or for another query
    │   ├── WorkspaceNotFound  no workspace of this name
    │   └── CurrentFolderGone  the current folder was deleted; a FileNotFoundError too
    ├── RunError               something about one run
    │   ├── RunFailed          the run ended, and not well; has `.run`
    │   ├── RunNotFound        no run under this name, id or folder
    │   │   └── RunAmbiguous   more than one run whose id begins like this
    │   └── FailedElement      a failed element was used as if it had a value
    ├── FolderError            a run folder that cannot be read or written as asked
    │   ├── FormatTooNew       written by a newer format than this version reads
    │   ├── ForeignFolder      written by another program: to be looked at, no more
    │   ├── StorageError       the disk refused: full, read-only, gone
    │   ├── Superseded         another process has taken this run over
    │   └── Untrusted          loading would run code from the folder, and nobody allowed it
    ├── LedgerError            the database of all runs cannot be used; knows the place and the cure
    │   ├── LedgerBusy         another process holds it for longer than we wait
    │   ├── LedgerFull         no room on its disk
    │   ├── LedgerDenied       it may not be read, or not be written
    │   ├── LedgerTooNew       a newer version has made it
    │   ├── LedgerBroken       it is no database, or a damaged one
    │   ├── LedgerUnreachable  no server answers, or not this one
    │   └── StatementError     SQL of a user that is not executed, or would write
    ├── CacheError             the cache cannot be used; the work goes on without it
    ├── WorkerDied             the process that computed an element or a block died
    │   └── OutOfMemory        the system killed it, because memory ran out
    ├── TimedOut               an attempt took longer than its timeout; a TimeoutError too
    ├── NotPortable            something cannot be sent to another process
    └── NotStorable            a value that no format can keep; knows the path to the culprit

Messages say what happened, where, and what to do next, in one line where that is possible.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runstone.run import Run


class RunstoneError(Exception):
    """Root of the tree: catch this to catch everything Runstone raises on purpose."""


class PipelineError(RunstoneError):
    """A pipeline that cannot be run as it is written."""


class MapSpecError(PipelineError):
    """A mapspec that cannot be read.

    position: offset into `text`, counted from 0, of the first character that is wrong.
    """

    def __init__(self, problem: str, text: str, position: int) -> None:
        self.problem = problem
        self.text = text
        self.position = position
        super().__init__(f"{problem}, at position {position} of mapspec\n    {text}\n    {' ' * position}^")

    def __reduce__(self) -> tuple[type[MapSpecError], tuple[str, str, int]]:
        return type(self), (self.problem, self.text, self.position)


class InputError(PipelineError):
    """The parameters given to a run do not fit its pipeline."""


class SettingError(RunstoneError):
    """A setting that does not exist, or does not take this value."""


class QueryError(SettingError):
    """A query over runs that cannot be read.

    position: offset into `text`, counted from 0, of the first character that is wrong.
    """

    def __init__(self, problem: str, text: str, position: int) -> None:
        self.problem = problem
        self.text = text
        self.position = position
        super().__init__(f"{problem}, at position {position} of the query {text!r}")

    def __reduce__(self) -> tuple[type[QueryError], tuple[str, str, int]]:
        return type(self), (self.problem, self.text, self.position)


class CursorError(SettingError):
    """A cursor that was cut or changed on its way, or was made for another query."""


class WorkspaceNotFound(SettingError):
    """No workspace of this name."""


class CurrentFolderGone(SettingError, FileNotFoundError):
    """The current folder was deleted, so nobody can say which project is meant."""

    def __init__(self, message: str = "the current folder is gone; go to one that exists") -> None:
        super().__init__(message)


class RunError(RunstoneError):
    """Something about one run."""


class RunFailed(RunError):
    """The run ended failed, timed_out, cancelled or crashed. `.run` is its record."""

    def __init__(self, message: str, run: Run) -> None:
        self.run = run
        super().__init__(message)

    def __reduce__(self) -> tuple[type[RunFailed], tuple[str, Run]]:
        return type(self), (str(self), self.run)


class RunNotFound(RunError):
    """No run under this name, id or folder."""


class RunAmbiguous(RunNotFound):
    """More than one run has an id that begins like this."""


class FailedElement(RunError):
    """A failed element was used as if it had a value."""


class FolderError(RunstoneError):
    """A run folder that cannot be read or written as asked."""


class FormatTooNew(FolderError):
    """The folder was written in a newer format than this version reads."""


class ForeignFolder(FolderError):
    """The folder was written by another program: how its run stands can be told, its values cannot be loaded."""


class StorageError(FolderError):
    """The disk refused: full, read-only, gone. What was recorded before stays readable."""


class Superseded(FolderError):
    """Another process has taken this run over; this one must not write any more."""


class Untrusted(FolderError):
    """Loading this value would run code from the folder, and nobody allowed that."""


class LedgerError(RunstoneError):
    """The database of all runs cannot be used."""


class LedgerBusy(LedgerError):
    """Another process holds the ledger for longer than we wait.

    held_seconds: for how long nobody was seen to write there; None if that is not known. A ledger that many write in is
    not held, only much used. by_us: whether it is one of ours that is writing just now, and will be done.
    """

    def __init__(self, message: str, *, held_seconds: float | None = None, by_us: bool = False) -> None:
        super().__init__(message)
        self.held_seconds = held_seconds
        self.by_us = by_us


class LedgerFull(LedgerError):
    """There is no room for the ledger on its disk."""


class LedgerDenied(LedgerError):
    """The ledger may not be read, or not be written."""


class LedgerTooNew(LedgerError):
    """The ledger was made by a newer version, and is not touched."""


class LedgerBroken(LedgerError):
    """What is in the place of the ledger is no database, or a damaged one."""


class LedgerUnreachable(LedgerError):
    """The server of the ledger does not answer, or is not there."""


class StatementError(LedgerError):
    """SQL of a user that the ledger does not execute, because it is wrong or would write."""


class CacheError(RunstoneError):
    """The cache of results cannot be used: damaged, locked, full, or not ours."""


class WorkerDied(RunstoneError):
    """The process that computed this died, and not because it was asked to."""


class OutOfMemory(WorkerDied):
    """The system killed the process that computed this, because memory ran out."""


class TimedOut(RunstoneError, TimeoutError):
    """This attempt took longer than the timeout of the block, and was ended."""


class NotPortable(RunstoneError):
    """Something that a block needs cannot be sent to another process."""


class NotStorable(RunstoneError):
    """A value that no format can keep.

    path: where in the value the culprit is, as Python would write it (`['model'].lock`); "" is the value itself.
    """

    def __init__(self, problem: str, path: str = "") -> None:
        self.problem = problem
        self.path = path
        super().__init__(f"{problem} (at value{path})" if path else problem)

    def __reduce__(self) -> tuple[type[NotStorable], tuple[str, str]]:
        return type(self), (self.problem, self.path)
