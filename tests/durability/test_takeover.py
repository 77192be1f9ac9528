"""The next epoch: one winner, and a driver that comes back from the dead changes nothing that counts."""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

import runstone
from runstone.core import events as ev
from runstone.errors import FolderError
from runstone.folder.takeover import take_over
from tests.harness import faults, verdict
from tests.harness.ground import Ground, line
from tests.harness.scene import SIZE, Scene, calls_of, command

CONTENDERS = 25
CONTEND = "tests.harness.takers:contend"
GO_ON = "tests.harness.takers:go_on"


def killed_in_its_map(scene: Scene, *, chunks: int = 2) -> None:
    """Leave a run of `patient` that died after some chunks, in the middle of writing the next."""
    fault = {"call": chunks + 1, "when": "middle", "name": "append_all"}
    assert scene.spawn(pipeline="patient", chunk=3, fault=fault).wait() == -signal.SIGKILL


def contend(scene: Scene, count: int = CONTENDERS, *, patience: float = 60.0, **options: Any) -> list[dict[str, Any]]:
    """Let processes contend for the run; the winner holds it until all have tried."""
    gate, close = scene.place / "gate", scene.place / "close"
    children = [
        scene.nursery.spawn(CONTEND, folder=str(scene.folder), gate=str(gate), close=str(close), **options)
        for _ in range(count)
    ]
    time.sleep(0.05)
    gate.touch()
    deadline = time.monotonic() + patience
    while sum(child.died(0) for child in children) < count - 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    status = scene.status()
    close.touch()
    answers = [child.answer() for child in children]
    for path in (gate, close):
        path.unlink()
    return [{**answer, "status": status} for answer in answers]


@pytest.mark.parametrize("links", [True, False], ids=["with links", "without links"])
def test_of_25_contenders_for_a_dead_epoch_exactly_one_wins(scene: Scene, links: bool) -> None:
    for epoch in (2, 3, 4):
        if epoch == 2:
            killed_in_its_map(scene)
        answers = contend(scene, links=links)
        winners = [answer for answer in answers if answer.get("won")]
        assert len(winners) == 1, answers
        assert winners[0]["epoch"] == epoch
        assert winners[0]["status"]["epoch"] == epoch
        assert winners[0]["status"]["liveness"] == "live"
        for loser in answers:
            assert loser.get("won") or "taken over" in loser["why"] or "is held by pid" in loser["why"], loser
        ground = Ground(scene.folder)
        assert len(ground.events("run.taken_over")) == epoch - 1
        assert len(ground.events("warning")) == epoch - 1
        assert ground.seqs == list(range(1, len(ground.seqs) + 1))
        assert scene.status()["status"] == "crashed", "the winner is dead in its turn"
    assert not list(scene.folder.glob("journal/.*")), "private files are left behind"


def test_contenders_who_do_not_exclude_each_other_are_noticed(scene: Scene) -> None:
    killed_in_its_map(scene)
    answers = contend(scene, 8, patience=0.5, without="one winner")
    assert len([answer for answer in answers if answer.get("won")]) > 1


def test_who_lives_is_done_or_is_a_copy_is_not_taken_over(scene: Scene) -> None:
    child = scene.spawn(pipeline="patient", pause=0.02)
    wait_for(scene, "dawdle")
    with pytest.raises(FolderError, match="is held by pid"):
        take_over(str(scene.folder))
    child.kill()
    copy = scene.place / "copy"
    shutil.copytree(scene.folder, copy)
    with pytest.raises(FolderError, match="cannot be proven dead from here"):
        take_over(str(copy))
    take_over(str(scene.folder)).close()
    with pytest.raises(FolderError, match="is held by pid"):
        take_over(str(scene.folder))
    scene.clear()
    scene.spawn(pipeline="patient").wait()
    with pytest.raises(FolderError, match="has ended completed"):
        take_over(str(scene.folder), unproven=True)


def wait_for(scene: Scene, block: str, elements: int = 1) -> None:
    """Until so many elements of a block were executed."""
    deadline = time.monotonic() + 30
    while sum(count for (name, _, _), count in verdict.executed(scene.oracle).items() if name == block) < elements:
        assert time.monotonic() < deadline, "the run does not go on"
        time.sleep(0.002)


