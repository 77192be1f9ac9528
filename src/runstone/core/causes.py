"""Why a block is taken over from an earlier run, or is not: machine words, and the sentences for people."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import msgspec


class Cause(StrEnum):
    """Why a block is reused, or is not."""

    UNCHANGED = "unchanged"
    NEW_BLOCK = "new_block"
    REMOVED_BLOCK = "removed_block"
    CODE = "code"
    CODE_UNKNOWN = "code_unknown"
    SETTING = "setting"
    PARAMETER = "parameter"
    PARAMETER_UNKNOWN = "parameter_unknown"
    UPSTREAM = "upstream"
    UPSTREAM_ELEMENTS = "upstream_elements"
    OUTPUT_MISSING = "output_missing"
    FAILED = "failed"
    UNFINISHED = "unfinished"
    SKIPPED = "skipped"
    NOT_CACHED = "not_cached"
    INPUT = "input"
    NEW_INPUT = "new_input"
    INPUT_UNKNOWN = "input_unknown"


class Why(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One reason. subject: the part of the code, the parameter, input, setting, block or output it is about.

    before, after: what was compared, None where there was nothing; elements: how many it concerns, None for all.
    cause: a `Cause`, or the word of a newer version.
    """

    cause: str
    subject: str = ""
    before: str | None = None
    after: str | None = None
    elements: int | None = None

    def __str__(self) -> str:
        sentence = _SENTENCES.get(self.cause)
        return f"{self.cause} {self.subject}".strip() if sentence is None else sentence(self)


def _counted(why: Why, one: str, many: str) -> str:
    if why.elements == 1:
        return f"1 element {one}"
    return f"elements {many}" if why.elements is None else f"{why.elements:,} elements {many}"


def _compared(why: Why, what: str) -> str:
    if why.before is None:
        return f"{what} is new"
    return f"{what} is not there any more" if why.after is None else f"{what} changed"


def _input(name: str) -> str:
    """An input in words; of tracked code some say by themselves what they are."""
    return name if name.startswith(("parameter ", "variable ")) else f"input {name}"


_SENTENCES: dict[str, Callable[[Why], str]] = {
    Cause.UNCHANGED: lambda why: "code and inputs are the same",
    Cause.NEW_BLOCK: lambda why: f"block {why.subject} is new",
    Cause.REMOVED_BLOCK: lambda why: f"block {why.subject} is not there any more",
    Cause.CODE: lambda why: _compared(why, f"code {why.subject}"),
    Cause.CODE_UNKNOWN: lambda why: f"code {why.subject} cannot be compared",
    Cause.SETTING: lambda why: f"setting {why.subject} changed",
    Cause.PARAMETER: lambda why: _compared(why, f"parameter {why.subject}"),
    Cause.PARAMETER_UNKNOWN: lambda why: (
        f"parameter {why.subject} cannot be compared"
        + (": as a secret it was recorded with another key" if why.before and why.after else "")
    ),
    Cause.UPSTREAM: lambda why: f"upstream {why.subject} runs again",
    Cause.UPSTREAM_ELEMENTS: lambda why: f"upstream {why.subject}: {_counted(why, 'is', 'are')} computed again",
    Cause.OUTPUT_MISSING: lambda why: (
        f"output {why.subject} is missing on disk"
        if why.elements is None
        else f"output {why.subject}: {_counted(why, 'is', 'are')} missing on disk"
    ),
    Cause.FAILED: lambda why: (
        "it failed before" if why.elements is None else _counted(why, "failed before", "failed before")
    ),
    Cause.UNFINISHED: lambda why: (
        "it was not computed before"
        if why.elements is None
        else _counted(why, "was not computed before", "were not computed before")
    ),
    Cause.SKIPPED: lambda why: "its condition is asked again",
    Cause.NOT_CACHED: lambda why: (
        "the cache has nothing of it"
        if why.elements is None
        else f"{_counted(why, 'is', 'are')} not in the cache any more"
    ),
    Cause.INPUT: lambda why: _compared(why, _input(why.subject)),
    Cause.NEW_INPUT: lambda why: (
        f"input {why.subject} is new"
        if why.elements is None
        else f"input {why.subject} of {_counted(why, '', '').rstrip()} is new"
    ),
    Cause.INPUT_UNKNOWN: lambda why: f"input {why.subject} cannot be compared, so nothing of it is kept in the cache",
}
