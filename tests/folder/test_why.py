"""Why a run, a block or an element is as it is, asked of real runs: the answer is right, and names its root."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import runstone
from runstone import Pipeline, Run, block
from runstone.errors import FolderError, RunError, SettingError
from runstone.folder import layout
from runstone.folder.why import Explanation, explain
from tests import scripts
from tests.folder.spy import picture
from tests.samples import Trap


@block
def numbers(count: int) -> list[int]:
    return list(range(count))


@block(mapspec="numbers[i] -> square[i]", on_error="continue", retries=1)
def square(numbers: int, bad: int) -> int:
    if numbers == bad:
        raise ValueError(f"{numbers} is bad\nand more")
    return numbers * numbers


@block(name="square", mapspec="numbers[i] -> square[i]", on_error="continue", retries=1)
def square_otherwise(numbers: int, bad: int) -> int:
    return numbers**2


@block(mapspec="square[i] -> half[i]")
def half(square: int) -> float:
    return square / 2


@block(missing="drop")
def total(half: list[float]) -> float:
    return sum(half)


@block(when=lambda wanted: wanted)
def report(total: float, wanted: bool) -> str:
    return f"{total}"


@block
def sent(report: str) -> str:
    return report


survey = Pipeline("survey", [numbers, square, half, total, report, sent])
changed = Pipeline("survey", [numbers, square_otherwise, half, total, report, sent])


@block
def first(x: int) -> int:
    if x < 0:
        raise KeyError("negative")
    return x


@block
def second(first: int) -> int:
    return first


@block
def third(second: int) -> int:
    return second


@block
def beside(x: int) -> int:
    return x


chain = Pipeline("chain", [first, second, third, beside])


def record(pipeline: Pipeline, folder: Path, params: dict[str, Any], **more: Any) -> Run:
    return pipeline.run(params, run_folder=folder, show_progress=False, raise_on_error=False, **more)


def facts(found: Explanation) -> dict[str, str]:
    return {fact.name: fact.text for fact in found.facts}


def commands(found: Explanation) -> list[str]:
    return [step.command for step in found.next]


@pytest.fixture(scope="module")
def degraded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("degraded") / "run"
    record(survey, folder, {"count": 6, "bad": 3, "wanted": False})
    return folder


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("failed") / "run"
    record(chain, folder, {"x": -1})
    return folder


# what failed, and what follows from it


def test_an_element_that_failed_tells_its_error_place_arguments_and_attempts(degraded: Path) -> None:
    found = explain(str(degraded), "square", 3)
    assert found.answer == "square[3] failed: ValueError: 3 is bad (attempt 2 of 2)"
    assert (found.status, found.reason, found.element, found.index) == ("failed", "exception", 3, [3])
    assert found.error is not None
    assert found.error.params == {"numbers": 3, "bad": 3}
    assert [one.attempt for one in found.attempts] == [1]
    line = next(number for number, text in enumerate(Path(__file__).read_text().splitlines(), 1) if "is bad" in text)
    assert f"test_why.py:{line}, in square" in found.text(200)
    assert "arguments  numbers = 3" in found.text(200)
    reproduce, logs, *_ = commands(found)
    assert 'e.block == "square" and e.element == 3' in reproduce
    assert logs.endswith("/square --element 3")


def test_an_element_that_was_not_called_names_the_one_above_it(degraded: Path) -> None:
    found = explain(str(degraded), "half", 3)
    assert found.status == "upstream_failed"
    assert found.answer == "half[3] was not called: square[3] above it failed with ValueError: 3 is bad"
    assert [step.place for step in found.chain] == ["half[3]", "square[3]"]
    assert found.error is not None
    assert (found.error.block, found.error.element) == ("square", 3)


def test_an_element_that_came_out_well_says_so(degraded: Path) -> None:
    found = explain(str(degraded), "square", 2)
    assert (found.status, found.answer, found.error) == ("completed", "square[2] completed", None)
    assert commands(found) == []


def test_an_element_is_named_by_an_index_or_by_its_flat_number(tmp_path: Path) -> None:
    @block(mapspec="x[i], y[j] -> cell[i, j]", on_error="continue")
    def cell(x: int, y: int) -> int:
        return x // y

    record(Pipeline("table", [cell]), tmp_path / "run", {"x": [1, 2], "y": [1, 0, 3]})
    by_index, by_number = explain(str(tmp_path / "run"), "cell", (1, 1)), explain(str(tmp_path / "run"), "cell", 4)
    assert by_index == by_number
    assert (by_index.element, by_index.index) == (4, [1, 1])
    assert by_index.answer.startswith("cell[1, 1] failed: ZeroDivisionError: ")
    for wrong in (6, (0, 3), (1, 1, 1)):
        with pytest.raises(SettingError, match=r"element|axes"):
            explain(str(tmp_path / "run"), "cell", wrong)


def test_a_degraded_run_says_which_element_it_was_and_tells_of_every_block(degraded: Path) -> None:
    found = explain(str(degraded))
    assert found.status == "degraded"
    assert found.answer.endswith(" ended degraded: square[3]: ValueError: 3 is bad (attempt 2 of 2)")
    told = facts(found)
    assert told["numbers"] == "completed"
    assert told["half"] == "ended degraded: 1 of 6 elements was not called, as those of square above failed"
    assert told["report"] == "was skipped: its condition was false"
    assert told["sent"] == "was skipped, as report above it was: a condition was false"


def test_a_block_that_was_skipped_shows_what_its_condition_was_asked(degraded: Path) -> None:
    found = explain(str(degraded), "report")
    assert (found.status, found.reason) == ("condition_failed", "condition_false")
    assert facts(found)["condition"] == "wanted = False"


def test_a_condition_that_asks_for_an_output_shows_that(tmp_path: Path) -> None:
    @block
    def flag(x: int) -> bool:
        return x > 1

    @block(when=lambda flag: flag)
    def asked(x: int) -> int:
        return x

    record(Pipeline("asking", [flag, asked]), tmp_path / "run", {"x": 1})
    assert facts(explain(str(tmp_path / "run"), "asked"))["condition"] == "flag = False"


def test_where_it_was_raised_is_in_the_code_of_the_user(tmp_path: Path) -> None:
    @block
    def parse(text: str) -> Any:
        return json.loads(text)  # in this line

    record(Pipeline("parsing", [parse]), tmp_path / "run", {"text": "{"})
    line = next(number for number, text in enumerate(Path(__file__).read_text().splitlines(), 1) if "in this" in text)
    assert f"test_why.py:{line}, in parse\n" in explain(str(tmp_path / "run")).text(200)


def test_a_block_that_was_not_called_leads_to_the_root(failed: Path) -> None:
    assert explain(str(failed), "second").answer == "second was not called: first above it failed"
    found = explain(str(failed), "third")
    assert found.answer == "third was not called: first, further up, failed"
    assert [(step.place, step.status) for step in found.chain] == [
        ("third", "upstream_failed"),
        ("second", "upstream_failed"),
        ("first", "failed"),
    ]
    assert found.error is not None
    assert found.error.type == "KeyError"


def test_a_block_that_the_end_of_the_run_kept_from_starting_names_what_ended_it(failed: Path) -> None:
    found = explain(str(failed), "beside")
    assert found.answer == "beside was not started: first failed, which ends the run"
    assert [step.place for step in found.chain] == ["beside", "first"]
    assert explain(str(failed)).answer.endswith(" failed: first: KeyError: 'negative'")


def test_a_condition_that_raised_is_told_and_not_to_be_reproduced(tmp_path: Path) -> None:
    @block(when=lambda x: x // 0)
    def asked(x: int) -> int:
        return x

    record(Pipeline("asking", [asked]), tmp_path / "run", {"x": 1})
    found = explain(str(tmp_path / "run"), "asked")
    assert found.answer.startswith("asked failed, as its condition raised ZeroDivisionError: ")
    assert not any("reproduce" in command for command in commands(found))


def test_an_error_that_was_only_counted_is_still_told_by_its_chunk(tmp_path: Path) -> None:
    @block(mapspec="x[i] -> y[i]", on_error="continue")
    def y(x: int) -> int:
        raise ValueError(f"number {x}")

    record(Pipeline("many", [y]), tmp_path / "run", {"x": list(range(1200))})
    found = explain(str(tmp_path / "run"), "y", 1100)
    assert (found.status, found.answer) == ("failed", "y[1100] failed: ValueError: number 1100")
    assert found.error is None


# what was taken over, and what has changed


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs: one in which an element failed, one that computed it again, one whose code has changed."""
    home = tmp_path_factory.mktemp("family")
    params = {"count": 6, "bad": 3, "wanted": False}
    flag = home / "mended"

    @block(name="square", mapspec="numbers[i] -> square[i]", on_error="continue", version="1")
    def until_mended(numbers: int) -> int:
        if numbers == 3 and not flag.exists():
            raise ValueError("three")
        return numbers * numbers

    @block(name="square", mapspec="numbers[i] -> square[i]", on_error="continue", version="2")
    def later(numbers: int) -> int:
        return numbers * numbers

    before = Pipeline("family", [numbers, until_mended, half, total, report, sent])
    after = Pipeline("family", [numbers, later, half, total, report, sent])
    del params["bad"]
    record(before, home / "run", params)
    flag.touch()
    record(before, home / "run", params, resume=True)
    record(after, home / "run", params, resume=True)
    return home


