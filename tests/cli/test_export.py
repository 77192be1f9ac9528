"""`runstone export`, as a user calls it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from runstone import Pipeline, block
from runstone.ledger.of_folder import project
from runstone.ledger.opening import open_ledger
from runstone.ledger.place import Place
from tests.cli.command import complaint, in_terminal, runstone

LEDGER = {"RUNSTONE_LEDGER": "ledger.db"}
PARAMS: list[dict[str, Any]] = [
    {"rate": 1, "name": "first, of all\nof them"},
    {"rate": 0.5, "name": "second", "deep": True},
    {"rate": 2, "name": 7, "deep": False, "large": 2**63},
]


@block
def keep(rate: float, name: object, deep: bool | None = None, large: int = 0) -> float:
    return rate


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with three runs of different parameters in one workspace, and one in another."""
    at = tmp_path_factory.mktemp("project")
    store = open_ledger(Place("sqlite", str(at / "ledger.db")))
    for number, params in enumerate([*PARAMS, PARAMS[0]]):
        run = at / "runs" / f"run{number}"
        workspace = "default" if number < 3 else "theirs"
        Pipeline("keeping", [keep]).run(params, run_folder=run, tags=["prod", "a,b"], workspace=workspace)
        project(store, str(run))
    store.close()
    return at


def export(folder: Path, *arguments: str) -> str:
    answer = runstone("export", *arguments, at=folder, **LEDGER)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_json_and_its_lines_say_the_same(folder: Path) -> None:
    runs = json.loads(export(folder))
    assert [json.loads(line) for line in export(folder, "--format", "jsonl").splitlines()] == runs
    assert [run["params"]["rate"] for run in runs] == [2, 0.5, 1]
    assert runs[2]["params"]["name"] == "first, of all\nof them"
    assert runs[0]["tags"] == ["a,b", "prod"]


def test_csv_has_a_column_for_each_parameter_of_any_run(folder: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(export(folder, "--format", "csv"), newline="")))
    assert [row["param.rate"] for row in rows] == ["2", "0.5", "1"]
    assert [row["param.deep"] for row in rows] == ["false", "true", ""]
    assert [json.loads(row["tags"]) for row in rows] == [["a,b", "prod"]] * 3
    assert rows[2]["param.name"] == "first, of all\nof them"


def test_parquet_has_types(folder: Path) -> None:
    export(folder, "-o", "runs.parquet")
    table = pyarrow.parquet.read_table(folder / "runs.parquet")
    kinds = {field.name: str(field.type) for field in table.schema}
    assert kinds["created_at"] == "timestamp[us, tz=UTC]"
    assert kinds["tags"] == "list<element: string>"
    assert (kinds["param.rate"], kinds["param.deep"]) == ("double", "bool")
    assert (kinds["param.name"], kinds["param.large"]) == ("string", "string")
    assert table.column("param.name").to_pylist() == ["7", "second", "first, of all\nof them"]
    told = json.loads(export(folder))
    assert [moment.isoformat().replace("+00:00", "Z") for moment in table.column("created_at").to_pylist()] == [
        run["created_at"] for run in told
    ]


def test_only_what_is_asked_for(folder: Path) -> None:
    assert [run["params"]["rate"] for run in json.loads(export(folder, "--query", "param.rate>=1"))] == [2, 1]
    assert json.loads(export(folder, "--query", "status:failed")) == []
    assert export(folder, "--query", "status:failed", "--format", "jsonl") == ""
    assert len(json.loads(export(folder, "--workspace", "theirs"))) == 1
    assert len(json.loads(export(folder, "--all-workspaces"))) == 4


def test_the_ending_of_the_file_says_the_format(folder: Path) -> None:
    for name, begins in (("a.csv", "run_id,"), ("a.jsonl", '{"run_id"'), ("a.json", "[\n"), ("a", "[\n")):
        assert export(folder, "-o", name) == ""
        assert (folder / name).read_text().startswith(begins)


def test_mistakes_are_one_line(folder: Path, tmp_path: Path) -> None:
    def refused(*arguments: str, at: Path = folder, code: int = 2) -> str:
        answer = runstone("export", *arguments, at=at, **LEDGER)
        assert answer.returncode == code
        return complaint(answer)

    assert "did you mean" in refused("--query", "statu:failed")
    assert "no folder" in refused("-o", "no/where.csv")
    assert "no format is known for .xml, only for .json, .jsonl, .csv, .parquet" in refused("-o", "a.xml")
    assert "runstone ledger export writes it" in refused("-o", "a.duckdb")
    assert not (folder / "a.xml").exists()
    assert "the first recorded run makes it" in refused(at=tmp_path, code=1)
    written, code = in_terminal("export", "--format", "parquet", at=folder, **LEDGER)
    assert code == 2
    assert "not for a terminal" in " ".join(written.split())
