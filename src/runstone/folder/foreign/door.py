"""Where folders that other programs wrote are told from ours; what reads them is loaded only once there is one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runstone.folder.overview import Overview

PIPEFUNC = "run_info.json"
_OURS = "run.json"


def is_run(folder: str) -> bool:
    """Whether a folder is a run that another program wrote."""
    return os.path.isfile(os.path.join(folder, PIPEFUNC)) and not os.path.lexists(os.path.join(folder, _OURS))


def refusal(folder: str) -> str:
    """What to say to those who want more of such a run than to look at it."""
    return (
        f"the run in {folder} was made by pipefunc: status, list-runs, watch and show tell how it stands; "
        "its values are loaded by pipefunc.map.load_outputs, and it is resumed by pipefunc"
    )


def status(folder: str, block: str | None = None) -> dict[str, Any]:
    """The status object. Raises FolderError for what cannot be read, FileNotFoundError if it is no such run."""
    from runstone.folder.foreign.pipefunc.answer import status

    return status(folder, block)


def blocks(folder: str) -> list[str]:
    """The names of its blocks. Raises as `status` does."""
    from runstone.folder.foreign.pipefunc.answer import blocks

    return blocks(folder)


def overview(folder: str, block: str | None = None) -> Overview:
    """The run in some detail. Raises as `status` does."""
    from runstone.folder.foreign.pipefunc.detail import overview

    return overview(folder, block)


def run_info(folder: str) -> Any:
    """What the run says about itself, as its own program shows it; None if it cannot be read."""
    from runstone.folder.foreign.pipefunc.answer import run_info

    return run_info(folder)


def modified(folder: str) -> float | None:
    """When it last changed by the times of its files, at a glance and never too early; None if it is no such run."""
    if not is_run(folder):
        return None
    from runstone.folder.foreign.pipefunc.layout import modified

    return modified(folder)
