"""Runstone runs Python pipelines and keeps a record of every run that can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runstone import version

if TYPE_CHECKING:
    from runstone.blocks import Block as Block
    from runstone.blocks import block as block
    from runstone.core.failed import Failed as Failed
    from runstone.core.settings import Retries as Retries
    from runstone.engine.artifact import artifact as artifact
    from runstone.errors import FailedElement as FailedElement
    from runstone.errors import FolderError as FolderError
    from runstone.errors import InputError as InputError
    from runstone.errors import MapSpecError as MapSpecError
    from runstone.errors import NotPortable as NotPortable
    from runstone.errors import NotStorable as NotStorable
    from runstone.errors import OutOfMemory as OutOfMemory
    from runstone.errors import PipelineError as PipelineError
    from runstone.errors import RunError as RunError
    from runstone.errors import RunFailed as RunFailed
    from runstone.errors import RunNotFound as RunNotFound
    from runstone.errors import RunstoneError as RunstoneError
    from runstone.errors import SettingError as SettingError
    from runstone.errors import StorageError as StorageError
    from runstone.errors import TimedOut as TimedOut
    from runstone.errors import Untrusted as Untrusted
    from runstone.errors import WorkerDied as WorkerDied
    from runstone.pipeline import Pipeline as Pipeline
    from runstone.run import Run as Run
    from runstone.run import open_run
    from runstone.secrets.secret import Secret as Secret
    from runstone.tracking import record_run as record_run
    from runstone.tracking import track as track
    from runstone.tracking import update_run as update_run
    from runstone.workspace.values import diff as diff

    open = open_run

__version__ = version.VERSION

_HOME = {
    "Block": "runstone.blocks",
    "block": "runstone.blocks",
    "Failed": "runstone.core.failed",
    "Retries": "runstone.core.settings",
    "artifact": "runstone.engine.artifact",
    "FailedElement": "runstone.errors",
    "FolderError": "runstone.errors",
    "InputError": "runstone.errors",
    "MapSpecError": "runstone.errors",
    "NotStorable": "runstone.errors",
    "WorkerDied": "runstone.errors",
    "TimedOut": "runstone.errors",
    "OutOfMemory": "runstone.errors",
    "NotPortable": "runstone.errors",
    "PipelineError": "runstone.errors",
    "RunError": "runstone.errors",
    "RunFailed": "runstone.errors",
    "RunNotFound": "runstone.errors",
    "RunstoneError": "runstone.errors",
    "SettingError": "runstone.errors",
    "StorageError": "runstone.errors",
    "Untrusted": "runstone.errors",
    "Pipeline": "runstone.pipeline",
    "Run": "runstone.run",
    "open": "runstone.run",
    "Secret": "runstone.secrets.secret",
    "record_run": "runstone.tracking",
    "track": "runstone.tracking",
    "update_run": "runstone.tracking",
    "diff": "runstone.workspace.values",
}
_INSIDE = {"open": "open_run"}

# `from runstone import *` must not take the builtin `open` away
__all__ = sorted([*_HOME.keys() - _INSIDE.keys(), "__version__"])


def __getattr__(name: str) -> Any:
    # Loaded at first use: `import runstone` itself costs nothing.
    if name not in _HOME:
        raise AttributeError(f"module 'runstone' has no attribute {name!r}")
    import importlib

    found = getattr(importlib.import_module(_HOME[name]), _INSIDE.get(name, name))
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*__all__, *_INSIDE]
