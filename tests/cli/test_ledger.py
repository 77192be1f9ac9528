"""`runstone ledger ...`: what people and programs see of it."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests import samples, scripts
from tests.cli.command import RUNSTONE, complaint, in_terminal
from tests.cli.command import runstone as execute
from tests.terminal import Screen
from tests.terminal import execute as in_a_terminal

COMMANDS = ("sync", "rebuild", "check", "migrate", "info", "vacuum", "backup", "restore")


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A project with two runs that no ledger has heard of."""
    (tmp_path / ".runstone").mkdir()
    samples.run_survey(tmp_path / "runs" / "survey-1", tmp_path)
    samples.run_tiny(tmp_path / "runs" / "tiny-1")
    return tmp_path


def ledger(*arguments: str, at: Path, where: str = "") -> subprocess.CompletedProcess[str]:
    return execute("ledger", *arguments, at=at, RUNSTONE_LEDGER=where)


def told(*arguments: str, at: Path, code: int = 0) -> Any:
    answer = ledger(*arguments, "--json", at=at)
    assert answer.returncode == code, answer.stderr
    return json.loads(answer.stdout)


def test_there_are_these_commands(lab: Path) -> None:
    shown = ledger("--help", at=lab).stdout
    assert all(f"  {name} " in shown for name in COMMANDS)
    assert ledger(at=lab).returncode == 2
    assert "ledger" in execute("--help", at=lab).stdout


def test_sync_brings_runs_and_says_how_many(lab: Path) -> None:
    answer = ledger("sync", at=lab)
    assert (answer.returncode, answer.stdout) == (0, "2 folders: 2 brought into the ledger\n")
    assert ledger("sync", at=lab).stdout == "2 folders: 2 known already\n"
    found = told("sync", at=lab)
    assert (found["folders"], found["known"], found["refused"]) == (2, 2, {"count": 0, "first": []})


def test_what_is_not_taken_is_named(lab: Path) -> None:
    (lab / "runs" / "bad").mkdir()
    (lab / "runs" / "bad" / "run.json").write_text("{")
    shutil.copytree(lab / "runs" / "tiny-1", lab / ".runstone/workspaces/other/runs/tiny-2")
    lines = ledger("sync", at=lab).stdout.splitlines()
    assert lines[0] == "4 folders: 2 brought into the ledger, 1 not believed, 1 not readable"
    assert "Not believed" in lines
    assert "Not readable" in lines
    assert any(line.startswith("  .runstone/workspaces/other/runs/tiny-2  it says it is of") for line in lines)
    assert any(line.startswith("  runs/bad  run.json is damaged") for line in lines)


def test_info_tells_what_is_there_and_survives_that_nothing_is(lab: Path) -> None:
    answer = ledger("info", at=lab)
    assert answer.returncode == 0
    assert answer.stdout.startswith(f"there is no ledger {lab}/.runstone/ledger.db yet\n")
    assert not (lab / ".runstone" / "ledger.db").exists()
    assert told("info", at=lab)["exists"] is False
    ledger("sync", at=lab)
    shown = ledger("info", at=lab).stdout
    assert f"where       {lab}/.runstone/ledger.db" in shown
    assert "kept by     SQLite" in shown
    assert re.search(r"^  pipeline_run +2$", shown, re.MULTILINE)
    found = told("info", at=lab)
    assert (found["exists"], found["statuses"]) == (True, {"completed": 1, "degraded": 1})


