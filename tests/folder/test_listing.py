"""Listing runs: the newest by what they recorded, whatever the times of their files, and broken ones among them."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runstone.core import events as ev
from runstone.core import fold, run_state
from runstone.core.records import BlockInfo, PipelineInfo, RunInfo
from runstone.core.status import KEYS
from runstone.core.statuses import BlockStatus, RunStatus
from runstone.folder import checkpoint as checkpoints
from runstone.folder import clock, layout
from runstone.folder.journal import encode_line
from runstone.folder.listing import list_runs

EPOCH = 1_700_000_000
LONG_AGO = EPOCH - 1_000_000


def moment(second: float) -> str:
    return clock.rfc3339(int((EPOCH + second) * 1e9))


def make_run(
    folder: Path, activity: float, *, ended: bool = True, lag: float | None = 0.0, touched: float = 0.0
) -> None:
    """A run that recorded something for the last time at `activity`.

    lag: how much older its checkpoint is, in seconds; None for no checkpoint. touched: how much later than that its
    files were changed, as by a copy.
    """
    info = RunInfo(
        id=f"{folder.name}-id",
        created_at=moment(activity - 9),
        pipeline=PipelineInfo(name="p"),
        blocks=[BlockInfo(name="a", outputs=["a"])],
        params={},
    )
    value = ev.StoredValue(value=1, type="int", bytes=1)
    records: list[Any] = [
        ev.RunStarted(seq=1, at=moment(activity - 9), driver=ev.Driver(host="h", pid=1, start_ticks=1)),
        ev.BlockStarted(seq=2, at=moment(activity - (lag or 0)), block="a"),
        ev.BlockEnded(seq=3, at=moment(activity), block="a", status=BlockStatus.COMPLETED, values={"a": value}),
    ]
    if ended:
        records.append(ev.RunEnded(seq=4, at=moment(activity), status=RunStatus.COMPLETED))
    (folder / "journal").mkdir(parents=True)
    (folder / layout.RUN).write_bytes(msgspec.json.encode(info))
    data = b"".join(map(encode_line, records))
    (folder / layout.journal(1)).write_bytes(data)
    if lag is not None:
        seen = records[:2] if lag else records
        state = run_state.initial(["a"])
        for record in seen:
            fold.apply(state, record)
        length = sum(len(encode_line(record)) for record in seen)
        known = checkpoints.FileMark(
            path=layout.journal(1), offset=length, crc=checkpoints.mark(data[max(0, length - 64) : length])
        )
        made = checkpoints.Checkpoint(
            run_id=info.id, at=moment(activity), steady=0.0, boot_id="", lease_seconds=30.0, state=state, files=[known]
        )
        (folder / layout.CHECKPOINT).write_bytes(checkpoints.encode(made))
    for name in (layout.RUN, layout.journal(1), layout.JOURNAL, layout.CHECKPOINT):
        if (folder / name).exists():
            os.utime(folder / name, (EPOCH + activity + touched,) * 2)


def names(found: dict[str, Any]) -> list[str]:
    return [os.path.basename(run["run_folder"]) for run in found["runs"]]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    place = tmp_path / "runs"
    place.mkdir()
    return place


def test_the_newest_recorded_activity_comes_first(runs: Path) -> None:
    for name, activity in (("b", 20.0), ("a", 10.0), ("d", 40.0), ("c", 30.5)):
        make_run(runs / name, activity)
    found = list_runs(str(runs))
    assert names(found) == ["d", "c", "b", "a"]
    assert list(found) == ["runs", "total_count", "folder", "scanned_directories", "error"]
    assert (found["total_count"], found["folder"], found["scanned_directories"], found["error"]) == (
        4,
        str(runs),
        4,
        None,
    )


def test_entries_are_status_objects_without_outputs(runs: Path) -> None:
    make_run(runs / "a", 1.0)
    for count in (None, 1):
        (entry,) = list_runs(str(runs), count)["runs"]
        assert tuple(entry) == tuple(key for key in KEYS if key != "outputs")


def test_times_of_files_do_not_count_where_something_was_recorded(runs: Path) -> None:
    """A run that was copied, or touched, is as old as before."""
    make_run(runs / "old", 10.0, touched=1000)
    make_run(runs / "new", 500.0)
    make_run(runs / "without", 400.0, lag=None, touched=900)
    for count in (None, 2, 3):
        assert names(list_runs(str(runs), count))[:2] == ["new", "without"]


def test_runs_of_the_same_moment_come_in_the_order_of_their_names(runs: Path) -> None:
    for name in ("c", "a", "d", "b"):
        make_run(runs / name, 10.0)
    assert names(list_runs(str(runs))) == ["a", "b", "c", "d"]
    assert names(list_runs(str(runs), 2)) == ["a", "b"]


@pytest.mark.parametrize("count", [None, 0, -1])
def test_no_limit_lists_all(runs: Path, count: int | None) -> None:
    for number in range(7):
        make_run(runs / str(number), number)
    assert list_runs(str(runs), count)["total_count"] == 7


def test_a_limit_counts_after_the_order_was_found(runs: Path) -> None:
    for number in range(30):
        make_run(runs / f"{number:02d}", number * 10.0)
    assert names(list_runs(str(runs), 3)) == ["29", "28", "27"]
    assert list_runs(str(runs), 3)["total_count"] == 3


def test_what_the_journal_says_after_the_checkpoint_counts(runs: Path) -> None:
    make_run(runs / "lagging", 11.5, ended=False, lag=2.0)
    make_run(runs / "other", 11.0)
    for count in (None, 1):
        assert names(list_runs(str(runs), count))[0] == "lagging"


def test_a_broken_run_is_an_entry_that_says_so_at_the_place_of_its_files(runs: Path) -> None:
    make_run(runs / "old", 10.0)
    make_run(runs / "broken", 20.0)
    make_run(runs / "new", 30.0)
    (runs / "broken" / layout.RUN).write_bytes(b"{")
    os.utime(runs / "broken" / layout.RUN, (EPOCH + 20,) * 2)
    for count in (None, 2):
        entries = list_runs(str(runs), count)["runs"]
        assert [entry["status"] for entry in entries][:2] == ["completed", "error"]
        assert "run.json is damaged" in entries[1]["error"]


def test_what_is_no_run_is_not_listed(runs: Path) -> None:
    make_run(runs / "run", 1.0)
    (runs / "empty").mkdir()
    (runs / "notes").mkdir()
    (runs / "notes" / "status.json").write_text('{"of": "something else"}')
    (runs / "deeper" / "run").mkdir(parents=True)
    make_run(runs / "deeper" / "run" / "run", 2.0)
    (runs / "file").write_text("")
    for count in (None, 5):
        found = list_runs(str(runs), count)
        assert (names(found), found["scanned_directories"]) == (["run"], 4)


def test_a_parent_that_cannot_be_read_is_an_error_and_an_empty_one_is_not(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    assert list_runs(str(tmp_path / "empty"))["error"] is None
    assert "there is no folder" in list_runs(str(tmp_path / "nowhere"))["error"]
    assert "is not a folder" in list_runs(str(tmp_path / "file"))["error"]


def test_a_copy_of_the_whole_folder_lists_in_the_same_order(runs: Path, tmp_path: Path) -> None:
    for number, name in enumerate("badce"):
        make_run(runs / name, number * 5.0, lag=None if name == "d" else 0.0)
    copied = tmp_path / "copied"
    shutil.copytree(runs, copied, copy_function=shutil.copy)  # with times of now
    for count in (None, 1, 2, 4):
        assert names(list_runs(str(copied), count)) == names(list_runs(str(runs), count))


one_run = st.fixed_dictionaries(
    {
        "activity": st.integers(0, 12).map(float),
        "ended": st.booleans(),
        "lag": st.sampled_from([0.0, 0.0, 1.0, 2.5, None]),
        "touched": st.sampled_from([0.0, 0.0, 0.5, 3.0, 1000.0]),
        "broken": st.sampled_from([None, None, None, layout.RUN, layout.CHECKPOINT, layout.journal(1)]),
    }
)


@settings(max_examples=60, deadline=None)
@given(st.lists(one_run, max_size=10))
def test_the_newest_few_are_the_first_of_the_whole_list(drawn: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as place:
        for number, how in enumerate(drawn):
            broken = how["broken"]
            folder = Path(place, f"{number * 7 % 10}-{number}")
            make_run(folder, **{key: value for key, value in how.items() if key != "broken"})
            if broken is not None:
                before = os.stat(folder / layout.RUN).st_mtime
                (folder / broken).write_bytes(b"{}")
                os.utime(folder / broken, (before, before))
        whole = list_runs(place)
        assert whole["total_count"] == len(drawn)
        for count in range(1, len(drawn) + 2):
            assert list_runs(place, count)["runs"] == whole["runs"][:count]


def test_runs_are_chosen_by_the_word_to_act_on(tmp_path: Path) -> None:
    make_run(tmp_path / "old", 10)
    make_run(tmp_path / "new", 20)
    make_run(tmp_path / "open", 30, ended=False)
    assert [one["id"] for one in list_runs(str(tmp_path), statuses={"completed"})["runs"]] == ["new-id", "old-id"]
    assert [one["id"] for one in list_runs(str(tmp_path), 1, {"completed"})["runs"]] == ["new-id"]
    assert [one["id"] for one in list_runs(str(tmp_path), statuses={"running"})["runs"]] == ["open-id"]


def test_an_end_that_only_the_checkpoint_claims_is_not_listed_under_it(tmp_path: Path) -> None:
    make_run(tmp_path / "a", 10)
    make_run(tmp_path / "b", 20, ended=False)
    os.replace(tmp_path / "a" / layout.CHECKPOINT, tmp_path / "b" / layout.CHECKPOINT)
    found = list_runs(str(tmp_path), statuses={"completed"})
    assert [one["id"] for one in found["runs"]] == ["a-id"]
