"""Every section and key that `runstone.toml` may have, and what is said of those that it may not.

A new key is a line in `KEYS`, and one in the table of `docs/project.md`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from runstone import amounts


class Takes(enum.Enum):
    """What the value of a key is, in words that end `write ...`."""

    LEDGER = "a path, a URL or 'none'"
    SPAN = "a span of time such as '30d'"
    COUNT = "a whole number, not below 0"
    SIZE = "a size such as '10 GB'"
    NAMES = "a list of names"


class Key(NamedTuple):
    """One key. Whether there is such a file or server as a text names, is found out by those who need it."""

    section: str
    name: str
    takes: Takes


class Problem(NamedTuple):
    """section: that it is in; "" if it stands in none. said: what is wrong, and what to do, without the file."""

    section: str
    said: str


KEYS = (
    Key("ledger", "url", Takes.LEDGER),
    Key("retention", "older_than", Takes.SPAN),
    Key("retention", "keep", Takes.COUNT),
    Key("secrets", "names", Takes.NAMES),
    Key("cache", "max_age", Takes.SPAN),
    Key("cache", "max_size", Takes.SIZE),
)
SECTIONS = tuple(dict.fromkeys(key.section for key in KEYS))


def problems(found: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with the content of a file."""
    for name, value in found.items():
        if name not in SECTIONS:
            yield Problem("", _stray(name, value))
        elif isinstance(value, list):
            yield Problem(name, f"[[{name}]] is a list of tables: write one, [{name}]")
        elif not isinstance(value, dict):
            yield Problem(name, f"{name} is the value {value!r}: write a table, [{name}]")
        else:
            yield from _in_section(name, value)


def _in_section(section: str, found: Mapping[str, Any]) -> Iterator[Problem]:
    keys = {key.name: key for key in KEYS if key.section == section}
    for name, value in found.items():
        if name not in keys:
            yield Problem(section, f"[{section}] {name} is not known; {_hint(name, list(keys))}")
        elif not _fits(value, keys[name].takes):
            yield Problem(section, f"[{section}] {name} is {value!r}: write {keys[name].takes.value}")


def _stray(name: str, value: object) -> str:
    """What is said of something that is no section of ours."""
    if isinstance(value, (dict, list)):
        return f"[{name}] is not known; {_hint(name, [f'[{section}]' for section in SECTIONS])}"
    of = [key.section for key in KEYS if key.name == name]
    where = (
        f"write it below [{of[0]}]" if of else f"there are the sections {_listed([f'[{each}]' for each in SECTIONS])}"
    )
    return f"{name} stands in no section; {where}"


def _hint(name: str, known: list[str]) -> str:
    close = get_close_matches(name.lower().replace("-", "_"), known, n=1)
    return f"did you mean {close[0]}?" if close else f"there {'is' if len(known) == 1 else 'are'} {_listed(known)}"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _fits(value: object, takes: Takes) -> bool:
    is_number = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if takes is Takes.COUNT:
        return is_number
    if takes is Takes.NAMES:
        return isinstance(value, list) and all(isinstance(each, str) and each for each in value)
    if not isinstance(value, str):
        return is_number and takes is Takes.SIZE
    return takes not in _READERS or _can_be_read(value, _READERS[takes])


def _can_be_read(value: str, read: Callable[[str], object]) -> bool:
    try:
        read(value)
    except ValueError:
        return False
    return True


_READERS: dict[Takes, Callable[[str], object]] = {Takes.SPAN: amounts.span, Takes.SIZE: amounts.size}
