"""Rows of runs come into the ledger exactly once, whoever brings them, in whatever portions."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runstone.core import events as ev
from runstone.folder import clock, observe
from runstone.folder.journal import encode_line
from runstone.ledger.of_folder import project, rows_of
from runstone.ledger.opening import open_ledger
from runstone.ledger.place import Place
from runstone.ledger.port import Store
from runstone.ledger.projection import Outcome, known, put
from tests.harness.postgres import Server
from tests.ledger import stories
from tests.ledger.by_hand import at_once
from tests.ledger.stories import Prefixes, contents

NAMES = ("degraded", "completed", "failed", "died")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of all stories."""
    return stories.make(tmp_path_factory.mktemp("stories"))


@pytest.fixture(params=NAMES)
def folder(request: pytest.FixtureRequest, told: dict[str, Path]) -> Path:
    return told[request.param]


@pytest.fixture
def second(place: Place, postgres_server: Server, tmp_path: Path) -> Iterator[Store]:
    """Another ledger of the same kind."""
    other = Place("postgres", postgres_server.new_schema())
    if place.dialect == "sqlite":
        other = Place("sqlite", str(tmp_path / "second.db"))
    store = open_ledger(other)
    yield store
    store.close()


def test_the_stories_have_something_in_every_table(store: Store, told: dict[str, Path]) -> None:
    for folder in told.values():
        assert project(store, str(folder)) is Outcome.TAKEN

    found = contents(store)

    assert all(found.values())
    assert sorted(row["status"] for row in found["pipeline_run"]) == ["completed", "degraded", "degraded", "failed"]
    assert max(row["epoch"] for row in found["pipeline_run"]) == 5
    assert {row["status"] for row in found["attempt"]} == {"completed", "failed", "crashed", "degraded"}


def test_both_stores_have_the_same_rows(postgres_server: Server, tmp_path: Path, told: dict[str, Path]) -> None:
    found = []
    for place in (Place("sqlite", str(tmp_path / "ledger.db")), Place("postgres", postgres_server.new_schema())):
        store = open_ledger(place)
        for folder in told.values():
            project(store, str(folder))
        found.append(contents(store))
        store.close()

    assert found[0] == found[1]


def test_the_rows_of_a_run_say_what_its_folder_says(store: Store, folder: Path) -> None:
    project(store, str(folder))
    status = observe.status(str(folder))
    found = contents(store)

    [run] = found["pipeline_run"]
    same = ("status", "message", "reason", "created_at", "started_at", "updated_at", "finished_at", "epoch", "seq")
    for name in same:
        assert run[name] == status[name], name
    assert run["run_id"] == status["id"]
    assert run["duration_seconds"] == pytest.approx(status["duration_seconds"])
    assert (run["progress_done"], run["progress_total"]) == (status["progress"]["done"], status["progress"]["total"])
    assert run["run_folder"] == str(folder)
    counts: dict[str, int] = {}
    for row in found["block_run"]:
        counts[row["status"]] = counts.get(row["status"], 0) + 1
    assert counts == {name: count for name, count in status["blocks"].items() if count}
    assert run["error_count"] == len(found["error"])
    assert run["artifact_count"] == len(found["artifact"])
    assert [(row["path"], row["run_id"]) for row in found["place"]] == [(str(folder), status["id"])]
    # every attempt of what has ended has ended
    assert all(row["finished_at"] for row in found["attempt"])


def test_step_by_step_gives_the_same_as_all_at_once(store: Store, second: Store, folder: Path, tmp_path: Path) -> None:
    run_id = observe.status(str(folder))["id"]
    steps = 0
    for prefix in Prefixes(folder, tmp_path):
        steps += project(store, str(prefix), run_id) is Outcome.TAKEN
    assert steps > 5

    put(second, rows_of(str(prefix)))

    assert contents(store) == contents(second)


