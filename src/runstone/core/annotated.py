"""What people say about a run from outside, tags and notes, and what it adds up to. Not part of the fold of the run."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

TAG, UNTAG, NOTE = "tag", "untag", "note"
KINDS = frozenset({TAG, UNTAG, NOTE})

TEXT_MOST = 10_000
TAG_MOST = 200
"""Characters of a note, and of a tag, at most."""


class Annotation(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was said. version: counts them, from 1, for each run; said_at: RFC 3339 in UTC."""

    version: int
    kind: str
    text: str
    said_at: str
    said_by: str = ""


def acting_tags(own: Iterable[str], said: Iterable[Annotation]) -> list[str]:
    """The tags of a run, in the order they were given. own: those it began with; said: in order."""
    tags = dict.fromkeys(tag for tag in own if tag)
    for one in said:
        if one.kind == TAG:
            tags.setdefault(one.text)
        elif one.kind == UNTAG:
            tags.pop(one.text, None)
    return list(tags)


def notes(said: Iterable[Annotation]) -> list[Annotation]:
    """What was noted, in order."""
    return [one for one in said if one.kind == NOTE]


def problem_with_tag(tag: str) -> str | None:
    """Why this is no tag, in words; None if it is one."""
    if not tag or tag != tag.strip():
        return "a tag is a text without space around it"
    if len(tag) > TAG_MOST:
        return f"a tag has at most {TAG_MOST} characters"
    return None if tag.isprintable() else "a tag is one line of letters that can be printed"
