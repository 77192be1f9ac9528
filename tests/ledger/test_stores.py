"""What every store of the ledger must do, whichever it is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from runstone.errors import LedgerBusy, LedgerError
from runstone.ledger import migrations
from runstone.ledger.opening import open_ledger
from runstone.ledger.place import Place
from runstone.ledger.port import Store
from tests.ledger.by_hand import ADD_WORKSPACE, AT, add_run, add_workspace, at_once

NAMES = "SELECT name FROM workspace ORDER BY name"
DIGITS = 2**63 - 1


@pytest.fixture
def other(place: Place, store: Store) -> Iterator[Store]:
    """A second connection to the same ledger, which does not wait long."""
    other = open_ledger(place, patience=0.05)
    yield other
    other.close()


def names(store: Store) -> list[str]:
    return [row[0] for row in store.rows(NAMES)]


def test_a_statement_without_rows_gives_none(store: Store) -> None:
    assert store.rows(ADD_WORKSPACE, {"name": "a", "at": AT, "said": ""}) == []
    assert store.rows("SELECT name FROM workspace WHERE name = :name", {"name": "b"}) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain",
        "Straße ☃ 🪨",
        'it\'s "quoted" \\ back',
        "100% of %(name)s %s",
        "a:b ::c :name",
        "line\nline\ttab",
        "�",
    ],
)
def test_texts_come_back_as_they_were(store: Store, text: str) -> None:
    add_workspace(store, "a", text)

    assert store.rows("SELECT description FROM workspace WHERE description = :text", {"text": text}) == [(text,)]


@pytest.mark.parametrize("number", [0, 1, 2**15, 2**31, 2**53 + 1, DIGITS, None])
def test_integers_come_back_as_they_were(store: Store, number: int | None) -> None:
    key = add_run(store, "r", progress_total=number)

    found = store.rows("SELECT progress_total FROM pipeline_run WHERE run_key = :key", {"key": key})

    assert found == [(number,)]
    assert type(found[0][0]) is type(number)


@pytest.mark.parametrize("number", [0.0, 0.1, 1e-300, 1.7976931348623157e308, 12.0, None])
def test_floats_come_back_as_they_were(store: Store, number: float | None) -> None:
    key = add_run(store, "r", duration_seconds=number)

    found = store.rows("SELECT duration_seconds FROM pipeline_run WHERE run_key = :key", {"key": key})

    assert found == [(number,)]
    assert type(found[0][0]) is type(number)


@pytest.mark.parametrize(
    "moment",
    [
        "0001-01-01T00:00:00.000000Z",
        "1970-01-01T00:00:00.000000Z",
        "2026-03-01T12:00:00.000001Z",
        "2026-03-01T12:00:00.120000Z",
        "9999-12-31T23:59:59.999999Z",
    ],
)
def test_times_come_back_as_they_were(store: Store, moment: str) -> None:
    key = add_run(store, "r", started_at=moment)

    said = {"key": key, "moment": moment}
    assert store.rows("SELECT started_at FROM pipeline_run WHERE run_key = :key", said) == [(moment,)]
    assert store.rows("SELECT 1 FROM pipeline_run WHERE run_key = :key AND started_at = :moment", said) == [(1,)]


def test_times_sort_as_times(store: Store) -> None:
    moments = [f"2026-01-01T00:00:0{second}.{part}Z" for second in (0, 9) for part in ("000000", "000001", "999999")]
    for number, moment in enumerate(reversed(moments)):
        add_run(store, f"r{number}", created_at=moment)

    found = store.rows(
        "SELECT created_at FROM pipeline_run WHERE created_at < :to ORDER BY created_at",
        {"to": "2027-01-01T00:00:00.000000Z"},
    )

    assert found == [(moment,) for moment in moments]


@pytest.mark.parametrize("value", [{}, [], None, 1, "a", {"a": [1, 2.5, None, "ü 🪨 ' \" \\"], "b": {"c": DIGITS}}])
def test_json_comes_back_as_text_that_says_the_same(store: Store, value: Any) -> None:
    key = add_run(store, "r", variables=json.dumps(value))

    found = store.rows("SELECT variables FROM pipeline_run WHERE run_key = :key", {"key": key})[0][0]

    assert isinstance(found, str)
    assert json.loads(found) == value


def test_what_is_computed_has_the_same_types_everywhere(store: Store) -> None:
    for number in (1, 2):
        add_run(store, f"r{number}", progress_total=number, duration_seconds=0.5 * number)

    found = store.rows(
        "SELECT count(*), sum(progress_total), avg(progress_total), sum(duration_seconds), max(created_at),"
        " count(*) > 1, min(run_id) || '%' FROM pipeline_run"
    )[0]

    assert found == (2, 3, 1.5, 1.5, AT, 1, "r1%")
    assert [type(value) for value in found] == [int, int, float, float, str, int, str]


def test_a_parameter_may_be_used_twice_and_others_not_at_all(store: Store) -> None:
    add_workspace(store, "a", "a")

    found = store.rows(
        "SELECT name FROM workspace WHERE name = :name AND description = :name", {"name": "a", "unused": 1}
    )

    assert found == [("a",)]


def test_without_parameters_a_colon_and_a_percent_sign_are_just_that(store: Store) -> None:
    assert store.rows("SELECT ':name', '%s %(x)s %%' -- :name") == [(":name", "%s %(x)s %%")]


def test_many_executes_a_statement_for_each_set(store: Store) -> None:
    store.many(ADD_WORKSPACE, ({"name": name, "at": AT, "said": ""} for name in "cab"))
    store.many(ADD_WORKSPACE, [])

    assert names(store) == ["a", "b", "c"]


def test_a_script_is_several_statements(store: Store) -> None:
    store.script(
        f"INSERT INTO workspace (name, created_at) VALUES ('a:b', '{AT}');\n-- ' ; %\nSELECT 1;\n"
        f"INSERT INTO workspace (name, created_at) VALUES ('100%', '{AT}');"
    )

    assert names(store) == ["100%", "a:b"]


def test_all_statements_of_a_transaction_count(store: Store, other: Store) -> None:
    with store.writing():
        add_workspace(store, "a")
        store.many(ADD_WORKSPACE, [{"name": "b", "at": AT, "said": ""}])
        assert names(store) == ["a", "b"]
        assert names(other) == []

    assert names(other) == ["a", "b"]


class Left(Exception):
    pass


def test_a_transaction_that_is_left_by_an_exception_changes_nothing(store: Store) -> None:
    def leave() -> None:
        with store.writing():
            add_workspace(store, "a")
            raise Left

    with pytest.raises(Left):
        leave()

    assert names(store) == []


def test_a_transaction_in_which_a_statement_failed_changes_nothing(store: Store) -> None:
    def fail() -> None:
        with store.writing():
            add_workspace(store, "a")
            add_workspace(store, "a")

    with pytest.raises(LedgerError):
        fail()

    assert names(store) == []
    add_workspace(store, "b")
    assert names(store) == ["b"]


def test_a_transaction_within_another_is_refused_and_the_outer_one_goes_on(store: Store) -> None:
    with store.writing():
        add_workspace(store, "a")
        with pytest.raises(LedgerError, match="within"), store.writing():
            pass
        add_workspace(store, "b")

    assert names(store) == ["a", "b"]


def test_a_reader_sees_one_state_however_long_it_looks(store: Store, other: Store) -> None:
    add_workspace(store, "a")
    with store.reading():
        assert names(store) == ["a"]
        add_workspace(other, "b")
        assert names(store) == ["a"]

    assert names(store) == ["a", "b"]


def test_a_reader_holds_up_no_writer(store: Store, other: Store) -> None:
    with store.reading():
        names(store)
        with other.writing():
            add_workspace(other, "a")

    assert names(store) == ["a"]


def test_writers_of_one_run_take_turns(place: Place, store: Store, other: Store) -> None:
    key = add_run(store, "r")
    count = "UPDATE pipeline_run SET error_count = error_count + 1 WHERE run_key = :key"
    with store.writing():
        store.rows(count, {"key": key})
        with pytest.raises(LedgerBusy) as refused, other.writing():
            other.rows(count, {"key": key})
    assert str(refused.value) == (
        f"the ledger {place.shown} is locked by another process; runs are recorded and come into it later"
    )

    def write() -> None:
        mine = open_ledger(place)
        for _ in range(20):
            with mine.writing():
                [(found,)] = mine.rows(
                    "SELECT error_count FROM pipeline_run WHERE run_key = :key"
                    + (" FOR UPDATE" if mine.dialect == "postgres" else ""),
                    {"key": key},
                )
                mine.rows("UPDATE pipeline_run SET error_count = :n WHERE run_key = :key", {"key": key, "n": found + 1})
        mine.close()

    at_once(*[write] * 4)

    assert store.rows("SELECT error_count FROM pipeline_run") == [(81,)]


@pytest.mark.parametrize("how", ["writing", "exclusive"])
def test_who_changes_the_tables_is_alone_with_others_who_do(store: Store, other: Store, how: str) -> None:
    with store.exclusive():
        add_workspace(store, "a")
        if how == "exclusive" or store.dialect == "sqlite":
            with pytest.raises(LedgerBusy), getattr(other, how)():
                pass
        else:
            # on a server, those who only write do not wait
            with other.writing():
                add_workspace(other, "b")


@pytest.mark.parametrize("value", ["lone \ud800 surrogate", 2**63])
def test_a_value_that_no_store_can_keep_is_an_error_of_ours(store: Store, value: Any) -> None:
    add_run(store, "r")

    with pytest.raises(LedgerError):
        store.rows("UPDATE pipeline_run SET message = :value, priority = :value", {"value": value})

    assert store.rows("SELECT message, priority FROM pipeline_run") == [("", None)]


def test_a_statement_that_is_none_is_an_error_of_ours(store: Store) -> None:
    with pytest.raises(LedgerError, match="SELEKT"):
        store.rows("SELEKT 1")
    with pytest.raises(LedgerError, match="no_such_table"):
        store.rows("SELECT * FROM no_such_table WHERE a = :a", {"a": 1})


def test_the_size_grows_with_what_is_kept(store: Store) -> None:
    before = store.size_bytes()

    add_workspace(store, "a", "x" * 3_000_000)

    assert 0 < before < store.size_bytes()


def test_a_ledger_that_was_not_touched_is_there(store: Store) -> None:
    assert store.is_there()
    store.tend()
    assert store.is_there()


def test_what_was_written_is_there_after_closing(place: Place, store: Store) -> None:
    add_workspace(store, "a")
    store.close()

    again = open_ledger(place)

    assert names(again) == ["a"]
    again.close()
    again.close()


def test_rows_go_with_their_run(store: Store) -> None:
    key = add_run(store, "r")
    store.rows(
        "INSERT INTO tag (workspace, tag, created_at, run_key) VALUES ('w', 't', :at, :key)", {"at": AT, "key": key}
    )

    store.rows("DELETE FROM pipeline_run")

    assert store.rows("SELECT * FROM tag") == []


OPEN = """
import sys
from runstone.ledger import migrations
from runstone.ledger.opening import open_ledger
from runstone.ledger.place import Place

print("here", flush=True)
sys.stdin.readline()
store = open_ledger(Place(*sys.argv[1:]))
with store.writing():
    store.rows("UPDATE schema_migration SET name = name")
print(store.rows("SELECT count(*), max(number) FROM schema_migration"))
store.close()
"""


def test_many_processes_may_open_a_new_ledger_at_once(place: Place) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, place.dialect, place.address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
    # nobody has opened it yet, and now all do
    answers = [process.communicate(timeout=60) for process in _told(processes)]

    newest = len(migrations.known(place.dialect))
    assert answers == [(f"[({newest}, {newest})]\n", "")] * 6


def _told(processes: list[subprocess.Popen[str]]) -> list[subprocess.Popen[str]]:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return processes