def test_what_is_reused_names_the_run_it_comes_from(family: Path) -> None:
    before = runstone.open(family / "run").id
    found = explain(str(family / "run.2"), "numbers")
    assert found.answer == f"numbers was reused from run {before[:8]}: code and inputs are the same"
    assert [(one.block, one.from_run, one.reused, one.computed) for one in found.reuse] == [("numbers", before, 1, 0)]
    element = explain(str(family / "run.2"), "square", 0)
    assert element.status == "reused"
    assert element.answer == f"square[0] was reused from run {before[:8]}: it had come out well there"


def test_what_was_computed_again_says_how_many_and_why(family: Path) -> None:
    before = runstone.open(family / "run").id[:8]
    found = explain(str(family / "run.2"), "square")
    assert found.answer == f"square: 5 elements reused from run {before}, 1 computed: 1 element failed before"
    assert explain(str(family / "run.2"), "square", 3).answer == (
        f"square[3] was computed here, not reused from run {before} (1 element failed before)"
    )
    whole = explain(str(family / "run.2"))
    assert ": 1 of 6 blocks reused from run " in whole.answer
    assert len(whole.reuse) == 6


def test_code_that_changed_is_named_with_both_versions(family: Path) -> None:
    found = explain(str(family / "run.3"), "square")
    (why,) = found.reuse[0].why
    assert (why.cause, why.before is None, why.after is None) == ("code", False, False)
    assert found.answer == f"square ran again: code {why.subject} changed ({why.before} -> {why.after})"
    assert explain(str(family / "run.3"), "half").answer == "half ran again: upstream square runs again"