def counted(folder: Path) -> dict[str, bytes]:
    """Every byte that readers of the newest epoch take for the run."""
    newest = max(int(path.stem) for path in folder.glob("journal/0*.jsonl"))
    first = Ground(folder).events("run.taken_over")[-1]
    found = {name: (folder / name).read_bytes()[:length] for name, length in first.fields["files"].items()}
    for path in [*folder.glob("journal/0*.jsonl"), *folder.glob("outputs/*.pack")]:
        if f"{newest:04d}" in path.name:
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def stop_and_take_over(scene: Scene, point: dict[str, Any], **options: Any) -> list[str]:
    """Stop a driver at a fault point, take its run over, let it go on, and tell what it did wrong."""
    child = scene.spawn(fault={**point, "action": "stop"}, **options)
    wrong: list[str] = []
    if not child.wait_stopped():
        return wrong
    if not (scene.folder / "run.json").exists() or Ground(scene.folder).ended:
        child.kill()
        return wrong
    writer = take_over(str(scene.folder), unproven=True)
    writer.event(ev.Warned, code="taken", message="by a test")
    writer.sync()
    writer.write_checkpoint()
    before, status = counted(scene.folder), scene.status()
    time.sleep(options.get("lease", 0.0))
    child.signal(signal.SIGCONT)
    answer = child.answer()
    if answer.get("error") != "Superseded":
        wrong.append(f"the old driver ended with {str(answer)[:200]} instead of Superseded")
    after = counted(scene.folder)
    wrong += [f"{name} has changed" for name in before if before[name] != after.get(name)]
    now = scene.status()
    alive = ("liveness", "stale", "message", "status_source")  # nobody gives signs of life for the new epoch here
    wrong += [
        f"{key} was {status[key]}, is {now[key]}" for key in status if status[key] != now[key] and key not in alive
    ]
    seqs = Ground(scene.folder).seqs
    if len(set(seqs)) != len(seqs):
        wrong.append(f"numbers were given twice: {seqs}")
    writer.close()
    return wrong


def test_a_driver_stopped_anywhere_and_taken_over_ends_itself_and_changes_nothing(scene: Scene) -> None:
    calls = calls_of(scene)
    for number, point in enumerate(faults.points(calls)[12:]):
        # with a lease so short that it is over, and with one under which the driver still trusts itself
        lease = 0.05 if number % 2 else 30.0
        options: dict[str, Any] = {"lease": lease} if lease < 1 else {}
        wrong = stop_and_take_over(scene, point, **options)
        assert not wrong, (point, calls[point["call"] - 1], wrong)
        scene.clear()


def test_a_driver_that_does_not_look_for_the_next_epoch_is_noticed(scene: Scene) -> None:
    for call in range(30, len(calls_of(scene)), 7):
        if stop_and_take_over(
            scene, {"call": call, "when": "before"}, lease=0.05, without="the look at the next epoch"
        ):
            return
        scene.clear()
    pytest.fail("nobody noticed")


def test_a_driver_whose_lease_ran_out_looks_before_it_records_or_starts_anything(scene: Scene) -> None:
    # its heartbeat is slow to notice
    fault = {"call": 3, "when": "before", "action": "stop", "name": "append_all"}
    child = scene.spawn(pipeline="patient", size=100, pause=0.005, chunk=5, heartbeat=60.0, lease=0.05, fault=fault)
    assert child.wait_stopped()
    take_over(str(scene.folder), unproven=True).close()
    before = sum(verdict.executed(scene.oracle).values())
    time.sleep(0.05)
    child.signal(signal.SIGCONT)
    assert child.answer()["error"] == "Superseded"
    assert sum(verdict.executed(scene.oracle).values()) - before <= 2 * 5


def test_a_driver_that_was_stopped_in_user_code_stops_its_work_soon_after_it_wakes(scene: Scene) -> None:
    child = scene.spawn(pipeline="patient", size=1000, pause=0.01, chunk=10_000, heartbeat=1.0)
    wait_for(scene, "dawdle", 5)
    child.signal(signal.SIGSTOP)
    assert child.wait_stopped()
    take_over(str(scene.folder), unproven=True).close()
    before = sum(verdict.executed(scene.oracle).values())
    child.signal(signal.SIGCONT)
    assert child.answer(timeout=5)["error"] == "Superseded"
    assert sum(verdict.executed(scene.oracle).values()) - before < 200


