"""`runstone output`: every kind of stored value, as JSON, CSV and Parquet."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.command import RUNSTONE, complaint, in_terminal, make_lab, runstone

KINDS = """
import datetime
import numpy
import pandas
import polars
import pyarrow
from runstone import Pipeline, block

MADE = {
    "none": None,
    "number": 2**70,
    "nan": [float("nan"), float("inf"), 1.5],
    "text": "a\\ud800b",
    "nested": {"tuple": (1, (2, None)), "$key": True, "bytes": b"abc"},
    "records": [{"a": 1, "b": "x,y"}, {"a": None, "c": [1, 2]}],
    "pairs": [(1, 2), (3, 4)],
    "truths": [True, False, None],
    "array": numpy.arange(6).reshape(3, 2) / 2,
    "cube": numpy.zeros((2, 2, 2), dtype="i4"),
    "fields": numpy.array([(1, 2.5), (3, 4.5)], dtype=[("k", "i4"), ("v", "f8")]),
    "scalar": numpy.float32(0.5),
    "frame": pandas.DataFrame({"day": pandas.to_datetime(["2026-01-01", None]), "n": [1, 2]}, index=["r", "s"]),
    "polar": polars.DataFrame({"a": [1, 2], "b": [[1], [2, 3]]}),
    "arrow": pyarrow.table({"a": [1, 2]}),
    "moment": datetime.datetime(2026, 1, 2, 3, 4, 5),
    "keys": {(1, 2): "three", None: {1, 2}},
    "empty": [],
}

def maker(name):
    def make(n: int):
        return MADE[name]
    make.__name__ = make.__qualname__ = f"make_{name}"
    return block(make, output=name)

@block
def rows(n: int) -> list[int]:
    return list(range(n))

@block(mapspec="rows[i] -> mixed[i]")
def mix(rows: int):
    return [None, 1, "two", {"k": 3}, [4, 5], 6.5][rows % 6]

@block(mapspec="rows[i] -> spread[i, j]")
def spread(rows: int):
    return [rows, rows * 10]

kinds = Pipeline("kinds", [*map(maker, MADE), rows, mix, spread])
"""

MANY = """
from runstone import Pipeline, block

@block
def xs(n: int) -> list[int]:
    return list(range(n))

@block(mapspec="xs[i] -> records[i]", on_error="continue")
def record(xs: int) -> dict:
    if xs % 10 == 3:
        raise ValueError(xs)
    return {"id": xs, "name": f"number {xs}"}

