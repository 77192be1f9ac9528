"""The family of a run folder: who belongs to it, who is the newest, where the next one goes, and where the old goes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runstone import Pipeline, block
from runstone.errors import FolderError
from runstone.folder import family, observe
from tests.folder.successor import Successor


@block
def doubled(number: int) -> int:
    return 2 * number


pipeline = Pipeline("family", [doubled])


def first(folder: Path, number: int = 1) -> Path:
    pipeline.run({"number": number}, run_folder=folder, show_progress=False)
    return folder


def retry(folder: Path, of: Path) -> Path:
    successor = Successor(pipeline, of, {"number": 1})
    successor.begin(folder)
    successor.end()
    return folder


def listed(folder: Path | str) -> list[tuple[str, int]]:
    return [(os.path.basename(member.path), member.number) for member in family.members(str(folder))]


def test_a_family_is_told_in_order_from_any_of_its_members(tmp_path: Path) -> None:
    one = first(tmp_path / "x")
    two = retry(tmp_path / "x.2", one)
    ten = retry(tmp_path / "x.10", two)
    for member in (one, two, ten):
        assert listed(member) == [("x", 1), ("x.2", 2), ("x.10", 10)]
        assert family.newest(str(member)) == str(ten)
    assert family.claim_next(str(one)) == str(tmp_path / "x.11")
    assert os.listdir(tmp_path / "x.11") == []
    assert family.newest(str(one)) == str(ten), "an empty folder is no run"


def test_runs_that_are_merely_called_so_are_no_family(tmp_path: Path) -> None:
    one, other = first(tmp_path / "v1"), first(tmp_path / "v1.2")
    (tmp_path / "v1.x").mkdir()
    (tmp_path / "v1.3").mkdir()
    (tmp_path / "v1.4").write_text("a file")
    assert listed(one) == [("v1", 1)]
    assert listed(other) == [("v1.2", 1)]
    assert family.claim_next(str(one)) == str(tmp_path / "v1.5"), "no name that is taken is given again"
    assert family.claim_next(str(other)) == str(tmp_path / "v1.2.2")


def test_a_retry_whose_first_run_is_gone_is_a_family_of_its_own(tmp_path: Path) -> None:
    two = retry(tmp_path / "x.2", first(tmp_path / "y"))
    assert listed(two) == [("x.2", 1)]


def test_successors_of_a_run_that_was_overwritten_are_not_those_of_the_one_that_came_after_it(tmp_path: Path) -> None:
    one = first(tmp_path / "x")
    two = retry(tmp_path / "x.2", one)
    family.move_to_trash(str(one))
    assert listed(one) == [("x.2", 2)], "it is the newest of what is left"
    assert listed(first(one, 7)) == [("x", 1)]
    assert listed(two) == [("x.2", 1)]
    assert family.claim_next(str(one)) == str(tmp_path / "x.3")
    three = retry(tmp_path / "x.3", one)
    assert family.newest(str(one)) == str(three)


def test_a_member_in_the_middle_may_be_deleted(tmp_path: Path) -> None:
    one = first(tmp_path / "x")
    two = retry(tmp_path / "x.2", one)
    three = retry(tmp_path / "x.3", two)
    shutil.rmtree(two)
    assert listed(one) == listed(three) == [("x", 1), ("x.3", 3)]


def test_where_there_is_no_run_there_is_no_family(tmp_path: Path) -> None:
    assert family.members(str(tmp_path / "nothing" / "x")) == []
    assert family.newest(str(tmp_path / "x")) is None
    assert family.claim_next(str(tmp_path / "deep" / "x")) == str(tmp_path / "deep" / "x.2")


def test_names_with_signs_that_mean_something_elsewhere_are_names(tmp_path: Path) -> None:
    one = first(tmp_path / "a[1]+*")
    two = retry(tmp_path / "a[1]+*.2", one)
    assert listed(one) == [("a[1]+*", 1), ("a[1]+*.2", 2)]
    assert family.newest(str(two)) == str(two)


def test_of_many_who_claim_at_once_each_gets_its_own(tmp_path: Path) -> None:
    one = first(tmp_path / "x")
    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(lambda _: family.claim_next(str(one)), range(24)))
    assert sorted(claimed) == sorted(str(tmp_path / f"x.{number}") for number in range(2, 26))


def test_who_comes_second_to_take_over_waits_for_the_run_of_the_first(tmp_path: Path) -> None:
    one = first(tmp_path / "x")
    claimed = family.claim_after(str(one))
    assert claimed == str(tmp_path / "x.2")
    with ThreadPoolExecutor(4) as pool:
        others = [pool.submit(family.claim_after, str(one)) for _ in range(4)]
        retry(Path(claimed), one)
        assert [other.result(10) for other in others] == [None] * 4
    assert sorted(os.listdir(tmp_path)) == ["x", "x.2"]


def test_what_lies_there_for_long_is_nothing_to_wait_for(tmp_path: Path) -> None:
    one = first(tmp_path / "x")
    (tmp_path / "x.2").mkdir()
    os.utime(tmp_path / "x.2", (1, 1))
    first(tmp_path / "x.3")
    assert family.claim_after(str(one)) == str(tmp_path / "x.4")


def test_a_damaged_member_is_no_member(tmp_path: Path) -> None:
    one = first(tmp_path / "x")
    two = retry(tmp_path / "x.2", one)
    (two / "run.json").write_text('{"id": 5')
    assert listed(one) == [("x", 1)]
    assert family.claim_next(str(one)) == str(tmp_path / "x.3")


# the trash


def test_a_run_goes_to_the_trash_whole_and_can_still_be_read(tmp_path: Path) -> None:
    one = first(tmp_path / "x")
    before = observe.status(str(one))
    moved = Path(family.move_to_trash(str(one)))
    assert not one.exists()
    assert moved.parent == tmp_path / ".trash"
    assert moved.name.startswith("x-2")
    after = observe.status(str(moved))
    assert {**after, "run_folder": "", "output_ref": ""} == {**before, "run_folder": "", "output_ref": ""}
    assert Path(family.move_to_trash(str(first(one)))) != moved


def test_what_is_no_run_is_not_moved(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with pytest.raises(FolderError, match="is not a run folder; nothing was moved"):
        family.move_to_trash(str(folder))
    (folder / "thesis.txt").write_text("years of work")
    (folder / "journal").mkdir()
    with pytest.raises(FolderError, match="is not a run folder; nothing was moved"):
        family.move_to_trash(str(folder))
    with pytest.raises(FolderError, match="is not a folder"):
        family.move_to_trash(str(folder / "thesis.txt"))
    assert (folder / "thesis.txt").exists()
    assert not (tmp_path / ".trash").exists()


def test_what_a_run_left_that_was_killed_at_its_very_beginning_is_moved(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    (folder / "journal").mkdir(parents=True)
    (folder / "journal" / "0001.jsonl").write_text("")
    moved = Path(family.move_to_trash(str(folder)))
    assert (moved / "journal" / "0001.jsonl").exists()


LIVING = """
import sys, time
from runstone import Pipeline, block

