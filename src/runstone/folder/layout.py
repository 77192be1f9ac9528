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
_LOG_NAME = re.compile(r"(?:(.+)\.)?(\d{4,9})\.jsonl")


def journal(epoch: int) -> str:
    """The journal of an epoch, relative to the run folder."""
    return f"{JOURNAL}/{epoch:04d}.jsonl"


def pack(block: str, epoch: int) -> str:
    """The chunks of a block that this epoch wrote, relative to the run folder."""
    return f"{OUTPUTS}/{block}.{epoch:04d}.pack"


def log(block: str | None, epoch: int) -> str:
    """What a block said in an epoch, or with None the run outside of its blocks; relative to the run folder."""
    return f"{LOGS}/{epoch:04d}.jsonl" if block is None else f"{LOGS}/{block}.{epoch:04d}.jsonl"


def adopted_pack(block: str, mark: str) -> str:
    """A pack of an earlier run that a `block.adopted` event speaks of, relative to the run folder.

    mark: 8 hexadecimal digits of its own. No reader takes it for a pack of this run: without the event it says nothing.
    """
    return f"{OUTPUTS}/{block}.adopted-{mark}.pack"


def journal_epoch(name: str) -> int | None:
    """The epoch of a file in `journal/`, None if it is something else."""
    match = _JOURNAL_NAME.fullmatch(name)
    return int(match[1]) if match else None


def pack_block(name: str) -> tuple[str, int] | None:
    """Block and epoch of a file in `outputs/`, None if it is something else."""
    match = _PACK_NAME.fullmatch(name)
    return (match[1], int(match[2])) if match else None


def log_block(name: str) -> tuple[str | None, int] | None:
    """Block and epoch of a file in `logs/`, None if it is something else."""
    match = _LOG_NAME.fullmatch(name)
    return (match[1], int(match[2])) if match else None
