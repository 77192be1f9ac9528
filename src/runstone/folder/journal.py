"""Journal lines: one event each, as JSON with a checksum of its own bytes (see `sealed`)."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from runstone.core.events import EVENT_LIMIT, Event, JournalEvent
from runstone.folder import outline
from runstone.folder.sealed import seal, unseal

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(JournalEvent).decode


class UnknownEvent(Event, frozen=True, kw_only=True):
    """An event of a newer version: only its place in the sequence is known."""


class EventTooLong(ValueError):
    """An event does not fit a line; nothing was recorded."""


class _AnyEvent(msgspec.Struct, frozen=True):
    seq: int
    at: str


_decode_any = msgspec.json.Decoder(_AnyEvent).decode


def encode_line(event: Event) -> bytes:
    """The line for an event. Raises EventTooLong if it is longer than a line may be."""
    line = seal(_encode(event)) + b"\n"
    if len(line) > EVENT_LIMIT:
        raise EventTooLong(f"event of {len(line)} bytes; a journal line has at most {EVENT_LIMIT}")
    return line


def decode_line(line: bytes, *, whole: bool = True) -> Event | None:
    """The event in a line (without its newline), None if the line is damaged.

    whole: with its values; else only what the fold asks for.
    """
    body = unseal(line) if len(line) < EVENT_LIMIT else None
    if body is None:
        return None
    try:
        event: Event = _decode(body) if whole else outline.decode_event(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _unknown(body)
    return event if event.seq > 0 else None


def _unknown(body: bytes) -> Event | None:
    try:
        known = _decode_any(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return UnknownEvent(seq=known.seq, at=known.at) if known.seq > 0 else None


def decode_lines(data: bytes, *, whole: bool = True) -> Iterator[tuple[int, Event | None]]:
    """Every complete line of `data` as (offset behind it, event or None if damaged). whole: as for `decode_line`."""
    start = 0
    while (stop := data.find(b"\n", start)) >= 0:
        yield stop + 1, decode_line(data[start:stop], whole=whole)
        start = stop + 1