@block
def sleeps(number: int) -> int:
    print("there", flush=True)
    time.sleep(60)
    return number

Pipeline("living", [sleeps]).run({"number": 1}, run_folder=sys.argv[1], show_progress=False)
"""


def test_the_folder_of_a_driver_that_lives_stays_and_that_of_a_dead_one_goes(tmp_path: Path) -> None:
    script = tmp_path / "living.py"
    script.write_text(LIVING)
    folder = tmp_path / "runs" / "x"
    driver = subprocess.Popen([sys.executable, str(script), str(folder)], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    try:
        assert driver.stdout.readline() == "there\n"
        for unproven in (False, True):
            with pytest.raises(
                FolderError, match=f"is held by pid {driver.pid} on .*, which is alive; nothing was moved"
            ):
                family.move_to_trash(str(folder), unproven=unproven)
        assert folder.exists()
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        driver.stdout.close()
    assert Path(family.move_to_trash(str(folder))).parent == tmp_path / "runs" / ".trash"
    assert not folder.exists()


def test_of_a_copied_run_nobody_can_prove_anything_but_a_person_may_say_so(tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(first(tmp_path / "x"), folder)
    journal = folder / "journal" / "0001.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))
    (folder / "status.json").unlink(missing_ok=True)
    with pytest.raises(FolderError, match="cannot be proven dead from here; nothing was moved"):
        family.move_to_trash(str(folder))
    family.move_to_trash(str(folder), unproven=True)
    assert not folder.exists()