many = Pipeline("many", [xs, record])
"""


def run(folder: Path, source: str, *params: str) -> Path:
    (folder / "source.py").write_text(source, encoding="utf-8")
    arguments = [part for param in params for part in ("-p", param)]
    made = runstone("run", "source.py", *arguments, "--run-folder", "run", at=folder)
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_lab(tmp_path_factory.mktemp("lab")).parent


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("kinds"), KINDS, "n=6")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("many"), MANY, "n=100000")


def as_json(at: Path, name: str, *options: str) -> object:
    answer = runstone("output", "run", name, *options, at=at)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def as_csv(at: Path, name: str, *options: str) -> list[list[str]]:
    answer = runstone("output", "run", name, "--format", "csv", *options, at=at)
    assert answer.returncode == 0, answer.stderr
    return list(csv.reader(io.StringIO(answer.stdout)))


def as_parquet(at: Path, name: str, *options: str) -> list[dict[str, object]]:
    import pyarrow.parquet

    answer = runstone("output", "run", name, "-o", "out.parquet", *options, at=at)
    assert answer.returncode == 0, answer.stderr
    found: list[dict[str, object]] = pyarrow.parquet.read_table(at / "out.parquet").to_pylist()
    return found


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("none", None),
        ("number", 2**70),
        ("nan", [None, None, 1.5]),
        ("text", "a\ud800b"),
        ("nested", {"tuple": [1, [2, None]], "$key": True, "bytes": "YWJj"}),
        ("array", [[0.0, 0.5], [1.0, 1.5], [2.0, 2.5]]),
        ("cube", [[[0, 0], [0, 0]], [[0, 0], [0, 0]]]),
        ("fields", [[1, 2.5], [3, 4.5]]),
        ("scalar", 0.5),
        ("polar", [{"a": 1, "b": [1]}, {"a": 2, "b": [2, 3]}]),
        ("arrow", [{"a": 1}, {"a": 2}]),
        ("empty", []),
        ("rows", [0, 1, 2, 3, 4, 5]),
        ("mixed", [None, 1, "two", {"k": 3}, [4, 5], 6.5]),
        ("spread", [[0, 0], [1, 10], [2, 20], [3, 30], [4, 40], [5, 50]]),
    ],
)
def test_every_safe_value_is_printed_as_json(kinds: Path, name: str, value: object) -> None:
    assert as_json(kinds, name) == value


def test_a_table_is_printed_with_its_index_and_times(kinds: Path) -> None:
    assert as_json(kinds, "frame") == [
        {"day": "2026-01-01T00:00:00", "n": 1, "__index_level_0__": "r"},
        {"day": None, "n": 2, "__index_level_0__": "s"},
    ]


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("records", [["a", "b", "c"], ["1", "x,y", ""], ["", "", "[1,2]"]]),
        ("pairs", [["pairs"], ["[1,2]"], ["[3,4]"]]),
        ("truths", [["truths"], ["true"], ["false"], [""]]),
        ("array", [["0", "1"], ["0.0", "0.5"], ["1.0", "1.5"], ["2.0", "2.5"]]),
        ("fields", [["k", "v"], ["1", "2.5"], ["3", "4.5"]]),
        ("frame", [["day", "n", "__index_level_0__"], ["2026-01-01T00:00:00", "1", "r"], ["", "2", "s"]]),
        ("polar", [["a", "b"], ["1", "[1]"], ["2", "[2,3]"]]),
        ("arrow", [["a"], ["1"], ["2"]]),
        ("empty", [["empty"]]),
        ("mixed", [["mixed", "k"], ["", ""], ["1", ""], ["two", ""], ["", "3"], ["[4,5]", ""], ["6.5", ""]]),
    ],
)
def test_what_has_rows_is_csv(kinds: Path, name: str, rows: list[list[str]]) -> None:
    assert as_csv(kinds, name) == rows


def test_what_has_rows_is_parquet_with_its_types(kinds: Path) -> None:
    assert as_parquet(kinds, "records") == [{"a": 1, "b": "x,y", "c": None}, {"a": None, "b": None, "c": [1, 2]}]
    assert as_parquet(kinds, "array")[1] == {"0": 1.0, "1": 1.5}
    assert as_parquet(kinds, "fields") == [{"k": 1, "v": 2.5}, {"k": 3, "v": 4.5}]
    assert as_parquet(kinds, "polar") == [{"a": 1, "b": [1]}, {"a": 2, "b": [2, 3]}]
    assert as_parquet(kinds, "empty") == []


def test_values_of_several_types_cannot_be_one_column_of_parquet(kinds: Path) -> None:
    answer = runstone("output", "run", "mixed", "-o", "mixed.parquet", at=kinds)
    assert answer.returncode == 1
    assert "cannot be Parquet" in complaint(answer)
    assert "--format json or csv" in answer.stderr
    assert not list(kinds.glob("*mixed.parquet*"))


@pytest.mark.parametrize("name", ["cube", "scalar", "nested", "none"])
def test_what_has_no_rows_is_refused_as_a_table(kinds: Path, name: str) -> None:
    answer = runstone("output", "run", name, "--format", "csv", at=kinds)
    assert answer.returncode == 2
    assert "has no rows: use --format json" in complaint(answer)


def test_failed_elements_are_null_and_counted_on_stderr(lab: Path) -> None:
    answer = runstone("output", "run", "cell", at=lab)
    found = json.loads(answer.stdout)
    assert [[cell is None for cell in row] for row in found] == [
        [False, False, False],
        [False, False, False],
        [False, False, True],
        [False, True, False],
    ]
    assert found[1][2] == {"x": 1, "y": 3, "product": 3}
    assert complaint(answer) == (
        "runstone: 2 of 12 elements failed and have no value, null stands in their place; "
        "see them: runstone show run/multiply"
    )


def test_an_output_with_several_axes_has_a_row_for_each_element_and_its_place(lab: Path) -> None:
    rows = as_csv(lab, "cell")
    assert rows[0] == ["i", "j", "x", "y", "product"]
    assert rows[6] == ["1", "2", "1", "3", "3"]
    assert rows[9] == ["2", "2", "", "", ""]
    assert len(rows) == 13
    answer = runstone("output", "run/multiply", "--format", "csv", at=lab)
    assert complaint(answer) == (
        "runstone: 2 of 12 elements failed and have no value, their rows are empty; "
        "see them: runstone show run/multiply"
    )
    assert as_parquet(lab, "cell")[8] == {"i": 2, "j": 2, "x": None, "y": None, "product": None}


def test_pickles_stay_closed_and_are_shown_by_preview(lab: Path, tmp_path: Path) -> None:
    shutil.copytree(lab / "run", tmp_path / "run")
    answer = runstone("output", "run", "fit", at=tmp_path)
    assert json.loads(answer.stdout) == {"type": "lab.Model", "attributes": [["size", 10]]}
    assert "--trust opens it, which runs code" in complaint(answer)
    answer = runstone("output", "run", "models", at=tmp_path)
    shown = json.loads(answer.stdout)
    assert shown[0] == {"type": "lab.Model", "attributes": [["size", 0]]}
    assert [each["type"] for each in shown[1:]] == ["pickle"] * 3
    assert "4 of 4 elements are pickles" in complaint(answer)


def test_with_trust_pickles_are_opened_and_need_their_code(lab: Path) -> None:
    assert as_json(lab, "models", "--trust") == [
        {"type": "lab.Model", "attributes": [["size", size]]} for size in range(4)
    ]
    assert as_json(lab, "fit", "--trust") == {"type": "lab.Model", "attributes": [["size", 10]]}


def test_a_pickle_whose_code_is_gone_is_one_line(lab: Path, tmp_path: Path) -> None:
    shutil.copytree(lab / "run", tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    for each in record["blocks"]:
        each.pop("loader", None)
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))
    for name in ("fit", "models"):
        answer = runstone("output", "run", name, "--trust", at=tmp_path)
        assert answer.returncode == 1
        assert "ModuleNotFoundError" in complaint(answer)


def test_objects_that_json_does_not_know_are_shown_when_they_are_trusted(kinds: Path) -> None:
    assert as_json(kinds, "moment", "--trust") == "2026-01-02T03:04:05"
    assert as_json(kinds, "keys", "--trust") == {"(1, 2)": "three", "None": [1, 2]}


def test_nothing_is_unpickled_without_trust(tmp_path: Path) -> None:
    source = """
