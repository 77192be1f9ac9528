"""The tests of durability are themselves tried: each protection is taken out once, and each time they must notice."""

from __future__ import annotations

import pytest

from tests.durability.test_machine_death import BUSY, rot, traced, violations
from tests.harness import faults, verdict
from tests.harness.scene import Scene, calls_of

STATES = [
    "sync of packs",
    "sync of the journal",
    "sync of the names in artifacts",
    "sync of an artifact",
    "sync of a pack before the end of its block",
    "sync before the end of the run",
    "sync before a checkpoint",
]
END = [
    "sync of packs",
    "sync of the journal",
    "sync of run.json",
    "sync of the inputs",
    "sync of the names in outputs",
    "sync of the names in journal",
    "sync of the names in the run folder",
    "sync of the run folder's own name",
    "sync of the name of the folder above",
    "sync before the end of the run",
]
KILLS = ["each element once", "work before its record", "each number once"]
CHECKSUMS = ["the checksum of values", "the checksum of headers", "the checksum of lines"]


@pytest.mark.parametrize("protection", STATES)
def test_a_dead_machine_shows_that_it_is_gone(scene: Scene, protection: str) -> None:
    steps = traced(scene, without=protection, **BUSY)
    assert next(violations(scene, steps, rounds=10), None) is not None


@pytest.mark.parametrize("protection", END)
def test_the_end_of_the_run_shows_that_it_is_gone(scene: Scene, protection: str) -> None:
    steps = traced(scene, without=protection)
    assert verdict.judge_machine_end(steps, scene.folder)


@pytest.mark.parametrize("protection", CHECKSUMS)
def test_a_reader_that_does_not_check_is_noticed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, protection: str
) -> None:
    scene.spawn().wait()
    for module in (faults.scan, faults.pack, faults.journal):
        for name in ("crc32", "unseal"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, getattr(module, name))
    faults.take_out(protection)
    assert next(rot(scene, tries=3_000), None) is not None


@pytest.mark.parametrize("protection", KILLS)
def test_a_killed_run_shows_that_it_is_gone(scene: Scene, protection: str) -> None:
    noticed = False
    for call in range(30, len(calls_of(scene)), 4):
        scene.spawn(fault={"call": call, "when": "before"}, without=protection).wait()
        noticed = noticed or bool(scene.judge(values=False))
        scene.clear()
        if noticed:
            break
    assert noticed


def test_a_heart_that_does_not_beat_is_noticed(scene: Scene) -> None:
    steps = traced(scene, pipeline="patient", size=100, pause=0.004, chunk=10, without="the pulse")
    assert max(verdict.seconds_until_synced(steps, scene.folder)) > 0.3


def test_no_protection_is_forgotten_here() -> None:
    elsewhere = {"the look at the next epoch", "one winner", "the look for announcements"}
    assert {*STATES, *END, *KILLS, *CHECKSUMS, "the pulse", *elsewhere} == set(faults.PROTECTIONS)
