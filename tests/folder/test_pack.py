"""Packs: frames come back, whatever lies between them, and a frame is all there or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runstone.core.events import Chunk, ColumnMeta
from runstone.folder import scan
from runstone.folder.pack import MAGIC, PREFIX, Frame, decode_frame, encode_frame, parts

AT = "2026-01-01T00:00:00.000000Z"


def frame(seq: int, values: bytes = b"values", **fields: object) -> bytes:
    column = ColumnMeta(name="y", bytes=len(values), count=1, meta={"kind": "bytes"}, type="bytes")
    known = {"block": "b", "elements": [(seq, seq + 1)], "ok": 1, "columns": [column], **fields}
    return b"".join(encode_frame(Chunk(seq=seq, at=AT, **known), [values]))  # type: ignore[arg-type]


def scanned(path: Path, *, start: int = 0, stop: int | None = None, verify_all: bool = False) -> scan.Scan:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return scan.scan_pack(descriptor, start, path.stat().st_size if stop is None else stop, verify_all=verify_all)
    finally:
        os.close(descriptor)


def numbers(result: scan.Scan) -> list[int]:
    return [record.seq for record in result.records]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    junk=st.lists(
        st.sampled_from([b"", b"\0" * 9, MAGIC, MAGIC[:3], MAGIC + b"\xff" * 30, b"RRSf1", frame(99)[:-1], b"x" * 40]),
        min_size=1, max_size=8,
    ),
    size=st.sampled_from([0, 1, 2**20 - 40, 2**20, 2**20 + 3]),
)  # fmt: skip
def test_frames_are_found_whatever_lies_between_them(tmp_path: Path, junk: list[bytes], size: int) -> None:
    path = tmp_path / "pack"
    pieces = []
    for seq, piece in enumerate(junk, start=1):
        # the last piece of junk may be a torn frame, behind which nothing is looked for
        pieces += [frame(seq, b"v" * size), piece if seq == len(junk) or not piece.startswith(frame(99)[:40]) else b""]
    path.write_bytes(b"".join(pieces))
    result = scanned(path)
    assert numbers(result) == list(range(1, len(junk) + 1))
    assert result.end == path.stat().st_size - len(pieces[-1])


def test_every_cut_gives_the_frames_before_it(tmp_path: Path) -> None:
    path = tmp_path / "pack"
    whole = b"".join(frame(seq) for seq in (1, 2, 3))
    size = len(whole) // 3
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        result = scanned(path)
        assert numbers(result) == list(range(1, cut // size + 1))
        assert result.end == cut // size * size
        assert result.damaged == 0


def test_every_flipped_bit_costs_its_own_frame_only(tmp_path: Path) -> None:
    path = tmp_path / "pack"
    whole = b"".join(frame(seq) for seq in (1, 2, 3))
    size = len(whole) // 3
    for position in range(size, 2 * size):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << position % 8
        path.write_bytes(flipped)
        result = scanned(path)
        assert numbers(result) == [1, 3]
        assert (result.end, result.damaged) == (len(whole), size)


def test_what_was_not_read_before_is_read_from_there_on(tmp_path: Path) -> None:
    path = tmp_path / "pack"
    path.write_bytes(frame(1) + frame(2)[:-2])
    first = scanned(path)
    path.write_bytes(frame(1) + frame(2) + frame(3))
    assert numbers(scanned(path, start=first.end)) == [2, 3]
    assert numbers(scanned(path, stop=first.end)) == [1]


def test_values_far_from_the_end_are_checked_only_by_those_who_ask(tmp_path: Path) -> None:
    path = tmp_path / "pack"
    whole = bytearray(frame(1, b"v" * 1000) + frame(2, b"v" * scan.TAIL_VERIFIED) + frame(3))
    whole[len(frame(1, b"v" * 1000)) - 5] ^= 1
    path.write_bytes(whole)
    assert numbers(scanned(path)) == [1, 2, 3]
    assert numbers(scanned(path, verify_all=True)) == [2, 3]
    whole[-1] ^= 1
    path.write_bytes(whole)
    assert numbers(scanned(path)) == [1, 2]


def test_a_frame_without_values_is_a_frame() -> None:
    data = frame(1, b"", columns=[])
    found = decode_frame(data, 0, 0, len(data))
    assert isinstance(found, Frame)
    assert (found.start, found.payload, found.stop) == (0, len(data), len(data))


def test_a_reader_is_told_how_many_bytes_it_takes_to_tell() -> None:
    data = frame(1)
    wanted = decode_frame(data[:10], 0, 0, len(data))
    assert wanted == PREFIX
    wanted = decode_frame(data[: PREFIX + 3], 0, 0, len(data))
    assert wanted == len(data) - len(b"values")
    assert decode_frame(data[:10], 0, 0, 10) is None


def test_a_torn_frame_is_known_by_where_it_would_end() -> None:
    data = frame(1)
    found = decode_frame(data[:-3], 0, 0, len(data) - 3)
    assert isinstance(found, Frame)
    assert found.stop == len(data)


@pytest.mark.parametrize("seq", [0, -1])
def test_a_frame_without_a_number_is_none(seq: int) -> None:
    data = frame(seq)
    assert decode_frame(data, 0, 0, len(data)) is None


def test_the_parts_of_a_payload_lie_one_behind_the_other() -> None:
    metas = [ColumnMeta(name=name, bytes=size, count=1) for name, size in (("o", 3), ("f", 10), ("x", 5), ("y", 7))]
    chunk = Chunk(
        seq=1,
        at=AT,
        block="b",
        elements=[(0, 3)],
        ok=1,
        failed=2,
        outcomes=metas[0],
        failures=metas[1],
        columns=metas[2:],
    )
    assert [(meta.name, offset) for meta, offset in parts(chunk)] == [("o", 0), ("f", 3), ("x", 13), ("y", 18)]
    assert [offset for _, offset in parts(Chunk(seq=1, at=AT, block="b", elements=[], ok=0, columns=metas[2:]))] == [
        0,
        5,
    ]
