"""The answer to a question about a run: one sentence, what it follows from, and what shows it."""

from __future__ import annotations

import msgspec

from runstone.core.causes import Why
from runstone.core.receipts import Receipt
from runstone.folder.error_detail import ErrorDetail


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One link of the chain from what was asked about to the root of it. place: `block`, or `block[index]`."""

    place: str
    status: str
    text: str


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that shows it, in words."""

    name: str
    text: str


class Reuse(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a block in a run that took over from an earlier one.

    from_run: id of that run, None if the cache was asked and had nothing. from_cache: the cache was asked; other_runs:
    how many more have computed what it had. reused, computed: elements; a block that is not mapped has one. why: what
    was the same, or what has changed, by name.
    """

    block: str
    from_run: str | None
    from_cache: bool = False
    other_runs: int = 0
    reused: int
    computed: int
    why: list[Why]


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """How a run was stopped. Times RFC 3339 in UTC.

    answered_at: when its process recorded the request; None as long as it has not. dead_at: when the last process was
    seen dead. receipts: which processes were ended, by which signals.
    """

    requested_at: str | None
    requested_by: str | None
    message: str
    answered_at: str | None
    dead_at: str | None


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A command worth typing now, and what for."""

    command: str
    purpose: str


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why something is as it is.

    run: id. block, element, index: what was asked about, None for the whole run or block; element is the flat number.
    status: the word to act on; of an element `completed`, `reused`, `failed`, `upstream_failed`,
    `pending`, or `missing` if it was not recorded and will not be without a resume.
    answer: one sentence. chain: from there down to the root. error: the one at the root, attempts: those before it.
    waiting_for: blocks that it waits for. receipts: of processes that were ended for it.
    """

    run: str
    pipeline: str
    run_folder: str
    block: str | None = None
    element: int | None = None
    index: list[int] | None = None
    status: str
    reason: str | None = None
    answer: str
    chain: list[Step] = []
    facts: list[Fact] = []
    error: ErrorDetail | None = None
    attempts: list[ErrorDetail] = []
    reuse: list[Reuse] = []
    waiting_for: list[str] = []
    stop: Stop | None = None
    receipts: list[Receipt] = []
    next: list[Command] = []

    def text(self, width: int = 80) -> str:
        """All of it for a person, in lines of at most `width` columns as far as they can be broken."""
        from runstone.folder.why.text import written

        return written(self, width)

    def __str__(self) -> str:
        return self.text()