def test_a_living_driver_that_is_taken_over_by_force_leaves_every_number_once(scene: Scene) -> None:
    for wait in (1, 20, 60, 100, 160):
        child = scene.spawn(pipeline="patient", size=400, pause=0.0005, chunk=1, heartbeat=0.05)
        wait_for(scene, "dawdle", wait)
        writer = take_over(str(scene.folder), unproven=True)
        for _ in range(20):
            writer.event(ev.Warned, code="taken", message="by a test")
            writer.flush()
        assert child.answer()["error"] == "Superseded"
        ground = Ground(scene.folder)
        assert len(set(ground.seqs)) == len(ground.seqs), ground.records
        assert not ground.twice()
        status = scene.status()
        assert (status["epoch"], status["seq"], status["liveness"]) == (2, writer.state.seq, "live")
        assert len(status["warnings"]) >= 20
        assert status["outputs"]["slow"]["progress"] == len(ground.elements.get("dawdle", {})) / 400
        writer.close()
        scene.clear()


def test_a_takeover_that_is_killed_anywhere_leaves_a_run_that_the_next_one_finishes(scene: Scene) -> None:
    killed_in_its_map(scene)
    calls = scene.spawn(GO_ON, fault={}).answer()["calls"]
    assert len(calls) > 20
    for point in faults.points(calls):
        scene.clear()
        killed_in_its_map(scene)
        taker = scene.spawn(GO_ON, fault=point)
        assert taker.wait() == -signal.SIGKILL
        ground = Ground(scene.folder)
        if ground.ended is None:
            assert scene.status()["status"] == "crashed", point
            assert scene.spawn(GO_ON).answer().get("epoch") in (2, 3), point
        ground = Ground(scene.folder)
        wrong = verdict.judge_ends(ground) + verdict.judge_fold(scene.folder, ground)
        wrong += verdict.judge_values(scene.folder, ground, SIZE)
        wrong += [f"{element} twice" for element in ground.twice()]
        assert not wrong, (point, wrong)
        assert sorted(ground.elements["dawdle"]) == list(range(SIZE)), point
        assert ground.seqs == list(range(1, len(ground.seqs) + 1)), point
        assert scene.status()["status"] == "completed"


def test_bytes_lost_before_a_takeover_by_word_of_a_person_do_not_collide_with_what_comes_after(scene: Scene) -> None:
    # the driver's machine died and lost journal lines that older than a chunk it kept; nobody here can prove its death
    killed_in_its_map(scene)
    journal = scene.folder / "journal" / "0001.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    elsewhere = lines[0].replace(b'"machine_id":"', b'"machine_id":"f').replace(b'"boot_id":"', b'"boot_id":"f')
    fields = json.loads(elsewhere)
    del fields["crc"]
    journal.write_bytes(line(fields) + lines[1])
    (scene.folder / "status.json").unlink(missing_ok=True)
    kept = len(Ground(scene.folder).elements["dawdle"])
    assert kept == 6
    assert scene.spawn(GO_ON, unproven=True).answer() == {"epoch": 2, "calls": []}
    ground = Ground(scene.folder)
    assert len(set(ground.seqs)) == len(ground.seqs)
    assert not ground.twice()
    status = scene.status()
    assert (status["status"], status["epoch"], status["seq"]) == ("completed", 2, ground.seqs[-1])
    assert [warning["code"] for warning in status["warnings"]] == ["bytes_lost"]
    assert status["outputs"]["slow"]["complete"]


@pytest.mark.parametrize("chunk", [2, 3, 6, 12])
def test_what_a_later_epoch_has_recorded_again_is_loaded_from_there(scene: Scene, chunk: int) -> None:
    killed_in_its_map(scene, chunks=3)
    pack = scene.folder / "outputs" / "dawdle.0001.pack"
    content = bytearray(pack.read_bytes())
    frames = [record for record in Ground(scene.folder).records if record.file == "outputs/dawdle.0001.pack"]
    for frame in frames[:2]:
        content[frame.stop - 1] ^= 1
    pack.write_bytes(content)
    assert scene.spawn(GO_ON, chunk=chunk).answer() == {"epoch": 2, "calls": []}
    assert verdict.judge_values(scene.folder, Ground(scene.folder), SIZE) == []
    run = runstone.open(scene.folder)
    assert run.outputs["slow"].to_list() == [number + 1 for number in range(SIZE)]
    code, answer, said = command("output", str(scene.folder), "slow")
    assert (code, answer) == (0, [number + 1 for number in range(SIZE)]), said
    status = scene.status()
    assert status["status"] == "completed"
    assert status["all_complete"]
    assert [warning["code"] for warning in status["warnings"]] == ["bytes_lost"]
