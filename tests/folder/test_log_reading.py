"""Reading logs: in bounded memory and time, in order, and whatever stands in them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runstone.errors import SettingError
from runstone.folder import log_lines
from runstone.folder.log_lines import backwards, forwards, parse
from runstone.folder.log_reading import log_files, newest, oldest_first, read_logs
from runstone.folder.log_search import LogQuery, required
from runstone.folder.logs import LEVELS, LINE_LIMIT, LogLine, encode
from runstone.folder.look import Look


def line(number: int, message: str = "", **more: object) -> LogLine:
    fields = {"level": "INFO", "stream": "stdout", "block": "b", "element": number, **more}
    return LogLine(at=f"2026-01-01T00:00:00.{number:06d}Z", message=message or f"m{number}", **fields)  # type: ignore[arg-type]


def write(folder: Path, name: str, lines: list[LogLine], tail: bytes = b"") -> None:
    (folder / "logs").mkdir(exist_ok=True)
    (folder / "logs" / name).write_bytes(b"".join(map(encode, lines)) + tail)


def last(folder: Path, count: int, query: LogQuery | None = None) -> list[LogLine]:
    query = query or LogQuery()
    with Look(str(folder)) as look:
        return newest(look, log_files(look, query), query, count)


def test_the_blocks_come_together_in_the_order_of_time_and_epochs_one_after_the_other(tmp_path: Path) -> None:
    write(tmp_path, "b.0001.jsonl", [line(1), line(5)])
    write(tmp_path, "b.0002.jsonl", [line(3, "of epoch 2"), line(9)])
    write(tmp_path, "c.0001.jsonl", [line(2, block="c"), line(7, block="c")])
    write(tmp_path, "0001.jsonl", [line(0, block=None), line(8, block=None)])
    (tmp_path / "logs" / "notes.txt").write_text("not a log")
    expected = ["m0", "m1", "m2", "m5", "of epoch 2", "m7", "m8", "m9"]
    assert [one.message for one in read_logs(str(tmp_path), LogQuery())] == expected
    for count in (0, 1, 3, 8, 100):
        assert [one.message for one in last(tmp_path, count)] == (expected[-count:] if count else [])


@given(
    numbers=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 40), st.integers(0, 9000)), max_size=60),
    largest=st.sampled_from([512, 4096, log_lines.LARGEST_PIECE]),
    count=st.integers(0, 70),
)
def test_forwards_and_backwards_find_the_same_lines_whatever_the_pieces(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[tuple[int, int, int]], largest: int, count: int
) -> None:
    folder = tmp_path_factory.mktemp("run")
    lines = [
        line(position, f"{word} " + "x" * length, block=f"b{block}")
        for position, (block, word, length) in enumerate(numbers)
    ]
    for block in range(5):
        own = [one for one in lines if one.block == f"b{block}"]
        write(folder, f"b{block}.0001.jsonl", own)
        with Look(str(folder)) as look:
            name = f"logs/b{block}.0001.jsonl"
            size = log_lines.size_of(look, name)
            pieces = [piece.data[piece.start : piece.stop] for piece in forwards(look, name, 0, size, largest)]
            assert b"".join(pieces) == b"".join(map(encode, own))
            pieces = [piece.data[piece.start : piece.stop] for piece in backwards(look, name, size, largest)]
            assert b"".join(reversed(pieces)) == b"".join(map(encode, own))
    query = LogQuery.of(grep="1 x")
    wanted = [one for one in lines if "1 x" in one.message]
    assert list(read_logs(str(folder), query)) == wanted
    assert last(folder, count, query) == (wanted[-count:] if count else [])


def test_filters_hold_together(tmp_path: Path) -> None:
    lines = [
        line(number, f"step {number} of {block}", block=block, level=LEVELS[number % 5])
        for number, block in enumerate("bcbcbcbcbcbc")
    ]
    for block in "bc":
        write(tmp_path, f"{block}.0001.jsonl", [one for one in lines if one.block == block])
    for block in (None, "b"):
        for element in (None, 4, 40):
            for level in (None, "debug", "WARNING", "CRITICAL"):
                for grep in (None, "step", "^step [46]", "of (b|c)$"):
                    query = LogQuery.of(block=block, element=element, level=level, grep=grep)
                    expected = [
                        one
                        for one in lines
                        if (block is None or one.block == block)
                        and (element is None or one.element == element)
                        and (level is None or LEVELS.index(one.level) >= LEVELS.index(level.upper()))
                        and (grep is None or re.search(grep, one.message))
                    ]
                    assert list(read_logs(str(tmp_path), query)) == expected
                    assert last(tmp_path, 100, query) == expected


def test_a_level_or_an_expression_that_does_not_exist_is_refused() -> None:
    with pytest.raises(SettingError, match="level='loud': write one of DEBUG, INFO"):
        LogQuery.of(level="loud")
    with pytest.raises(SettingError, match=r"grep='\(' is no regular expression"):
        LogQuery.of(grep="(")


# what must be contained

PLAIN = ["a", "b", "ab", "1", " ", "=", '"', "ä", "{", "}"]
REPEATED = ["(a)?", "a*", "b+", "a?", "ab{2}", "a{0}", "a{,2}", "b{1,}", r"\w+", "a{2}{2}", "b+?"]
OTHER = [".", "[ab]", "[^]a]", "[]b]", "(ab)", "^", "$", "|", "(?i)a", "(?:b)"]
ESCAPED = [r"\.", r"\d", r"\x61", r"\141", r"\n", r"\\"]
ATOMS = st.sampled_from([*PLAIN, *REPEATED, *OTHER, *ESCAPED])


@given(st.lists(ATOMS, max_size=8).map("".join), st.lists(st.text('ab1 =."\\ä{}2\n', max_size=12), max_size=30))
@example(r"a{2}b", ["aab"])
@example(r"\x61b", ["ab"])
@example(r"[]ab]b", ["]b"])
@example(r"ab+c", ["abbc"])
def test_what_every_match_must_contain_is_in_every_match(expression: str, texts: list[str]) -> None:
    try:
        pattern = re.compile(expression)
    except re.error:
        return
    literal = required(pattern)
    for text in texts:
        match = pattern.search(text)
        if match is not None:
            assert literal in text
            assert literal.encode() in encode(line(1, text))


@pytest.mark.parametrize(
    ("expression", "literal"),
    [
        ("needle", "needle"),
        (r"loss=\d+ at step", " at step"),
        (r"^Epoch \d+: (train|eval)", ""),
        (r"files?", "file"),
        (r"ab+c", "ab"),
        (r"a{3}bc", "bc"),
        ("(?i)needle", ""),
        (r"\bneedle\b", "needle"),
    ],
)
def test_plain_parts_of_an_expression_are_found(expression: str, literal: str) -> None:
    assert required(re.compile(expression)) == literal


# what is torn, damaged or hostile


def test_a_torn_last_line_is_shown_as_far_as_it_is_there() -> None:
    whole = encode(line(1, 'hällo "you" \\ two\nlines \x07', logger="l"))[:-1]
    for length in range(1, len(whole)):
        found = parse(whole[:length])
        if whole[:length].find(b'"message":"') >= 0:
            assert found.block == "b"
            assert found.at == line(1).at
            assert 'hällo "you" \\ two\nlines \x07'.startswith(found.message)
        else:
            assert found == LogLine(at="", level="", stream="", message=whole[:length].decode())
    assert parse(whole[:-2]).message == 'hällo "you" \\ two\nlines \x07'


@given(st.lists(st.binary(max_size=200) | st.just(encode(line(1, "fine"))), max_size=20))
def test_damaged_lines_are_shown_as_text_and_cost_no_others(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("run")
    data = b"".join(pieces)
    write(folder, "b.0001.jsonl", [], tail=data)
    expected = [parse(one) for one in data.split(b"\n") if one]
    assert list(read_logs(str(folder), LogQuery())) == expected
    assert last(folder, 1000) == expected
    fine = encode(line(1, "fine"))
    begins = [True, *(piece.endswith(b"\n") for piece in pieces)]
    assert sum(one.message == "fine" for one in expected) >= sum(
        piece == fine and at_begin for piece, at_begin in zip(pieces, begins, strict=False)
    )


@pytest.mark.parametrize("size", [LINE_LIMIT - 1, LINE_LIMIT, LINE_LIMIT + 1, 5_000_000])
def test_a_line_that_is_far_too_long_is_cut_and_its_neighbours_are_whole(tmp_path: Path, size: int) -> None:
    write(tmp_path, "b.0001.jsonl", [line(1)], tail=b"x" * size + b"\n" + encode(line(2)))
    found = list(read_logs(str(tmp_path), LogQuery()))
    assert [one.message[:2] for one in found] == ["m1", "xx", "m2"]
    assert len(found[1].message) == min(size, LINE_LIMIT)
    assert last(tmp_path, 10) == found


@pytest.mark.parametrize(
    "hostile",
    [
        b'{"at":5,"level":"INFO","stream":"stdout","message":"m"}',
        b'{"at":"zzzz","level":"LOUD","stream":"\\u001b[31m","message":"m"}',
        b'{"at":"","level":"INFO","stream":"stdout","element":1e400,"message":"m"}',
        b'{"at":"","level":"INFO","stream":"stdout","element":99999999999999999999999,"message":"m"}',
        b"[" * 60_000,
        b'{"at":"\\ud800","level":"INFO","stream":"stdout","message":"m"}',
        b"\x00" * 1000,
        b"null",
    ],
    ids=range(8),
)
def test_what_is_no_line_of_ours_is_text_without_level(tmp_path: Path, hostile: bytes) -> None:
    write(tmp_path, "b.0001.jsonl", [line(1)], tail=hostile + b"\n" + encode(line(2)))
    found = list(read_logs(str(tmp_path), LogQuery()))
    assert [one.message for one in found if one.level] == ["m1", "m2"]
    assert len(found) == 3
    assert [one.message for one in read_logs(str(tmp_path), LogQuery.of(level="DEBUG"))] == ["m1", "m2"]
    assert sorted(one.message for one in last(tmp_path, 5)) == sorted(one.message for one in found)


def test_links_pipes_and_folders_in_place_of_logs_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(encode(line(1, "secret")))
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/a.0001.jsonl").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "logs/b.0001.jsonl")
    (tmp_path / "logs/c.0001.jsonl").mkdir()
    assert list(read_logs(str(tmp_path), LogQuery())) == last(tmp_path, 5) == []


def test_lines_that_come_while_one_reads_are_left_for_later(tmp_path: Path) -> None:
    write(tmp_path, "b.0001.jsonl", [line(1), line(2)])
    with Look(str(tmp_path)) as look:
        files = log_files(look, LogQuery())
        write(tmp_path, "b.0001.jsonl", [line(1), line(2), line(3)])
        assert len(list(oldest_first(look, files, LogQuery()))) == 2


def test_a_log_that_is_cut_while_one_reads_ends_the_reading(tmp_path: Path) -> None:
    write(tmp_path, "b.0001.jsonl", [line(number, "x" * 1000) for number in range(100)])
    with Look(str(tmp_path)) as look:
        files = log_files(look, LogQuery())
        write(tmp_path, "b.0001.jsonl", [line(1)])
        assert len(list(oldest_first(look, files, LogQuery()))) == 1
        assert len(newest(look, files, LogQuery(), 10)) == 0


# size

MEASURE = """
import resource, sys
from runstone.folder.log_reading import log_files, newest, oldest_first
from runstone.folder.log_search import LogQuery
from runstone.folder.look import Look
folder, what, limit = sys.argv[1:]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
query = LogQuery.of(grep=what or None)
with Look(folder) as look:
    files = log_files(look, query)
    if limit == "tail":
        found = newest(look, files, query, 20)
    else:
        found = [line for number, line in enumerate(oldest_first(look, files, query)) if number < 20]
