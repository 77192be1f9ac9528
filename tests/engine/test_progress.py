"""Showing runs while they are executed: real runs, in real terminals, pipes and notebooks."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from runstone import Pipeline, block
from runstone.drawing.lettering import cells
from runstone.engine.bars import ASCII, UNICODE, Line, lines
from runstone.engine.glance import Glance, Pace, Row
from tests.terminal import Screen, execute

PIPELINE = """
import logging, sys, time
from runstone import Pipeline, block

logging.basicConfig(level="INFO", format="LOG %(message)s")

@block
def files(root: str) -> list[str]:
    print("looking into", root)
    return [f"{root}/{n}" for n in range(20)]

@block(mapspec="files[i] -> stats[i]", on_error="continue")
def parse(files: str) -> int:
    time.sleep(0.03)
    if files.endswith("/7"):
        logging.warning("cannot parse %s", files)
        raise ValueError(files)
    return len(files)

@block(missing="drop")
def report(stats: list[int]) -> int:
    print("no line end", end="", flush=True)
    time.sleep(0.3)
    return sum(stats)

survey = Pipeline("survey", [files, parse, report])
"""

RUN_IT = "survey.run({'root': 'src'}, run_folder=None)\n"


def in_terminal(path: Path, **options: Any) -> tuple[str, int]:
    """Run a script in a terminal; returns all it wrote there, and its exit code."""
    return execute([sys.executable, str(path)], path.parent, **options)


def plain(written: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", written)


def script(folder: Path, then: str, pipeline: str = PIPELINE) -> Path:
    path = folder / "script.py"
    path.write_text(pipeline + then, encoding="utf-8")
    return path


def piped(path: Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, timeout=60, cwd=path.parent, check=False
    )


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_last_state_stays_on_the_terminal_and_is_never_wider_than_it(tmp_path: Path, width: int) -> None:
    written, code = in_terminal(script(tmp_path, RUN_IT), width=width)
    assert code == 0
    screen = Screen(width).feed(written)
    assert not screen.wrapped
    head, *blocks = screen.text.splitlines()[-4:]
    assert re.match(r"survey \w{8}  degraded  3 blocks  \d", head)
    assert re.match(r"  files +completed +━+ +\d", blocks[0])
    assert re.match(r"  parse +degraded +━+ +(20/20 +1 failed|100% +1✗) +\d", blocks[1])
    assert re.match(r"  report +completed +━+ +\d", blocks[2])


def test_bars_are_drawn_while_the_run_goes_on(tmp_path: Path) -> None:
    written, _ = in_terminal(script(tmp_path, RUN_IT.replace("None", "'run'")))
    assert len(re.findall("parse.*?running", written)) >= 3
    assert re.search(r"parse +running +[━╸]+─+ +1?[1-9]/20", plain(written))


def test_what_the_program_prints_and_logs_stays_above_the_bars(tmp_path: Path) -> None:
    written, _ = in_terminal(script(tmp_path, RUN_IT + "print('afterwards')\n"))
    shown = Screen(80).feed(written).text.splitlines()
    assert shown[:3] == ["looking into src", "LOG cannot parse src/7", "no line end"]
    assert shown[3].startswith("survey")
    assert shown[-1] == "afterwards"
    assert len(shown) == 8


def test_a_line_that_is_not_complete_can_be_read_while_it_waits(tmp_path: Path) -> None:
    written, _ = in_terminal(script(tmp_path, RUN_IT))
    before_the_end = written[: written.rindex("completed")]
    assert before_the_end.count("no line end") >= 2


def test_streams_log_handlers_and_threads_are_as_before_when_it_is_over(tmp_path: Path) -> None:
    then = """
import threading
before = sys.stdout, sys.stderr, logging.root.handlers[0].stream
survey.run({"root": "src"}, run_folder=None)
assert (sys.stdout, sys.stderr, logging.root.handlers[0].stream) == before
assert not [thread for thread in threading.enumerate() if "progress" in thread.name]
"""
    written, code = in_terminal(script(tmp_path, then))
    assert code == 0, written


def test_a_stream_that_the_program_put_over_ours_stays_its_own(tmp_path: Path) -> None:
    then = """
class Mine:
    def __init__(self, stream): self.stream = stream
    def write(self, text): return self.stream.write(text.upper())
    def flush(self): self.stream.flush()

@block
def replaces(n: int) -> int:
    sys.stdout = Mine(sys.stdout)
    return n