def test_a_parameter_that_changed_is_named(tmp_path: Path) -> None:
    record(survey, tmp_path / "run", {"count": 3, "bad": 9, "wanted": False})
    record(survey, tmp_path / "run", {"count": 3, "bad": 8, "wanted": False}, resume=True)
    assert explain(str(tmp_path / "run.2"), "square").answer == "square ran again: parameter bad changed"


# processes: deaths, limits, requests


WORK = """
    import os, signal, subprocess, sys, time
    from runstone import Pipeline, block

    @block
    def numbers(mode: str) -> list[int]:
        return [0, 1, 2]

    @block(mapspec="numbers[i] -> work[i]", executor="processes", on_error="continue")
    def work(numbers: int, mode: str) -> int:
        if numbers == 1 and mode == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if numbers == 1 and mode == "sleep":
            child = subprocess.Popen(["sleep", "100"])
            open("asleep", "w").close()
            child.wait()
        return numbers

    @block(mapspec="work[i] -> shown[i]")
    def shown(work: int) -> int:
        return work

    @block(missing="drop")
    def total(shown: list[int]) -> int:
        return sum(shown)

    lab = Pipeline("lab", [numbers, work, shown, total])
"""
START = "import sys, lab; lab.lab.run({'mode': sys.argv[1]}, run_folder='run', grace=1.0, show_progress=False)"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    scripts.write(tmp_path / "lab.py", WORK)
    return tmp_path


