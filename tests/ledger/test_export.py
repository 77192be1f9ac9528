"""Runs to be taken elsewhere: all of them, with all there is of each."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from runstone import Pipeline, block
from runstone.core.query import Query, parse
from runstone.ledger import export
from runstone.ledger.export import Exported
from runstone.ledger.of_folder import project
from runstone.ledger.port import Store


@block
def doubled(number: int, name: str) -> int:
    return 2 * number


def record(store: Store, folder: Path, workspace: str = "default", **params: object) -> str:
    """Execute a run and bring it into the ledger; returns its id."""
    run = Pipeline("doubling", [doubled]).run(params, run_folder=folder, workspace=workspace, tags=["b", "a"])
    project(store, str(folder))
    return run.id


def exported(store: Store, query: str = "", workspace: str | None = "default") -> list[Exported]:
    asked = parse(query) if query else Query()
    return [run for page in export.runs(store, asked, workspace) for run in page]


def test_a_run_is_told_with_its_fields_parameters_and_tags(store: Store, tmp_path: Path) -> None:
    run_id = record(store, tmp_path / "run", number=2, name="x" * 400)
    (run,) = exported(store)
    assert tuple(run) == (*export.FIELDS, "params")
    assert (run["run_id"], run["status"], run["tags"]) == (run_id, "completed", ["a", "b"])
    assert msgspec.json.decode(run["params"]) == {"number": 2, "name": "x" * 400}
    assert len(run["config_hash"]) == len(run["input_fingerprint"]) == 64


def test_only_what_is_asked_for_and_only_of_the_workspace(store: Store, tmp_path: Path) -> None:
    for number in range(3):
        record(store, tmp_path / f"run{number}", number=number, name="n")
    theirs = record(store, tmp_path / "theirs", workspace="theirs", number=1, name="n")
    assert [msgspec.json.decode(run["params"])["number"] for run in exported(store)] == [2, 1, 0]
    assert len(exported(store, "param.number>0")) == 2
    assert [run["run_id"] for run in exported(store, workspace="theirs")] == [theirs]
    assert len(exported(store, workspace=None)) == 4


def test_pages_follow_each_other_without_a_gap(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = {record(store, tmp_path / f"run{number}", number=number, name="n") for number in range(5)}
    monkeypatch.setattr(export, "MOST", 2)
    pages = list(export.runs(store, Query(), "default"))
    assert [len(page) for page in pages] == [2, 2, 1]
    assert {run["run_id"] for page in pages for run in page} == ids


def test_of_no_runs_nothing_is_told(store: Store) -> None:
    assert exported(store) == []