def test_info_tells_how_many_runs_could_not_be_brought_yet(lab: Path) -> None:
    ledger("sync", at=lab)
    assert "waiting" not in ledger("info", at=lab).stdout
    scripts.write(
        lab / "job.py",
        """
        from runstone import Pipeline, block

        @block
        def one() -> int:
            return 1

        Pipeline("job", [one]).run({}, show_progress=False)
        """,
    )
    holder = sqlite3.connect(lab / ".runstone" / "ledger.db", isolation_level=None)
    try:
        holder.execute("BEGIN IMMEDIATE")
        assert scripts.python("job.py", cwd=lab).returncode == 0
        shown = ledger("info", at=lab).stdout
        assert "waiting     1 run waits to be brought in: runstone ledger sync\n" in shown
        assert told("info", at=lab)["waiting"] == 1
    finally:
        holder.close()
    ledger("sync", at=lab)
    found = told("info", at=lab)
    assert (found["waiting"], found["tables"]["pipeline_run"]) == (0, 3)


def test_check_agrees_or_lists_what_differs(lab: Path) -> None:
    assert "there is no ledger" in complaint(ledger("check", at=lab))
    ledger("sync", at=lab)
    answer = ledger("check", at=lab)
    assert (answer.returncode, answer.stdout) == (0, "2 runs: ledger and folders agree in every field\n")
    _spoil(lab, "UPDATE pipeline_run SET message = 'wrong', error_count = 9 WHERE pipeline_name = 'tiny'")
    answer = ledger("check", at=lab)
    assert answer.returncode == 1
    assert "2 runs compared: 1 differs" in answer.stdout
    assert "runs/tiny-1  differs: pipeline_run.message, pipeline_run.error_count" in answer.stdout
    assert told("check", at=lab, code=1)["counts"] == {"differs": 1}
    answer = ledger("check", "--repair", at=lab)
    assert answer.returncode == 0
    assert answer.stdout.splitlines() == [
        "made again: 1; brought in: 0",
        "2 runs: ledger and folders agree in every field",
    ]


def test_repair_makes_a_ledger_where_none_is(lab: Path) -> None:
    answer = ledger("check", "--repair", at=lab)
    assert answer.returncode == 0
    assert "brought in: 2" in answer.stdout


def _spoil(lab: Path, sql: str) -> None:
    store = sqlite3.connect(lab / ".runstone" / "ledger.db")
    store.execute(sql)
    store.commit()
    store.close()


def test_rebuild_makes_the_index_again(lab: Path) -> None:
    ledger("sync", at=lab)
    _spoil(lab, "UPDATE pipeline_run SET message = 'wrong'")
    assert ledger("rebuild", at=lab).stdout == "2 folders: 2 brought into the ledger\n"
    _spoil(lab, "UPDATE pipeline_run SET message = 'wrong'")
    assert ledger("rebuild", "runs/", at=lab).stdout == "2 folders: 2 brought into the ledger\n"
    assert ledger("check", at=lab).returncode == 0


def test_rebuild_loses_nothing_unasked(lab: Path) -> None:
    ledger("sync", at=lab)
    shutil.rmtree(lab / "runs" / "tiny-1")
    assert ledger("check", at=lab).returncode == 1
    answer = ledger("rebuild", at=lab)
    assert answer.returncode == 1
    named, said = answer.stderr.splitlines()
    assert named.endswith("runs/tiny-1")
    assert said == (
        "runstone: the folder of 1 run cannot be read any more, and rebuild would forget it; "
        "to do so all the same: runstone ledger rebuild --yes"
    )
    assert told("info", at=lab)["tables"]["pipeline_run"] == 2
    answer = ledger("rebuild", "--yes", at=lab)
    assert answer.returncode == 0
    assert answer.stderr == "forgotten, for their folders cannot be read any more: 1\n"
    assert told("info", at=lab)["tables"]["pipeline_run"] == 1


