"""Check finds whatever is between the ledger and the folders, and repair mends what can be mended."""

from __future__ import annotations

import contextlib
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runstone.folder import annotations as in_folder
from runstone.ledger import tables
from runstone.ledger.annotations import annotate, of_run
from runstone.ledger.check import Findings, check, repair
from runstone.ledger.of_folder import project as bring
from runstone.ledger.port import Store
from runstone.ledger.row_types import RunRow
from runstone.ledger.sync import sync
from tests import samples
from tests.ledger import stories
from tests.ledger.projects import claim, lay, made, nursery, project, told
from tests.ledger.test_claims import places

__all__ = ["made", "nursery", "project"]

_COMPARED = tuple(table for table in tables.INDEX if table != "place")


@pytest.fixture
def full(store: Store, project: Path, made: dict[str, Path]) -> Store:
    """A ledger with rows in every table."""
    lay(made, project / "runs")
    sync(store)
    assert check(store).equal
    return store


def found(findings: Findings) -> list[tuple[str, str, list[str]]]:
    """Every difference: its kind, the name of the folder, and the fields."""
    return [(each.kind.value, Path(each.path).name, each.details) for each in findings.differences]


_WORDS = {"status": "queued", "kind": "stage"}
_JSON = ("variables", "driver", "metrics", "body", "metadata")
_OF_RUNS = set(RunRow.__struct_fields__) - {"run_id", "workspace", "run_folder", "status", "finished_at"}
"""Without those that have a test of their own."""

_EMPTY = {
    ("pipeline_run", name)
    for name in (
        "job_id", "retry_of", "replay_of", "parent_id", "imported_from", "trace_id", "cancel_requested_at",
        "pipeline_version",
        "reason", "rows_in", "rows_out", "llm_calls", "tokens",
    )
} | {("block_run", "reason"), ("block_run", "adopted_from"), ("block_run", "peak_memory")}  # fmt: skip
"""What no run of the stories has."""


def changed(name: str, value: Any) -> Any:
    """Another value for a column, that every CHECK allows."""
    if name in _JSON:
        return '{"changed": true}'
    if name == "at" or name.endswith("_at"):
        return "2001-02-03T04:05:06.000007Z"
    if name in _WORDS:
        return _WORDS[name]
    if name in ("input_fingerprint", "config_hash"):
        return "0" * 64
    return f"{value}x" if isinstance(value, str) else value + 1000


@contextlib.contextmanager
def undone(store: Store) -> Iterator[None]:
    """Whatever is changed inside is as it was afterwards."""
    with contextlib.suppress(_Undo), store.writing():
        yield
        raise _Undo


class _Undo(Exception):
    pass


def test_every_column_of_every_table_is_compared(full: Store) -> None:
    tried = 0
    for table in _COMPARED:
        for name in tables.columns(full, table):
            if name == "run_key" or (table == "pipeline_run" and name not in _OF_RUNS):
                continue
            rows = full.rows(
                f"SELECT run_key, {name} FROM {table} WHERE {name} IS NOT NULL ORDER BY {name} DESC LIMIT 1"
            )
            if not rows:
                assert (table, name) in _EMPTY
                continue
            key, value = rows[0]
            where = "run_key = :key" + ("" if name in _JSON else f" AND {name} = :value")
            with undone(full):
                full.rows(
                    f"UPDATE {table} SET {name} = :other WHERE {where}",
                    {"other": changed(name, value), "key": key, "value": value},
                )
                differences = found(check(full))
                assert [kind for kind, _, _ in differences] == ["differs"], (table, name)
                assert any(field.startswith(table) and field.endswith(f".{name}") for field in differences[0][2])
            tried += 1
    assert tried > 70
    assert check(full).equal


def test_a_status_that_differs_is_found(full: Store) -> None:
    full.rows("UPDATE pipeline_run SET status = 'failed' WHERE status = 'completed'")
    assert ("differs", "completed", ["pipeline_run.status"]) in found(check(full))


@pytest.mark.parametrize("table", [table for table in _COMPARED if table != "pipeline_run"])
def test_rows_that_are_missing_are_found_and_come_back(full: Store, table: str) -> None:
    before = stories.contents(full)
    full.rows(f"DELETE FROM {table}")
    findings = check(full)
    assert set(findings.counts) == {"differs"}
    assert all(field.startswith(f"{table} (0 rows, not ") for _, _, fields in found(findings) for field in fields)
    mended = repair(full)
    assert mended.remade == findings.counts["differs"]
    assert mended.left.equal
    assert stories.contents(full) == before


def test_a_run_that_is_not_in_the_ledger_is_found_and_brought(full: Store, project: Path) -> None:
    samples.run_tiny(project / "runs" / "new")
    assert found(check(full)) == [("not in the ledger", "new", [])]
    mended = repair(full)
    assert (mended.taken, mended.remade, mended.left.equal) == (1, 0, True)


