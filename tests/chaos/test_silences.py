"""Long silences, with the lease and the patience that users have."""

from __future__ import annotations

import pytest

from tests.chaos.conftest import Figures
from tests.durability.test_liveness import stopped_for, watch
from tests.durability.test_takeover import wait_for
from tests.harness.scene import Scene

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


def test_an_interpreter_held_for_forty_seconds(scene: Scene, figures: Figures) -> None:
    """A block that holds the interpreter for 40 s."""
    child = scene.spawn("tests.harness.mortal:hold", seconds=40.0, lease=30.0)
    wait_for(scene, "seeds")
    seen = watch(scene, 60, until=lambda: child.died(0))
    assert {status["status"] for status in seen} <= {"running", "completed"}
    assert {"live", "stale", "lost"} <= {str(status["liveness"]) for status in seen}
    assert child.answer() == {"status": "completed"}
    figures.told("looks", len(seen))
    figures.told("told", words(seen))