Pipeline("p", [replaces]).run({"n": 1}, run_folder=None)
assert isinstance(sys.stdout, Mine)
print("heard")
"""
    written, code = in_terminal(script(tmp_path, then))
    assert code == 0, written
    assert Screen(80).feed(written).text.endswith("HEARD")


def test_output_that_goes_elsewhere_is_not_taken_to_the_terminal(tmp_path: Path) -> None:
    command = f"exec {sys.executable} {script(tmp_path, RUN_IT)} > elsewhere"
    written, code = execute(["sh", "-c", command], tmp_path)
    assert code == 0
    assert (tmp_path / "elsewhere").read_text() == "looking into src\nno line end"
    assert "running" in written
    assert "looking" not in written
    assert "no line end" not in written


def test_a_program_that_closes_standard_error_can_go_on_printing(tmp_path: Path) -> None:
    then = """
@block
def closes(n: int) -> int:
    time.sleep(0.3)
    sys.__stderr__.close()
    print("still here")
    return n

logging.root.handlers.clear()
print(Pipeline("p", [closes]).run({"n": 1}, run_folder=None).status)
"""
    written, code = in_terminal(script(tmp_path, then))
    assert code == 0, written
    assert "still here\n" in written
    assert written.endswith("completed\n")


def test_ctrl_c_leaves_the_last_state_and_a_whole_terminal(tmp_path: Path) -> None:
    then = """
try:
    survey.run({"root": "src"}, run_folder=None)
except KeyboardInterrupt:
    import threading
    print("stopped", [thread.name for thread in threading.enumerate() if thread.name != "runstone-heartbeat"])
"""
    written, code = in_terminal(script(tmp_path, then), interrupt_at="running")
    assert code == 0, written
    shown = Screen(80).feed(written).text.splitlines()
    assert shown[-1] == "stopped ['MainThread']"
    assert re.match(r"survey \w{8}  cancelled", shown[-5])
    assert "\x1b[?25l" not in written


def test_an_exception_of_the_program_goes_on_as_it_would(tmp_path: Path) -> None:
    then = """
@block
def breaks(n: int) -> int:
    time.sleep(0.2)
    raise SystemExit(3)

try:
    Pipeline("p", [breaks]).run({"n": 1}, run_folder=None)
except Exception as error:
    print("CAUGHT", type(error).__name__)
"""
    written, code = in_terminal(script(tmp_path, then))
    assert code == 0
    shown = Screen(80).feed(written).text.splitlines()
    assert re.match(r"  breaks +failed", shown[-2])
    assert shown[-1] == "CAUGHT RunFailed"


def test_runs_at_the_same_time_share_the_terminal(tmp_path: Path) -> None:
    then = """
handles = [survey.run_async({"root": root}, run_folder=None) for root in "ab"]
for handle in handles:
    handle.result()
import threading
assert {thread.name for thread in threading.enumerate()} == {"MainThread", "runstone-heartbeat"}
"""
    written, code = in_terminal(script(tmp_path, then))
    assert code == 0, written
    screen = Screen(80).feed(written)
    assert not screen.wrapped
    assert len(re.findall(r"^survey \w{8}  degraded", screen.text, re.MULTILINE)) == 2
    assert "running" not in screen.text


def test_a_forked_child_writes_as_if_there_were_no_bars(tmp_path: Path) -> None:
    then = """
import os

@block
def forks(n: int) -> int:
    time.sleep(0.25)
    child = os.fork()
    if not child:
        logging.warning("child logs")
        os._exit(0 if sys.stdout is sys.__stdout__ and sys.stderr is sys.__stderr__ else 7)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

