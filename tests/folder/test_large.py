"""Folders with more in them than is read at once: the end is told all the same, and nothing is said to be gone."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

import runstone
from runstone.core import events as ev
from runstone.core.statuses import BlockStatus
from runstone.engine import collect
from runstone.folder import observe, scan
from runstone.folder.journal import encode_line
from runstone.folder.look import Look
from runstone.folder.pack import encode_frame
from runstone.folder.read import read_look

SIZE = 300
JOURNAL, PACK, STATUS = "journal/0001.jsonl", "outputs/square.0001.pack", "status.json"
FEW = 100


@runstone.block(mapspec="numbers[i] -> squares[i]", on_error="continue")
def square(numbers: int) -> int:
    if numbers < 0:
        raise ValueError("x" * 200)
    return numbers * numbers


@runstone.block(missing="drop")
def total(squares: list[int]) -> int:
    return sum(squares)


pipeline = runstone.Pipeline("squares", [square, total])


@pytest.fixture(autouse=True)
def one_element_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect, "CLOSE_ELEMENTS", 1)
    monkeypatch.setattr(collect, "BATCH", 1)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ended run without a checkpoint, with more chunks than a reader takes here."""
    return made(tmp_path / "run", range(SIZE), monkeypatch)


def made(place: Path, numbers: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    pipeline.run({"numbers": list(numbers)}, run_folder=place, show_progress=False)
    (place / STATUS).unlink()
    monkeypatch.setattr(scan, "RECORDS", FEW)
    return place


def test_a_run_that_has_completed_is_told_complete_though_not_all_of_it_was_read(folder: Path) -> None:
    status = observe.status(str(folder))
    assert (status["status"], status["done"], status["all_complete"]) == ("completed", True, True)
    assert status["progress"] == {"done": SIZE + 1, "total": SIZE + 1, "failed": 0, "unit": "elements"}
    assert status["warnings"] == []
    assert f"only a part of {PACK} was read" in status["message"]
    assert "missing" not in status["message"]


def test_a_run_with_failures_is_told_as_it_ended_and_that_more_may_have_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made(tmp_path / "run", [-1, *range(SIZE), *[-1] * 2000], monkeypatch)
    status = observe.status(str(folder))
    assert (status["status"], status["done"]) == ("degraded", True)
    assert "counts and errors may be more" in status["message"]
    assert "missing" not in status["message"]


def test_the_end_is_found_in_a_journal_that_is_too_long(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (folder / JOURNAL).read_bytes().splitlines(keepends=True)
    last = msgspec.json.decode(lines[-1])
    told = [ev.Warned(seq=last["seq"] + at, at=last["at"], code="c", message="m" * 1000) for at in range(1000)]
    ended = ev.RunEnded(seq=last["seq"] + 1000, at=last["at"], status=runstone.core.statuses.RunStatus.COMPLETED)
    (folder / JOURNAL).write_bytes(b"".join([*lines[:-1], *map(encode_line, told), encode_line(ended)]))
    for records, journal in ((FEW, scan.RECORD_BYTES), (10**6, 100_000), (scan.RECORDS, 100_000)):
        monkeypatch.setattr(scan, "RECORDS", records)
        monkeypatch.setattr(scan, "RECORD_BYTES", journal)
        status = observe.status(str(folder))
        assert (status["status"], status["seq"]) == ("completed", ended.seq), (records, journal)
        assert f"only a part of {JOURNAL}" in status["message"]


def test_a_run_that_goes_on_is_not_told_to_have_ended(folder: Path) -> None:
    lines = (folder / JOURNAL).read_bytes().splitlines(keepends=True)
    (folder / JOURNAL).write_bytes(b"".join(lines[:2]))
    status = observe.status(str(folder))
    assert (status["status"], status["done"], status["all_complete"]) == ("running", False, False)
    assert 0 < status["progress"]["done"] <= FEW


def test_who_loads_or_takes_over_reads_it_all(folder: Path) -> None:
    run = runstone.open(folder)
    assert run.outputs["squares"][SIZE - 1] == (SIZE - 1) ** 2
    with Look(str(folder)) as look:
        state = read_look(look, verify_all=True).state
    assert (state.blocks["square"].ok, state.lost) == (SIZE, 0)


def test_with_a_checkpoint_only_what_lies_behind_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "run"
    pipeline.run({"numbers": list(range(SIZE))}, run_folder=place, show_progress=False)
    monkeypatch.setattr(scan, "RECORDS", FEW)
    status = observe.status(str(place))
    assert (status["status"], status["message"]) == ("completed", "")


@pytest.mark.parametrize("where", ["values", "previews", "arguments", "headers"])
def test_what_the_status_does_not_show_is_not_built(tmp_path: Path, where: str) -> None:
    """Lists of lists take a reader a hundred times as long as the same bytes of text, and as much memory."""
    folder = tmp_path / "run"
    pipeline.run({"numbers": [1, 2, 3]}, run_folder=folder, show_progress=False)
    (folder / STATUS).unlink()
    right = observe.status(str(folder))
    much: Any = [[1, 2, 3, "abc"]] * 3000
    at = right["updated_at"]
    stored = {
        "values": ev.StoredValue(value=much, type="list"),
        "previews": ev.StoredValue(value=1, type="list", preview=much),
    }
    many: list[ev.Event] = []
    for _ in range(500):
        if where in stored:
            values = {"total": stored[where]}
            many.append(ev.BlockEnded(seq=1, at=at, block="total", status=BlockStatus.COMPLETED, values=values))
        elif where == "arguments":
            many.append(
                ev.ErrorRaised(seq=1, at=at, block="total", type="E", message="", final=False, params={"a": much})
            )
    lines = (folder / JOURNAL).read_bytes().splitlines(keepends=True)
    (folder / JOURNAL).write_bytes(b"".join([*lines[:-1], *map(encode_line, many), lines[-1]]))
    if where == "headers":
        meta = ev.ColumnMeta(name="squares", bytes=0, count=0, meta={"kind": much}, preview=much)
        chunk = ev.Chunk(seq=1, at=at, block="square", elements=[], ok=0, columns=[meta] * 20)
        with (folder / PACK).open("ab") as file:
            file.write(b"".join(encode_frame(chunk, [])) * 20)
    best = min(measured(folder) for _ in range(3))
    assert best < 0.2, f"an answer took {best:.2f} s"
    assert observe.status(str(folder))["status"] == "completed"


def measured(folder: Path) -> float:
    start = time.thread_time()
    observe.status(str(folder))
    return time.thread_time() - start


def test_a_copy_of_such_a_folder_is_read_alike(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    here, there = observe.status(str(folder)), observe.status(str(tmp_path / "copy"))
    for name in ("run_folder", "output_ref"):
        del here[name], there[name]
    assert here == there