print(len(found), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("files", [1, 500])
@pytest.mark.parametrize(("what", "limit"), [("", "tail"), ("needle", "tail"), ("needle", "all"), ("m.*7 x", "tail")])
def test_memory_does_not_grow_with_the_logs(tmp_path: Path, files: int, what: str, limit: str) -> None:
    """Tens of megabytes, of which a reader holds a piece for each block."""
    filling = [line(number, f"m{number} " + "x" * 200) for number in range(200_000 // files)]
    data = b"".join(map(encode, filling))
    rare = encode(line(999_999, "a needle"))
    (tmp_path / "logs").mkdir()
    for number in range(files):
        (tmp_path / f"logs/b{number}.0001.jsonl").write_bytes(rare + data)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path), what, limit], capture_output=True, text=True, check=True
    )
    found, megabytes = map(int, done.stdout.split())
    assert found == min(20, files if what == "needle" else 20)
    assert megabytes < (20 if files == 1 else 60)


def test_the_ends_of_long_logs_are_read_without_their_middles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "b.0001.jsonl", [line(number, "x" * 500) for number in range(20_000)])
    read: list[int] = []
    real = log_lines.read_at

    def counting(descriptor: int, offset: int, length: int) -> bytes:
        read.append(length)
        return real(descriptor, offset, length)

    monkeypatch.setattr(log_lines, "read_at", counting)
    assert [one.element for one in last(tmp_path, 3)] == [19_997, 19_998, 19_999]
    lines = read_logs(str(tmp_path), LogQuery.of(grep="x"))
    assert [next(lines).element for _ in range(3)] == [0, 1, 2]
    lines.close()  # type: ignore[attr-defined]
    assert sum(read) < 64 * 1024