def test_backup_and_restore(lab: Path) -> None:
    ledger("sync", at=lab)
    answer = ledger("backup", "monday.db", at=lab)
    assert answer.returncode == 0
    assert "keep it well: the queue, requests, triggers, annotations, keys and webhooks are in the ledger alone" in (
        answer.stdout
    )
    assert "monday.db is there already, and is not overwritten" in complaint(ledger("backup", "monday.db", at=lab))
    (lab / ".runstone" / "ledger.db").unlink()
    answer = ledger("restore", "monday.db", at=lab)
    assert answer.returncode == 0
    assert "come back with: runstone ledger sync" in answer.stdout
    assert told("info", at=lab)["tables"]["pipeline_run"] == 2
    kept = told("restore", "monday.db", at=lab)["kept"]
    assert Path(kept).is_file()
    assert "is no backup of a ledger, and was not restored" in complaint(ledger("restore", str(_other(lab)), at=lab))


def _other(lab: Path) -> Path:
    store = sqlite3.connect(lab / "other.db")
    store.execute("CREATE TABLE mine (x)")
    store.commit()
    store.close()
    return lab / "other.db"


def test_migrate_and_vacuum(lab: Path) -> None:
    assert "there is no ledger" in complaint(ledger("vacuum", at=lab))
    newest = told("migrate", at=lab)["after"]
    answer = ledger("migrate", at=lab)
    assert answer.stdout == (
        f"the ledger {lab}/.runstone/ledger.db has schema {newest} already, the one of this version\n"
    )
    ledger("sync", at=lab)
    _spoil(lab, "UPDATE pipeline_run SET message = printf('%.*c', 500000, 'x')")
    _spoil(lab, "DELETE FROM pipeline_run")
    found = told("vacuum", at=lab)
    assert found["bytes_after"] + 500_000 < found["bytes_before"]
    assert "bytes before, " in ledger("vacuum", at=lab).stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_a_ledger_that_is_switched_off_is_said_in_one_line(lab: Path, name: str) -> None:
    arguments = [name, "x.db"] if name in ("backup", "restore") else [name]
    answer = ledger(*arguments, at=lab, where="none")
    assert answer.returncode == 1
    assert "the ledger is switched off" in complaint(answer)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "restore"])
def test_what_is_no_ledger_is_said_in_one_line(lab: Path, name: str) -> None:
    (lab / "odd.db").write_bytes(b"no database" * 1000)
    arguments = [name, "x.db"] if name == "backup" else [name]
    answer = ledger(*arguments, at=lab, where="odd.db")
    assert answer.returncode == 1
    assert "damaged, or no database" in complaint(answer)


def test_a_server_is_backed_up_by_its_own_tools(lab: Path) -> None:
    answer = ledger("backup", "x.dump", at=lab, where="postgresql://ann:secret@localhost/runs")
    assert answer.returncode == 1
    assert "pg_dump --format=custom --file=x.dump" in complaint(answer)
    assert "secret" not in answer.stderr


@pytest.mark.parametrize("width", [60, 120])
def test_pages_fit_the_terminal(lab: Path, width: int) -> None:
    ledger("sync", at=lab)
    shutil.rmtree(lab / "runs" / "tiny-1")
    (lab / "runs" / "bad").mkdir()
    (lab / "runs" / "bad" / "run.json").write_text("{")
    for name in ("info", "sync", "check"):
        text, _ = in_terminal("ledger", name, at=lab, width=width, RUNSTONE_LEDGER="")
        screen = Screen(width).feed(text)
        assert not screen.wrapped, screen.text
        assert "ledger" in screen.text


@pytest.mark.parametrize(("typed", "expected", "left"), [("n\n", 1, 2), ("\n", 1, 2), ("y\n", 0, 1)])
def test_a_person_is_asked_before_runs_are_forgotten(lab: Path, typed: str, expected: int, left: int) -> None:
    ledger("sync", at=lab)
    shutil.rmtree(lab / "runs" / "tiny-1")
    text, code = in_a_terminal(
        [*RUNSTONE, "ledger", "rebuild"],
        lab,
        width=100,
        environment={"RUNSTONE_LEDGER": ""},
        answer=("Forget this run? [y/N]", typed),
    )
    assert code == expected, text
    assert told("info", at=lab)["tables"]["pipeline_run"] == left