import os
from runstone import Pipeline, block

class Trap:
    def __reduce__(self):
        return os.mkdir, ("sprung",)

@block
def trap(n: int) -> object:
    return Trap()

@block(mapspec="xs[i] -> traps[i]")
def traps(xs: int) -> object:
    return Trap()

p = Pipeline("p", [trap, traps])
"""
    run(tmp_path, source, "n=1", "xs=[1,2]")
    for name in ("trap", "traps"):
        for form in ("json", "csv", "parquet"):
            runstone("output", "run", name, "-o", f"out.{form}", at=tmp_path)
    runstone("show", "run", at=tmp_path)
    assert not (tmp_path / "sprung").exists()
    runstone("output", "run", "trap", "--trust", at=tmp_path)
    assert (tmp_path / "sprung").exists()


def test_json_is_compact_on_a_pipe_and_indented_on_a_terminal(lab: Path) -> None:
    assert runstone("output", "run", "xs", at=lab).stdout == "[0,1,2,3]\n"
    written, code = in_terminal("output", "run", "xs", at=lab)
    assert code == 0
    assert written == "[\n  0,\n  1,\n  2,\n  3\n]\n"
    written, _ = in_terminal("output", "run", "cell", at=lab)
    assert json.loads(written.partition("runstone:")[0])[0][0] == {"x": 0, "y": 1, "product": 0}


def test_text_from_a_run_cannot_command_the_terminal(lab: Path) -> None:
    written, _ = in_terminal("output", "run", "says", at=lab)
    assert json.loads(written) == "hällo \u202e\x1b[31m \x9b"
    assert written == '"hällo \\u202e\\u001b[31m \\u009b"\n'


def test_csv_on_a_terminal_cannot_command_it_either(tmp_path: Path) -> None:
    source = """
from runstone import Pipeline, block

@block
def lines(n: int) -> list[str]:
    return ["a\\x1b[2Jb\\u202e", "c"]

