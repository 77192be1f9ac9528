"""Where the cache of a workspace lies, and whether what lies there may be used."""

from __future__ import annotations

import os
import shutil

from runstone import config
from runstone.errors import CacheError
from runstone.ledger.shared_disks import network_file_system

FOLDER = "cache"
DATABASE = "results.db"
LARGE = "large"


def folder_of(workspace: str) -> str:
    """The folder of the cache of a workspace, absolute."""
    return os.path.join(config.project_root(), config.OWN, FOLDER, workspace)


def make(folder: str) -> None:
    """Make the folder of a cache, for its owner alone. Raises CacheError for one that may not be used."""
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        found = os.stat(folder)
    except OSError as error:
        raise CacheError(f"the cache {folder} cannot be made: {(error.strerror or str(error)).lower()}") from None
    if hasattr(os, "geteuid") and found.st_uid != os.geteuid():
        # what is in there is unpickled, which runs code that its writer chose
        raise CacheError(f"the cache {folder} belongs to another user, and is not used")
    if found.st_mode & 0o022:
        raise CacheError(f"the cache {folder} may be written by other users, and is not used: chmod go-w {folder}")
    kind = network_file_system(folder)
    if kind is not None:
        raise CacheError(f"the cache {folder} lies on a network file system ({kind}), where SQLite is not safe")


def remove(workspace: str) -> None:
    """Remove the cache of a workspace that is deleted; nobody comes by what was in it under the same name."""
    shutil.rmtree(folder_of(workspace), ignore_errors=True)
