"""What becomes of a run folder that is there already, with real folders: nothing is ever lost unasked."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runstone import Pipeline, block
from runstone.core import inputs as checking
from runstone.core.resumption import Step
from runstone.core.reuse import Side
from runstone.errors import FolderError, InputError, SettingError
from runstone.folder import input_digests, inputs, layout, read
from runstone.folder.adopt import adopt
from runstone.folder.succession import settle
from runstone.folder.takeover import take_over
from tests.folder import ancestor
from tests.folder.spy import picture
from tests.folder.successor import Successor
from tests.harness.nursery import Nursery

ADOPTER = "tests.harness.adopter:live"


@block
def doubled(number: int) -> int:
    return 2 * number


@block
def shown(doubled: int, prefix: str) -> str:
    return f"{prefix}{doubled}"


@block(name="shown")
def shown_otherwise(doubled: int, prefix: str) -> str:
    return f"{prefix} {doubled}"


@block
def broken(doubled: int) -> str:
    raise ValueError(doubled)


pipeline = Pipeline("settled", [doubled, shown])
changed = Pipeline("settled", [doubled, shown_otherwise])
failing = Pipeline("settled", [doubled, broken])
PARAMS: dict[str, Any] = {"number": 4, "prefix": "n"}


@pytest.fixture
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    with Nursery(tmp_path_factory.mktemp("answers")) as nursery:
        yield nursery


def side(wanted: Pipeline = pipeline, **params: Any) -> Callable[[], Side]:
    return functools.partial(made_side, wanted, **params)


def made_side(wanted: Pipeline, **params: Any) -> Side:
    values = checking.check_inputs(
        wanted.graph, {**{name: PARAMS[name] for name in wanted.graph.run_parameters}, **params}
    )
    return Side(blocks=wanted.described[1], parameters=input_digests.of_new(*inputs.describe(values, {})))


def first(folder: Path, wanted: Pipeline = pipeline) -> Path:
    params = {name: PARAMS[name] for name in wanted.graph.run_parameters}
    wanted.run(params, run_folder=folder, show_progress=False, raise_on_error=False)
    return folder


def test_where_nothing_is_a_run_begins(tmp_path: Path) -> None:
    for asked in ({}, {"resume": True}, {"overwrite": True}):
        found = settle(str(tmp_path / "x"), side(), **asked)
        assert (found.step, found.folder) == (Step.BEGIN, str(tmp_path / "x"))
    assert os.listdir(tmp_path) == []


def test_a_run_that_is_there_is_refused_with_both_ways_out_and_left_alone(tmp_path: Path) -> None:
    folder = first(tmp_path / "x")
    before = picture(tmp_path)
    with pytest.raises(
        InputError, match=r"there is a run in .* already; resume=True .* goes on .* overwrite=True .* moves it"
    ):
        settle(str(folder), side())
    with pytest.raises(SettingError, match="resume=True and overwrite=True"):
        settle(str(folder), side(), resume=True, overwrite=True)
    assert picture(tmp_path) == before


def test_what_was_asked_for_is_there_already_and_nothing_is_written(tmp_path: Path) -> None:
    folder = first(tmp_path / "x")
    before = picture(tmp_path)
    found = settle(str(folder), side(), resume=True)
    assert (found.step, found.folder, found.changes) == (Step.RETURN, str(folder), [])
    assert picture(tmp_path) == before


def test_other_code_or_parameters_make_a_new_run_beside_it(tmp_path: Path) -> None:
    folder = first(tmp_path / "x")
    found = settle(str(folder), side(changed), resume=True)
    assert (found.step, found.folder) == (Step.SUCCEED, str(tmp_path / "x.2"))
    assert [str(why) for why in found.changes] == ["code function changed"]
    assert {name: plan.action.value for name, plan in found.plans.items()} == {"doubled": "reuse", "shown": "run"}
    found = settle(str(folder), side(prefix="m"), resume=True)
    assert (found.step, found.folder) == (Step.SUCCEED, str(tmp_path / "x.3"))
    assert [str(why) for why in found.changes] == ["parameter prefix changed"]


def test_a_run_that_failed_is_followed_by_a_new_one(tmp_path: Path) -> None:
    folder = first(tmp_path / "x", failing)
    found = settle(str(folder), side(failing), resume=True)
    assert (found.step, found.changes) == (Step.SUCCEED, [])
    assert {name: plan.action.value for name, plan in found.plans.items()} == {"doubled": "reuse", "broken": "run"}


def test_the_newest_of_the_family_decides(tmp_path: Path) -> None:
    folder = first(tmp_path / "x", failing)
    successor = Successor(pipeline, folder, PARAMS)
    successor.begin(tmp_path / "x.2")
    successor.give("shown", shown="n8")
    successor.end()
    for member in ("x", "x.2"):
        found = settle(str(tmp_path / member), side(), resume=True)
        assert (found.step, found.folder) == (Step.RETURN, str(tmp_path / "x.2"))


def test_a_successor_that_died_before_it_had_adopted_everything_goes_on_adopting(
    tmp_path: Path, nursery: Nursery
) -> None:
    params = {"size": 10, "cols": [0, 1, 2], "scratch": str(tmp_path)}
    first = ancestor.made(tmp_path / "x", params, ancestor.UNLUCKY)
    arguments = {"oracle": "", "earlier": str(first), "params": params}
    fault = {"call": 3, "name": "link", "when": "after"}
    assert nursery.spawn(ADOPTER, folder=str(tmp_path / "x.2"), fault=fault, **arguments).answer() == {"killed": 9}
    info = read.read_run(str(tmp_path / "x.2")).info
    wanted = Side(blocks=info.blocks, parameters=input_digests.of_new(info.params, {}))
    found = settle(str(first), lambda: wanted, resume=True)
    assert (found.step, found.folder) == (Step.PROCEED, str(tmp_path / "x.2"))
    assert found.earlier is not None
    writer = take_over(found.folder)
    adoption = adopt(writer, found.earlier, found.plans)
    writer.close()
    assert adoption.blocks == ["names", "large", "pair", "reading", "cross", "report"]


def test_a_completed_run_whose_values_were_deleted_is_not_what_was_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    Pipeline("settled", [doubled, shown]).run(
        {**PARAMS, "prefix": "long" * 5_000}, run_folder=folder, show_progress=False
    )
    assert settle(str(folder), side(prefix="long" * 5_000), resume=True).step is Step.RETURN
    (folder / "outputs" / "shown.0001.pack").unlink()
    found = settle(str(folder), side(prefix="long" * 5_000), resume=True)
    assert found.step is Step.SUCCEED
    assert [str(why) for why in found.plans["shown"].why] == ["output shown is missing on disk"]


def test_overwriting_moves_the_old_run_away_whole(tmp_path: Path) -> None:
    folder = first(tmp_path / "x")
    (folder / "notes.txt").write_text("mine")
    found = settle(str(folder), side(), overwrite=True)
    assert (found.step, found.folder) == (Step.BEGIN, str(folder))
    assert not folder.exists()
    assert found.moved is not None
    assert (Path(found.moved) / "notes.txt").read_text() == "mine"
    assert (Path(found.moved) / layout.RUN).exists()


def test_a_folder_of_something_else_is_neither_moved_nor_in_the_way(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    for asked in ({}, {"resume": True}, {"overwrite": True}):
        found = settle(str(folder), side(), **asked)
        assert (found.step, found.folder, found.moved) == (Step.BEGIN, str(folder), None)
    assert (folder / "thesis.txt").exists()


def test_what_a_run_left_that_died_at_once_is_gone_round_or_moved(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    (folder / "journal").mkdir(parents=True)
    (folder / "journal" / "0001.jsonl").write_text("")
    with pytest.raises(InputError, match="or one that was begun and killed at once"):
        settle(str(folder), side())
    found = settle(str(folder), side(), resume=True)
    assert (found.step, found.folder) == (Step.BEGIN, str(tmp_path / "x.2"))
    assert settle(str(folder), side(), overwrite=True).moved is not None
    assert not folder.exists()


LIVING = """
import sys, time
from runstone import Pipeline

