"""Journal lines: every event comes back as it was, every damaged line is known, and newer ones are stepped over."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runstone.core import events as ev
from runstone.core.statuses import RunStatus
from runstone.folder.journal import UnknownEvent, decode_line, decode_lines, encode_line
from runstone.folder.scan import Scan, scan_journal
from runstone.folder.sealed import seal
from tests.core import test_fold

AT = "2026-01-01T00:00:00.000000Z"
events = test_fold.honest_journals().map(lambda journal: [one for one in journal if not isinstance(one, ev.Chunk)])


def warned(seq: int, message: str = "") -> ev.Warned:
    return ev.Warned(seq=seq, at=AT, code="w", message=message)


def scanned(path: Path, start: int = 0, stop: int | None = None) -> Scan:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return scan_journal(descriptor, start, path.stat().st_size if stop is None else stop)
    finally:
        os.close(descriptor)


@settings(max_examples=50, deadline=None)
@given(events)
def test_every_event_comes_back_as_it_was(journal: list[ev.Event]) -> None:
    data = b"".join(map(encode_line, journal))
    assert [event for _, event in decode_lines(data)] == journal
    for line in data.splitlines():
        assert {"event", "seq", "at", "crc"} <= json.loads(line).keys()


@settings(max_examples=50, deadline=None)
@given(events, st.data())
def test_of_a_journal_cut_anywhere_the_complete_lines_are_there(journal: list[ev.Event], data: st.DataObject) -> None:
    whole = b"".join(map(encode_line, journal))
    cut = data.draw(st.integers(0, len(whole)))
    found = list(decode_lines(whole[:cut]))
    assert [event for _, event in found] == journal[: whole[:cut].count(b"\n")]
    assert [whole[stop - 1] for stop, _ in found] == [ord("\n")] * len(found)


def test_a_damaged_line_costs_itself_only(tmp_path: Path) -> None:
    lines = [encode_line(warned(seq)) for seq in range(1, 6)]
    for junk in (b"", b"{}", b"\0" * 50, lines[2][:-1].replace(b"w", b"v"), b"\xff\xfe", lines[2][:-1] + b" "):
        path = tmp_path / "journal"
        path.write_bytes(b"".join([*lines[:2], junk + b"\n", *lines[3:]]))
        result = scanned(path)
        assert [record.seq for record in result.records] == [1, 2, 4, 5]
        assert result.end == path.stat().st_size
        assert result.damaged == 1


def test_a_torn_last_line_is_left_for_later(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    first, second = encode_line(warned(1)), encode_line(warned(2))
    path.write_bytes(first + second[:-3])
    result = scanned(path)
    assert ([record.seq for record in result.records], result.end, result.damaged) == ([1], len(first), 0)
    path.write_bytes(first + second)
    assert [record.seq for record in scanned(path, start=result.end).records] == [2]


def test_a_line_across_the_windows_in_which_a_file_is_read_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    events = [warned(seq, "m" * 60_000) for seq in range(1, 60)]
    path.write_bytes(b"".join(map(encode_line, events)))
    assert path.stat().st_size > 3 * 2**20
    result = scanned(path)
    assert result.records == events
    assert (result.end, result.damaged) == (path.stat().st_size, 0)


def test_a_line_that_is_too_long_is_damage_and_the_next_one_is_read(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    for length in (70_000, 2**20, 3 * 2**20 + 5):
        path.write_bytes(encode_line(warned(1)) + b"x" * length + b"\n" + encode_line(warned(2)))
        assert [record.seq for record in scanned(path).records] == [1, 2]
        # what looks like a line at the end of one that is too long is a part of it
        path.write_bytes(encode_line(warned(1)) + b"x" * length + encode_line(warned(2)))
        assert [record.seq for record in scanned(path).records] == [1]


def test_no_more_than_64_kib_fit_a_line() -> None:
    assert len(encode_line(warned(1, "m" * 65_000))) < ev.EVENT_LIMIT
    with pytest.raises(ValueError, match="at most 65536"):
        encode_line(warned(1, "m" * 66_000))
    room = ev.EVENT_LIMIT - len(encode_line(warned(1, "")))
    longest = encode_line(warned(1, "m" * room))
    assert len(longest) == ev.EVENT_LIMIT
    assert decode_line(longest[:-1]) is not None


def test_events_and_fields_of_a_newer_version_are_stepped_over() -> None:
    newer = seal(b'{"event":"run.teleported","seq":3,"at":"2026","where":[1,{"a":2}]}')
    assert decode_line(newer) == UnknownEvent(seq=3, at="2026")
    known = json.loads(msgspec.json.encode(warned(4)))
    more = seal(json.dumps({**known, "colour": "red"}, separators=(",", ":")).encode())
    assert decode_line(more) == warned(4)


def test_an_event_with_a_word_of_a_newer_version_keeps_its_place() -> None:
    ended = ev.RunEnded(seq=5, at=AT, status=RunStatus.COMPLETED)
    newer = seal(msgspec.json.encode(ended).replace(b'"completed"', b'"evaporated"'))
    assert decode_line(newer) == UnknownEvent(seq=5, at=AT)


@pytest.mark.parametrize(
    "body",
    [
        b'{"seq":0,"at":""}',
        b'{"seq":-3,"at":"","event":"warning"}',
        b'{"seq":"1","at":""}',
        b'{"at":"","a":1}',
        b"[1,2]",
    ],
)
def test_a_line_without_a_number_is_damage(body: bytes) -> None:
    assert decode_line(seal(body)) is None
