"""More tracked runs than the end of a process has time for: readers of the ledger bring them, and nothing is silent."""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from runstone.ledger import behind, of_track, opening, projector
from runstone.ledger.check import check
from runstone.ledger.cleanup import named
from runstone.ledger.deletion import delete_runs
from runstone.ledger.facts import facts
from runstone.ledger.place import Place
from runstone.ledger.port import Store
from tests.harness.tracked import done, execute

MANY = 2500

LEFT = f"""
import sys
from runstone import track
from runstone.engine.track import journals
from runstone.ledger import projector
# nothing comes into the ledger while it works, nor at its end
projector.TICK_SECONDS = 60.0
journals.PATIENCE = 0.0
journals.READERS_BRING = int(sys.argv[1])
with track("around"):
    for number in range({MANY}):
        with track("many", rows_in=number, tags=["seventh"] if number % 7 == 0 else None) as t:
            t.rows_out = number
"""
KILLED = f"{LEFT}\n    import os, signal\n    os.kill(os.getpid(), signal.SIGKILL)\n"

NEXT = """
from runstone import track
from runstone.engine.track import journals
# a desk that is busy with other things takes its time
journals.PATIENCE = 20.0
with track("next"):
    pass
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own."""
    folder = tmp_path / "home"
    (folder / ".runstone").mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(projector, "_projectors", {})
    # a desk that is busy with other things, and a server far away, take longer than readers have
    monkeypatch.setattr(opening, "_SECONDS_FOR_OTHERS", 60.0)
    return folder


@contextlib.contextmanager
def reading(place: Place) -> Iterator[Store]:
    store = opening.open_for_reading(place)
    assert store is not None
    with contextlib.closing(store):
        yield store


def count(store: Store) -> int:
    return int(store.rows("SELECT count(*) FROM pipeline_run")[0][0])


def test_one_look_at_the_ledger_brings_what_a_process_had_no_time_for(home: Path, place: Place, store: Store) -> None:
    done(LEFT, home, "1000000", ledger=place.address)
    before = count(store)
    assert before < MANY
    assert behind.on_the_way(place.shown, store, str(home)) >= MANY - before
    with reading(place) as read:
        assert count(read) == MANY + 1
        assert read.rows("SELECT sum(rows_out) FROM pipeline_run") == [(MANY * (MANY - 1) // 2,)]
        assert read.rows("SELECT DISTINCT status FROM pipeline_run") == [("completed",)]
        assert read.rows("SELECT count(*) FROM tag") == [(len(range(0, MANY, 7)),)]
    assert behind.waiting() == 0
    assert check(store).equal


def test_readers_without_enough_time_go_on_where_the_last_one_stopped(
    home: Path, place: Place, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert execute(KILLED, home, "0", ledger=place.address)[2] == -signal.SIGKILL
    monkeypatch.setattr(opening, "_SECONDS_FOR_OTHERS", 0.0)
    left = [behind.on_the_way(place.shown, store)]
    assert left[0] + count(store) >= MANY + 1
    while left[-1]:
        with reading(place) as read:
            left.append(behind.on_the_way(place.shown, read))
            assert facts(place, read).waiting == left[-1]
            assert left[-1] <= MANY + 1 - count(read)
        assert left[-1] == max(0, left[-2] - of_track.BATCH)
    with reading(place) as read:
        assert count(read) == MANY + 1
    assert behind.waiting() == 0


def test_what_is_left_at_the_end_is_told_with_its_number(home: Path, place: Place, store: Store) -> None:
    out, err, status = execute(LEFT, home, "100", ledger=place.address)
    assert (out, status) == ("", 0)
    [line] = err.splitlines()
    told = re.fullmatch(
        r"runstone: ([\d,]+) tracked runs are in \.runstone/track, and not in the ledger yet: those who read that bring"
        r" them step by step; to have all now: runstone ledger sync",
        line,
    )
    assert told is not None, line
    assert int(told[1].replace(",", "")) == behind.on_the_way(place.shown, store) > 100


def test_the_next_process_that_tracks_brings_them_however_short_it_is(home: Path, place: Place, store: Store) -> None:
    done(LEFT, home, "1000000", ledger=place.address)
    done(NEXT, home, ledger=place.address)
    if place.dialect == "sqlite":
        # nobody waits for a server that takes its time
        assert count(store) == MANY + 2
    with reading(place) as read:
        assert count(read) == MANY + 2


def test_large_journals_of_others_are_left_to_sync(
    home: Path, place: Place, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    done(LEFT, home, "1000000", ledger=place.address)
    monkeypatch.setattr(opening, "BYTES_FOR_OTHERS", 1000)
    before = count(store)
    with reading(place) as read:
        assert count(read) == before
        assert behind.on_the_way(place.shown, read) > 0


def test_a_reader_brings_no_run_back_that_was_deleted(
    home: Path, place: Place, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert execute(KILLED, home, "0", ledger=place.address)[2] == -signal.SIGKILL
    monkeypatch.setattr(opening, "_SECONDS_FOR_OTHERS", 0.0)
    with reading(place) as read:
        [(gone,)] = read.rows("SELECT run_id FROM pipeline_run WHERE rows_in = 3")
    delete_runs(store, [named(store, gone, workspace="default")])
    while behind.on_the_way(place.shown, store) > 1:
        with reading(place) as read:
            pass
    with reading(place) as read:
        assert count(read) == MANY
        assert read.rows("SELECT run_id FROM pipeline_run WHERE rows_in = 3") == []
