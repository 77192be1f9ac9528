"""Which parameters are secrets: by annotation, or by their names in `runstone.toml`."""

from __future__ import annotations

import os
import re
import time
import typing
from collections.abc import Callable, Iterable, Sequence
from types import UnionType
from typing import Any

from runstone import config
from runstone.core.annotations import hints_of
from runstone.secrets.secret import Secret

_WORD = re.compile(r"\bSecret\b")
_ANNOTATED = re.compile(r"\bAnnotated\b")


def by_annotation(function: Callable[..., Any], hints: typing.Mapping[str, Any]) -> frozenset[str]:
    """The parameters that a function has annotated as `Secret` or `Annotated[str, Secret]`, alone or with others.

    hints: as `hints_of` gives them, which no longer tell of `Annotated`.
    """
    found = {name for name, hint in hints.items() if wants_secret(hint) or _is_annotated(hint)}
    raw = getattr(function, "__annotations__", None) or {}
    if any(_may_be_annotated(each) for each in raw.values()):
        found |= {name for name, hint in hints_of(function, extras=True).items() if _is_annotated(hint)}
    return frozenset(found - {"return"})


def wants_secret(annotation: Any) -> bool:
    """Whether who asks with this annotation is given a `Secret`, and not its text."""
    if annotation is Secret:
        return True
    if isinstance(annotation, str):
        return bool(_WORD.search(annotation)) and not _ANNOTATED.search(annotation)
    if typing.get_origin(annotation) in (typing.Union, UnionType):
        return any(wants_secret(each) for each in typing.get_args(annotation))
    return False


def _is_annotated(annotation: Any) -> bool:
    if isinstance(annotation, str):
        return bool(_WORD.search(annotation) and _ANNOTATED.search(annotation))
    if typing.get_origin(annotation) is typing.Annotated:
        return any(each is Secret or isinstance(each, Secret) for each in annotation.__metadata__)
    if typing.get_origin(annotation) in (typing.Union, UnionType):
        return any(_is_annotated(each) for each in typing.get_args(annotation))
    return False


def _may_be_annotated(raw: Any) -> bool:
    return "Secret" in raw if isinstance(raw, str) else "Annotated" in repr(type(raw)) or "Annotated" in repr(raw)


def patterns(text: bytes | None = None) -> list[str]:
    """The names that `runstone.toml` marks: `[secrets] names = ["*token*", "!max_tokens"]`.

    text: of that file, if it is known already. Raises SettingError.
    """
    if b"secrets" not in (config.text() if text is None else text):
        return []
    found: list[str] = config.section("secrets").get("names", [])
    return found


_SECONDS = 1.0
_lately: tuple[float, str, list[str]] = (float("-inf"), "", [])


def lately() -> list[str]:
    """The same as it was at most a second ago; for those who ask many times a second. Raises SettingError."""
    global _lately
    try:
        now, here = time.monotonic(), os.getcwd()
    except FileNotFoundError:
        # the current folder was deleted: what was marked before it was is what is known
        return _lately[2]
    if here != _lately[1] or now - _lately[0] > _SECONDS:
        _lately = (now, here, patterns())
    return _lately[2]


def by_name(name: str, marks: Sequence[str]) -> str | None:
    """The pattern that marks a parameter; None if none does, or the last that fits it begins with `!`.

    Upper and lower case are the same; of `scope.name` the name may fit alone.
    """
    found: str | None = None
    own = {name.lower(), name.lower().rpartition(".")[2]}
    for mark in marks:
        negated = mark.startswith("!")
        if _fits(own, mark.lower().removeprefix("!")):
            found = None if negated else mark
    return found


def _fits(names: Iterable[str], pattern: str) -> bool:
    # loaded by those who have such patterns
    from fnmatch import fnmatchcase

    return any(fnmatchcase(name, pattern) for name in names)