assert Pipeline("p", [forks]).run({"n": 1}, run_folder=None).outputs["forks"] == 0
"""
    written, code = in_terminal(script(tmp_path, then))
    assert code == 0, written


def test_a_dumb_terminal_is_left_alone(tmp_path: Path) -> None:
    written, code = in_terminal(script(tmp_path, RUN_IT), environment={"TERM": "dumb"})
    assert code == 0
    assert written.splitlines() == ["looking into src", "LOG cannot parse src/7", "no line end"]


def test_no_color_is_obeyed(tmp_path: Path) -> None:
    written, _ = in_terminal(script(tmp_path, RUN_IT), environment={"NO_COLOR": "1"})
    assert "degraded" in written
    assert not re.search(r"\x1b\[[0-9;]*m", written)


def test_a_terminal_without_unicode_gets_bars_of_ascii(tmp_path: Path) -> None:
    written, _ = in_terminal(script(tmp_path, RUN_IT), environment={"PYTHONIOENCODING": "ascii"})
    assert re.search(r"parse +degraded +=====", plain(written))
    assert written.isascii()


@pytest.mark.parametrize("show", ["False", "'headless'", "None"])
def test_nothing_is_shown_where_nobody_asked_for_it(tmp_path: Path, show: str) -> None:
    answer = piped(script(tmp_path, f"survey.run({{'root': 'src'}}, run_folder=None, show_progress={show})\n"))
    assert answer.stderr == "LOG cannot parse src/7\n"


@pytest.mark.parametrize("show", ["False", "'headless'"])
def test_a_terminal_stays_clean_if_that_is_wanted(tmp_path: Path, show: str) -> None:
    written, _ = in_terminal(
        script(tmp_path, f"survey.run({{'root': 'src'}}, run_folder=None, show_progress={show})\n")
    )
    assert written.splitlines() == ["looking into src", "LOG cannot parse src/7", "no line end"]


def test_what_is_not_shown_costs_no_import(tmp_path: Path) -> None:
    then = RUN_IT + "assert not [name for name in sys.modules if 'progress' in name or name.startswith('rich')]\n"
    answer = piped(script(tmp_path, then))
    assert answer.returncode == 0, answer.stderr


def test_on_a_pipe_it_writes_plain_lines_when_it_is_forced(tmp_path: Path) -> None:
    pipeline = PIPELINE.replace("0.03", "0.15")
    answer = piped(
        script(tmp_path, "survey.run({'root': 'src'}, run_folder='run', show_progress=True)\n", pipeline=pipeline)
    )
    told = [line for line in answer.stderr.splitlines() if not line.startswith("LOG")]
    assert "\x1b" not in answer.stderr
    assert 3 <= len(told) <= 5
    assert re.fullmatch(r"survey \w{8}: parse \d+/20( \(1 failed\))?, 1 of 3 blocks done, [\d.]+ m?s", told[0])
    assert re.fullmatch(r"survey \w{8}: degraded, 3 blocks, parse: 1 of 20 failed, [\d.]+ s", told[-1])


@pytest.mark.parametrize("break_it", ["sys.stderr.close()", "sys.stderr = None", "os.close(2)"])
def test_a_run_does_not_notice_that_nothing_can_be_shown(tmp_path: Path, break_it: str) -> None:
    then = f"""
import os
logging.root.handlers.clear()
logging.root.addHandler(logging.NullHandler())
{break_it}
run = survey.run({{"root": "src"}}, run_folder=None, show_progress=True)
print(run.status)
"""
    answer = piped(script(tmp_path, then))
    assert answer.stdout.endswith("no line enddegraded\n"), answer.stderr


def test_a_terminal_that_goes_away_does_not_end_the_run(tmp_path: Path) -> None:
    then = """
import os, signal
signal.signal(signal.SIGHUP, signal.SIG_IGN)

@block
def long(n: int) -> int:
    print("begun")
    time.sleep(1)
    return n

