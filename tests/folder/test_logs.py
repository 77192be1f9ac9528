"""Adding lines to the logs of a run: one write each, from any thread and process, and never a reason to fail."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runstone.folder import layout
from runstone.folder.log_lines import parse
from runstone.folder.logs import LINE_LIMIT, LogLine, LogWriter, encode


def add(writer: LogWriter, message: str, **more: Any) -> None:
    writer.add(message, **{"level": "INFO", "stream": "stdout", "block": "b", **more})


def read(folder: Path, block: str | None = "b", epoch: int = 1) -> list[LogLine]:
    return [parse(line) for line in (folder / layout.log(block, epoch)).read_bytes().splitlines()]


def test_lines_go_to_the_file_of_their_block_and_epoch(tmp_path: Path) -> None:
    for epoch in (1, 2):
        writer = LogWriter(str(tmp_path), epoch)
        add(writer, "one")
        add(writer, "two", block="scope.other", element=3, attempt=2, logger="a.b", level="ERROR", stream="log")
        add(writer, "three", block=None)
        writer.close()
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == [
        "0001.jsonl",
        "0002.jsonl",
        "b.0001.jsonl",
        "b.0002.jsonl",
        "scope.other.0001.jsonl",
        "scope.other.0002.jsonl",
    ]
    (line,) = read(tmp_path, "scope.other", 2)
    assert msgspec.structs.replace(line, at="") == LogLine(
        at="", level="ERROR", stream="log", block="scope.other", element=3, attempt=2, logger="a.b", message="two"
    )


@pytest.mark.parametrize("name", ["b", "scope.other", None, "0001", "run"])
def test_a_log_knows_its_block_and_epoch_by_its_name(name: str | None) -> None:
    assert layout.log_block(layout.log(name, 12).rpartition("/")[2]) == (name, 12)


@pytest.mark.parametrize("name", ["b.jsonl", "b.01.jsonl", ".0001.jsonl.tmp", "b.0001.json", "x"])
def test_other_files_are_no_logs(name: str) -> None:
    assert layout.log_block(name) is None


@example(message="\ud800" * 10_000, logger="\ud800" * 300)
@given(message=st.text() | st.text('\x00\ud800\\"\n', max_size=30_000), logger=st.text())
def test_every_line_is_one_line_of_bounded_length_and_comes_back(message: str, logger: str) -> None:
    line = LogLine(at="t", level="INFO", stream="log", block="b" * 100, element=2**62, logger=logger, message=message)
    data = encode(line)
    assert len(data) <= LINE_LIMIT
    assert data.count(b"\n") == 1
    found = parse(data[:-1])
    if len(message) <= 10_000 and len(logger) <= 200 and not any("\ud800" <= c <= "\udfff" for c in message + logger):
        assert found == line
    assert found.block == line.block


def test_threads_and_processes_add_whole_lines(tmp_path: Path) -> None:
    writer = LogWriter(str(tmp_path), 1)

    def say(who: str) -> None:
        for number in range(300):
            add(writer, f"{who} {number} " + "x" * 3000)

    child = os.fork()
    if child == 0:
        writer.forked()
        say("child")
        os._exit(0)
    threads = [threading.Thread(target=say, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert os.waitpid(child, 0)[1] == 0
    found = read(tmp_path)
    assert len({line.message for line in found}) == len(found) == 5 * 300
    assert {line.pid for line in found if line.message.startswith("child")} == {child}
    assert {line.pid for line in found if not line.message.startswith("child")} == {0}
    writer.close()


def test_more_blocks_than_files_may_be_open_are_written(tmp_path: Path) -> None:
    writer = LogWriter(str(tmp_path), 1)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(2):
        for number in range(100):
            add(writer, "line", block=f"b{number}")
    assert len(os.listdir("/proc/self/fd")) - before <= 32
    assert {len(read(tmp_path, f"b{number}")) for number in range(100)} == {2}
    writer.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_folder_that_refuses_is_told_once_and_the_gap_is_told_when_it_takes_lines_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    writer = LogWriter(str(tmp_path), 1, on_refused=told.append)
    add(writer, "kept")
    writer.close()
    log = tmp_path / "logs/b.0001.jsonl"
    log.rename(tmp_path / "aside")
    log.mkdir()
    with monkeypatch.context() as patient:
        patient.setattr("runstone.folder.logs._PATIENCE_SECONDS", 0.0)
        for number in range(5):
            add(writer, f"lost {number}")
    assert len(told) == 1
    log.rmdir()
    (tmp_path / "aside").rename(log)
    # as a disk leaves it that was full in the middle of a line
    with log.open("ab") as file:
        file.write(b'{"at":"2026-01-01T00:00:00.000000Z","level":"INFO","stream":"stdout","message":"to')
    add(writer, "too soon")
    monkeypatch.setattr("runstone.folder.logs._PATIENCE_SECONDS", 0.0)
    add(writer, "again")
    add(writer, "and again")
    assert [line.message for line in read(tmp_path) if line] == [
        "kept",
        "to",
        "6 lines are missing here: the disk refused them",
        "again",
        "and again",
    ]
    assert len(told) == 1
    writer.close()


def test_a_link_in_place_of_a_log_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/b.0001.jsonl").symlink_to(tmp_path / "elsewhere")
    told: list[str] = []
    writer = LogWriter(str(tmp_path), 1, on_refused=told.append)
    add(writer, "line")
    assert told
    assert not (tmp_path / "elsewhere").exists()


def test_a_signal_that_prints_in_the_middle_of_a_line_does_not_hang(tmp_path: Path) -> None:
    told: list[str] = []
    writer = LogWriter(str(tmp_path), 1)
    writer.on_refused = lambda reason: (told.append(reason), add(writer, "from within", block="c"))[0]
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/b.0001.jsonl").mkdir()
    thread = threading.Thread(target=add, args=(writer, "line"), daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert told