def test_any_portion_may_follow_any_other(store: Store, second: Store, folder: Path, tmp_path: Path) -> None:
    run_id = observe.status(str(folder))["id"]
    prefixes = Prefixes(folder, tmp_path)
    last = len(prefixes) - 1
    put(second, rows_of(str(prefixes.lay(last))))
    for middle in range(0, last, max(1, last // 6)):
        project(store, str(prefixes.lay(middle)), run_id)
        project(store, str(prefixes.lay(last)), run_id)
        assert contents(store) == contents(second), f"first up to line {middle}, then the rest"
        store.rows("DELETE FROM pipeline_run")


def test_what_is_known_already_changes_nothing(store: Store, folder: Path) -> None:
    project(store, str(folder))
    before = contents(store)
    run_id = before["pipeline_run"][0]["run_id"]

    assert project(store, str(folder)) is Outcome.KNOWN
    assert project(store, str(folder), run_id) is Outcome.KNOWN

    assert contents(store) == before


def test_older_rows_that_come_late_change_nothing(store: Store, told: dict[str, Path], tmp_path: Path) -> None:
    prefixes = Prefixes(told["died"], tmp_path)
    older = [rows_of(str(prefix)) for prefix in prefixes]
    put(store, older[-1])
    before = contents(store)

    assert {put(store, rows) for rows in older} == {Outcome.KNOWN}

    assert contents(store) == before


def test_rows_that_do_not_begin_where_the_ledger_stands_are_not_taken(store: Store, told: dict[str, Path]) -> None:
    folder = str(told["degraded"])
    whole = rows_of(folder)
    rest = rows_of(folder, (whole.run.epoch, 3))

    assert put(store, rest) is Outcome.GAP
    assert not any(contents(store).values())
    assert known(store, whole.run.run_id) == (0, 0)
    assert put(store, whole) is Outcome.TAKEN
    assert known(store, whole.run.run_id) == (whole.run.epoch, whole.run.seq)


def test_a_later_epoch_takes_back_what_the_driver_before_told_too_much(
    store: Store, second: Store, told: dict[str, Path], tmp_path: Path
) -> None:
    """A driver that is thought dead goes on for a moment; who takes over names what counts of its journal."""
    too_much = Prefixes(told["died"], tmp_path).lay(0)
    journal = too_much / "journal" / "0001.jsonl"
    journal.write_bytes((told["died"] / "journal" / "0001.jsonl").read_bytes())
    seq, at = rows_of(str(too_much)).run.seq, clock.now()
    late: list[ev.Event] = [
        ev.ErrorRaised(seq=seq + 1, at=at, block="halve", type="Late", message="too late"),
        ev.Warned(seq=seq + 2, at=at, code="late", message="too late"),
        ev.ArtifactSaved(
            seq=seq + 3,
            at=at,
            artifact_id="late",
            path="artifacts/late",
            name="late",
            artifact_type="file",
            content_type="text/plain",
            size_bytes=1,
            sha256="",
        ),
    ]
    with journal.open("ab") as file:
        file.writelines(encode_line(event) for event in late)
    assert project(store, str(too_much)) is Outcome.TAKEN
    assert "late" in {row["name"] for row in contents(store)["artifact"]}
    assert "Late" in {row["type"] for row in contents(store)["error"]}

    assert project(store, str(told["died"])) is Outcome.TAKEN

    put(second, rows_of(str(told["died"])))
    found, expected = contents(store), contents(second)
    # both folders have been seen, and that stays
    assert len(found.pop("place")) == len(expected.pop("place")) + 1
    assert found == expected


def test_what_is_made_again_counts_once(store: Store, told: dict[str, Path]) -> None:
    folder = told["died"]
    journal = b"".join(path.read_bytes() for path in (folder / "journal").iterdir())
    assert b"records.voided" in journal

    project(store, str(folder))

    found = contents(store)
    assert sorted(row["element"] for row in found["error"]) == [1, 4]
    assert sorted(row["name"] for row in found["artifact"]) == ["double:0", "double:3", "greeting:0"]
    # that they were tried is still told
    assert len([row for row in found["attempt"] if row["element"] is not None]) > 2


PROJECT = """
import sys
from runstone.ledger.of_folder import project
from runstone.ledger.opening import open_ledger
from runstone.ledger.place import Place

store = open_ledger(Place(*sys.argv[1:3]))
print("here", flush=True)
for line in sys.stdin:
    print(project(store, line.strip()).value, flush=True)
store.close()
"""


def test_processes_that_project_the_same_folders_give_each_record_once(
    place: Place, store: Store, second: Store, told: dict[str, Path], tmp_path: Path
) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROJECT, place.dialect, place.address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
    taken = 0
    for folder in told.values():
        for prefix in Prefixes(folder, tmp_path):
            answers = _ask(processes, prefix)
            assert set(answers) <= {"taken", "known"}
            taken += answers.count("taken")
        put(second, rows_of(str(prefix)))
    for process in processes:
        process.communicate(timeout=60)

    assert [process.returncode for process in processes] == [0, 0, 0]
    assert taken > 20
    assert contents(store) == contents(second)


def _ask(processes: list[subprocess.Popen[str]], folder: Path) -> list[str]:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(f"{folder}\n")
        process.stdin.flush()
    return [process.stdout.readline().strip() for process in processes if process.stdout is not None]


def test_threads_that_project_the_same_new_run_give_each_record_once(
    place: Place, store: Store, second: Store, told: dict[str, Path]
) -> None:
    outcomes: list[Outcome] = []

    def bring() -> None:
        mine = open_ledger(place)
        outcomes.extend(project(mine, str(folder)) for folder in told.values())
        mine.close()

    at_once(*[bring] * 4)

    for folder in told.values():
        put(second, rows_of(str(folder)))
    assert outcomes.count(Outcome.TAKEN) == len(told)
    assert outcomes.count(Outcome.KNOWN) == 3 * len(told)
    assert contents(store) == contents(second)


def test_half_of_a_projection_is_none(store: Store, told: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(self: Any, *args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("runstone.ledger.projection._tell_place", stop)
    with pytest.raises(KeyboardInterrupt):
        project(store, str(told["degraded"]))
    monkeypatch.undo()

    assert not any(contents(store).values())
    assert project(store, str(told["degraded"])) is Outcome.TAKEN
