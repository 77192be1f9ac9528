"""Results of tracked code: `track.windows(..., cache=True)`, and `t.cached`, `t.load()`, `t.save()`."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from runstone import track
from runstone.cache import contents, place
from runstone.cache.store import Store
from runstone.core.tracked import TrackedState
from runstone.engine.track import complaints, journals
from runstone.errors import RunError
from runstone.folder import track_reading
from tests import scripts


@pytest.fixture(autouse=True)
def _said_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(complaints, "_said", set())


def outcomes(folder: Path) -> list[tuple[str, str, str | None]]:
    """Of every tracked run, in order: its stage, its status, and whether its result was taken from another one."""
    found = sorted(states(folder), key=lambda each: each.created_at)
    return [(each.stage, each.status.value, each.reused_from) for each in found]


def states(folder: Path) -> list[TrackedState]:
    """How every tracked run stands."""
    journals.leave()
    survey = track_reading.survey(str(folder), lambda path, why: None)
    files = sorted((folder / ".runstone" / "track").glob("*.jsonl"))
    return [each.state for file in files for each in track_reading.runs(str(file), survey)]


def said(capfd: pytest.CaptureFixture[str]) -> str:
    return capfd.readouterr().err


def last_look(process: Any) -> list[str]:
    """Why nothing was found for the last of some windows."""
    look = contents.last_look(Store(place.folder_of("default")), f"windows/{process.__qualname__}")
    assert look is not None
    return [str(why) for miss in look.misses for why in miss.why]


class TestWindows:
    def test_only_windows_that_are_new_or_changed_are_computed(self, tmp_path: Path) -> None:
        calls = open(tmp_path / "calls", "a+")  # noqa: SIM115  # an open file is what the function closes over
        name = calls.name
        calls.close()

        def process(rows: list[int]) -> int:
            with open(name, "a") as file:
                file.write(f"{rows}\n")
            return sum(rows)

        def called() -> list[str]:
            text = Path(name).read_text()
            Path(name).write_text("")
            return text.splitlines()

        items = [[1, 2], [3], [4, 5, 6]]
        assert track.windows(items, process, cache=True) == [3, 3, 15]
        assert len(called()) == 3
        assert track.windows(items, process, cache=True) == [3, 3, 15]
        assert called() == []
        assert track.windows([[3], [1, 2, 9], [4, 5, 6], [7]], process, cache=True) == [3, 12, 15, 7]
        assert called() == ["[1, 2, 9]", "[7]"]
        assert track.windows(items, process) == [3, 3, 15]
        assert len(called()) == 3

    def test_a_run_says_that_its_result_was_taken_and_from_which(self, tmp_path: Path) -> None:
        def process(rows: list[int]) -> int:
            return sum(rows)

        track.windows([[1], [2]], process, cache=True)
        first = {each.stage: each.run_id for each in states(tmp_path)}
        track.windows([[1], [2]], process, cache=True)
        reused = [each for each in outcomes(tmp_path) if each[2]]
        assert reused == [("window_0", "completed", first["window_0"]), ("window_1", "completed", first["window_1"])]

    def test_windows_that_failed_are_computed_again(self, tmp_path: Path) -> None:
        (tmp_path / "broken").touch()

        def process(rows: list[int]) -> int:
            if 2 in rows and os.path.exists("broken"):
                raise ValueError("broken")
            return len(rows)

        with pytest.raises(ValueError, match="broken"):
            track.windows([[1], [2]], process, cache=True)
        (tmp_path / "broken").unlink()
        assert track.windows([[1], [2]], process, cache=True) == [1, 1]
        assert [bool(taken) for _, _, taken in outcomes(tmp_path)] == [False, False, True, False]

    def test_of_coroutine_functions_too(self, tmp_path: Path) -> None:
        async def process(rows: list[int]) -> int:
            await asyncio.sleep(0)
            return sum(rows)

        for _ in range(2):
            assert asyncio.run(track.windows([[1], [2]], process, cache=True)) == [1, 2]  # type: ignore[arg-type]
        assert [bool(taken) for _, _, taken in outcomes(tmp_path)] == [False, False, True, True]

    def test_parameters_count(self, tmp_path: Path) -> None:
        def process(rows: list[int]) -> int:
            return sum(rows)

        for rate in (1, 2, 1):
            track.windows([[1]], process, cache=True, params={"rate": rate})
        assert [bool(taken) for _, _, taken in outcomes(tmp_path)] == [False, False, True]

    def test_a_workspace_does_not_come_by_the_results_of_another(self, tmp_path: Path) -> None:
        def process(rows: list[int]) -> int:
            return sum(rows)

        for workspace in ("acme", "other", "acme"):
            track.windows([[1]], process, cache=True, workspace=workspace)
        assert [bool(taken) for _, _, taken in outcomes(tmp_path)] == [False, False, True]

    def test_what_cannot_be_stored_is_said_once_and_returned(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        def process(rows: list[int]) -> Any:
            return (each for each in rows)

        for _ in range(2):
            assert [list(each) for each in track.windows([[1], [2]], process, cache=True)] == [[1], [2]]
        assert said(capfd).count("is not cached") == 1

    def test_what_would_come_back_as_another_thing_is_not_kept(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        def process(rows: list[int]) -> Any:
            # an open file
            return [sys.__stdin__]

        for _ in range(2):
            assert track.windows([[1], [2]], process, cache=True) == [[sys.__stdin__]] * 2
        (line,) = [each for each in said(capfd).splitlines() if "is not cached" in each]
        assert line.endswith("open file would come back as a copy of its text (at value[0])")

    def test_what_changed_of_the_same_item_is_named(self, tmp_path: Path) -> None:
        def process(rows: list[int]) -> int:
            return sum(rows)

        items = [[1], [2], [3]]
        track.windows(items, process, cache=True, inputs={"m": 1})
        track.windows(items, process, cache=True, inputs={"m": 2})
        assert last_look(process) == ["input m changed"]
        track.windows(items, process, cache=True, inputs={"m": 2}, params={"rate": 1})
        assert last_look(process) == ["parameter rate is new"]
        track.windows(items, process, cache=True, inputs={"m": 3}, params={"rate": 2})
        assert last_look(process) == ["input m changed", "parameter rate changed"]
        track.windows([[4]], process, cache=True, inputs={"m": 3}, params={"rate": 2})
        assert last_look(process) == ["input item changed"]

    @pytest.mark.parametrize("wrong", ["no", 1])
    def test_what_does_not_say_whether_to_cache_is_told_once_and_nothing_is_cached(
        self, wrong: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        def process(rows: list[int]) -> int:
            return sum(rows)

        async def awaited(rows: list[int]) -> int:
            return sum(rows)

        for _ in range(2):
            assert track.windows([[1], [2]], process, cache=wrong) == [1, 2]
            assert asyncio.run(track.windows([[1], [2]], awaited, cache=wrong)) == [1, 2]
        assert [taken for _, _, taken in outcomes(tmp_path)] == [None] * 8
        (line,) = said(capfd).splitlines()
        assert line == f"runstone: track.windows(cache={wrong!r}) caches nothing: write True or False"

    def test_a_cache_that_cannot_be_used_is_one_line_and_the_work_goes_on(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / ".runstone").mkdir()
        (tmp_path / ".runstone" / "cache").write_text("in the way")

        def process(rows: list[int]) -> int:
            return sum(rows)

        assert track.windows([[1], [2]], process, cache=True) == [1, 2]
        (line,) = [each for each in said(capfd).splitlines() if "cache" in each]
        assert "nothing is taken from it" in line

    def test_a_limit_that_cannot_be_read_is_one_line_and_the_work_goes_on(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "runstone.toml").write_text('[cache]\nmax_age = "soon"\n')
        assert track.windows([[1], [2]], sum, cache=True) == [1, 2]
        assert "'soon'" in said(capfd)

    def test_a_current_folder_that_is_gone_is_one_line_and_the_work_goes_on(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        with track("before"):
            pass
        gone = tmp_path / "gone"
        gone.mkdir()
        monkeypatch.chdir(gone)
        gone.rmdir()
        assert track.windows([[1], [2]], sum, cache=True) == [1, 2]
        with track("inside", inputs=1) as t:
            assert not t.cached
        assert said(capfd).splitlines() == [
            "runstone: nothing is cached: the current folder is gone; go to one that exists"
        ]


class Project:
    """A script that is edited and started again."""

    def __init__(self, folder: Path, text: str) -> None:
        self.folder = folder
        self.text = text

    def start(self, **changes: str) -> str:
        """Its output, with `{name}` in it as given."""
        text = self.text
        for name, value in {"LIMIT": "10", "HELP": "sum(rows)", "ROWS": "[1, 2, 3]", "NOTE": "note", **changes}.items():
            text = text.replace(f"<{name}>", value)
        scripts.write(self.folder / "job.py", text)
        done = scripts.python("job.py", cwd=self.folder, RUNSTONE_LEDGER="none")
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout.strip()


IN_A_FUNCTION = """
    from runstone import track

    LIMIT = <LIMIT>

    def helper(rows):
        "<NOTE>"
        return <HELP>

    def work(rows, unused):
        # <NOTE>
        with track("load", inputs=rows) as t:
            if t.cached:
                print("cached", end=" ")
                result = t.load()
            else:
                print("computed", end=" ")
                result = helper(rows) + LIMIT
                t.save(result)
        return result

    print(work(<ROWS>, "<NOTE>"))
    """

AT_THE_TOP = """
    from runstone import track

    LIMIT = <LIMIT>

    def helper(rows):
        "<NOTE>"
        return <HELP>

    unused = "<NOTE>"
    rows = <ROWS>
    with track("load", inputs={"rows": rows}) as t:
        # <NOTE>
        if t.cached:
            print("cached", end=" ")
            result = t.load()
        else:
            print("computed", end=" ")
            result = helper(rows) + LIMIT
            t.save(result)
    print(result)
    """

A_LOCAL_VARIABLE = """
    from runstone import track

    def helper(rows):
        return <HELP>

    def work(rows):
        limit = <LIMIT>
        for number in range(1):
            with track("load", inputs=rows) as t:
                if t.cached:
                    print("cached", end=" ")
                    result = t.load()
                    continue
                print("computed", end=" ")
                result = helper(rows) + limit
                t.save(result)
        note = "<NOTE>"
        return result

    print(work(<ROWS>))
    """

READ_AND_BOUND = """
    from runstone import track

    def helper(rows):
        return <HELP>

    def work(rows):
        total, row = <LIMIT>, 0
        with track("load", inputs=rows) as t:
            if t.cached:
                print("cached", end=" ")
                total = t.load()
            else:
                print("computed", end=" ")
                total += helper([row for row in rows]) + row
                t.save(total)
        note = "<NOTE>"
        return total

    print(work(<ROWS>))
    """

BOUND_AT_THE_TOP = """
    from runstone import track

    def helper(rows):
        return <HELP>

    total = <LIMIT>
    note = "<NOTE>"
    with track("load", inputs=<ROWS>) as t:
        if t.cached:
            print("cached", end=" ")
            total = t.load()
        else:
            print("computed", end=" ")
            for each in [0]:
                total = total + helper(<ROWS>)
            t.save(total)
    print(total)
    """

WITH_WINDOWS = """
    from runstone import track

    LIMIT = <LIMIT>

    def helper(rows):
        return <HELP>

    for w in track.windows([<ROWS>]):
        with w:
            if w.cached:
                print("cached", end=" ")
                result = w.load()
            else:
                print("computed", end=" ")
                result = helper(w.item) + LIMIT
                w.save(result)
        print(result)
        note = "<NOTE>"
    """

ASYNC = """
    import asyncio
    from runstone import track

    LIMIT = <LIMIT>

    async def helper(rows):
        return <HELP>

    async def work(rows):
        async with track("load", inputs=rows) as t:
            if t.cached:
                print("cached", end=" ")
                return t.load()
            print("computed", end=" ")
            result = await helper(rows) + LIMIT
            t.save(result)
        note = "<NOTE>"
        return result

    print(asyncio.run(work(<ROWS>)))
    """

CODE_IS_NAMED = """
    from runstone import track

    def helper(rows, limit):
        "<NOTE>"
        return <HELP> + limit

    lines = open(__file__)
    with track("load", inputs={"rows": <ROWS>, "limit": <LIMIT>}, code=helper) as t:
        if t.cached:
            print("cached", end=" ")
            result = t.load()
        else:
            print("computed", end=" ")
            lines.readline()
            result = helper(<ROWS>, <LIMIT>)
            t.save(result)
    lines.close()
    print(result)
    """


@pytest.mark.parametrize(
    "text", [IN_A_FUNCTION, AT_THE_TOP, A_LOCAL_VARIABLE, READ_AND_BOUND, BOUND_AT_THE_TOP, WITH_WINDOWS, ASYNC,
             CODE_IS_NAMED],
    ids=["function", "top", "local", "bound", "bound at the top", "windows", "async", "code"],
)  # fmt: skip
def test_code_inside_of_with_is_computed_again_after_every_change_that_counts(tmp_path: Path, text: str) -> None:
    project = Project(tmp_path, text)
    assert project.start() == "computed 16"
    assert project.start() == "cached 16"
    assert project.start(NOTE="something else") == "cached 16"
    assert project.start(LIMIT="20") == "computed 26"
    assert project.start(HELP="len(rows)") == "computed 13"
    assert project.start(ROWS="[1, 2, 4]") == "computed 17"
    assert project.start() == "cached 16"


class TestWith:
    def test_what_is_not_cached_cannot_be_loaded(self) -> None:
        with track("load") as t, pytest.raises(RunError, match=r"ask t\.cached"):
            t.load()

    def test_saving_without_having_asked_keeps_nothing_and_says_so(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        with track("load", inputs=1) as t:
            t.save(2)
        assert "ask t.cached" in said(capfd)
        with track("load", inputs=1) as t:
            assert not t.cached

    def test_a_variable_that_cannot_be_compared_is_named_once(self, tmp_path: Path) -> None:
        scripts.write(
            tmp_path / "job.py",
            """
            from runstone import track

            def work():
                connection = open(__file__)
                for _ in range(2):
                    with track("load", inputs=1) as t:
                        print(t.cached)
                        t.save(connection.name)
                connection.close()

            work()
            """,
        )
        done = scripts.python("job.py", cwd=tmp_path, RUNSTONE_LEDGER="none")
        assert done.stdout.split() == ["False", "False"]
        assert done.stderr.count("\n") == 1
        assert "variable connection cannot be compared" in done.stderr

    @pytest.mark.parametrize(("one", "other"), [("True", "False"), ("first", "second")])
    def test_a_variable_that_holds_now_one_input_and_now_another_counts(
        self, tmp_path: Path, one: str, other: str
    ) -> None:
        text = """
            from runstone import track

            def work(given, kept):
                with track("load", inputs=given) as t:
                    if t.cached:
                        return t.load()
                    result = [kept]
                    t.save(result)
                return result

            first, second = ["a"], ["b"]
            for kept in (<ONE>, <OTHER>, <ONE>):
                print(work({"one": <ONE>, "other": <OTHER>}, kept) == [kept])
            """
        scripts.write(tmp_path / "job.py", text.replace("<ONE>", one).replace("<OTHER>", other))
        done = scripts.python("job.py", cwd=tmp_path, RUNSTONE_LEDGER="none")
        assert (done.stdout.split(), done.stderr) == (["True", "True", "True"], "")
        assert [bool(taken) for _, _, taken in outcomes(tmp_path)] == [False, False, True]

    def test_code_without_a_source_file_has_to_be_named(self, capfd: pytest.CaptureFixture[str]) -> None:
        text = "with track('typed', inputs=1) as t:\n    found.append(t.cached)\n    t.save(1)\n"
        found: list[bool] = []
        for _ in range(2):
            exec(text, {"track": track, "found": found})
        assert found == [False, False]
        assert "code=function" in said(capfd)

    def test_a_file_that_was_changed_since_it_was_imported_is_not_believed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        text = (
            "from runstone import track\n\ndef work():\n    with track('load', inputs=1) as t:\n"
            "        if t.cached:\n            return 'cached', t.load()\n        t.save(1)\n"
            "        return 'computed', 1\n"
        )
        (tmp_path / "edited.py").write_text(text)
        monkeypatch.syspath_prepend(str(tmp_path))
        import edited  # type: ignore[import-not-found]

        assert edited.work() == ("computed", 1)
        assert edited.work() == ("cached", 1)
        (tmp_path / "edited.py").write_text(text.replace("save(1)", "save(2)"))
        assert edited.work() == ("computed", 1)
        assert "cannot be found in a source file" in said(capfd)
        del sys.modules["edited"]
