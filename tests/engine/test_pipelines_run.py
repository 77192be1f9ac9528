"""What users write, run through the public door: how blocks fail, are skipped, tried again, and hand on values."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runstone
from runstone import (
    Failed,
    InputError,
    Pipeline,
    PipelineError,
    Retries,
    Run,
    RunError,
    RunFailed,
    RunNotFound,
    SettingError,
    artifact,
    block,
)


@block
def five() -> int:
    return 5


@block
def six(five: int) -> int:
    return five + 1


@block
def broken() -> int:
    raise RuntimeError("broken")


@block
def below(broken: int) -> int:
    return broken


@block(mapspec="x[i] -> y[i]", on_error="continue")
def not_two(x: int) -> int:
    if x == 2:
        raise ValueError("two")
    return x


def run(tmp_path: Path, blocks: list[Any], params: dict[str, Any] | None = None, **settings: Any) -> Run:
    """Run a pipeline of these blocks in a fresh folder, whatever comes of it."""
    folder = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
    return Pipeline("tried", blocks).run(params or {}, run_folder=folder, raise_on_error=False, **settings)


class TestRetries:
    def test_a_block_is_tried_again_until_it_succeeds(self, tmp_path: Path) -> None:
        calls = []

        def flaky() -> int:
            calls.append(1)
            if len(calls) < 3:
                raise ValueError("not yet")
            return len(calls)

        found = run(tmp_path, [block(flaky, retries=2)])
        assert (found.status, found.outputs["flaky"], found.errors) == ("completed", 3, [])

    def test_two_retries_are_at_most_three_attempts(self, tmp_path: Path) -> None:
        calls = []

        def never() -> int:
            calls.append(1)
            raise ValueError("never")

        found = run(tmp_path, [block(never, retries=2)])
        assert (len(calls), found.status, found.errors[0].attempt) == (3, "failed", 3)

    def test_only_the_named_exceptions_are_tried_again(self, tmp_path: Path) -> None:
        calls = []

        def wrong() -> int:
            calls.append(1)
            raise ValueError("wrong")

        run(tmp_path, [block(wrong, retries=Retries(5, on=(OSError,)))])
        assert len(calls) == 1

    def test_each_element_has_its_own_attempts(self, tmp_path: Path) -> None:
        calls: dict[int, int] = {}

        def shaky(x: int) -> int:
            calls[x] = calls.get(x, 0) + 1
            if calls[x] <= x:
                raise ValueError(str(x))
            return x

        found = run(
            tmp_path, [block(shaky, mapspec="x[i] -> y[i]", retries=2, on_error="continue")], {"x": [0, 1, 2, 3]}
        )
        assert calls == {0: 1, 1: 2, 2: 3, 3: 3}
        assert [isinstance(value, Failed) for value in found.outputs["y"]] == [False, False, False, True]
        assert "During handling" not in found.errors[0].traceback

    def test_a_run_setting_reaches_blocks_that_do_not_say_otherwise(self, tmp_path: Path) -> None:
        calls: list[str] = []

        def inherits() -> None:
            calls.append("inherits")
            raise ValueError

        def refuses() -> None:
            calls.append("refuses")
            raise ValueError

        pipeline = Pipeline("tried", [inherits, block(refuses, retries=0)], retries=1, on_error="continue")
        pipeline.run(run_folder=tmp_path / "run", raise_on_error=False, retries=3)
        assert (calls.count("inherits"), calls.count("refuses")) == (4, 1)


class TestEnds:
    def test_after_a_failure_nothing_new_starts(self, tmp_path: Path) -> None:
        found = run(tmp_path, [broken, below, five, six])
        assert found.status == "failed"
        assert found.blocks == {
            "broken": "failed",
            "below": "upstream_failed",
            "five": "cancelled",
            "six": "cancelled",
        }

    def test_a_pipeline_that_continues_finishes_independent_branches_and_still_fails(self, tmp_path: Path) -> None:
        found = run(tmp_path, [broken, below, five, six], on_error="continue")
        assert found.status == "failed"
        assert found.blocks == {
            "broken": "failed",
            "below": "upstream_failed",
            "five": "completed",
            "six": "completed",
        }

    def test_a_tolerated_failure_that_nothing_needs_degrades_the_run(self, tmp_path: Path) -> None:
        found = run(tmp_path, [block(broken.function, on_error="continue"), five])
        assert (found.status, found.blocks["broken"]) == ("degraded", "failed")

    def test_a_tolerated_failure_that_something_needs_fails_the_run(self, tmp_path: Path) -> None:
        found = run(tmp_path, [block(broken.function, on_error="continue"), below, five])
        assert found.status == "failed"
        assert found.blocks == {"broken": "failed", "below": "upstream_failed", "five": "completed"}

    def test_a_tolerated_block_without_one_good_element_has_failed(self, tmp_path: Path) -> None:
        alone = run(tmp_path, [not_two], {"x": [2, 2]})
        assert (alone.status, alone.blocks["not_two"]) == ("degraded", "failed")
        needed = run(tmp_path, [not_two, block(lambda y: y, name="all_y", missing="drop")], {"x": [2, 2]})
        assert (needed.status, needed.blocks["all_y"]) == ("failed", "upstream_failed")

    def test_run_failed_has_the_run_and_the_exception(self, tmp_path: Path) -> None:
        with pytest.raises(RunFailed, match="broken") as caught:
            Pipeline("tried", [broken]).run(run_folder=tmp_path / "run")
        assert caught.value.run.status == "failed"
        assert isinstance(caught.value.__cause__, RuntimeError)

    def test_a_degraded_run_returns(self, tmp_path: Path) -> None:
        found = Pipeline("tried", [not_two]).run({"x": [1, 2]}, run_folder=tmp_path / "run")
        assert found.status == "degraded"

    def test_sys_exit_in_a_block_fails_it(self, tmp_path: Path) -> None:
        assert run(tmp_path, [block(lambda: sys.exit(3), name="leaves")]).status == "failed"


class TestConditions:
    def test_a_false_condition_skips_the_block_and_what_depends_on_it(self, tmp_path: Path) -> None:
        skipped = block(lambda five: five, name="skipped", when=lambda five: five > 10)
        after = block(lambda skipped: skipped, name="after")
        found = run(tmp_path, [five, skipped, after])
        assert found.blocks == {"five": "completed", "skipped": "condition_failed", "after": "condition_failed"}
        assert found.status == "completed"
        assert found.status_object()["all_complete"] is True

    def test_a_condition_may_ask_for_values_that_its_block_does_not_take(self, tmp_path: Path) -> None:
        decided = block(lambda: "ran", name="decided", when=lambda five, limit: five > limit)
        assert run(tmp_path, [five, decided], {"limit": 4}).outputs["decided"] == "ran"
        assert run(tmp_path, [five, decided], {"limit": 5}).blocks["decided"] == "condition_failed"

    def test_a_condition_that_raises_fails_its_block(self, tmp_path: Path) -> None:
        found = run(tmp_path, [five, block(lambda five: five, name="odd", when=lambda five: 1 / 0)])
        assert (found.status, found.errors[0].reason) == ("failed", "condition_error")


class TestMissingElements:
    def test_drop_leaves_failed_elements_out_and_keep_keeps_their_place(self, tmp_path: Path) -> None:
        keep = block(lambda y: [type(value) is Failed for value in y], name="keep", missing="keep")
        drop = block(lambda y: y, name="drop", missing="drop")
        found = run(tmp_path, [not_two, keep, drop], {"x": [1, 2, 3]})
        assert (found.outputs["keep"], found.outputs["drop"]) == ([False, True, False], [1, 3])

    def test_element_wise_dependants_of_a_failed_element_are_not_called(self, tmp_path: Path) -> None:
        called = []

        def after(y: int) -> int:
            called.append(y)
            return y * 10

        found = run(tmp_path, [not_two, block(after, mapspec="y[i] -> w[i]")], {"x": [1, 2, 3]})
        assert called == [1, 3]
        assert (found.status, found.blocks["after"]) == ("degraded", "degraded")
        assert found.outputs["w"][1].status == "upstream_failed"
        assert "two" in repr(found.outputs["w"][1])
        assert found.status_object()["progress"] == {"done": 6, "total": 6, "failed": 1, "unit": "elements"}

    def test_saying_neither_is_an_error_before_the_run(self) -> None:
        with pytest.raises(PipelineError, match="missing='drop'"):
            Pipeline("tried", [not_two, block(lambda y: y, name="all_y")])


class TestStoring:
    def test_a_value_that_cannot_be_stored_fails_its_block_with_the_path(self, tmp_path: Path) -> None:
        found = run(tmp_path, [block(lambda: {"client": [1, threading.Lock()]}, name="locked")])
        assert (found.status, found.errors[0].reason) == ("failed", "output_not_storable")
        assert "value['client'][1]" in found.errors[0].message

    def test_an_element_that_cannot_be_stored_fails_alone_if_that_is_tolerated(self, tmp_path: Path) -> None:
        mixed = block(
            lambda x: threading.Lock() if x == 2 else x, name="mixed", mapspec="x[i] -> y[i]", on_error="continue"
        )
        found = run(tmp_path, [mixed], {"x": [1, 2, 3]})
        assert (found.status, found.outputs["y"][0], found.outputs["y"][2]) == ("degraded", 1, 3)
        assert type(found.outputs["y"][1]) is Failed

    def test_too_few_values_for_several_outputs_are_named(self, tmp_path: Path) -> None:
        found = run(tmp_path, [block(lambda: (1, 2, 3), name="three", output=("a", "b"))])
        assert found.errors[0].reason == "invalid_output"
        assert "a, b" in found.errors[0].message

    def test_a_parameter_that_cannot_be_stored_is_refused_before_the_run(self, tmp_path: Path) -> None:
        taken = block(lambda lock: 1, name="taken")
        with pytest.raises(InputError, match="'lock' cannot be kept"):
            Pipeline("tried", [taken]).run({"lock": threading.Lock()}, run_folder=tmp_path / "run")
        assert not (tmp_path / "run").exists()


class TestValues:
    def test_several_mapped_outputs_reach_their_consumers(self, tmp_path: Path) -> None:
        two = block(lambda z: (z, str(z)), name="two", mapspec="z[i] -> s[i], t[i]")
        found = run(tmp_path, [two, block(lambda s, t: (s, t), name="both")], {"z": [1, 2]})
        assert found.outputs["both"] == ([1, 2], ["1", "2"])
        assert found.outputs["t"].to_list() == ["1", "2"]

    def test_a_block_with_kwargs_receives_what_nothing_else_takes(self, tmp_path: Path) -> None:
        def rest(first: int, **others: Any) -> Any:
            return first, others

        assert run(tmp_path, [rest], {"first": 1, "b": 2, "c": 3}).outputs["rest"] == (1, {"b": 2, "c": 3})

    def test_scopes_may_be_given_nested(self, tmp_path: Path) -> None:
        scoped = block(lambda x: x * 2, name="scoped", mapspec="foo.x[i] -> bar.y[i]", renames={"x": "foo.x"})
        assert run(tmp_path, [scoped], {"foo": {"x": [1, 2]}}).outputs["bar.y"] == [2, 4]

    def test_two_axes_partial_reduction_and_arrays(self, tmp_path: Path) -> None:
        def row_sum(z: np.ndarray) -> Any:
            return z.sum()

        def total(r: np.ndarray) -> float:
            return float(r.sum())

        found = run(
            tmp_path,
            [
                block(lambda x, w: x * w, name="outer", mapspec="x[i], w[j] -> z[i, j]"),
                block(row_sum, mapspec="z[i, :] -> r[i]"),
                total,
            ],
            {"x": np.arange(3), "w": [1, 2]},
        )
        assert found.outputs["total"] == 9.0
        assert found.outputs["z"].shape == (3, 2)
        assert found.outputs["z"][2] == [2, 4]
        assert found.outputs["z"][-1, 1] == 4
        assert (found.outputs["z"].to_numpy() == np.outer(np.arange(3), [1, 2])).all()

    def test_inner_and_swapped_axes_come_back_from_disk(self, tmp_path: Path) -> None:
        inner = block(lambda x: [x, x + 1, x + 2], name="inner", mapspec="x[i] -> y[i, j]")
        swapped = block(lambda x: [x, x + 1, x + 2], name="swapped", mapspec="x[i] -> v[j, i]")
        doubled = block(lambda y: y * 2, name="doubled", mapspec="y[i, j] -> q[i, j]")
        found = run(tmp_path, [inner, swapped, doubled], {"x": [1, 2]})
        assert found.outputs["q"].to_list() == [[2, 4, 6], [4, 6, 8]]
        assert (found.outputs["v"].shape, found.outputs["v"][2, 1]) == ((3, 2), 4)

    def test_an_empty_map_completes(self, tmp_path: Path) -> None:
        numbers = block(lambda k: list(range(k)), name="numbers")
        found = run(
            tmp_path,
            [numbers, block(lambda n: n, name="same", mapspec="numbers[i] -> h[i]", renames={"n": "numbers"})],
            {"k": 0},
        )
        assert (found.status, found.outputs["h"].to_list()) == ("completed", [])
        assert found.status_object()["all_complete"] is True

    def test_without_a_folder_nothing_is_kept_and_all_is_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        found = Pipeline("tried", [not_two]).run({"x": [1, 2]}, run_folder=None)
        assert (found.run_folder, found.status, found.outputs["y"][0]) == (None, "degraded", 1)
        assert found.errors[0].element == 1
        assert list(tmp_path.iterdir()) == []


class TestRefusals:
    @pytest.mark.parametrize(
        "settings",
        [
            {"timeout": -1},
            {"cache": True},
            {"executor": "dask"},
            {"timeout": 5, "executor": "inline"},
            {"timeout": 5, "executor": "threads"},
            {"retires": 2},
            {"on_error": "stop"},
        ],
    )
    def test_settings_without_effect_or_sense_are_refused(self, settings: dict[str, Any]) -> None:
        with pytest.raises(SettingError):
            Pipeline("tried", [five]).run(run_folder=None, **settings)

    def test_lengths_that_do_not_fit_are_refused_before_the_run(self, tmp_path: Path) -> None:
        zipped = block(lambda x, w: x, name="zipped", mapspec="x[i], w[i] -> y[i]")
        with pytest.raises(InputError, match="2 elements in 'x' and 3 in 'w'"):
            Pipeline("tried", [zipped]).run({"x": [1, 2], "w": [1, 2, 3]}, run_folder=tmp_path / "run")
        assert not (tmp_path / "run").exists()

    def test_a_folder_with_a_run_is_not_touched(self, tmp_path: Path) -> None:
        Pipeline("tried", [five]).run(run_folder=tmp_path / "run")
        before = (tmp_path / "run" / "run.json").read_bytes()
        with pytest.raises(InputError, match="already"):
            Pipeline("tried", [six, five]).run(run_folder=tmp_path / "run")
        assert (tmp_path / "run" / "run.json").read_bytes() == before


class TestAsync:
    def test_a_run_can_be_awaited_beside_others_and_inside_a_running_loop(self, tmp_path: Path) -> None:
        pipeline = Pipeline("tried", [five])

        async def several() -> list[Run]:
            pipeline.run(run_folder=tmp_path / "inside")
            return await asyncio.gather(*(wait(pipeline.run_async(run_folder=tmp_path / f"r{n}")) for n in range(4)))

        async def wait(handle: Any) -> Run:
            found: Run = await handle
            return found

        assert [found.status for found in asyncio.run(several())] == ["completed"] * 4

    def test_cancelling_stops_at_the_next_element_and_keeps_the_others(self, tmp_path: Path) -> None:
        slow = block(lambda x: time.sleep(0.01) or x, name="slow", mapspec="x[i] -> y[i]")
        handle = Pipeline("tried", [slow, block(lambda y: y, name="last")]).map_async(
            {"x": list(range(5000))}, run_folder=tmp_path / "run"
        )
        time.sleep(0.2)
        handle.cancel()
        with pytest.raises(RunFailed) as caught:
            handle.result(20)
        found = caught.value.run
        assert (found.status, found.blocks) == ("cancelled", {"slow": "cancelled", "last": "cancelled"})
        done = found.status_object()["progress"]["done"]
        assert 0 < done < 5000
        assert found.outputs["y"][0] == 0

    def test_cancelling_the_waiting_task_cancels_the_run(self, tmp_path: Path) -> None:
        slow = block(lambda x: time.sleep(0.01) or x, name="slow", mapspec="x[i] -> y[i]")
        handle = Pipeline("tried", [slow]).run_async({"x": list(range(5000))}, run_folder=tmp_path / "run")

        async def wait_a_little() -> None:
            async def wait() -> None:
                await handle

            task = asyncio.create_task(wait())
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(wait_a_little())
        with pytest.raises(RunFailed):
            handle.result(20)
        assert runstone.open(tmp_path / "run").status == "cancelled"


class TestRecords:
    def test_the_same_run_opens_from_disk(self, tmp_path: Path) -> None:
        made = run(tmp_path, [not_two], {"x": [1, 2, 3]})
        assert made.run_folder is not None
        opened = runstone.open(made.run_folder)
        assert type(opened) is Run
        assert (opened.id, opened.status, opened.graph_name) == (made.id, "degraded", "tried")
        assert opened.outputs["y"][2] == 3
        assert opened.params["x"] == [1, 2, 3]
        with pytest.raises(ValueError, match="two"):
            opened.errors[0].reproduce()

    def test_ids_and_their_beginnings_find_runs_below_runs(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        made = Pipeline("tried", [five]).run()
        assert Path(made.run_folder or "") == tmp_path / "runs" / f"tried-{made.id[:8]}"
        for name in (made.id, made.id[:8], made.id[:5], f"tried-{made.id[:8]}"):
            assert runstone.open(name).id == made.id
        with pytest.raises(RunNotFound):
            runstone.open("nothing-like-it")

    def test_artifacts_are_kept_with_what_they_are(self, tmp_path: Path) -> None:
        def report() -> str:
            (tmp_path / "report.md").write_text("# done")
            return artifact(tmp_path / "report.md", metadata={"pages": 1}).path

        found = run(tmp_path, [report])
        (saved,) = found.list_artifacts()
        assert (saved.artifact_type, saved.content_type, saved.size_bytes) == ("report", "text/markdown", 6)
        assert saved.metadata == {"pages": 1}
        assert Path(found.run_folder or "", found.outputs["report"]).read_text() == "# done"

    def test_an_artifact_outside_of_a_block_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(RunError, match="inside a block"):
            artifact(tmp_path / "x")

    def test_a_block_that_changes_folder_does_not_lose_the_run(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        before = os.getcwd()

        def moves() -> None:
            os.chdir("/")

        found = Pipeline("tried", [moves, five]).run(run_folder="here")
        os.chdir(before)
        assert found.status == "completed"
        assert (tmp_path / "here" / "manifest.json").is_file()