def slow(number: int) -> int:
    print("there", flush=True)
    time.sleep(60)
    return number

Pipeline("living", [slow]).run({"number": 1}, run_folder=sys.argv[1], show_progress=False)
"""


@pytest.fixture
def living(tmp_path: Path) -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    drivers = []

    def start(folder: Path) -> subprocess.Popen[str]:
        script = tmp_path / "living.py"
        script.write_text(LIVING)
        driver = subprocess.Popen([sys.executable, str(script), str(folder)], stdout=subprocess.PIPE, text=True)
        drivers.append(driver)
        assert driver.stdout is not None
        assert driver.stdout.readline() == "there\n"
        return driver

    yield start
    for driver in drivers:
        driver.kill()
        driver.wait()
        assert driver.stdout is not None
        driver.stdout.close()


def test_a_living_driver_keeps_its_run_and_a_dead_one_is_followed(
    tmp_path: Path, living: Callable[[Path], subprocess.Popen[str]]
) -> None:
    folder = tmp_path / "runs" / "x"
    driver = living(folder)
    before = set(os.listdir(folder.parent))
    asked: dict[str, bool]
    for asked in ({"resume": True}, {"overwrite": True}, {"resume": True, "take_over": True}):
        with pytest.raises(FolderError, match=f"is held by pid {driver.pid} on .*, which is alive"):
            settle(str(folder), side(), **asked)
    assert set(os.listdir(folder.parent)) == before
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    same = Side(
        blocks=(info := read.read_run(str(folder)).info).blocks, parameters=input_digests.of_new(info.params, {})
    )
    found = settle(str(folder), lambda: same, resume=True)
    assert (found.step, found.folder) == (Step.PROCEED, str(folder))
    assert settle(str(folder), side(), resume=True).step is Step.SUCCEED


def test_a_run_that_cannot_be_read_is_said_to_be_so(tmp_path: Path) -> None:
    folder = first(tmp_path / "x")
    for content in ('{"id": "5"}', "no json"):
        (folder / layout.RUN).write_text(content)
        with pytest.raises(FolderError, match="damaged"):
            settle(str(folder), side(), resume=True)
        with pytest.raises(FolderError, match="damaged"):
            settle(str(folder), side(), overwrite=True)
    assert folder.exists()
