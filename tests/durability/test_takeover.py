"""The next epoch: one winner, and a driver that comes back from the dead changes nothing that counts."""

from __future__ import annotations

import json
import re
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

import runstone
from runstone.core import events as ev
from runstone.errors import FolderError
from runstone.folder import clock
from runstone.folder.pack import encode_frame
from runstone.folder.takeover import take_over
from tests.harness import faults, verdict
from tests.harness.ground import Ground, line
from tests.harness.nursery import Child
from tests.harness.scene import SIZE, Scene, calls_of, command

CONTENDERS = 25
CLAIMED = "journal/0002.jsonl"
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
            lost = loser.get("won") or re.search("taken over|is held by pid|is just taking over", loser["why"])
            assert lost, loser
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
    ground = Ground(folder)
    newest = ground.events("run.taken_over")[-1].epoch
    claim = [*ground.events("run.taken_over"), *ground.events("run.taken_over.files")]
    files = {name: length for each in claim if each.epoch == newest for name, length in each.fields["files"].items()}
    found = {name: (folder / name).read_bytes()[:length] for name, length in files.items()}
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


@pytest.mark.parametrize("links", [True, False], ids=["with links", "without links"])
def test_a_takeover_that_is_killed_anywhere_leaves_a_run_that_the_next_one_finishes(scene: Scene, links: bool) -> None:
    killed_in_its_map(scene)
    calls = scene.spawn(GO_ON, fault={}, links=links).answer()["calls"]
    assert len(calls) > 20
    passed = 0
    for point in faults.points(calls):
        scene.clear()
        killed_in_its_map(scene)
        taker = scene.spawn(GO_ON, fault=point, links=links)
        assert taker.wait() == -signal.SIGKILL
        ground = Ground(scene.folder)
        if ground.ended is None:
            assert scene.status()["status"] == "crashed", point
            begun = (scene.folder / CLAIMED).exists() and not ground.events("run.taken_over")
            passed += begun
            assert scene.spawn(GO_ON, links=links).answer().get("epoch") in ((3,) if begun else (2, 3)), point
        ground = Ground(scene.folder)
        wrong = verdict.judge_ends(ground) + verdict.judge_fold(scene.folder, ground)
        wrong += verdict.judge_values(scene.folder, ground, SIZE)
        wrong += [f"{element} twice" for element in ground.twice()]
        assert not wrong, (point, wrong)
        assert sorted(ground.elements["dawdle"]) == list(range(SIZE)), point
        assert ground.seqs == list(range(1, len(ground.seqs) + 1)), point
        assert scene.status()["status"] == "completed"
    # without links the claim is made under its public name: right after its creation, and in the middle of it
    assert passed == (0 if links else 2)


def dies_while_it_claims(scene: Scene, action: str = "kill", call: int = 2) -> Child:
    """A taker that has created the next journal, without links, and is killed or stopped half-way through its claim."""
    fault = {"call": call, "when": "middle", "name": "append", "action": action}
    child = scene.spawn(GO_ON, links=False, fault=fault)
    assert (child.wait() == -signal.SIGKILL) if action == "kill" else child.wait_stopped()
    torn = (scene.folder / CLAIMED).read_bytes()
    assert torn
    assert b"\n" not in torn
    return child


@pytest.mark.parametrize("links", [True, False], ids=["with links", "without links"])
def test_a_claim_that_a_dead_taker_has_left_half_done_is_passed_by_exactly_one_contender(
    scene: Scene, links: bool
) -> None:
    killed_in_its_map(scene)
    dies_while_it_claims(scene)
    before = scene.status()
    assert (before["status"], before["epoch"]) == ("crashed", 1)
    answers = contend(scene, links=links)
    assert [answer["epoch"] for answer in answers if answer.get("won")] == [3], answers
    assert answers[0]["status"]["epoch"] == 3
    ground = Ground(scene.folder)
    assert ground.seqs == list(range(1, len(ground.seqs) + 1))
    assert scene.spawn(GO_ON).answer()["epoch"] == 4
    assert scene.status()["status"] == "completed"


def test_of_contenders_who_die_in_the_middle_of_their_claims_nobody_stands_in_the_way(scene: Scene) -> None:
    for name, when in (("create", "before"), ("create", "after"), ("append", "middle"), ("sync", "before")):
        killed_in_its_map(scene)
        gate, close = scene.place / "gate", scene.place / "close"
        gate.touch()
        close.touch()
        options = {"folder": str(scene.folder), "gate": str(gate), "close": str(close), "links": False}
        mortal = [
            scene.nursery.spawn(CONTEND, **options, fault={"call": 2, "when": when, "name": name}) for _ in "four"
        ]
        for child in mortal:
            child.wait()
        assert scene.spawn(GO_ON, links=False).answer().get("epoch", 0) >= 2, (name, when)
        ground = Ground(scene.folder)
        assert ground.seqs == list(range(1, len(ground.seqs) + 1))
        assert not ground.twice()
        assert scene.status()["status"] == "completed"
        scene.clear()


