"""Going on with runs, end to end: what was recorded is never computed again, and nothing is lost."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import runstone
from runstone import block
from runstone.core.reasons import Reason
from runstone.core.resumption import Step
from runstone.core.statuses import RunStatus
from runstone.engine import resuming
from runstone.errors import FolderError, InputError, SettingError
from runstone.folder import observe, requests
from runstone.folder.overview import overview
from runstone.folder.takeover import take_over
from tests.harness import ordered
from tests.harness.ground import Ground
from tests.harness.nursery import Child, Nursery
from tests.harness.ordered import calls, give_orders, numbered, pipeline, undisturbed
from tests.harness.saga import Saga, told_of
from tests.harness.scene import Scene, memory_folder, seed

ORDERED = "tests.harness.ordered:live"
SIZE = 6


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    with Nursery(tmp_path_factory.mktemp("answers")) as nursery:
        yield nursery


@pytest.fixture
def scene(nursery: Nursery) -> Iterator[Scene]:
    place = Path(tempfile.mkdtemp(prefix="runstone-", dir=memory_folder()))
    yield Scene(nursery, place)
    nursery.clear()
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    # so that what orders leave in it goes with the test
    for name in (ordered.PLACE, ordered.DRIVER):
        monkeypatch.setenv(name, "")


def begin(scene: Scene, orders: dict[str, Any], **options: Any) -> Child:
    """Start the ordered pipeline in a process of its own."""
    return scene.spawn(ORDERED, orders=orders, **{"params": {"size": SIZE}, **options})


def killed(scene: Scene, *die: str, **options: Any) -> str:
    """A run whose driver was killed at these calls; returns its id."""
    orders = {"die": list(die), **options.pop("orders", {})}
    assert begin(scene, orders, **options).answer() == {"killed": signal.SIGKILL}
    found = scene.status()
    assert (found["status"], found["resumable"]) == ("crashed", True)
    return str(found["id"])


def go_on(scene: Scene, changed: dict[str, Callable[..., Any]] | None = None, **options: Any) -> runstone.Run:
    """Resume in this process, under orders to do nothing but work."""
    give_orders(scene.place)
    params = options.pop("params", {"size": SIZE})
    made = pipeline(changed, options.pop("settings", None), options.pop("more", ()))
    return made.run(params, run_folder=scene.folder, resume=True, show_progress=False, raise_on_error=False, **options)


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file below a folder, with its time of change."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def since(scene: Scene, before: Counter[str]) -> Counter[str]:
    """The calls begun after so many had been."""
    return calls(scene.place) - before


def cut_behind(folder: Path, text: bytes) -> None:
    """Leave of the journal what was written before the first line with this text, as a driver does that dies there."""
    path = folder / "journal/0001.jsonl"
    data = path.read_bytes()
    at = data.index(text)
    os.truncate(path, data.rindex(b"\n", 0, at) + 1)
    for name in ("status.json", "manifest.json", "outputs/values.pack"):
        (folder / name).unlink(missing_ok=True)


# at random

WAYS = {
    "driver": (("inline", "threads"), ("driver",), 6, 2),
    "anybody": (("processes", "mixed", "auto"), ("driver", "worker", "guard"), 3, 1),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_run_killed_at_random_in_every_epoch_ends_as_if_nobody_had_died(scene: Scene, way: str) -> None:
    start = seed(None)
    print(f"RUNSTONE_SEED={start}")
    dice = random.Random(start)
    executors, victims, epochs, runs = WAYS[way]
    saga = Saga(scene, dice)
    saga.live()
    expected = told_of(saga.folder)
    for _ in range(runs):
        scene.clear()
        saga = Saga(scene, dice)
        saga.to_the_end(executors, victims, epochs=epochs)
        saga.judge(expected)


def test_what_attempts_had_told_that_are_made_again_counts_once(scene: Scene) -> None:
    settings = {"double": {"on_error": "continue"}, "total": {"missing": "drop"}}
    orders = {"save": ["double:0", "double:3", "greeting:0"], "fail": ["double:1", "double:4"]}
    begin(scene, orders, settings=settings).wait()
    expected = told_of(scene.folder)
    assert (len(expected["errors"]), len(expected["artifacts"])) == (2, 3)
    scene.clear()
    # none of these elements is recorded when the driver dies, twice, and a part of them the third time
    for death, chunk, errors in (("double:4", 99, 1), ("double:5", 99, 1), ("double:5", 3, 2)):
        options = {"orders": {**orders, "die": [death]}, "settings": settings, "chunk": chunk}
        begin(scene, params={"size": SIZE}, resume=True, **options).wait()
        status = scene.status()
        assert status["status"] == "crashed"
        run = runstone.open(scene.folder)
        assert (len(run.errors), len(run.list_artifacts())) == (errors, 2)
    begin(scene, orders, settings=settings, resume=True).wait()
    assert told_of(scene.folder) == expected
    shown = overview(str(scene.folder))
    assert (shown.error_count, len(shown.errors), len(shown.artifacts)) == (2, 2, 3)


@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_a_value_that_was_recorded_before_its_block_had_ended_is_not_computed_again(
    scene: Scene, executor: str
) -> None:
    # of the second, a part of what it gives lives in the event with which it would have ended
    for name, again in (("bulky", 0), ("mixed", 1)):
        begin(scene, {}, bulk=True, executor=executor).wait()
        cut_behind(scene.folder, f'"event":"block.ended","seq":{_seq_of_end(scene, name)},'.encode())
        before = calls(scene.place)
        run = go_on(scene, more=ordered.BULK, executor=executor)
        assert (run.status, run.outputs["measured"]) == ("completed", 200_007)
        assert run.status_object()["epoch"] == 2
        assert since(scene, before)[f"{name}:0"] == again
        assert Ground(scene.folder).twice().count(f"{name}[0]") == again
        scene.clear()


def _seq_of_end(scene: Scene, block_name: str) -> int:
    return next(each.seq for each in Ground(scene.folder).events("block.ended") if each.fields["block"] == block_name)


def test_ten_epochs_of_one_run(scene: Scene) -> None:
    deaths = ["numbers:0", "double:0", "double:3", "double:5", "halve:0", "halve:1", "halve:5", "total:0", "greeting:0"]
    params = {"size": SIZE}
    begin(scene, {"die": deaths[:1]}, params=params).wait()
    first = scene.status()["id"]
    for epoch, death in enumerate(deaths[1:], 2):
        assert begin(scene, {"die": [death]}, params=params, resume=True).answer() == {"killed": signal.SIGKILL}, death
        assert (scene.status()["id"], scene.status()["epoch"]) == (first, epoch)
    run = go_on(scene)
    assert (run.id, run.status, run.status_object()["epoch"]) == (first, "completed", 10)
    assert run.status_object()["all_complete"]
    # only those in which it died were begun twice
    assert calls(scene.place) == undisturbed(SIZE) + Counter(deaths)
    assert (run.outputs["total"], list(run.outputs["doubled"])) == (15.0, [0, 2, 4, 6, 8, 10])
    assert Ground(scene.folder).twice() == []


# at chosen moments


def test_a_run_killed_in_its_first_block_is_the_same_run_afterwards(scene: Scene) -> None:
    first = killed(scene, "numbers:0")
    run = go_on(scene)
    assert (run.id, run.status, run.status_object()["epoch"]) == (first, "completed", 2)
    assert calls(scene.place) == undisturbed(SIZE) + Counter(["numbers:0"])


def test_of_a_run_killed_after_all_its_blocks_only_the_end_is_written(scene: Scene) -> None:
    first = begin(scene, {}).answer()["id"]
    cut_behind(scene.folder, b'"event":"run.ended"')
    assert scene.status()["status"] == "crashed"
    before = calls(scene.place)
    run = go_on(scene)
    assert (run.id, run.status) == (first, "completed")
    assert since(scene, before) == Counter()
    assert told_of(scene.folder)["values.pack"] == ["greeting", "numbers", "total"]
    ground = Ground(scene.folder)
    assert [record.kind for record in ground.records if record.epoch == 2] == ["run.taken_over", "run.ended"]


@pytest.mark.parametrize("executor", ["inline", "threads", "processes"])
def test_a_block_of_which_an_element_had_failed_for_good_ends_so_without_a_call(scene: Scene, executor: str) -> None:
    first = begin(scene, {"fail": ["double:3"]}).answer()
    assert first["status"] == "failed"
    cut_behind(scene.folder, b'"event":"block.ended","seq":%d' % _end_of(scene, "double"))
    assert scene.status()["status"] == "crashed"
    before = calls(scene.place)
    run = go_on(scene, executor=executor)
    assert (run.id, run.status) == (first["id"], "failed")
    assert run.blocks["double"] == "failed"
    assert run.blocks["halve"] == "upstream_failed"
    assert since(scene, before) == Counter()


def _end_of(scene: Scene, name: str) -> int:
    return next(each.seq for each in Ground(scene.folder).events("block.ended") if each.fields["block"] == name)


@pytest.mark.parametrize("executor", ["inline", "threads"])
def test_what_was_being_computed_when_something_failed_for_good_is_not_begun_anew(scene: Scene, executor: str) -> None:
    orders = {"fail": ["double:1"], "wait": {"greeting:0": "never"}}
    child = begin(scene, orders, executor="threads")
    deadline = time.monotonic() + 20
    while _status_of(scene, "double") != "failed" or _status_of(scene, "greeting") != "running":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.kill()
    before = calls(scene.place)
    run = go_on(scene, executor=executor)
    assert (run.status, run.status_object()["epoch"]) == ("failed", 2)
    assert run.blocks == {
        "numbers": "completed",
        "double": "failed",
        "halve": "upstream_failed",
        "total": "upstream_failed",
        "greeting": "cancelled",
    }
    assert since(scene, before) == Counter()


def _status_of(scene: Scene, name: str) -> str:
    return Ground(scene.folder).blocks().get(name, "") if (scene.folder / "run.json").exists() else ""


def test_a_run_killed_while_it_was_cancelled_ends_so_and_another_goes_on(scene: Scene) -> None:
    child = begin(scene, {"wait": {"double:2": "never"}})
    while f"double:{2}" not in calls(scene.place):
        time.sleep(0.01)
    requests.leave(str(scene.folder), requests.CANCEL, by="somebody")
    while scene.status()["recorded_status"] != "cancelling":
        time.sleep(0.01)
    child.kill()
    first, before = scene.status()["id"], calls(scene.place)
    run = go_on(scene)
    assert scene.status()["status"] == "cancelled"
    assert run.run_folder == f"{scene.folder}.2"
    assert (run.status, run.status_object()["retry_of"]) == ("completed", first)
    assert since(scene, before) == undisturbed(SIZE) - Counter(["numbers:0", "double:0", "double:1"])


def test_a_wish_to_cancel_that_a_dead_driver_did_not_hear_ends_its_run_and_not_the_next(scene: Scene) -> None:
    first = killed(scene, "double:2")
    requests.leave(str(scene.folder), requests.CANCEL, by="somebody")
    before = calls(scene.place)
    run = go_on(scene)
    assert scene.status()["status"] == "cancelled"
    assert (run.run_folder, run.status) == (f"{scene.folder}.2", "completed")
    assert run.status_object()["retry_of"] == first
    assert since(scene, before) == undisturbed(SIZE) - Counter(["numbers:0", "double:0", "double:1"])


# runs that have ended


def _degraded(scene: Scene) -> None:
    tolerant = {"double": {"on_error": "continue"}, "halve": {"on_error": "continue"}, "total": {"missing": "drop"}}
    assert begin(scene, {"fail": ["double:3"]}, settings=tolerant).answer()["status"] == "degraded"


def _failed(scene: Scene) -> None:
    assert begin(scene, {"fail": ["double:3"]}).answer()["status"] == "failed"


def _cancelled(scene: Scene) -> None:
    killed(scene, "double:3")
    runstone.open(scene.folder).cancel()
    assert scene.status()["status"] == "cancelled"


def _timed_out(scene: Scene) -> None:
    orders = {"wait": {"double:3": "soon"}}
    child = begin(scene, orders, run_timeout=0.3)
    while "double:3" not in calls(scene.place):
        time.sleep(0.01)
    time.sleep(0.4)
    (scene.place / "soon").touch()
    assert child.answer()["status"] == "timed_out"


def _crashed(scene: Scene) -> None:
    killed(scene, "double:3")
    writer = take_over(str(scene.folder))
    for name, status in {
        "double": "crashed",
        "halve": "cancelled",
        "total": "cancelled",
        "greeting": "cancelled",
    }.items():
        _end_block(writer, name, status)
    writer.end(RunStatus.CRASHED, Reason.DRIVER_GONE, "a test")
    writer.close()


def _end_block(writer: Any, name: str, status: str) -> None:
    from runstone.core import events as ev
    from runstone.core.statuses import BlockStatus

    writer.event(ev.BlockEnded, block=name, status=BlockStatus(status), reason=Reason.DRIVER_GONE)


@pytest.mark.parametrize("ended", [_failed, _cancelled, _timed_out, _crashed])
def test_a_run_that_ended_badly_is_followed_by_one_that_computes_the_rest(
    scene: Scene, ended: Callable[[Scene], None]
) -> None:
    ended(scene)
    first, before = scene.status(), calls(scene.place)
    untouched = snapshot(scene.folder)
    recorded = Ground(scene.folder).elements["double"]
    run = go_on(scene)
    assert (run.run_folder, run.status) == (f"{scene.folder}.2", "completed")
    assert run.status_object()["retry_of"] == first["id"] != run.id
    kept = Counter(f"double:{number}" for number, outcome in recorded.items() if outcome == "ok")
    kept += Counter(["greeting:0"] if before["greeting:0"] else [])
    assert kept
    assert since(scene, before) == undisturbed(SIZE) - kept - Counter(["numbers:0"])
    assert (run.outputs["total"], list(run.outputs["doubled"])) == (15.0, [0, 2, 4, 6, 8, 10])
    assert run.status_object()["all_complete"]
    assert snapshot(scene.folder) == untouched


def test_the_third_takes_over_from_the_second(scene: Scene) -> None:
    assert begin(scene, {"fail": ["double:3"]}).answer()["status"] == "failed"
    second = begin(scene, {"fail": ["total:0"]}, resume=True).answer()
    assert (second["status"], second["folder"]) == ("failed", f"{scene.folder}.2")
    before = calls(scene.place)
    run = go_on(scene)
    assert (run.run_folder, run.status) == (f"{scene.folder}.3", "completed")
    assert run.status_object()["retry_of"] == second["id"]
    assert since(scene, before) == Counter(["total:0", "greeting:0"])
    # what the first has made came here through the second
    shutil.rmtree(scene.folder)
    shutil.rmtree(f"{scene.folder}.2")
    assert list(run.outputs["doubled"]) == [0, 2, 4, 6, 8, 10]


def test_a_successor_killed_before_it_had_done_anything_goes_on_as_itself(scene: Scene) -> None:
    assert begin(scene, {"fail": ["total:0"]}).answer()["status"] == "failed"
    assert begin(scene, {"die": ["total:0"]}, resume=True).answer() == {"killed": signal.SIGKILL}
    before = calls(scene.place)
    run = go_on(scene)
    assert (run.run_folder, run.status, run.status_object()["epoch"]) == (f"{scene.folder}.2", "completed", 2)
    assert since(scene, before) == Counter(["total:0", "greeting:0"])


@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_of_ten_thousand_elements_the_seven_that_failed_are_computed_again(scene: Scene, executor: str) -> None:
    size, unlucky = 10_000, [3, 500, 501, 4_999, 5_000, 9_000, 9_999]
    tolerant = {"double": {"on_error": "continue"}, "halve": {"on_error": "continue"}, "total": {"missing": "drop"}}
    told: dict[str, Any] = {"params": {"size": size}, "settings": tolerant}
    orders = {"fail": [f"double:{number}" for number in unlucky]}
    assert begin(scene, orders, chunk=1000, **told).answer()["status"] == "degraded"
    before = calls(scene.place)
    run = go_on(scene, executor=executor, **told)
    again = Counter(f"{name}:{number}" for name in ("double", "halve") for number in unlucky)
    assert since(scene, before) == again + Counter(["total:0"])
    assert (run.status, run.blocks["numbers"], run.blocks["greeting"]) == ("completed", "reused", "reused")
    assert run.outputs["total"] == sum(range(size))
    assert run.status_object()["progress"]["failed"] == 0


def test_a_run_that_completed_is_returned_and_not_touched(scene: Scene) -> None:
    first = begin(scene, {}).answer()
    untouched, before = snapshot(scene.folder), calls(scene.place)
    run = go_on(scene)
    assert (run.id, run.run_folder, run.status) == (first["id"], str(scene.folder), "completed")
    assert run.outputs["total"] == 15.0
    assert (snapshot(scene.folder), since(scene, before)) == (untouched, Counter())
    assert os.listdir(scene.folder.parent) == ["it"]


def test_outputs_that_were_deleted_are_computed_again_in_a_new_run(scene: Scene) -> None:
    begin(scene, {}).wait()
    (path,) = scene.folder.glob("outputs/double.*.pack")
    path.unlink()
    assert scene.status()["all_complete"] is False
    before = calls(scene.place)
    run = go_on(scene)
    assert (run.run_folder, run.status) == (f"{scene.folder}.2", "completed")
    assert run.status_object()["all_complete"]
    assert since(scene, before) == undisturbed(SIZE) - Counter(["numbers:0", "greeting:0"])


# other code, other parameters


def slower(doubled: int, by: int = 2) -> float:
    ordered.obey("halve", doubled // 2)
    return doubled / by + 0.5


def helped_otherwise(numbers: int) -> int:
    ordered.obey("double", numbers)
    return _help(numbers)


def _help(number: int) -> int:
    return number + number + 1


def halves(doubled: list[int], by: int = 2) -> list[float]:
    ordered.obey("halve")
    return [number / by for number in doubled]


REST = Counter(["total:0"])
CHANGES: dict[str, tuple[dict[str, Any], Counter[str]]] = {
    "the code of a block": ({"changed": {"halve": slower}}, numbered("halve", SIZE) + REST),
    "the last block": ({"changed": {"total": lambda halved: ordered.obey("total") or max(halved)}}, REST),
    "what a block calls": (
        {"changed": {"double": helped_otherwise}},
        numbered("double", SIZE) + numbered("halve", SIZE) + REST,
    ),
    "a parameter": ({"params": {"size": SIZE, "by": 4}}, numbered("halve", SIZE) + REST),
    "a parameter of another branch": ({"params": {"size": SIZE, "name": "me"}}, Counter(["greeting:0"])),
    "the parameter of all": ({"params": {"size": 4}}, undisturbed(4) - Counter(["greeting:0"])),
    "a mapspec": (
        {"changed": {"halve": halves}, "settings": {"halve": {"mapspec": None}}},
        Counter(["halve:0"]) + REST,
    ),
    "nothing but how it is computed": ({"executor": "threads", "retries": 3}, Counter()),
}


@pytest.mark.parametrize("dead", [False, True], ids=["of a completed run", "of a dead run"])
@pytest.mark.parametrize("change", CHANGES)
def test_only_what_depends_on_a_change_is_computed(scene: Scene, change: str, dead: bool) -> None:
    begin(scene, {}).wait()
    if dead:
        cut_behind(scene.folder, b'"event":"run.ended"')
    options, expected = CHANGES[change]
    before = calls(scene.place)
    run = go_on(scene, **options)
    assert run.status == "completed"
    assert run.run_folder == (f"{scene.folder}.2" if expected else str(scene.folder))
    assert since(scene, before) == expected
    assert run.status_object()["all_complete"]


# other processes


def test_a_run_whose_driver_lives_is_refused_and_its_holder_named(scene: Scene) -> None:
    child = begin(scene, {"wait": {"double:2": "go"}})
    while "double:2" not in calls(scene.place):
        time.sleep(0.01)
    for number in (signal.SIGCONT, signal.SIGSTOP):
        child.signal(number)
        with pytest.raises(FolderError, match=f"held by pid {child.pid} on .*alive"):
            pipeline().run({"size": SIZE}, run_folder=scene.folder, resume=True)
        with pytest.raises(FolderError, match=f"held by pid {child.pid}"):
            pipeline().run({"size": SIZE}, run_folder=scene.folder, overwrite=True)
    child.signal(signal.SIGCONT)
    (scene.place / "go").touch()
    answer = child.answer()
    assert (answer["status"], answer["epoch"]) == ("completed", 1)
    assert calls(scene.place) == undisturbed(SIZE)
    assert sorted(os.listdir(scene.folder.parent)) == ["it"]


def test_of_several_processes_that_resume_a_dead_run_at_once_one_does(scene: Scene) -> None:
    for _ in range(5):
        first, before = killed(scene, "double:3"), calls(scene.place)
        gate = scene.place / "gate"
        children = [begin(scene, {}, resume=True, gate=str(gate)) for _ in range(6)]
        time.sleep(0.05)
        gate.touch()
        answers = [child.answer() for child in children]
        winners = [answer for answer in answers if answer.get("epoch") == 2 and "error" not in answer]
        assert winners, answers
        assert {(winner["id"], winner["status"]) for winner in winners} == {(first, "completed")}
        for answer in answers:
            if "error" in answer:
                assert answer["error"] == "FolderError"
                assert any(word in answer["message"] for word in ("held by pid", "taken over", "taking over")), answer
        rest = undisturbed(SIZE) - Counter({"numbers:0": 1, **{f"double:{number}": 1 for number in range(3)}})
        assert since(scene, before) == rest
        assert os.listdir(scene.folder.parent) == ["it"]
        scene.clear()


def test_who_comes_too_late_to_a_dead_run_gets_what_another_process_has_made_of_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = killed(scene, "double:3")
    decide, decisions = resuming.settle, []

    def overtaken(*args: Any, **options: Any) -> Any:
        decisions.append(decide(*args, **options))
        if len(decisions) == 1:
            assert begin(scene, {}, resume=True).answer()["status"] == "completed"
        return decisions[-1]

    monkeypatch.setattr(resuming, "settle", overtaken)
    run = go_on(scene)
    assert [decided.step for decided in decisions] == [Step.PROCEED, Step.RETURN]
    assert (run.id, run.status, run.status_object()["epoch"]) == (first, "completed", 2)


def test_a_driver_that_was_taken_over_by_a_persons_word_ends_itself_and_changes_nothing(scene: Scene) -> None:
    child = begin(scene, {"wait": {"double:2": "go"}}, elsewhere=True)
    while "double:2" not in calls(scene.place):
        time.sleep(0.01)
    child.signal(signal.SIGSTOP)
    assert child.wait_stopped()
    with pytest.raises(FolderError, match="--take-over"):
        go_on(scene)
    give_orders(scene.place)
    from runstone.engine.launch import launch
    from runstone.run import execute

    launched = launch(
        pipeline(),
        {"size": SIZE},
        run_folder=scene.folder,
        show_progress=False,
        workspace=None,
        settings={},
        resume=True,
        take_over=True,
    )
    run = execute(launched, raise_on_error=True)
    assert (run.status, run.status_object()["epoch"]) == ("completed", 2)
    # what the old one may still write is ignored, so only what counts is compared
    told, journal = run.status_object(), (scene.folder / "journal/0002.jsonl").read_bytes()
    (scene.place / "go").touch()
    records = [(record.seq, record.fields) for record in Ground(scene.folder).records]
    child.signal(signal.SIGCONT)
    assert child.answer()["error"] == "Superseded"
    assert [(record.seq, record.fields) for record in Ground(scene.folder).records] == records
    again = runstone.open(scene.folder)
    assert again.status_object() == told
    assert (scene.folder / "journal/0002.jsonl").read_bytes() == journal
    assert list(again.outputs["doubled"]) == [0, 2, 4, 6, 8, 10]


def test_a_run_goes_on_after_the_death_of_its_machine(scene: Scene) -> None:
    child = begin(scene, {"wait": {"double:3": "never"}}, rebooted=True)
    while "double:3" not in calls(scene.place):
        time.sleep(0.01)
    # that it lives here proves nothing: it says that it is of another boot, so it is dead
    child.signal(signal.SIGSTOP)
    assert scene.status()["status"] == "crashed"
    before = calls(scene.place)
    run = go_on(scene)
    assert (run.status, run.status_object()["epoch"]) == ("completed", 2)
    assert since(scene, before) == undisturbed(SIZE) - Counter(["numbers:0", "double:0", "double:1", "double:2"])


# what is in the folder


def test_an_existing_run_is_refused_unless_something_is_said_about_it(scene: Scene) -> None:
    begin(scene, {}).wait()
    untouched = snapshot(scene.folder)
    with pytest.raises(InputError, match=r"resume=True .*overwrite=True"):
        pipeline().run({"size": SIZE}, run_folder=scene.folder)
    with pytest.raises(SettingError, match="resume=True and overwrite=True"):
        pipeline().run({"size": SIZE}, run_folder=scene.folder, resume=True, overwrite=True)
    assert snapshot(scene.folder) == untouched


@pytest.mark.parametrize("given", [{}, {"run_folder": None}], ids=["left out", "None"])
@pytest.mark.parametrize("asked", ["resume", "overwrite"])
def test_going_on_needs_the_name_of_a_folder(scene: Scene, given: dict[str, Any], asked: str) -> None:
    with pytest.raises(SettingError, match="run_folder"):
        pipeline().run({"size": SIZE}, **given, **{asked: True})
    with pytest.raises(SettingError, match="run_folder"):
        pipeline().run_async({"size": SIZE}, **given, **{asked: True})


@pytest.mark.parametrize("state", ["dead", "ended"])
def test_overwriting_keeps_the_old_run_in_the_trash(scene: Scene, state: str) -> None:
    old = killed(scene, "double:3") if state == "dead" else begin(scene, {}).answer()["id"]
    before, untouched = calls(scene.place), snapshot(scene.folder)
    give_orders(scene.place)
    run = pipeline().run({"size": SIZE}, run_folder=scene.folder, overwrite=True)
    assert (run.status, run.run_folder) == ("completed", str(scene.folder))
    assert run.id != old
    assert since(scene, before) == undisturbed(SIZE)
    (trashed,) = (scene.folder.parent / ".trash").iterdir()
    assert snapshot(trashed) == untouched
    assert go_on(scene).id == run.id


@pytest.mark.parametrize("asked", [{"resume": True}, {"overwrite": True}])
def test_an_empty_folder_and_none_at_all_are_begun_in(scene: Scene, asked: dict[str, bool]) -> None:
    give_orders(scene.place)
    scene.folder.mkdir(parents=True)
    for folder in (scene.folder, scene.folder.parent / "new"):
        run = pipeline().run({"size": SIZE}, run_folder=folder, **asked)
        assert (run.run_folder, run.status, run.status_object()["epoch"]) == (str(folder), "completed", 1)


def test_what_was_killed_before_it_was_a_run_is_gone_round_and_the_next_one_found(scene: Scene) -> None:
    (scene.folder / "journal").mkdir(parents=True)
    assert begin(scene, {"die": ["double:3"]}, resume=True).answer() == {"killed": signal.SIGKILL}
    assert os.listdir(scene.folder) == ["journal"]
    second = Path(f"{scene.folder}.2")
    first = observe.status(str(second))["id"]
    before = calls(scene.place)
    run = go_on(scene)
    assert (run.id, run.run_folder, run.status) == (first, str(second), "completed")
    assert since(scene, before)["numbers:0"] == 0
    assert go_on(scene).id == first


def test_a_folder_of_another_program_is_refused(scene: Scene) -> None:
    scene.folder.mkdir(parents=True)
    (scene.folder / "run_info.json").write_text('{"inputs": {}, "all_output_names": ["y"], "run_folder": "x"}')
    untouched = snapshot(scene.folder)
    for asked in ({"resume": True}, {"overwrite": True}, {}):
        with pytest.raises((InputError, FolderError), match="pipefunc"):
            pipeline().run({"size": SIZE}, run_folder=scene.folder, **asked)
    assert snapshot(scene.folder) == untouched


DAMAGES: dict[str, Callable[[Path], object]] = {
    "half of run.json": lambda folder: os.truncate(folder / "run.json", 100),
    "an empty run.json": lambda folder: os.truncate(folder / "run.json", 0),
    "no journal": lambda folder: shutil.rmtree(folder / "journal"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_is_said_to_be_so_in_one_line(scene: Scene, damage: str) -> None:
    killed(scene, "double:3")
    DAMAGES[damage](scene.folder)
    untouched = snapshot(scene.folder)
    with pytest.raises(FolderError) as caught:
        go_on(scene)
    assert str(scene.folder) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert snapshot(scene.folder) == untouched


def test_chunks_that_do_not_verify_are_computed_again(scene: Scene) -> None:
    killed(scene, "halve:3")
    (path,) = scene.folder.glob("outputs/halve.*.pack")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    before = calls(scene.place)
    run = go_on(scene)
    assert run.status == "completed"
    expected = Counter(["halve:2", "halve:3", "halve:4", "halve:5", "total:0", "greeting:0"])
    assert since(scene, before) == expected
    assert run.outputs["total"] == 15.0


# other ways to start


def test_runs_are_resumed_in_the_background_and_inside_a_running_loop(scene: Scene) -> None:
    first = killed(scene, "double:3")
    give_orders(scene.place)

    async def gone_on() -> tuple[runstone.Run, runstone.Run, runstone.Run]:
        options: dict[str, Any] = {"run_folder": scene.folder, "resume": True, "show_progress": False}
        handle = pipeline().run_async({"size": SIZE}, **options)
        assert handle.run_id == first
        ended = await handle
        known = pipeline().run_async({"size": SIZE}, **options)
        assert (known.run_id, known.progress) == (first, 1.0)
        return ended, await known, pipeline().run({"size": SIZE}, **options)

    runs = asyncio.run(gone_on())
    assert [(run.id, run.status) for run in runs] == [(first, "completed")] * 3
    assert calls(scene.place) == undisturbed(SIZE) + Counter(["double:3"])


def test_blocks_find_what_blocks_with_other_executors_have_made(scene: Scene) -> None:
    give_orders(scene.place)
    mixed = {"numbers": {"executor": "processes"}, "halve": {"executor": "processes"}}
    made = [block(lambda numbers: len(numbers), name="length"), block(lambda total: total + 1, name="after")]
    run: runstone.Run = pipeline(None, mixed, made).run({"size": SIZE}, run_folder=scene.folder, show_progress=False)
    assert (run.outputs["length"], run.outputs["after"]) == (6, 16.0)


def test_a_block_that_waits_for_a_worker_when_another_fails_has_one_end(scene: Scene) -> None:
    give_orders(scene.place, fail=["greeting:0"])

    def beside(size: int) -> int:
        return size

    made = [block(executor="processes", name="beside")(beside)]
    run = pipeline(None, None, made).run(
        {"size": SIZE}, run_folder=scene.folder, show_progress=False, raise_on_error=False
    )
    assert run.status == "failed"
    ends = Counter(record.fields["block"] for record in Ground(scene.folder).events("block.ended"))
    assert set(ends.values()) == {1}
    assert Ground(scene.folder).blocks() == run.blocks