@pytest.fixture
def asleep(home: Path) -> Iterator[subprocess.Popen[str]]:
    """A run that waits for the second element of `work`, in a process of its own."""
    started = scripts.start(sys.executable, "-c", START, "sleep", cwd=home)
    try:
        scripts.wait_for(home / "asleep")
        yield started
    finally:
        started.kill()
        started.communicate()


def settled(folder: Path, block: str, ended: int) -> None:
    """Wait until so many elements of a block are recorded."""
    deadline = time.monotonic() + 30
    while True:
        fact = facts(explain(str(folder), block)).get("elements", "")
        if fact.startswith(f"{ended} of"):
            return
        assert time.monotonic() < deadline, fact
        time.sleep(0.02)


def test_a_worker_that_died_is_told_by_its_signal_and_not_to_be_called_again(home: Path) -> None:
    scripts.python("-c", START, "die", cwd=home)
    found = explain(str(home / "run"), "work", 1)
    assert found.reason == "worker_died"
    assert found.answer.startswith("work[1] failed: worker process ")
    assert found.answer.endswith(" died by SIGKILL")
    assert not any("reproduce" in command for command in commands(found))
    assert explain(str(home / "run"), "shown", 1).chain[-1].place == "work[1]"


def test_a_run_that_goes_on_says_what_waits_for_what(home: Path, asleep: subprocess.Popen[str]) -> None:
    settled(home / "run", "work", 2)
    found = explain(str(home / "run"))
    assert found.answer.endswith(" is running: it executes work (2 of 3 elements)")
    assert found.waiting_for == ["work"]
    waits = explain(str(home / "run"), "shown")
    assert (waits.answer, waits.waiting_for) == ("shown waits for work (2 of 3 elements)", ["work"])
    assert explain(str(home / "run"), "total").answer == "total waits for shown (not started)"
    element = explain(str(home / "run"), "work", 1)
    assert (element.status, element.answer) == (
        "pending",
        "work[1] is not computed yet: work runs: 2 of 3 elements ended",
    )
    assert explain(str(home / "run"), "shown", 0).status == "pending"


def test_a_run_whose_process_was_killed_tells_so_and_how_to_go_on(home: Path, asleep: subprocess.Popen[str]) -> None:
    settled(home / "run", "work", 2)
    shutil.copytree(home / "run", home / "copy")
    asleep.send_signal(signal.SIGKILL)
    asleep.wait()
    found = explain(str(home / "run"))
    assert found.status == "crashed"
    assert f"the process that ran it (pid {asleep.pid} on " in found.answer
    assert "last sign" in facts(found)
    crashed = explain(str(home / "run"), "work")
    assert crashed.answer == (
        "work was being executed when the process of the run died; 2 of 3 elements are recorded and kept"
    )
    assert explain(str(home / "run"), "shown").answer == "shown had not started when the process of the run died"
    assert explain(str(home / "run"), "work", 1).status == "missing"
    assert explain(str(home / "run"), "work", 2).status == "completed"

    copy = explain(str(home / "copy"))
    assert copy.status == "running"
    assert " was running when this folder was copied: " in copy.answer
    assert commands(copy) == []
    assert explain(str(home / "copy"), "work").answer.startswith("work was running when the folder was copied: ")
    assert explain(str(home / "copy"), "shown").answer == "shown had not started when the folder was copied"


def test_a_run_that_was_taken_over_says_so(home: Path, asleep: subprocess.Popen[str]) -> None:
    settled(home / "run", "work", 2)
    asleep.send_signal(signal.SIGKILL)
    asleep.wait()
    again = START.replace("run({'mode': sys.argv[1]}", "run({'mode': 'sleep'}").replace("'run',", "'run', resume=True,")
    (home / "asleep").unlink()
    second = scripts.start(sys.executable, "-c", again, cwd=home)
    try:
        scripts.wait_for(home / "asleep")
        assert facts(explain(str(home / "run")))["resumed"].endswith("as its process before was gone")
    finally:
        second.kill()
        second.communicate()