p = Pipeline("p", [lines])
"""
    run(tmp_path, source, "n=1")
    written, _ = in_terminal("output", "run", "lines", "--format", "csv", at=tmp_path)
    assert written == "lines\na�[2Jb�\nc\n"


def test_parquet_does_not_go_to_a_terminal_but_through_a_pipe(lab: Path) -> None:
    import pyarrow.parquet

    written, code = in_terminal("output", "run", "xs", "--format", "parquet", at=lab)
    assert code == 2
    assert "give -o FILE" in written
    answer = subprocess.run(
        [*RUNSTONE, "output", "run", "xs", "--format", "parquet"], cwd=lab, capture_output=True, timeout=60, check=True
    )
    assert pyarrow.parquet.read_table(io.BytesIO(answer.stdout)).to_pylist() == [{"xs": x} for x in range(4)]


def test_a_file_gets_the_format_that_its_name_ends_in(lab: Path, tmp_path: Path) -> None:
    for name, start in (("x.csv", b"xs\n0\n"), ("x.json", b"[0,1"), ("x.parquet", b"PAR1"), ("x", b"[0,1")):
        assert runstone("output", "run", "xs", "-o", str(tmp_path / name), at=lab).returncode == 0
        assert (tmp_path / name).read_bytes().startswith(start)
    assert sorted(os.listdir(tmp_path)) == ["x", "x.csv", "x.json", "x.parquet"]
    runstone("output", "run", "xs", "--format", "json", "-o", str(tmp_path / "x.csv"), at=lab)
    assert (tmp_path / "x.csv").read_bytes() == b"[0,1,2,3]\n"


def test_a_file_is_replaced_only_once_everything_is_written(lab: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.parquet"
    target.write_text("precious")
    assert runstone("output", "run", "blob", "-o", str(target), at=lab).returncode == 2
    assert target.read_text() == "precious"
    assert os.listdir(tmp_path) == ["out.parquet"]
    link = tmp_path / "link.json"
    link.symlink_to(target)
    assert runstone("output", "run", "xs", "-o", str(link), at=lab).returncode == 0
    assert link.is_symlink()
    assert target.read_text() == "[0,1,2,3]\n"


def test_a_pipe_or_a_device_is_written_to_and_not_replaced(lab: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE)
    assert runstone("output", "run", "xs", "-o", str(pipe), at=lab).returncode == 0
    assert reader.communicate(timeout=30)[0] == b"[0,1,2,3]\n"
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_dash_means_standard_output(lab: Path) -> None:
    assert runstone("output", "run", "xs", "-o", "-", at=lab).stdout == "[0,1,2,3]\n"


def test_parquet_without_pyarrow_says_what_to_do(lab: Path, tmp_path: Path) -> None:
    (tmp_path / "pyarrow.py").write_text("raise ImportError('not here')")
    answer = runstone("output", "run", "xs", "-o", "x.parquet", at=lab, PYTHONPATH=str(tmp_path))
    assert answer.returncode == 2
    assert "pip install pyarrow" in complaint(answer)


def test_an_unknown_name_gets_a_suggestion_and_no_name_the_list(lab: Path) -> None:
    assert "has no output 'modles'; did you mean 'models'?" in complaint(runstone("output", "run", "modles", at=lab))
    assert "xs, cell, table, matrix, fit, models, blob, says" in complaint(runstone("output", "run", at=lab))
    assert "it has xs, cell" in complaint(runstone("output", "run", "zzz", at=lab))


def test_what_a_crashed_run_recorded_is_there_and_the_rest_is_null(tmp_path: Path) -> None:
    source = """
import time
from runstone import Pipeline, block

@block(mapspec="xs[i] -> ys[i]")
def waits(xs: int) -> int:
    time.sleep(0.01 if xs < 5 else 60)
    return xs * 2

@block
def total(ys: list[int]) -> int:
    return sum(ys)

