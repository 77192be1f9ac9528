"""Wherever its blocks are computed, a run gives the same and tells the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.engine.executors.conftest import way_called
from tests.engine.executors.scenarios import ONLY_KEPT, SCENARIOS
from tests.engine.executors.ways import EVERY, INLINE, Way, told

KEPT = ("kept", "not kept")
_expected: dict[tuple[str, str], dict[str, Any]] = {}


def _told(name: str, way: Way, kept: bool, place: Path) -> dict[str, Any]:
    place.mkdir(parents=True)
    pipeline, params = SCENARIOS[name](way, str(place))
    run = way.run(pipeline, params, run_folder=place / "run" if kept else None)
    found = told(run)
    found["artifacts"] = sorted((one.name, one.block, one.element, one.size_bytes) for one in run.list_artifacts())
    return found


@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("executor", [name for name in EVERY if name != INLINE])
def test_a_run_is_the_same_as_inline(executor: str, name: str, kept: str, tmp_path: Path) -> None:
    if kept == "not kept" and name in ONLY_KEPT:
        pytest.skip("only what is kept must be storable")
    if (name, kept) not in _expected:
        _expected[name, kept] = _told(name, way_called(INLINE), kept == "kept", tmp_path / "inline")
    found = _told(name, way_called(executor), kept == "kept", tmp_path / "elsewhere")
    assert found == _expected[name, kept]