def test_a_run_that_was_cancelled_tells_by_whom_and_shows_the_receipt(
    home: Path, asleep: subprocess.Popen[str]
) -> None:
    settled(home / "run", "work", 2)
    answer = scripts.runstone("cancel", "run", "-m", "wrong input", cwd=home)
    assert answer.returncode == 0, answer.stderr
    found = explain(str(home / "run"))
    assert found.status == "cancelled"
    assert found.stop is not None
    by = found.stop.requested_by
    assert by is not None
    assert "@" in by
    assert found.answer.endswith(f" was cancelled by {by}")
    told = facts(found)
    assert told["message"] == "wrong input"
    assert told["answered"].endswith("from then on nothing was started")
    assert explain(str(home / "run"), "total").answer == f"total was not started: {by} asked the run to stop"
    assert explain(str(home / "run"), "work").answer == f"work was cancelled: {by} asked the run to stop"
    for receipt in found.receipts:
        for process in receipt.processes:
            assert process.dead_at is not None
            assert f"\n  {process.pid} " in found.text(80)


def test_a_block_that_took_too_long_tells_the_limit_and_what_was_ended_for_it(tmp_path: Path) -> None:
    scripts.write(
        tmp_path / "lab.py",
        """
        import time
        from runstone import Pipeline, block

        @block(timeout=0.3)
        def slow(x: int) -> int:
            time.sleep(60)
            return x

        lab = Pipeline("lab", [slow])
        """,
    )
    code = "import lab; lab.lab.run({'x': 1}, run_folder='run', raise_on_error=False, show_progress=False)"
    assert scripts.python("-c", code, cwd=tmp_path).returncode == 0
    found = explain(str(tmp_path / "run"), "slow")
    assert (found.status, found.reason) == ("timed_out", "timeout")
    assert found.answer == "slow timed out: it took longer than its timeout of 0.3 s, and was ended"
    (receipt,) = found.receipts
    assert receipt.finished
    page = found.text(60)
    assert "all seen dead" in page
    (process,) = receipt.processes
    assert f"{process.pid}  worker 0  TERM" in page


def test_code_that_cannot_be_ended_from_outside_is_told(tmp_path: Path) -> None:
    release = tmp_path / "release"

    @block
    def holds(place: str) -> int:
        while not os.path.exists(place):
            time.sleep(0.01)
        return 1

    handle = Pipeline("holding", [holds]).run_async(
        {"place": str(release)}, run_folder=tmp_path / "run", grace=0.1, raise_on_error=False, show_progress=False
    )
    try:
        while explain(str(tmp_path / "run"), "holds").status != "running":
            time.sleep(0.01)
        handle.cancel()
        deadline = time.monotonic() + 30
        while explain(str(tmp_path / "run")).reason != "not_killable":
            assert time.monotonic() < deadline
            time.sleep(0.02)
        found = explain(str(tmp_path / "run"))
        assert " cannot be ended from outside: the code that runs shares its process " in found.answer
        assert facts(found)["asked"].endswith("by run.cancel()")
        assert found.stop is not None
        assert found.stop.answered_at is not None
    finally:
        release.touch()
        run = handle.result()
    assert run.status == "completed"
    assert run.why().answer.endswith(" completed; it was asked to stop, but all its work came to its end first")


# what is damaged, foreign or not there


def test_without_its_journal_a_run_tells_what_is_left(degraded: Path, tmp_path: Path) -> None:
    shutil.copytree(degraded, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "journal")
    assert explain(str(tmp_path / "run")).answer.endswith(
        " ended degraded: square[3]: ValueError: 3 is bad (attempt 2 of 2)"
    )
    assert explain(str(tmp_path / "run"), "square", 3).status == "failed"
    (tmp_path / "run" / layout.CHECKPOINT).unlink()
    found = explain(str(tmp_path / "run"))
    assert "inferred from outputs/" in found.answer
    assert facts(found)["square"].startswith("seems ")
    assert explain(str(tmp_path / "run"), "square", 2).status == "completed"
    for pack in (tmp_path / "run" / "outputs").glob("square.*"):
        pack.unlink()
    assert explain(str(tmp_path / "run"), "square").answer.startswith("square seems ")


