"""`cache=True`: results of earlier runs are taken where code and inputs are the same, and the record tells so."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import apsw
import pytest

import runstone
from runstone import Pipeline, block
from runstone.cache import contents, place
from runstone.cache.store import Store
from runstone.core.causes import Cause
from runstone.errors import SettingError
from runstone.folder.read import read_run
from runstone.folder.why import explain


def _note(path: str, what: Any) -> None:
    with open(path, "a") as file:
        file.write(f"{what}\n")


def calls(folder: Path) -> list[str]:
    """What was called since this was asked last."""
    file = folder / "calls.txt"
    found = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return sorted(found)


@dataclasses.dataclass(frozen=True)
class Point:
    x: int


@block(output="y", mapspec="x[i] -> y[i]")
def double(x: Any, file: str) -> Any:
    _note(file, f"double {x}")
    if x == 13:
        raise ValueError("unlucky")
    return x * 2


@block(output="total")
def total(y: list[Any], file: str) -> Any:
    _note(file, "total")
    return sum(y)


@block(output=("large", "small"))
def several(total: int, file: str) -> Any:
    _note(file, "several")
    return ["z" * 1000] * total * 1000, Point(total)


chain = Pipeline("chain", [double, total, several])


def run(folder: Path, x: Any, pipeline: Pipeline = chain, **settings: Any) -> runstone.Run:
    return pipeline.run({"x": x, "file": str(folder / "calls.txt")}, **{"cache": True, **settings})


def statuses(run: runstone.Run) -> dict[str, str]:
    state = read_run(str(run.run_folder)).state
    return {name: block.status.value for name, block in state.blocks.items()}


class TestReuse:
    def test_a_second_run_computes_nothing_and_has_the_same_outputs(self, tmp_path: Path) -> None:
        first = run(tmp_path, [1, 2, 3])
        assert len(calls(tmp_path)) == 5
        second = run(tmp_path, [1, 2, 3])
        assert calls(tmp_path) == []
        assert statuses(second) == dict.fromkeys(("double", "total", "several"), "reused")
        for name in ("y", "total", "large", "small"):
            assert second.outputs[name] == first.outputs[name]
        assert type(second.outputs["small"]) is Point

    @pytest.mark.parametrize("executor", ["inline", "threads", "processes", "auto"])
    def test_every_executor_takes_and_keeps(self, tmp_path: Path, executor: str) -> None:
        run(tmp_path, [1, 2, 3], executor=executor)
        calls(tmp_path)
        found = run(tmp_path, [3, 4, 1], executor=executor)
        assert calls(tmp_path) == ["double 4", "several", "total"]
        assert (list(found.outputs["y"]), found.outputs["total"]) == ([6, 8, 2], 16)

    def test_an_executor_of_somebody_else_does_too(self, tmp_path: Path) -> None:
        with ThreadPoolExecutor(2) as pool:
            run(tmp_path, [1, 2, 3], executor=pool)
            calls(tmp_path)
            found = run(tmp_path, [3, 4, 1], executor=pool)
        assert calls(tmp_path) == ["double 4", "several", "total"]
        assert list(found.outputs["y"]) == [6, 8, 2]

    def test_async_blocks_do_too(self, tmp_path: Path) -> None:
        @block(output="y", mapspec="x[i] -> y[i]")
        async def slow(x: int, file: str) -> int:
            _note(file, f"slow {x}")
            return x + 1

        pipeline = Pipeline("asynchronous", [slow])
        run(tmp_path, [1, 2], pipeline)
        calls(tmp_path)
        assert list(run(tmp_path, [2, 3, 1], pipeline).outputs["y"]) == [3, 4, 2]
        assert calls(tmp_path) == ["slow 3"]

    def test_failed_elements_are_computed_again_and_the_others_are_not(self, tmp_path: Path) -> None:
        run(tmp_path, [1, 13, 3], raise_on_error=False, on_error="continue")
        calls(tmp_path)
        found = run(tmp_path, [1, 13, 3], raise_on_error=False)
        assert calls(tmp_path) == ["double 13"]
        assert statuses(found)["double"] == "failed"

    def test_what_a_run_that_was_killed_has_recorded_counts(self, tmp_path: Path) -> None:
        with pytest.raises(runstone.RunFailed):
            run(tmp_path, [1, 2, 13])
        calls(tmp_path)
        run(tmp_path, [1, 2, 3])
        assert calls(tmp_path) == ["double 3", "several", "total"]

    def test_two_axes_inner_axes_and_several_outputs(self, tmp_path: Path) -> None:
        @block(output=("s", "parts"), mapspec="x[i], w[j] -> s[i, j, k], parts[i, j, k]")
        def cross(x: int, w: str, file: str) -> tuple[list[str], list[int]]:
            _note(file, f"{w}{x}")
            return [f"{w}{x}", ""], [x, x + 1]

        pipeline = Pipeline("crossing", [cross])
        params = {"x": [1, 2], "w": ["a", "b"], "file": str(tmp_path / "calls.txt")}
        first = pipeline.run(params, cache=True)
        calls(tmp_path)
        second = pipeline.run(params, cache=True)
        assert (calls(tmp_path), statuses(second)) == ([], {"cross": "reused"})
        assert second.outputs["parts"].shape == (2, 2, 2)
        third = pipeline.run({**params, "x": [2, 3]}, cache=True)
        assert calls(tmp_path) == ["a3", "b3"]
        assert third.outputs["s"].to_list() == [[["a2", ""], ["b2", ""]], [["a3", ""], ["b3", ""]]]
        assert first.outputs["parts"].to_list() == second.outputs["parts"].to_list()

    def test_blocks_of_another_pipeline_with_the_same_code_share_results(self, tmp_path: Path) -> None:
        run(tmp_path, [1, 2])
        calls(tmp_path)
        run(tmp_path, [1, 2], Pipeline("other", [double, total]))
        assert calls(tmp_path) == []

    def test_the_nearest_setting_wins(self, tmp_path: Path) -> None:
        pipeline = Pipeline("mixed", [block(output="y", mapspec="x[i] -> y[i]", cache=False)(double.function), total])
        run(tmp_path, [1], pipeline)
        calls(tmp_path)
        run(tmp_path, [1], pipeline)
        assert calls(tmp_path) == ["double 1"]

    def test_without_it_there_is_no_cache(self, tmp_path: Path) -> None:
        run(tmp_path, [1, 2], cache=None)
        assert not (tmp_path / ".runstone").exists()

    def test_a_run_that_is_not_kept_takes_nothing_and_cannot_be_asked_to(self, tmp_path: Path) -> None:
        with pytest.raises(SettingError, match="run_folder=None"):
            run(tmp_path, [1], run_folder=None)
        cached = Pipeline("cached", [double, total], cache=True)
        run(tmp_path, [1], cached, run_folder=None, cache=None)
        assert not (tmp_path / ".runstone").exists()

    def test_a_run_that_is_gone_on_with_asks_the_cache_for_the_rest(self, tmp_path: Path) -> None:
        run(tmp_path, [1, 2, 3])
        run(tmp_path, [7, 13], raise_on_error=False, run_folder=tmp_path / "run")
        calls(tmp_path)
        found = run(tmp_path, [7, 3], run_folder=tmp_path / "run", resume=True)
        assert calls(tmp_path) == ["several", "total"]
        assert list(found.outputs["y"]) == [14, 6]

    def test_an_empty_array_is_no_trouble(self, tmp_path: Path) -> None:
        run(tmp_path, [])
        assert list(run(tmp_path, []).outputs["y"]) == []

    def test_runs_that_took_results_are_whole_without_those_they_took_from(self, tmp_path: Path) -> None:
        import shutil

        first = run(tmp_path, [1, 2, 3])
        second = run(tmp_path, [1, 2, 3])
        shutil.rmtree(str(first.run_folder))
        shutil.rmtree(tmp_path / ".runstone")
        found = runstone.open(str(second.run_folder))
        assert (list(found.outputs["y"]), len(found.outputs["large"])) == ([2, 4, 6], 12000)


class TestKeys:
    @pytest.mark.parametrize("other", [True, 1.0, "1", (1,), [1], None])
    def test_values_that_only_look_alike_are_others(self, tmp_path: Path, other: Any) -> None:
        @block(output="y")
        def told(x: Any) -> str:
            return repr(x)

        pipeline = Pipeline("told", [told])
        pipeline.run({"x": 1}, cache=True)
        assert pipeline.run({"x": other}, cache=True).outputs["y"] == repr(other)

    def test_a_version_stands_for_one_function_and_not_for_another_one(self, tmp_path: Path) -> None:
        @block(output="y", version="1")
        def more(x: int) -> int:
            return x + 1

        @block(output="y", version="1")
        def less(x: int) -> int:
            return x - 1

        found = [Pipeline("any", [each]).run({"x": 5}, cache=True).outputs["y"] for each in (more, less, more)]
        assert found == [6, 4, 6]

    def test_the_same_code_beside_other_files_is_other_code(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import importlib
        import sys

        text = "import os\n\ndef place():\n    return os.path.basename(os.path.splitext(__file__)[0])\n"
        monkeypatch.syspath_prepend(str(tmp_path))
        for name in ("here", "there"):
            (tmp_path / f"{name}.py").write_text(text)
            function = importlib.import_module(name).place
            made = Pipeline("places", [block(output="y")(function)]).run({}, cache=True)
            assert made.outputs["y"] == name
            del sys.modules[name]

    def test_sets_and_objects_of_the_project_are_the_same_in_every_process(self, tmp_path: Path) -> None:
        from tests import scripts

        scripts.write(
            tmp_path / "job.py",
            """
            import dataclasses, sys
            from runstone import Pipeline, block

            @dataclasses.dataclass
            class Place:
                name: str

            @block(output="y")
            def count(names, place):
                print("called")
                return len(names)

            Pipeline("names", [count]).run({"names": {"a", "b", "c", "dd"}, "place": Place("x")}, cache=True)
            """,
        )
        said = [scripts.python("job.py", cwd=tmp_path, RUNSTONE_LEDGER="none") for _ in range(3)]
        assert [each.stdout for each in said] == ["called\n", "", ""], said

    def test_what_cannot_be_compared_is_computed_and_why_says_so(self, tmp_path: Path) -> None:
        class Odd:
            def __reduce__(self) -> Any:
                return Odd, ()

            __slots__ = ("__weakref__", "held")

            def __init__(self) -> None:
                self.held = iter(())

        @block(output="y")
        def ask(x: Any, file: str) -> int:
            _note(file, "asked")
            return 1

        @block(output="x")
        def make(file: str) -> Any:
            return Odd()

        for _ in range(2):
            found = Pipeline("odd", [make, ask]).run({"file": str(tmp_path / "calls.txt")}, cache=True)
        assert calls(tmp_path) == ["asked", "asked"]
        assert "input x cannot be compared" in str(explain(str(found.run_folder), "ask"))

    def test_artifacts_would_be_missing_so_such_results_are_not_kept(self, tmp_path: Path) -> None:
        @block(output="y")
        def save(x: int, file: str) -> int:
            _note(file, "save")
            runstone.artifact(file, name="calls.txt")
            return x

        pipeline = Pipeline("saving", [save])
        for _ in range(2):
            found = run(tmp_path, 1, pipeline)
            assert calls(tmp_path) == ["save"]
        assert "artifacts" in read_run(str(found.run_folder)).state.warnings[0].message


class TestTelling:
    def test_the_record_says_which_run_computed_what(self, tmp_path: Path) -> None:
        first = run(tmp_path, [1, 2, 3])
        second = run(tmp_path, [1, 2, 9])
        third = run(tmp_path, [9, 1])
        state = read_run(str(second.run_folder)).state.blocks["double"]
        assert (state.status.value, state.cache and state.cache.found, state.adopted_from) == (
            "completed",
            2,
            first.run_id,
        )
        assert f"reused from run {first.run_id[:8]}" in str(explain(str(third.run_folder), "double", 1))
        assert f"reused from run {second.run_id[:8]}" in str(explain(str(third.run_folder), "double", 0))
        told = explain(str(second.run_folder), "double")
        assert (told.reuse[0].reused, told.reuse[0].computed) == (2, 1)
        assert "input x of 1 element is new" in told.answer
        assert "input x is new" in explain(str(second.run_folder), "double", 2).answer
        assert "input y changed" in explain(str(second.run_folder), "total").answer

    def test_a_parameter_of_the_run_is_told_from_an_output_of_a_block(self, tmp_path: Path) -> None:
        @block(output="price", renames={"amount": "given"})
        def priced(amount: int, rate: int) -> int:
            return amount * rate

        @block(output="bill", renames={"total": "price"})
        def billed(total: int) -> int:
            return total + 1

        shop = Pipeline("shop", [priced, billed], cache=True)
        shop.run({"given": 1, "rate": 2})
        folder = str(shop.run({"given": 3, "rate": 2}).run_folder)
        assert explain(folder, "priced").answer.endswith(": parameter amount changed")
        assert explain(folder, "billed").answer.endswith(": input total changed")
        (why,) = explain(folder, "billed").reuse[0].why
        assert (why.cause, why.subject) == (Cause.INPUT, "total")

    def test_the_part_of_the_code_that_changed_is_named(self, tmp_path: Path) -> None:
        def of(rate: int) -> Pipeline:
            def scale(x: int) -> int:
                return x * rate

            @block(output="y", mapspec="x[i] -> y[i]")
            def price(x: int) -> int:
                return scale(x) + 1

            return Pipeline("shop", [price])

        of(1).run({"x": [1, 2]}, cache=True)
        found = of(2).run({"x": [1, 2]}, cache=True)
        (why, *_) = explain(str(found.run_folder), "price").reuse[0].why
        assert why.cause == Cause.CODE
        assert "scale" in why.subject

    def test_a_first_run_says_that_there_was_nothing(self, tmp_path: Path) -> None:
        found = run(tmp_path, [1])
        assert "the cache has nothing of it" in explain(str(found.run_folder), "double").answer

    def test_what_was_evicted_is_told_apart_from_what_is_new(self, tmp_path: Path) -> None:
        from runstone.cache import pruning

        run(tmp_path, [1])
        run(tmp_path, [2])
        store = Store(place.folder_of("default"))
        with store.writing() as connection:
            connection.execute("DELETE FROM entry").fetchall()
        found = run(tmp_path, [1])
        assert "not in the cache any more" in explain(str(found.run_folder), "double", 0).answer
        assert pruning.remove_all(store).bytes > 0


class TestOutOfOrder:
    def _twice(self, tmp_path: Path, spoil: Callable[[Path], None]) -> runstone.Run:
        first = run(tmp_path, [1, 2, 3])
        calls(tmp_path)
        Store(place.folder_of("default")).close()
        from runstone.engine.caching import run_cache

        for store in run_cache._shared.values():
            store.close()
        spoil(tmp_path / ".runstone" / "cache" / "default")
        second = run(tmp_path, [1, 2, 3])
        assert len(calls(tmp_path)) == 5
        assert second.outputs["total"] == first.outputs["total"]
        return second

    def _warnings(self, run: runstone.Run) -> list[str]:
        return [each.message for each in read_run(str(run.run_folder)).state.warnings]

    def test_garbage_in_its_place_is_one_warning(self, tmp_path: Path) -> None:
        def spoil(folder: Path) -> None:
            (folder / "results.db").write_bytes(os.urandom(100_000))

        (said,) = self._warnings(self._twice(tmp_path, spoil))
        assert "damaged" in said
        assert "runstone cache rm --all" in said

    def test_damaged_pieces_are_computed_again_without_a_word(self, tmp_path: Path) -> None:
        def spoil(folder: Path) -> None:
            for file in (folder / "large").iterdir():
                data = bytearray(file.read_bytes())
                data[len(data) // 2] ^= 1
                file.write_bytes(data)
            connection = apsw.Connection(str(folder / "results.db"))
            for piece, data in connection.execute("SELECT piece, data FROM content").fetchall():
                torn = bytearray(data)  # type: ignore[arg-type]
                torn[-1] ^= 1
                connection.execute("UPDATE content SET data = ? WHERE piece = ?", (bytes(torn), piece)).fetchall()
            connection.close()

        assert self._warnings(self._twice(tmp_path, spoil)) == []
        # and kept anew
        run(tmp_path, [1, 2, 3])
        assert calls(tmp_path) == []

    def test_rows_that_point_to_the_wrong_place_are_found_out(self, tmp_path: Path) -> None:
        def spoil(folder: Path) -> None:
            connection = apsw.Connection(str(folder / "results.db"))
            connection.execute("UPDATE entry SET position = (position + 1) % 3").fetchall()
            connection.close()

        self._twice(tmp_path, spoil)

    def test_a_folder_that_may_not_be_written_is_one_warning(self, tmp_path: Path) -> None:
        (tmp_path / ".runstone").mkdir()
        (tmp_path / ".runstone" / "cache").write_text("in the way")
        found = run(tmp_path, [1, 2])
        assert (found.status, found.outputs["total"]) == ("completed", 6)
        assert len(self._warnings(found)) == 1

    def test_a_cache_that_others_may_write_is_not_opened(self, tmp_path: Path) -> None:
        def spoil(folder: Path) -> None:
            folder.chmod(0o777)

        (said,) = self._warnings(self._twice(tmp_path, spoil))
        assert "other users" in said

    def test_a_cache_that_another_process_holds_is_one_warning(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("runstone.cache.database.PATIENCE", 0.1)
        run(tmp_path, [1])
        calls(tmp_path)
        holder = apsw.Connection(str(tmp_path / ".runstone/cache/default/results.db"))
        from runstone.engine.caching import run_cache

        for store in run_cache._shared.values():
            store.close()
        holder.execute("BEGIN EXCLUSIVE").fetchall()
        found = run(tmp_path, [1, 2])
        holder.execute("ROLLBACK").fetchall()
        holder.close()
        assert found.outputs["total"] == 6
        assert len(self._warnings(found)) == 1

    def test_one_that_was_removed_meanwhile_is_made_anew(self, tmp_path: Path) -> None:
        import shutil

        run(tmp_path, [1])
        shutil.rmtree(tmp_path / ".runstone")
        assert self._warnings(run(tmp_path, [1])) == []
        calls(tmp_path)
        run(tmp_path, [1])
        assert calls(tmp_path) == []

    def test_limits_that_cannot_be_read_are_refused_before_anything_runs(self, tmp_path: Path) -> None:
        for line in ('max_age = "soon"', 'max_size = "much"', "max_size = -1", 'max_aeg = "30d"'):
            (tmp_path / "runstone.toml").write_text(f"[cache]\n{line}\n")
            with pytest.raises(SettingError, match=r"max_|soon|much"):
                run(tmp_path, [1])
        assert calls(tmp_path) == []


class TestLimits:
    def test_what_is_too_old_is_not_taken_and_goes(self, tmp_path: Path) -> None:
        run(tmp_path, [1, 2])
        store = Store(place.folder_of("default"))
        with store.writing() as connection:
            connection.execute("UPDATE piece SET made = made - 3600").fetchall()
        calls(tmp_path)
        (tmp_path / "runstone.toml").write_text('[cache]\nmax_age = "2h"\n')
        run(tmp_path, [1, 2])
        assert calls(tmp_path) == []
        (tmp_path / "runstone.toml").write_text('[cache]\nmax_age = "30min"\n')
        run(tmp_path, [1, 2])
        assert len(calls(tmp_path)) == 4
        assert sum(each.entries for each in contents.stages(store)) == 4

    def test_what_was_not_taken_for_longest_goes_first(self, tmp_path: Path) -> None:
        @block(output="y")
        def blob(x: int, file: str) -> bytes:
            _note(file, f"blob {x}")
            return os.urandom(100_000)

        pipeline = Pipeline("blobs", [blob])
        (tmp_path / "runstone.toml").write_text('[cache]\nmax_size = "500 kB"\n')
        for number in range(8):
            run(tmp_path, number, pipeline)
            run(tmp_path, 0, pipeline)
        calls(tmp_path)
        run(tmp_path, 0, pipeline)
        run(tmp_path, 7, pipeline)
        assert calls(tmp_path) == []
        run(tmp_path, 1, pipeline)
        assert calls(tmp_path) == ["blob 1"]
        assert sum(each.bytes for each in contents.stages(Store(place.folder_of("default")))) <= 500_000

    def test_many_small_results_take_few_files(self, tmp_path: Path) -> None:
        @block(output="y", mapspec="x[i] -> y[i]")
        def same(x: int) -> int:
            return x

        Pipeline("many", [same]).run({"x": list(range(10_000))}, cache=True)
        files = [file for file in (tmp_path / ".runstone").rglob("*") if file.is_file()]
        assert len(files) <= 4
        assert sum(file.stat().st_size for file in files) < 3_000_000


class TestWorkspaces:
    def test_one_does_not_come_by_the_results_of_another(self, tmp_path: Path) -> None:
        run(tmp_path, [1, 2], workspace="acme")
        calls(tmp_path)
        run(tmp_path, [1, 2])
        assert len(calls(tmp_path)) == 4
        run(tmp_path, [1, 2], workspace="acme")
        assert calls(tmp_path) == []

    def test_one_that_is_deleted_leaves_nothing_to_one_of_the_same_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from runstone.workspace.sync import WorkspaceManager

        monkeypatch.delenv("RUNSTONE_LEDGER")
        manager = WorkspaceManager()
        manager.create("acme")
        run(tmp_path, [1, 2], workspace="acme")
        manager.delete("acme")
        manager.create("acme")
        calls(tmp_path)
        run(tmp_path, [1, 2], workspace="acme")
        assert len(calls(tmp_path)) == 4


class TestSecrets:
    TEXT = "sesame-opens-the-cave"

    def test_a_secret_counts_and_is_nowhere_in_the_cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        @block(output="y")
        def ask(token: str, file: str) -> int:
            _note(file, "asked")
            return len(token)

        pipeline = Pipeline("asking", [ask])
        params = {"token": runstone.Secret("env:CAVE"), "file": str(tmp_path / "calls.txt")}
        for value, expected in ((self.TEXT, ["asked"]), (self.TEXT, []), (f"{self.TEXT}!", ["asked"])):
            monkeypatch.setenv("CAVE", value)
            pipeline.run(params, cache=True)
            assert calls(tmp_path) == expected
        self._is_nowhere(tmp_path)

    def test_neither_is_one_that_tracked_code_was_given(self, tmp_path: Path) -> None:
        (tmp_path / "runstone.toml").write_text('[secrets]\nnames = ["*token*"]\n')
        for kind in (runstone.Secret(self.TEXT), self.TEXT):
            for _ in range(2):
                runstone.track.windows([[1]], len, cache=True, params={"token": kind}, inputs={"my_token": self.TEXT})
        self._is_nowhere(tmp_path)

    def _is_nowhere(self, folder: Path) -> None:
        import hashlib

        from runstone.engine.caching import run_cache
        from runstone.engine.value_digests import Digests

        for store in run_cache._shared.values():
            store.close()
        bare = Digests().of(self.TEXT)
        assert bare is not None
        telling = [
            self.TEXT.encode(),
            bare,
            bare.hex().encode(),
            hashlib.sha256(self.TEXT.encode()).hexdigest().encode(),
        ]
        files = [file for file in (folder / ".runstone" / "cache").rglob("*") if file.is_file()]
        assert files
        for file in files:
            data = file.read_bytes()
            assert not any(each in data for each in telling), file
