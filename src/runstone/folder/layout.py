"""The names of everything in a run folder."""

from __future__ import annotations

import re

RUN = "run.json"
RUN_LIMIT = 4 * 1024 * 1024
"""Bytes that a reader takes of it at most."""
LONGEST_NAME = 100
"""Of a block or an output, in bytes, since they become names of files."""

JOURNAL = "journal"
OUTPUTS = "outputs"
CHECKPOINT = "status.json"
MANIFEST = "manifest.json"
REQUESTS = "requests"
ANNOTATIONS = "annotations.jsonl"
INPUTS = "inputs"
INPUTS_PACK = "inputs/inputs.pack"
ARTIFACTS = "artifacts"
LOGS = "logs"
VALUES_PACK = "outputs/values.pack"

_JOURNAL_NAME = re.compile(r"(\d{4,9})\.jsonl")
_PACK_NAME = re.compile(r"(.+)\.(\d{4,9})\.pack")


def journal(epoch: int) -> str:
    """The journal of an epoch, relative to the run folder."""
    return f"{JOURNAL}/{epoch:04d}.jsonl"


def pack(block: str, epoch: int) -> str:
    """The chunks of a block that this epoch wrote, relative to the run folder."""
    return f"{OUTPUTS}/{block}.{epoch:04d}.pack"


def journal_epoch(name: str) -> int | None:
    """The epoch of a file in `journal/`, None if it is something else."""
    match = _JOURNAL_NAME.fullmatch(name)
    return int(match[1]) if match else None


def pack_block(name: str) -> tuple[str, int] | None:
    """Block and epoch of a file in `outputs/`, None if it is something else."""
    match = _PACK_NAME.fullmatch(name)
    return (match[1], int(match[2])) if match else None