p = Pipeline("p", [waits, total])
"""
    (tmp_path / "source.py").write_text(source, encoding="utf-8")
    process = subprocess.Popen(
        [*RUNSTONE, "run", "source.py", "-p", "xs=[0,1,2,3,4,5,6,7]", "--run-folder", "run"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 30
        while not list((tmp_path / "run" / "outputs").glob("waits*")) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    answer = runstone("output", "run", "ys", at=tmp_path)
    assert json.loads(answer.stdout) == [0, 2, 4, 6, 8, None, None, None]
    assert "3 of 8 elements were not recorded" in complaint(answer)
    answer = runstone("output", "run", "total", at=tmp_path)
    assert answer.returncode == 1
    assert "block 'total' is pending" in complaint(answer)


def test_damaged_and_deleted_chunks_are_missing_elements_not_an_end(lab: Path, tmp_path: Path) -> None:
    shutil.copytree(lab / "run", tmp_path / "run")
    (pack,) = (tmp_path / "run" / "outputs").glob("multiply*")
    data = bytearray(pack.read_bytes())
    data[-1] ^= 0xFF
    pack.write_bytes(data)
    answer = runstone("output", "run", "cell", at=tmp_path)
    assert answer.returncode == 0
    assert json.loads(answer.stdout) == [[None] * 3] * 4
    pack.unlink()
    answer = runstone("output", "run", "cell", at=tmp_path)
    assert json.loads(answer.stdout) == [[None] * 3] * 4


def test_a_chunk_damaged_in_the_middle_takes_only_its_own_elements(many: Path, tmp_path: Path) -> None:
    shutil.copytree(many / "run", tmp_path / "run")
    (pack,) = (tmp_path / "run" / "outputs").glob("record*")
    data = bytearray(pack.read_bytes())
    data[5000] ^= 0xFF
    pack.write_bytes(data)
    answer = runstone("output", "run", "records", at=tmp_path)
    found = json.loads(answer.stdout)
    assert len(found) == 100_000
    assert found[0] is None
    assert found[99_999] == {"id": 99_999, "name": "number 99999"}
    assert "elements were not recorded, or their values are gone" in answer.stderr


def test_without_a_journal_the_outputs_are_still_there(lab: Path, tmp_path: Path) -> None:
    shutil.copytree(lab / "run", tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "journal")
    (tmp_path / "run" / "status.json").unlink()
    assert as_json(tmp_path, "xs") == [0, 1, 2, 3]
    assert as_json(tmp_path, "cell")[0][0] == {"x": 0, "y": 1, "product": 0}  # type: ignore[index]
    assert as_json(tmp_path, "table") == as_json(lab, "table")


def test_a_hundred_thousand_elements_stream_in_bounded_memory(many: Path) -> None:
    answer = runstone("output", "run", "records", at=many)
    found = json.loads(answer.stdout)
    assert len(found) == 100_000
    assert found[3] is None
    assert found[99_999] == {"id": 99_999, "name": "number 99999"}
    assert "10,000 of 100,000 elements failed and have no value, null stands in their place" in complaint(answer)
    rows = as_csv(many, "records")
    assert rows[4] == ["", ""]
    assert rows[-1] == ["99999", "number 99999"]
    assert as_parquet(many, "records")[-1] == {"id": 99_999, "name": "number 99999"}
    measure = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, "
        "stderr=subprocess.DEVNULL, check=True); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    used = subprocess.run(
        [RUNSTONE[0], "-c", measure, *RUNSTONE, "output", "run", "records"],
        cwd=many,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert int(used.stdout) < 80_000


def test_a_reader_that_goes_away_is_no_error(many: Path) -> None:
    process = subprocess.Popen(
        [*RUNSTONE, "output", "run", "records"], cwd=many, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read(10) == b'[{"id":0,"'
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=30) in (1, 141)


def test_the_shell_completes_the_names_of_outputs(lab: Path) -> None:
    answer = runstone(at=lab, _RUNSTONE_COMPLETE="bash_complete", COMP_WORDS="runstone output run m", COMP_CWORD="3")
    assert answer.stdout.split() == ["plain,matrix", "plain,models"]


def test_an_ending_that_no_format_has_is_refused_and_nothing_is_written(lab: Path, tmp_path: Path) -> None:
    answer = runstone("output", "run", "xs", "-o", str(tmp_path / "m.xls"), at=lab)
    assert answer.returncode == 2
    assert "no format is known for .xls, only for .json, .csv, .parquet; or give --format" in complaint(answer)
    assert not any(tmp_path.iterdir())
    assert runstone("output", "run", "xs", "--format", "json", "-o", str(tmp_path / "m.xls"), at=lab).returncode == 0
    assert runstone("output", "run", "xs", "-o", str(tmp_path / "m"), at=lab).returncode == 0
    assert (tmp_path / "m.xls").read_text() == (tmp_path / "m").read_text() == "[0,1,2,3]\n"