def test_a_folder_that_is_gone_is_told_and_its_row_stays(full: Store, project: Path) -> None:
    shutil.rmtree(project / "runs" / "failed")
    assert found(check(full)) == [("not on disk", "failed", [])]
    before = stories.contents(full)
    left = repair(full).left
    assert found(left) == [("not on disk", "failed", [])]
    assert not left.equal
    assert stories.contents(full) == before


def test_a_folder_on_another_host_is_not_held_against_the_ledger(full: Store, tmp_path: Path) -> None:
    full.rows(
        "UPDATE pipeline_run SET host = 'far', run_folder = :path WHERE status = 'failed'",
        {"path": str(tmp_path / "their home" / "runs" / "failed")},
    )
    findings = check(full)
    assert findings.elsewhere == 1
    # the folder that is here is not where the row says
    assert not [kind for kind, _, _ in found(findings) if kind == "not on disk"]


def test_another_run_in_the_place_is_told(full: Store, project: Path) -> None:
    shutil.rmtree(project / "runs" / "failed")
    samples.run_tiny(project / "runs" / "failed")
    run_id = told(project / "runs" / "failed").run_id
    assert found(check(full)) == [
        ("not on disk", "failed", [f"another run is in its place: {run_id}"]),
        ("not in the ledger", "failed", []),
    ]


def test_a_folder_that_became_unreadable_is_told(full: Store, project: Path) -> None:
    (project / "runs" / "failed" / "run.json").write_text("{")
    findings = check(full)
    assert [(kind, name) for kind, name, _ in found(findings)] == [("unreadable", "failed")]
    assert findings.unreadable.count == 1


def test_a_place_that_the_ledger_does_not_know_is_found_and_told(full: Store, project: Path) -> None:
    shutil.copytree(project / "runs" / "failed", project / "runs" / "copy")
    assert found(check(full)) == [("unknown place", "copy", [])]
    assert repair(full).left.equal
    assert str(project / "runs" / "copy") in places(full)


def test_what_is_not_believed_is_named_and_no_difference(full: Store, project: Path) -> None:
    samples.run_tiny(project / "runs" / "liar")
    claim(project / "runs" / "liar", workspace="other")
    findings = check(full)
    assert findings.equal
    assert [Path(path).name for path, _ in findings.refused.first] == ["liar"]


def test_what_people_said_is_compared_with_all_that_was_said(full: Store, project: Path) -> None:
    folder = project / "runs" / "completed"
    run_id = told(folder).run_id
    annotate([("tag", "mine")], by="ann", run_id=run_id, folder=None, store=full)
    assert check(full).equal
    in_folder.say(str(folder), "note", "seen", by="ann")
    assert found(check(full)) == [("differs", "completed", ["annotation (1 more in the folder)"])]
    assert repair(full).left.equal
    assert sorted(one.text for one in of_run(full, run_id)) == ["mine", "seen"]
    assert (run_id, "mine") in full.rows("SELECT run_id, tag FROM tag JOIN pipeline_run USING (run_key)")


def test_what_the_ledger_alone_knows_outlives_a_repair(full: Store, project: Path) -> None:
    run_id = told(project / "runs" / "failed").run_id
    annotate([("tag", "mine")], by="ann", run_id=run_id, folder=None, store=full)
    full.rows("UPDATE pipeline_run SET priority = 5, message = 'wrong' WHERE status = 'failed'")
    assert repair(full).remade == 1
    assert check(full).equal
    assert full.rows("SELECT priority FROM pipeline_run WHERE status = 'failed'") == [(5,)]
    assert (run_id, "mine") in full.rows("SELECT run_id, tag FROM tag JOIN pipeline_run USING (run_key)")


def test_rows_that_belong_to_no_run_are_a_problem(full: Store) -> None:
    if full.dialect != "sqlite":
        # PostgreSQL lets nobody do this
        with pytest.raises(Exception, match="foreign key"):
            full.rows("UPDATE event SET run_key = 999999 WHERE seq = 1 AND run_key = 1")
        return
    full.script("PRAGMA foreign_keys = 0")
    full.rows("UPDATE event SET run_key = 999999 WHERE seq = 1 AND run_key = 1")
    findings = check(full)
    assert findings.problems == ["1 rows of table event belong to no run"]
    assert not findings.equal


def test_a_run_that_is_being_written_is_not_held_against_the_ledger(store: Store, project: Path, nursery: Any) -> None:
    folder = project / "runs" / "alive"
    # longer than anybody looks
    child = nursery.spawn(
        "tests.harness.mortal:live",
        folder=str(folder),
        oracle=str(project / "oracle"),
        pause=0.02,
        chunk=1,
        size=20_000,
    )
    ways: Counter[str] = Counter()
    while ways["behind"] <= 2:
        assert not child.died(0.03)
        findings = check(store)
        assert findings.equal, findings
        ways["new" if not findings.runs else "behind"] += findings.underway
        if ways["new"] == 2 and not findings.runs:
            bring(store, str(folder))
    child.kill()
    sync(store)
    findings = check(store)
    assert (findings.equal, findings.underway, findings.runs) == (True, 0, 1)