def test_a_taker_that_was_only_stopped_in_the_middle_of_its_claim_is_not_passed(scene: Scene) -> None:
    killed_in_its_map(scene)
    child = dies_while_it_claims(scene, "stop")
    for links in (True, False):
        answers = contend(scene, 5, links=links, patience=1)
        assert not [answer for answer in answers if answer.get("won")]
        assert {answer["why"] for answer in answers if f"pid {child.pid} on" in answer["why"]}, answers
    child.signal(signal.SIGCONT)
    assert child.answer()["epoch"] == 2
    assert scene.status()["status"] == "completed"


def test_takers_who_do_not_look_for_announcements_are_noticed(scene: Scene) -> None:
    killed_in_its_map(scene)
    child = dies_while_it_claims(scene, "stop")
    answers = contend(scene, 3, links=False, patience=1, without="the look for announcements")
    assert [answer for answer in answers if answer.get("won")]
    child.kill()


def test_a_taker_that_a_person_declares_dead_in_the_middle_of_its_claim_withdraws(scene: Scene) -> None:
    killed_in_its_map(scene)
    child = dies_while_it_claims(scene, "stop")
    writer = take_over(str(scene.folder), unproven=True)
    assert writer.epoch == 3
    writer.event(ev.Warned, code="taken", message="by a test")
    writer.sync()
    before, executed = counted(scene.folder), verdict.executed(scene.oracle)
    child.signal(signal.SIGCONT)
    assert "taken over" in child.answer()["message"]
    assert counted(scene.folder) == before
    assert verdict.executed(scene.oracle) == executed, "it went to work first"
    assert scene.status()["epoch"] == 3
    writer.close()


PACKS = 4_000


def with_packs(scene: Scene, count: int) -> None:
    """Add blocks to a run that was killed, each with a pack of its own that holds one value."""
    path = scene.folder / "run.json"
    info = json.loads(path.read_bytes())
    seq = Ground(scene.folder).seqs[-1]
    names = [f"a-block-with-a-name-of-some-length-{number:05d}" for number in range(count)]
    for number, name in enumerate(names, start=1):
        info["blocks"].append({**info["blocks"][0], "name": name, "outputs": [f"{name}-out"]})
        meta = ev.ColumnMeta(name=f"{name}-out", bytes=1, count=1, meta={"kind": "int", "width": "u1"}, type="int")
        chunk = ev.Chunk(seq=seq + number, at=clock.now(), block=name, elements=[(0, 1)], ok=1, columns=[meta])
        pack = scene.folder / "outputs" / f"{name}.0001.pack"
        pack.write_bytes(b"".join(encode_frame(chunk, [b"\7"])))
    path.write_text(json.dumps(info))
    (scene.folder / "status.json").unlink(missing_ok=True)


def test_a_run_of_thousands_of_packs_is_taken_over_again_and_again(scene: Scene) -> None:
    killed_in_its_map(scene)
    with_packs(scene, PACKS)
    seq = scene.status()["seq"]
    for epoch, links in ((2, True), (3, False)):
        answers = contend(scene, 2, links=links)
        assert [answer["epoch"] for answer in answers if answer.get("won")] == [epoch], answers
        ground = Ground(scene.folder)
        lines = len(ground.events("run.taken_over.files"))
        assert lines > 0
        assert len(counted(scene.folder)) >= PACKS + epoch
        assert ground.seqs == list(range(1, len(ground.seqs) + 1))
        status = scene.status()
        assert (status["status"], status["epoch"], status["seq"]) == ("crashed", epoch, ground.seqs[-1])
        assert status["n_outputs_completed"] == PACKS + 1
        assert not [warning for warning in status["warnings"] if warning["code"] != "won"]
    assert ground.seqs[-1] > seq


def test_a_claim_of_which_a_line_is_missing_took_nothing_over(scene: Scene) -> None:
    killed_in_its_map(scene)
    with_packs(scene, 2_000)
    before = scene.status()
    take_over(str(scene.folder)).close()
    journal = scene.folder / "journal" / "0002.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    assert len(lines) == 3
    for cut in (lines[0], lines[0] + lines[1], b"".join(lines)[:-1]):
        journal.write_bytes(cut)
        assert scene.status() == before
    writer = take_over(str(scene.folder))
    assert writer.epoch == 3, "of a machine that died, no announcement is left"
    writer.close()


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
