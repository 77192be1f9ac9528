"""Keeping secrets out of what is written: every text on its way into a record passes through here.

What a process has once learnt it keeps out until it ends: an exception that leaves a run, or a thread that outlives
it, may still carry the text into the record of another. Without secrets nothing is done, and it costs nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import msgspec

MASK = "***"
SHORTEST = 4
"""Characters that a secret has at least; a shorter one is part of too many other words."""

KEPT = 100
"""How many secrets a process keeps out at once, the latest ones."""

_TELLING = 3
"""Fewer characters than these, at the end of a text that was cut off, tell nothing of a secret."""

_LINE = 8
"""Characters of a line of a secret that is looked for by itself, as in the key of a certificate."""

_lock = threading.Lock()
_values: tuple[str, ...] = ()
_forms: tuple[str, ...] = ()
_longest = 0


def learn(value: str) -> None:
    """Keep a text, and the forms in which programs write it, out of everything from here on."""
    global _values, _forms, _longest
    with _lock:
        if value in _values:
            _values = (*(each for each in _values if each != value), value)
            return
        values = (*_values, value)[-KEPT:]
        found = {form for each in values for form in _written(each)}
        # longest first: one may be part of another
        _forms = tuple(sorted(found, key=lambda form: (-len(form), form)))
        _longest = len(_forms[0])
        _values = values


def known() -> tuple[str, ...]:
    """What is kept out by now; for processes that compute for this one."""
    return _values


def redact(text: str) -> str:
    """The text with `***` in place of every secret."""
    for form in _forms:
        if form in text:
            text = text.replace(form, MASK)
    return text


def beginning(text: str, limit: int) -> str:
    """At most so many characters from the beginning of a text, redacted; no half of a secret is left at the end."""
    if not _forms:
        return text[:limit]
    if len(text) <= limit:
        return redact(text)
    return redact_open(text[: limit + _longest])[:limit]


def redact_open(text: str) -> str:
    """The same for a text that was cut off: what may be the first part of a secret, at its end, is replaced too."""
    if not _forms:
        return text
    found = redact(text)
    half = unfinished(found)
    return found[: len(found) - half] + MASK if half >= _TELLING else found


def unfinished(text: str) -> int:
    """How many characters at the end of a text may be the first part of a secret whose rest is still to come."""
    found = 0
    for form in _forms:
        tail = text[1 - len(form) :]
        at = tail.find(form[0])
        while at >= 0 and not form.startswith(tail[at:]):
            at = tail.find(form[0], at + 1)
        if at >= 0:
            found = max(found, len(tail) - at)
    return found


def longest() -> int:
    """Of the forms that are looked for, in characters; 0 if there are none."""
    return _longest


def redacted(value: Any, one: Callable[[str], str] = redact) -> Any:
    """What is to become JSON, or a part of an event, with every text in it redacted, by `one`."""
    if not _forms:
        return value
    if type(value) is str:
        return one(value)
    if type(value) in (list, tuple):
        return type(value)(redacted(each, one) for each in value)
    if type(value) is dict:
        return {redacted(name, one): redacted(each, one) for name, each in value.items()}
    if isinstance(value, msgspec.Struct):
        fields = {name: redacted(getattr(value, name), one) for name in value.__struct_fields__}
        return msgspec.structs.replace(value, **fields)
    return MASK if type(value) is int and str(value) in _forms else value


def _written(value: str) -> set[str]:
    """The forms in which programs write a text: as it is, line by line, escaped (as in Python, JSON, HTML, a shell, an
    address), encoded."""
    import base64
    import json
    from html import escape
    from urllib.parse import quote, quote_plus

    data = value.encode(errors="surrogateescape")
    encoded = base64.b64encode(data).decode()
    found = {
        value,
        repr(value)[1:-1],
        repr(data)[2:-1],
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        value.encode(errors="backslashreplace").decode(),
        escape(value),
        value.replace("'", "'\"'\"'"),
        quote(data, safe=""),
        quote(data),
        quote_plus(data),
        encoded,
        encoded.rstrip("="),
        base64.urlsafe_b64encode(data).decode().rstrip("="),
        data.hex(),
    }
    lines = [line.strip() for line in value.splitlines()]
    found.update(line for line in lines if len(line) >= _LINE)
    return {form for form in found if len(form) >= SHORTEST}
