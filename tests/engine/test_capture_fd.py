"""What worker processes say, down to their file descriptors: real processes, real C code, real kills."""

from __future__ import annotations

import io
import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runstone.engine import log_relay
from runstone.engine.capture import Speaker
from runstone.engine.worker_output import Lines, WorkerOutput
from runstone.folder.log_reading import read_logs
from runstone.folder.log_search import LogQuery
from runstone.folder.logs import LogLine, LogWriter
from tests import scripts

WORKER = """
import ctypes, logging, os, signal, subprocess, sys, threading, time, warnings
from runstone.core import run_state
from runstone.engine import capture_fd, context
from runstone.engine.capture import Recording
from runstone.folder.logs import LogWriter

class Recorder:
    folder = sys.argv[1]
    state = run_state.initial(())

c = ctypes.CDLL(None)
now = [4]
capture_fd.install(*map(int, sys.argv[3:]))
recorder = Recorder()
logs = LogWriter(sys.argv[1], 1, driver=int(sys.argv[2]))

def work():
    pass
{code}
context.enter(context.Place(recorder, "train", lambda: now[0], lambda: 2))
with Recording(recorder, logs, "train"):
    work()
"""


class Stage:
    """A driver with one worker, and what a user would see of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.logs = LogWriter(str(folder), 1)
        self.speaker: Speaker | None = Speaker(self.logs, "train", 4, 2)
        self.output = WorkerOutput(lambda: self.speaker, lambda: 0 if self.process is None else self.process.pid)
        self.gone = False
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, code: str) -> subprocess.Popen[bytes]:
        """Let a worker do this inside a block."""
        indented = "".join(f"    {line}\n" for line in code.strip().splitlines())
        script = WORKER.replace("{code}", indented)
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, str(self.folder), str(os.getpid()), *map(str, self.output.theirs)],
            pass_fds=self.output.theirs,
            env=scripts.environment(PYTHONWARNINGS="default", PYTHONUNBUFFERED=""),
        )
        self.output.handed_over()
        return self.process

    def serve_until(self, done: object, seconds: float = 30.0) -> None:
        """Do what the driver does until something is true."""
        deadline = time.monotonic() + seconds
        while not done():  # type: ignore[operator]
            assert time.monotonic() < deadline, self.lines()
            if not self.gone and select.select([self.output], [], [], 0.05)[0]:
                self.gone = not self.output.read_ready()

    def run(self, code: str) -> int:
        """Let a worker do this to its end; returns its exit code."""
        process = self.start(code)
        self.serve_until(lambda: process.poll() is not None)
        self.output.finish()
        return process.returncode

    def lines(self) -> list[LogLine]:
        return list(read_logs(str(self.folder), LogQuery()))

    def messages(self, stream: str = "stdout") -> list[str]:
        return [line.message for line in self.lines() if line.stream == stream]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    if made.process is not None:
        made.process.kill()
        made.process.wait()
    made.output.close()
    made.logs.close()


def test_prints_logs_and_warnings_of_a_worker_are_recorded_with_their_place(stage: Stage) -> None:
    assert (
        stage.run(
            "print('hello')\nsys.stderr.write('trouble\\n')\nlogging.getLogger('a.b').error('bad %s', 1)\n"
            "warnings.warn('old')\nsys.stdout.buffer.write(b'bytes\\xff\\n')"
        )
        == 0
    )
    lines = stage.lines()
    assert [(line.stream, line.level, line.logger, line.message.rpartition(": ")[2]) for line in lines] == [
        ("stdout", "INFO", "", "hello"),
        ("stderr", "WARNING", "", "trouble"),
        ("log", "ERROR", "a.b", "bad 1"),
        ("warning", "WARNING", "", "old"),
        ("stdout", "INFO", "", "bytes\\xff"),
    ]
    assert stage.process is not None
    assert {(line.block, line.element, line.attempt, line.pid) for line in lines} == {
        ("train", 4, 2, stage.process.pid)
    }


C_CODE = {
    "a write of C": "c.write(1, b'from C\\n', 7)",
    "a printf of C that nobody flushes": "c.printf(b'from %s\\n', b'C'); os.kill(os.getpid(), signal.SIGKILL)",
    "a write without newline": "c.write(1, b'from C', 6)",
    "a write to descriptor 1": "os.write(1, b'from C\\n')",
    "a process that the block starts": "subprocess.run(['echo', 'from C'])",
    "a process with Python's stdout": "subprocess.run(['echo', 'from C'], stdout=sys.stdout)",
    "a shell": "os.system('echo from C')",
    "a grandchild": "subprocess.run(['sh', '-c', '(echo from C &) ; sleep 0.1'])",
}


@pytest.mark.parametrize("code", C_CODE.values(), ids=C_CODE)
def test_what_comes_out_of_the_descriptors_is_recorded(stage: Stage, code: str) -> None:
    stage.run(code)
    (line,) = stage.lines()
    assert (line.message, line.stream, line.block, line.element, line.attempt) == ("from C", "stdout", "train", 4, 2)


def test_standard_error_of_c_code_is_told_apart(stage: Stage) -> None:
    stage.run("c.write(2, b'trouble\\n', 8)")
    (line,) = stage.lines()
    assert (line.message, line.stream, line.level) == ("trouble", "stderr", "WARNING")


LAST_WORDS = {
    "a line": ("print('last')", "last"),
    "a line without newline": ("print('last', end='')", "last"),
    "a line in two parts": ("print('la', end=''); print('st', end='')", "last"),
    "a line of C without newline": ("c.write(1, b'last', 4)", "last"),
    "a bar that was drawn over": ("print('\\r10%', end=''); print('\\r20%', end='')", "20%"),
}


@pytest.mark.parametrize(("code", "expected"), LAST_WORDS.values(), ids=LAST_WORDS)
def test_the_last_words_before_a_kill_are_there(stage: Stage, code: str, expected: str) -> None:
    assert stage.run(f"print('first')\n{code}\nos.kill(os.getpid(), signal.SIGKILL)") == -signal.SIGKILL
    assert stage.messages() == ["first", expected]


def test_a_crash_of_the_interpreter_tells_where_it_was(stage: Stage) -> None:
    assert stage.run("import faulthandler\nfaulthandler.enable(2)\nctypes.string_at(0)") == -signal.SIGSEGV
    assert any("Segmentation fault" in message for message in stage.messages("stderr"))
    assert any("in work" in message for message in stage.messages("stderr"))


def test_lines_that_the_worker_has_written_are_there_when_its_driver_dies_before_it_has_read_any(stage: Stage) -> None:
    process = stage.start("print('kept')\nprint('too')")
    # nobody reads the pipes
    process.wait(30)
    stage.output.close()
    assert stage.messages() == ["kept", "too"]


def test_a_line_is_recorded_once_whether_it_ends_with_a_newline_or_with_its_block(stage: Stage) -> None:
    stage.run("print('one', end='')\nnow[0] = 5\nprint('two')\nprint('three', end='')")
    assert [(line.message, line.element) for line in stage.lines()] == [("one", 4), ("two", 5), ("three", 5)]


def test_the_terminal_shows_what_the_worker_printed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    shown, trouble = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", shown)
    monkeypatch.setattr(sys, "stderr", trouble)
    stage.run("print('hällo', end=' ')\nprint('there')\nc.write(1, b'raw\\n', 4)\nsys.stderr.write('oh\\n')")
    assert sorted(shown.getvalue().splitlines()) == ["hällo there", "raw"]
    assert trouble.getvalue() == "oh\n"


def test_a_terminal_that_is_closed_costs_no_lines(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stdout", closed)
    stage.run("print('printed')\nc.write(1, b'raw\\n', 4)")
    assert sorted(stage.messages()) == ["printed", "raw"]


def test_records_of_a_worker_are_shown_by_the_handlers_of_the_driver(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.run("try:\n    1 / 0\nexcept ZeroDivisionError:\n    logging.getLogger('x').exception('bad ' + 'y' * 5000)")
    (record,) = caplog.records
    assert (record.name, record.levelno, record.getMessage()) == ("x", logging.ERROR, "bad " + "y" * 5000)
    assert record.exc_text is not None
    assert "ZeroDivisionError" in record.exc_text
    assert [line.stream for line in stage.lines()] == ["log"]


def test_handlers_that_a_block_sets_up_show_its_records(
    stage: Stage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    trouble = io.StringIO()
    monkeypatch.setattr(sys, "stderr", trouble)
    stage.run("logging.basicConfig(level='INFO', format='%(levelname)s!%(message)s')\nlogging.info('fine')")
    assert trouble.getvalue() == "INFO!fine\n"
    assert not caplog.records
    assert [(line.stream, line.message) for line in stage.lines()] == [("log", "fine")]


def test_a_million_bytes_on_one_line_are_kept_in_bounded_lines(stage: Stage) -> None:
    stage.run("os.write(1, b'x' * 1_000_000 + b'\\n')\nprint('y' * 1_000_000)")
    text = "".join(stage.messages())
    assert text.count("x") == text.count("y") == 1_000_000
    assert max(map(len, stage.messages())) <= 10_000 + 64 * 1024


def test_much_output_from_threads_and_forked_children_comes_whole(stage: Stage) -> None:
    stage.run(
        "def say(who):\n    for number in range(500): print(f'{who} says {number} ' + 'z' * 50)\n"
        "threads = [threading.Thread(target=say, args=(f't{i}',)) for i in range(4)]\n"
        "children = []\n"
        "for i in range(2):\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        say(f'c{i}'); os._exit(0)\n"
        "    children.append(child)\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
        "for child in children: os.waitpid(child, 0)"
    )
    expected = {
        f"{who} says {number} " + "z" * 50 for who in ("t0", "t1", "t2", "t3", "c0", "c1") for number in range(500)
    }
    assert sorted(stage.messages()) == sorted(expected)
    assert len({line.pid for line in stage.lines()}) == 3


def test_what_nobody_computes_for_is_shown_and_not_recorded(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stdout", shown)
    stage.speaker = None
    stage.run("c.write(1, b'idle\\n', 5)")
    assert shown.getvalue() == "idle\n"
    assert not stage.lines()


def test_a_line_that_began_in_one_block_is_not_ended_by_the_next(tmp_path: Path) -> None:
    logs = LogWriter(str(tmp_path), 1)
    lines = Lines("stdout", lambda: 1)
    lines.take("one\nbeg", Speaker(logs, "train", 1, 1))
    lines.take("un\nbegun", Speaker(logs, "train", 2, 1))
    lines.take("next\n", Speaker(logs, "other", None, 1))
    logs.close()
    assert [(line.block, line.element, line.message) for line in read_logs(str(tmp_path), LogQuery())] == [
        ("train", 1, "one"),
        ("train", 1, "begun"),
        ("train", 2, "begun"),
        ("other", None, "next"),
    ]


def test_a_child_that_outlives_its_worker_does_not_keep_the_driver_waiting(stage: Stage) -> None:
    stage.run("print('done')\nsubprocess.Popen(['sleep', '30'])")
    assert stage.messages() == ["done"]


def test_what_c_code_wrote_is_read_before_the_element_changes(stage: Stage) -> None:
    # the worker shows its element in a file here, as it does on the board
    def who() -> Speaker:
        return Speaker(stage.logs, "train", int((stage.folder / "element").read_text() or -1), 1)

    (stage.folder / "element").write_text("0")
    stage.output._who = who
    stage.run(
        f"for element in range(50):\n"
        f"    fd = os.open({str(stage.folder / 'element')!r}, os.O_WRONLY)\n"
        f"    os.pwrite(fd, b'%2d' % element, 0); os.close(fd)\n"
        f"    c.write(1, b'element %d\\n' % element, 8 + len(str(element)) + 1)\n"
        f"    capture_fd.settle(5)"
    )
    assert [(line.element, line.message) for line in stage.lines()] == [
        (number, f"element {number}") for number in range(50)
    ]


def test_what_logging_is_set_up_to_in_the_driver_counts_in_its_workers_until_it_is_set_back(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.run(
        "from runstone.engine.log_relay import LogSetup, take_setup\n"
        "take_setup(LogSetup({'': 20, 'a': 10}, True))\n"
        "logging.info('root info'); logging.getLogger('a').debug('a debug'); logging.basicConfig(level='DEBUG')\n"
        "take_setup(LogSetup({'': 30}, True))\n"
        "logging.info('no more'); logging.getLogger('a').debug('no more')\n"
        "take_setup(LogSetup({'': 30}))\n"
        "assert not logging.root.handlers"
    )
    assert stage.messages("log") == ["root info", "a debug"]
    assert [record.getMessage() for record in caplog.records] == ["root info", "a debug"]


def test_the_set_up_of_this_process_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("tests.of.levels"), "level", logging.DEBUG)
    found = log_relay.log_setup()
    assert found.levels["tests.of.levels"] == logging.DEBUG
    assert found.levels[""] == logging.root.level
    assert "tests.of" not in found.levels
    assert found.handled
    monkeypatch.setattr(logging.root, "handlers", [])
    assert not log_relay.log_setup().handled


def test_a_line_of_c_code_that_was_not_ended_is_kept_when_the_worker_has_done_its_work(stage: Stage) -> None:
    process = stage.start("c.write(1, b'begun', 5)\nsettled = capture_fd.settle(10)\nopen(sys.argv[1] + '/at', 'w')")
    stage.serve_until((stage.folder / "at").exists)
    stage.output.end_lines()
    assert stage.messages() == ["begun"]
    process.wait(30)
    stage.output.finish()
    assert stage.messages() == ["begun"]