def test_an_element_whose_chunk_is_damaged_is_not_said_to_have_completed(degraded: Path, tmp_path: Path) -> None:
    shutil.copytree(degraded, tmp_path / "run")
    pack = tmp_path / "run" / layout.pack("square", 1)
    data = pack.read_bytes()
    pack.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert explain(str(tmp_path / "run"), "square", 2).status == "missing"
    assert explain(str(tmp_path / "run"), "square", 3).answer.startswith("square[3] failed: ValueError: 3 is bad")
    # without the journal status.json is believed that it has ended
    shutil.rmtree(tmp_path / "run" / "journal")
    for _ in range(2):
        found = explain(str(tmp_path / "run"), "square", 2)
        assert found.status == "missing"
        assert found.answer.startswith("square[2] has ended; how can not be told")
        pack.unlink(missing_ok=True)


def test_asking_writes_nothing_and_opens_nothing(tmp_path: Path) -> None:
    @block(mapspec="x[i] -> made[i]", on_error="continue")
    def made(x: int, canary: str) -> Trap:
        if x == 1:
            raise ValueError("one")
        return Trap(canary)

    @block
    def given(trap: Any) -> None:
        raise ValueError(trap)

    canary = str(tmp_path / "canary")
    params = {"x": [0, 1, 2], "canary": canary, "trap": Trap(canary)}
    record(Pipeline("traps", [made, given]), tmp_path / "run", params, on_error="continue")
    before = picture(tmp_path / "run")
    for asked in ((), ("made",), ("made", 0), ("made", 1), ("given",)):
        assert explain(str(tmp_path / "run"), *asked).text(60)
    assert picture(tmp_path / "run") == before
    assert not os.path.exists(canary)


def test_a_page_fits_its_width_and_cannot_command_a_terminal(tmp_path: Path) -> None:
    @block
    def rude(text: str) -> str:
        raise ValueError(f"\x1b[31m{text} " + "long words " * 40)

    record(Pipeline("rude", [rude]), tmp_path / "run", {"text": "\x1b]0;title\x07 \u202e"})
    for asked in ((), ("rude",)):
        page = explain(str(tmp_path / "run"), *asked).text(60)
        told, _, commands = page.partition("\nNext\n")
        assert max(map(len, told.splitlines())) <= 60
        assert commands
        assert not set("\x1b\x07\u202e") & set(page)


def test_a_block_or_element_that_is_not_there_is_refused_with_what_is_meant(degraded: Path) -> None:
    with pytest.raises(SettingError, match="did you mean 'square'"):
        explain(str(degraded), "squar")
    with pytest.raises(SettingError, match="no element 6: it has 6 elements, 0 to 5"):
        explain(str(degraded), "square", 6)
    with pytest.raises(SettingError, match="'total' is not mapped"):
        explain(str(degraded), "total", 0)
    with pytest.raises(SettingError, match="name the block too"):
        explain(str(degraded), None, 0)
    with pytest.raises(FileNotFoundError):
        explain(str(degraded.parent / "nothing"))


def test_of_a_journal_that_is_too_long_the_end_is_read_as_well(failed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = explain(str(failed))
    monkeypatch.setattr("runstone.folder.scan.RECORDS", 1)
    assert explain(str(failed)).answer == whole.answer
    error = explain(str(failed), "third").error
    assert error is not None
    assert "KeyError" in error.traceback


def test_a_damaged_run_is_an_error(tmp_path: Path) -> None:
    (tmp_path / layout.RUN).write_text("{")
    with pytest.raises(FolderError, match="damaged"):
        explain(str(tmp_path))


def test_a_run_answers_for_itself_and_for_the_block_it_was_opened_with(degraded: Path) -> None:
    run = runstone.open(degraded)
    assert run.why() == explain(str(degraded))
    assert run.why("square", 3) == explain(str(degraded), "square", 3)
    assert runstone.open(f"{degraded}/half").why() == explain(str(degraded), "half")
    assert str(run.why("square")).startswith("square ended degraded: 1 of 6 elements failed, first square[3]: ")
    kept_nowhere = survey.run({"count": 1, "bad": 9, "wanted": True}, run_folder=None, show_progress=False)
    with pytest.raises(RunError, match="not kept"):
        kept_nowhere.why()
