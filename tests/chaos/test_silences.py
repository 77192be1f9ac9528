"""Long silences, with the lease and the patience that users have."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest

from tests.chaos.conftest import Figures
from tests.durability.test_liveness import stopped_for, unshare, watch
from tests.durability.test_takeover import wait_for
from tests.harness.nursery import Child
from tests.harness.scene import Scene, command

pytestmark = pytest.mark.chaos


def words(seen: list[dict[str, object]]) -> str:
    """What was said, in the order in which it was said first."""
    return " -> ".join(dict.fromkeys(f"{status['status']}, {status['liveness']}" for status in seen))


def test_stopped_for_ten_seconds(scene: Scene, figures: Figures) -> None:
    """SIGSTOP for 10 s, then SIGCONT."""
    child = scene.spawn(pipeline="patient", size=300, pause=0.02, heartbeat=1.0)
    wait_for(scene, "dawdle", 100)
    seen = stopped_for(scene, child, 10.0)
    assert {status["status"] for status in seen} == {"running"}
    assert seen[-1]["liveness"] == "stale"
    assert child.answer()["status"] == "completed"
    assert scene.judge(size=300) == []
    figures.told("looks", len(seen))
    figures.told("told", words(seen))


HOLDS = [
    {"how": "sleep", "seconds": 40.0},
    {"how": "power", "seconds": 0.0, "exponent": 40_000_000},
    {"how": "match", "seconds": 0.0, "length": 31},
]


@pytest.mark.parametrize("hold", HOLDS, ids=["a C library that sleeps", "a power", "a pattern that backtracks"])
def test_an_interpreter_held_for_forty_seconds(
    scene: Scene, figures: Figures, hold: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    """A block that holds the interpreter for 40 s or more."""
    child = scene.spawn("tests.harness.mortal:hold", lease=30.0, **hold)
    wait_for(scene, "seeds")
    began = time.monotonic()
    seen, printed = watch_and_ask(scene, child)
    held = time.monotonic() - began
    assert child.answer(timeout=300) == {"status": "completed"}
    for looks in (seen, printed):
        assert {status["status"] for status in looks} <= {"running", "completed"}
        assert {status["liveness"] for status in looks} <= {"live", "stale", "lost", "ended"}
    assert {"live", "stale"} <= {str(status["liveness"]) for status in seen}
    assert held > 40, "this machine is too fast for these numbers"
    figures.told(f"{request.node.callspec.id}: held, looks, commands", f"{held:.0f} s, {len(seen):,}, {len(printed)}")
    figures.told("told", words(seen))


def watch_and_ask(scene: Scene, child: Child) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Look until a process is dead, and now and then by the command, also from another pid namespace."""
    prefixes = [(), unshare("--mount-proc"), unshare()]
    seen, printed = [], []
    while not child.died(0):
        seen += watch(scene, 1.0, until=lambda: child.died(0))
        code, status, said = command("status", str(scene.folder), prefix=prefixes[len(printed) % len(prefixes)])
        assert code == 0, said
        printed.append(status)
    return seen, printed


def test_stopped_and_seen_from_another_pid_namespace(scene: Scene, figures: Figures) -> None:
    """SIGSTOP for 10 s, then SIGCONT, seen from other pid namespaces."""
    prefixes = (unshare("--mount-proc"), unshare())
    child = scene.spawn(pipeline="patient", size=300, pause=0.02, heartbeat=1.0)
    wait_for(scene, "dawdle", 50)
    child.signal(signal.SIGSTOP)
    assert child.wait_stopped()
    seen = []
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for prefix in prefixes:
            code, status, said = command("status", str(scene.folder), prefix=prefix)
            assert code == 0, said
            seen.append(status)
    child.signal(signal.SIGCONT)
    assert {status["status"] for status in seen} == {"running"}
    assert child.answer()["status"] == "completed"
    figures.told("commands", len(seen))
    figures.told("told", words(seen))
