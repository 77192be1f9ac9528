"""What blocks say in the process that runs them is recorded, and nothing that the program shows or sees changes."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runstone import Pipeline, Run, block
from runstone.engine.hooks import level_of, message_of
from runstone.folder.logs import LogLine
from tests import scripts
from tests.terminal import Screen, execute


def run_block(function: Callable[[], Any], folder: Path, **settings: Any) -> Run:
    """A run of one block, which does this."""
    return Pipeline("p", [block(function, name="act", output="done", **settings)]).run(
        run_folder=folder / "run", show_progress=False
    )


def lines_of(folder: Path, function: Callable[[], Any], **settings: Any) -> list[LogLine]:
    """What such a run has recorded."""
    return list(run_block(function, folder, **settings).logs())


def messages(lines: list[LogLine]) -> list[str]:
    return [line.message for line in lines]


def test_prints_log_records_and_warnings_of_a_block_are_recorded_in_order(tmp_path: Path) -> None:
    def act() -> None:
        print("printed", 1)
        logging.getLogger("mine").warning("logged %d", 2)
        warnings.warn("warned 3", stacklevel=1)
        print("trouble 4", file=sys.stderr)

    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        found = lines_of(tmp_path, act)
    assert [(line.stream, line.level, line.logger, line.block) for line in found] == [
        ("stdout", "INFO", "", "act"),
        ("log", "WARNING", "mine", "act"),
        ("warning", "WARNING", "", "act"),
        ("stderr", "WARNING", "", "act"),
    ]
    assert [line.message.rpartition(": ")[2] for line in found] == ["printed 1", "logged 2", "warned 3", "trouble 4"]
    assert found[2].message.startswith(f"{__file__}:")
    assert [str(one.message) for one in shown] == ["warned 3"]
    assert [line.at for line in found] == sorted(line.at for line in found)


def test_lines_of_a_mapped_block_tell_element_and_attempt(tmp_path: Path) -> None:
    tried: list[int] = []

    @block(mapspec="xs[i] -> ys[i]", retries=1)
    def each(xs: int) -> int:
        print("x", xs)
        tried.append(xs)
        if xs == 1 and tried.count(1) == 1:
            raise ValueError
        return xs

    run = Pipeline("p", [each]).run({"xs": [0, 1, 2]}, run_folder=tmp_path / "run", show_progress=False)
    assert [(line.block, line.element, line.attempt, line.message) for line in run.logs()] == [
        ("each", 0, 1, "x 0"),
        ("each", 1, 1, "x 1"),
        ("each", 1, 2, "x 1"),
        ("each", 2, 1, "x 2"),
    ]


def test_lines_of_a_block_that_is_tried_again_tell_the_attempt(tmp_path: Path) -> None:
    tries = []

    def act() -> None:
        tries.append(1)
        print("try", len(tries))
        if len(tries) < 3:
            raise ValueError

    found = lines_of(tmp_path, act, retries=2)
    assert [(line.attempt, line.message) for line in found] == [(1, "try 1"), (2, "try 2"), (3, "try 3")]


def test_parts_of_a_line_are_joined_and_ended_by_the_next_element_or_the_end_of_the_block(tmp_path: Path) -> None:
    @block(mapspec="xs[i] -> ys[i]")
    def each(xs: int) -> int:
        print("a", end="")
        print("b", end="" if xs else "\n")
        return xs

    @block
    def after(ys: Any) -> None:
        recorded.extend(path.name for path in (tmp_path / "run" / "logs").iterdir())
        recorded.extend((tmp_path / "run" / "logs" / "each.0001.jsonl").read_text().splitlines())

    recorded: list[str] = []
    run = Pipeline("p", [each, after]).run({"xs": [0, 1, 2]}, run_folder=tmp_path / "run", show_progress=False)
    assert [(line.element, line.message) for line in run.logs()] == [(0, "ab"), (1, "ab"), (2, "ab")]
    assert len(recorded) == 4, "the last line was not kept when its block ended"


def test_what_is_written_over_is_recorded_as_it_is_seen_in_the_end(tmp_path: Path) -> None:
    def act() -> None:
        for percent in range(0, 101, 5):
            sys.stderr.write(f"\r{percent}%")
        sys.stderr.write("\n")
        print("a line of another system\r\n", end="")

    assert messages(lines_of(tmp_path, act)) == ["100%", "a line of another system"]


def test_a_traceback_is_recorded_with_its_message_in_one_record(tmp_path: Path) -> None:
    def act() -> None:
        try:
            raise KeyError("gone")
        except KeyError:
            logging.exception("lost %s", "it")
        logging.error("stack", stack_info=True)

    found = lines_of(tmp_path, act)
    assert found[0].message.startswith("lost it\nTraceback (most recent call last):\n")
    assert found[0].message.endswith("KeyError: 'gone'")
    assert found[1].message.startswith("stack\nStack (most recent call last):\n")


def test_a_record_whose_arguments_do_not_fit_says_what_was_to_be_said() -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

    def said(**fields: Any) -> str:
        return message_of(logging.makeLogRecord(fields))

    assert said(msg="a %d", args=("b",)) == "a %d (arguments that do not fit: ('b',))"
    assert said(msg=Broken()) == "<Broken that cannot be shown> (arguments that do not fit: ())"
    assert said(msg="a", exc_text="as another process has seen it") == "a\nas another process has seen it"


@pytest.mark.parametrize(
    ("number", "level"),
    [(-5, "DEBUG"), (0, "DEBUG"), (9, "DEBUG"), (10, "DEBUG"), (25, "INFO"), (30, "WARNING"), (1000, "CRITICAL")],
)
def test_levels_of_ones_own_count_as_the_standard_one_that_they_reach(number: int, level: str) -> None:
    assert level_of(number) == level


def test_text_that_no_json_takes_is_recorded_as_escapes(tmp_path: Path) -> None:
    def act() -> None:
        logging.warning("lone \udc80 surrogate")
        sys.stdout.buffer.write(b"not \xff UTF-8\n")

    assert messages(lines_of(tmp_path, act)) == ["lone \\udc80 surrogate", "not \\xff UTF-8"]


def test_a_message_without_end_is_recorded_with_its_beginning_and_its_end(tmp_path: Path) -> None:
    def act() -> None:
        logging.warning("begin%send", "\x00" * 1_000_000)
        print("y" * 1_000_000)

    first, *rest = lines_of(tmp_path, act)
    assert first.message.startswith("begin")
    assert first.message.endswith("end")
    assert "990,008 characters are left out here" in first.message
    assert "".join(messages(rest)) == "y" * 1_000_000
    longest = max(map(len, (tmp_path / "run/logs/act.0001.jsonl").read_bytes().splitlines(keepends=True)))
    assert longest <= 64 * 1024


def test_a_thread_that_a_block_starts_speaks_for_it(tmp_path: Path) -> None:
    def act() -> None:
        thread = threading.Thread(target=lambda: print("from a thread"))
        thread.start()
        thread.join()

    (line,) = lines_of(tmp_path, act)
    assert (line.block, line.message) == ("act", "from a thread")


def test_what_the_program_says_meanwhile_is_not_the_runs(tmp_path: Path) -> None:
    begun, said = threading.Event(), threading.Event()

    @block
    def act() -> None:
        begun.set()
        assert said.wait(30)
        print("from the block")

    handle = Pipeline("p", [act]).run_async(run_folder=tmp_path / "run", show_progress=False)
    assert begun.wait(30)
    print("from the program")
    logging.warning("from the program")
    said.set()
    assert messages(list(handle.result(30).logs())) == ["from the block"]


def test_two_runs_at_once_record_what_each_says(tmp_path: Path) -> None:
    met = threading.Barrier(2)

    @block
    def act(who: str) -> None:
        for number in range(100):
            print(who, number)
            if number % 50 == 0:
                met.wait(30)

    pipeline = Pipeline("p", [act])
    handles = [
        pipeline.run_async({"who": who}, run_folder=tmp_path / who, show_progress=False) for who in ("one", "two")
    ]
    for who, handle in zip(("one", "two"), handles, strict=True):
        assert messages(list(handle.result(30).logs())) == [f"{who} {number}" for number in range(100)]


@pytest.mark.parametrize("kept", [True, False])
def test_a_run_inside_a_block_records_for_itself_or_if_it_is_not_kept_for_the_block(tmp_path: Path, kept: bool) -> None:
    @block
    def inner() -> None:
        print("inner")

    folder = tmp_path / "inner" if kept else None

    def act() -> None:
        print("before")
        Pipeline("p", [inner]).run(run_folder=folder, show_progress=False)
        print("after")

    found = lines_of(tmp_path, act)
    assert messages(found) == ["before", *([] if kept else ["inner"]), "after"]
    assert {line.block for line in found} == {"act"}
    if kept:
        assert '"message":"inner"' in (tmp_path / "inner/logs/inner.0001.jsonl").read_text()


def test_what_is_said_outside_of_blocks_is_recorded_for_the_run(tmp_path: Path) -> None:
    def when() -> bool:
        print("shall it?")
        return True

    run = run_block(lambda: None, tmp_path, when=when)
    (line,) = run.logs()
    assert (line.block, line.message) == (None, "shall it?")
    assert [path.name for path in (tmp_path / "run" / "logs").iterdir()] == ["0001.jsonl"]


def test_a_forked_child_speaks_for_its_block_with_its_own_pid(tmp_path: Path) -> None:
    def act() -> int:
        print("half ", end="")
        child = os.fork()
        if child == 0:
            print("child")
            os._exit(0)
        os.waitpid(child, 0)
        print("whole")
        return child

    run = run_block(act, tmp_path)
    assert [(line.message, line.pid) for line in run.logs()] == [("child", run.outputs["done"]), ("half whole", 0)]


def test_a_run_that_says_nothing_makes_no_logs(tmp_path: Path) -> None:
    assert lines_of(tmp_path, lambda: None) == []
    assert not (tmp_path / "run" / "logs").exists()


def test_nothing_is_installed_for_a_run_that_is_not_kept() -> None:
    before = sys.stdout, sys.stderr, logging.Logger.callHandlers, warnings.showwarning

    def act() -> bool:
        return before == (sys.stdout, sys.stderr, logging.Logger.callHandlers, warnings.showwarning)

    run = Pipeline("p", [block(act, output="same")]).run(run_folder=None, show_progress=False)
    assert run.outputs["same"]
    assert list(run.logs()) == []


# what the program shows and sees


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt, SystemExit])
def test_everything_is_as_before_when_the_run_is_over(tmp_path: Path, error: type[BaseException] | None) -> None:
    before = sys.stdout, sys.stderr, logging.Logger.callHandlers, warnings.showwarning, list(logging.root.handlers)

    def act() -> None:
        assert sys.stdout is not before[0]
        if error is not None:
            raise error

    with contextlib.suppress(Exception, KeyboardInterrupt):
        run_block(act, tmp_path)
    after = sys.stdout, sys.stderr, logging.Logger.callHandlers, warnings.showwarning, list(logging.root.handlers)
    assert after == before


def test_a_program_without_logging_configuration_shows_what_it_always_did(tmp_path: Path) -> None:
    code = """
        import logging, sys, warnings
        from runstone import Pipeline, block

        def act():
            logging.getLogger("lib").info("quiet")
            logging.getLogger("lib").warning("last resort")
            warnings.warn("look", stacklevel=1)
            print("out")
            assert logging.root.handlers == []
            logging.warning("configures")
            logging.basicConfig(level="DEBUG", force=True, format="%(levelname)s-%(message)s")
            logging.debug("debug")

        if sys.argv[1:]:
            Pipeline("p", [block(act)]).run(run_folder="run", show_progress=False)
        else:
            act()
        logging.warning("afterwards")
        print(logging.root.handlers[0].stream is sys.stderr)
    """
    path = scripts.write(tmp_path / "script.py", code)
    alone, recorded = (
        scripts.python(str(path), *more, cwd=tmp_path, PYTHONWARNINGS="default") for more in ((), ("recorded",))
    )
    assert (recorded.stdout, recorded.stderr) == (alone.stdout, alone.stderr)
    found = scripts.runstone("logs", "./run", cwd=tmp_path).stdout.splitlines()
    assert [line.split("act  ")[1] for line in found] == [
        "lib: last resort",
        f"{path}:8: UserWarning: look",
        "out",
        "configures",
        "debug",
    ]


def test_loggers_that_keep_to_themselves_are_recorded_and_levels_count(tmp_path: Path) -> None:
    own = logging.getLogger("keeps.to.itself")
    own.propagate = False
    shown = io.StringIO()
    own.addHandler(logging.StreamHandler(shown))
    own.setLevel(logging.INFO)
    try:

        def act() -> None:
            own.debug("too low")
            own.info("heard")
            own.log(25, "between")

        found = lines_of(tmp_path, act)
    finally:
        own.handlers.clear()
        own.propagate = True
        own.setLevel(logging.NOTSET)
    assert [(line.message, line.level) for line in found] == [("heard", "INFO"), ("between", "INFO")]
    assert shown.getvalue() == "heard\nbetween\n"


def test_what_a_block_redirects_is_its_own(tmp_path: Path) -> None:
    def act() -> str:
        print("before")
        with contextlib.redirect_stdout(io.StringIO()) as taken:
            print("taken")
        print("after")
        return taken.getvalue()

    run = run_block(act, tmp_path)
    assert run.outputs["done"] == "taken\n"
    assert messages(list(run.logs())) == ["before", "after"]


def test_a_stream_that_a_block_puts_over_ours_stays_and_is_not_recorded_any_more(tmp_path: Path) -> None:
    class Shouting:
        def __init__(self, stream: Any) -> None:
            self.stream = stream

        def write(self, text: str) -> Any:
            return self.stream.write(text.upper())

        def flush(self) -> None:
            self.stream.flush()

    def act() -> None:
        sys.stdout = Shouting(sys.stdout)  # type: ignore[assignment]
        print("heard")

    with contextlib.redirect_stdout(io.StringIO()) as shown:
        run = run_block(act, tmp_path)
        print("afterwards")
        # below theirs ours still stands, and must not hear what the next run says
        (tmp_path / "next").mkdir()
        found = lines_of(tmp_path / "next", lambda: print("heard once"))
    assert shown.getvalue() == "HEARD\nAFTERWARDS\nHEARD ONCE\n"
    assert messages(list(run.logs())) == ["HEARD"]
    assert messages(found) == ["heard once"]


def test_a_closed_standard_output_raises_what_it_always_did_and_the_line_is_kept(tmp_path: Path) -> None:
    def act() -> None:
        with pytest.raises(ValueError, match="closed file"):
            print("into nothing")

    with contextlib.redirect_stdout(io.StringIO()) as closed:
        closed.close()
        found = lines_of(tmp_path, act)
    assert messages(found) == ["into nothing"]


def test_a_program_without_streams_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert messages(lines_of(tmp_path, lambda: logging.warning("logged"))) == ["logged"]


def test_a_disk_that_takes_no_more_is_one_complaint_and_the_run_goes_on(tmp_path: Path) -> None:
    code = """
        import resource, signal
        from runstone import Pipeline, block

        @block
        def act() -> int:
            for number in range(4000):
                print("line", number)
            return 7

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        print("result", Pipeline("p", [act]).run(run_folder="run", show_progress=False).outputs["act"])
    """
    done = scripts.python(str(scripts.write(tmp_path / "script.py", code)), cwd=tmp_path)
    assert done.stdout.endswith("line 3999\nresult 7\n")
    logs, ledger = sorted(done.stderr.splitlines(), reverse=True)
    assert logs.startswith("runstone: the logs of this run are not complete: cannot write ")
    assert ledger.startswith("runstone: runs are recorded in their folders alone for now: ")
    told = scripts.runstone("logs", "./run", cwd=tmp_path)
    assert told.returncode == 0
    assert 500 < len(told.stdout.splitlines()) < 1500


def test_bars_are_not_recorded_and_lines_above_them_are(tmp_path: Path) -> None:
    code = """
        import logging, time
        from runstone import Pipeline, block

        @block(mapspec="xs[i] -> ys[i]")
        def each(xs: int) -> int:
            time.sleep(0.02)
            if xs % 10 == 0:
                print("at", xs)
                logging.warning("warned at %d", xs)
            return xs

        Pipeline("p", [each]).run({"xs": list(range(30))}, run_folder="run")
    """
    scripts.write(tmp_path / "script.py", code)
    written, exit_code = execute([sys.executable, "script.py"], tmp_path)
    assert exit_code == 0, written
    shown = Screen(80).feed(written).text.splitlines()
    assert shown[:6] == [text for at in (0, 10, 20) for text in (f"at {at}", f"WARNING:root:warned at {at}")]
    assert shown[6].startswith("p ")
    found = scripts.runstone("logs", "./run", cwd=tmp_path).stdout.splitlines()
    assert [line.split("]  ")[1] for line in found] == [line.removeprefix("WARNING:root:") for line in shown[:6]]


def test_threads_that_print_while_runs_begin_and_end_do_not_kill_the_process(tmp_path: Path) -> None:
    code = """
        import threading
        from runstone import Pipeline, block

        @block
        def one() -> int:
            return 1

        over = threading.Event()

        def talk():
            while not over.is_set():
                print("x", "y", "z")

        threads = [threading.Thread(target=talk) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number in range(80):
            Pipeline("p", [one]).run({}, run_folder=f"runs/{number}", show_progress=False)
        over.set()
        for thread in threads:
            thread.join()
    """
    done = scripts.python(str(scripts.write(tmp_path / "script.py", code)), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
