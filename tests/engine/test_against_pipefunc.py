"""Random pipelines run from end to end give what pipefunc gives: in memory, from the folder, and opened again."""

from __future__ import annotations

import tempfile
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

import runstone
from runstone import Pipeline, block

pytest.importorskip("pipefunc")

from tests.core.test_mapspec_against_pipefunc import Example, by_pipefunc, examples, frozen, function_of


def as_lists(value: Any) -> Any:
    return frozen(value.to_list() if hasattr(value, "to_list") else value)


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(examples())
def test_random_pipelines_run_as_in_pipefunc_wherever_they_are_kept(example: Example) -> None:
    blocks = [block(function_of(step), output=tuple(step.outputs), mapspec=step.mapspec) for step in example.steps]
    theirs = {name: frozen(value) for name, value in by_pipefunc(example).items()}
    pipeline = Pipeline("random", blocks)
    with tempfile.TemporaryDirectory() as place:
        kept = pipeline.run(example.inputs, run_folder=f"{place}/run")
        for run in (kept, runstone.open(f"{place}/run"), pipeline.run(example.inputs, run_folder=None)):
            assert run.status == "completed"
            assert {name: as_lists(value) for name, value in run.outputs.items()} == theirs
        status = kept.status_object()
        assert (status["all_complete"], status["progress_fraction"]) == (True, 1.0)
        assert status["progress"]["done"] == status["progress"]["total"]