run = Pipeline("p", [long]).run({"n": 1}, run_folder="run", show_progress=True)
open("ended", "w").write(run.status)
"""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, str(script(tmp_path, then))],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        cwd=tmp_path,
        env={**os.environ, "TERM": "xterm"},
        start_new_session=True,
    )
    os.close(terminal)
    while b"running" not in os.read(controller, 65536):
        pass
    os.close(controller)
    process.wait(timeout=60)
    assert (tmp_path / "ended").read_text() == "completed"


def test_a_run_within_pytest_shows_nothing_and_leaves_no_thread(capsys: pytest.CaptureFixture[str]) -> None:
    @block
    def one(n: int) -> int:
        return n

    Pipeline("quiet", [one]).run({"n": 1}, run_folder=None)
    assert capsys.readouterr() == ("", "")
    assert not [thread for thread in threading.enumerate() if thread.name == "runstone-progress"]


NOTEBOOK = """
import sys
sys.path.insert(0, {folder!r})
import survey
{then}
"""


def test_in_a_notebook_a_table_changes_in_place_and_its_last_state_stays(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    (tmp_path / "survey.py").write_text(PIPELINE, encoding="utf-8")
    sources = [
        NOTEBOOK.format(folder=str(tmp_path), then=""),
        f"survey.survey.run({{'root': '<b>'}}, run_folder={str(tmp_path / 'one')!r}).status",
        f"handle = survey.survey.run_async({{'root': 'src'}}, run_folder={str(tmp_path / 'two')!r})",
        "(await handle).status",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    for cell in notebook.cells[1:3]:
        shown = [output for output in cell.outputs if output.output_type == "display_data"]
        assert len(shown) == 1
        assert re.search(r"degraded</span>&ensp;3 blocks", shown[0].data["text/html"])
        assert "20/20" in shown[0].data["text/html"]
        assert "parse" in shown[0].data["text/plain"]
    assert notebook.cells[3].outputs[-1].data["text/plain"] == "'degraded'"


# What the lines say, without a terminal


def text(line: Line) -> str:
    return "".join(piece for piece, _ in line)


def glance(*rows: Row, status: str = "running", recent: list[str] | None = None) -> Glance:
    return Glance(
        pipeline="survey",
        id="4d1d6f62-0000",
        status=status,
        seconds=12.0,
        rows=list(rows),
        recent=recent or [],
        folder="/somewhere/very/far/away/from/here/runs/survey-4d1d6f62",
    )


ROWS = [
    Row(name="files", status="completed", seconds=0.0004),
    Row(name="überall_größer", status="degraded", total=1_200_000, ended=1_200_000, failed=31, seconds=7300),
    Row(name="measure_every_single_thing_there_is", status="retrying", total=90_000, ended=45_000, failed=1234,
        seconds=61, left=200),
    Row(name="文字", status="condition_failed"),
    Row(name="last", status="pending"),
]  # fmt: skip


@pytest.mark.parametrize("width", [*range(1, 60), 60, 79, 80, 120, 300])
@pytest.mark.parametrize("marks", [UNICODE, ASCII])
@pytest.mark.parametrize("final", [True, False])
def test_no_line_is_wider_than_the_terminal(width: int, marks: object, final: bool) -> None:
    for line in lines(glance(*ROWS), width, 24, marks=marks, final=final):  # type: ignore[arg-type]
        assert cells(text(line)) <= width


@pytest.mark.parametrize("width", [60, 80, 120])
def test_at_usual_widths_every_block_has_its_word_and_a_bar(width: int) -> None:
    shown = [text(line) for line in lines(glance(*ROWS[1:3], ROWS[4]), width, 24)]
    for word, line in zip(["degraded", "retrying", "pending"], shown[1:], strict=True):
        assert word in line
        assert "━" in line or "─" in line


def test_a_long_pipeline_shows_what_happens_and_what_ended_last() -> None:
    rows = [Row(name=f"b{n}", status="completed" if n < 50 else "pending", seconds=1.0) for n in range(100)]
    rows[50] = Row(name="b50", status="running", seconds=1.0)
    recent = [f"b{n}" for n in range(49, -1, -1)]
    shown = [text(line) for line in lines(glance(*rows, recent=recent), 80, 24)]
    assert len(shown) < 14
    names = [line.split()[0] for line in shown[1:-1]]
    assert names == ["b44", "b45", "b46", "b47", "b48", "b49", "b50", "b51", "b52"]
    assert shown[-1].strip() == "and 91 more blocks: 44 completed, 47 pending"


def test_at_the_end_of_a_long_pipeline_what_went_wrong_is_shown() -> None:
    rows = [Row(name=f"b{n}", status="completed", seconds=float(n)) for n in range(100)]
    rows[3] = Row(name="b3", status="failed", seconds=0.1)
    shown = [text(line) for line in lines(glance(*rows, status="failed"), 80, 24, final=True)]
    names = [line.split()[0] for line in shown[1:-1]]
    assert names[0] == "b3"
    assert names[-1] == "b99"


def test_the_lines_fit_the_height_of_the_terminal() -> None:
    for height in range(1, 30):
        assert len(lines(glance(*[Row(name=f"b{n}", status="running", seconds=1) for n in range(40)]), 80, height)) <= (
            height
        )


def test_names_cannot_command_the_terminal() -> None:
    shown = "".join(text(line) for line in lines(glance(Row(name="a\x1b[2J\n\u202eb", status="running")), 80, 24))
    assert not re.search("[\x00-\x1f\u202e]", shown)


def test_an_estimate_is_given_once_the_pace_is_steady() -> None:
    pace = Pace()
    for second in range(11):
        pace.see(float(second), 10 * second)
    left = pace.left(10.0, 1000)
    assert left is not None
    assert 85 <= left <= 95


def test_an_estimate_follows_a_pace_that_has_changed() -> None:
    pace = Pace()
    done = 0
    for second in range(61):
        pace.see(float(second), done)
        done += 100 if second < 20 else 10
    left = pace.left(60.0, 2 * done)
    assert left is not None
    assert left == pytest.approx(done / 10, rel=0.1)


def test_slow_elements_are_estimated_too() -> None:
    pace = Pace()
    for number in range(7):
        pace.see(40.0 * number, number)
    left = pace.left(245.0, 20)
    assert left is not None
    assert left == pytest.approx(14 * 40 - 5, rel=0.1)


def test_no_estimate_is_given_where_none_would_be_honest() -> None:
    early, uneven, stuck, tiny = Pace(), Pace(), Pace(), Pace()
    for second in range(3):
        early.see(float(second), 10 * second)
    for second in range(20):
        uneven.see(float(second), second**3)
        stuck.see(float(second), 10 * second)
        tiny.see(float(second), second)
    assert early.left(2.0, 1000) is None
    assert uneven.left(19.0, 100_000) is None
    assert stuck.left(60.0, 1000) is None
    assert tiny.left(19.0, 1_000_000) is None
