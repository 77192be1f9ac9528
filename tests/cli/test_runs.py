"""`runstone runs`, `tail` and `history`: what the ledger knows, for people and for programs."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import scripts
from tests.cli.command import in_terminal

MAKES = """
from runstone import Pipeline, block

@block
def load(n: int, lr: float = 0.1) -> list[int]:
    if n < 0:
        raise ValueError("CUDA out of memory")
    return list(range(n))

@block(mapspec="load[i] -> halves[i]", on_error="continue")
def halve(load: int) -> int:
    if load == 3:
        raise RuntimeError("three")
    return load // 2

survey = Pipeline("survey", [load, halve], version="1.2", tags=["prod"])
other = Pipeline("a-pipeline-with-a-rather-long-name", [load])

if __name__ == "__main__":
    for n in (2, -1, 5):
        survey.run({"n": n}, raise_on_error=False, show_progress=False)
    other.run({"n": 1}, show_progress=False)
    survey.run({"n": 3, "lr": 0.5}, show_progress=False)
"""
HEAD = ["Run ID", "Stage", "Status", "Started At", "Rows In", "Rows Out", "Duration"]
STATUSES = ["completed", "failed", "degraded", "completed", "completed"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with five runs in its ledger; to look at."""
    home = tmp_path_factory.mktemp("project")
    script = scripts.write(home / "makes.py", MAKES)
    done = scripts.python(str(script), cwd=home)
    assert done.returncode == 0, done.stderr
    assert (home / ".runstone" / "ledger.db").exists()
    return home


def table(text: str) -> list[list[str]]:
    """The cells of what was printed; a gap of two spaces is between columns."""
    return [re.split(r"\s{2,}", line) for line in text.splitlines()]


def lines_of(*arguments: str, at: Path, **more: str) -> list[list[str]]:
    done = scripts.runstone(*arguments, cwd=at, **more)
    assert (done.returncode, done.stderr) == (0, "")
    return table(done.stdout)


@pytest.mark.parametrize("tail", [["runs", "tail"], ["tail"]])
def test_tail_lists_the_newest_runs_the_newest_last(project: Path, tail: list[str]) -> None:
    head, *runs = lines_of(*tail, at=project)
    assert head == HEAD
    assert [run[2] for run in runs] == STATUSES
    assert [run[1] for run in runs][3] == "a-pipeline-with-a-rather-long-name"
    for identity, _, _, started, rows_in, rows_out, duration in runs:
        assert re.fullmatch(r"[0-9a-f]{8}", identity)
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", started)
        assert (rows_in, rows_out) == ("-", "-")
        assert re.fullmatch(r"\d+\.\d\ds", duration)


@pytest.mark.parametrize("number", [["-n", "2"], ["--n", "2"], ["-n2"], ["--n=2"]])
def test_tail_lists_as_many_as_are_asked_for(project: Path, number: list[str]) -> None:
    assert [run[2] for run in lines_of("runs", "tail", *number, at=project)[1:]] == STATUSES[-2:]


def test_tail_lists_ten_if_nothing_is_said(tmp_path: Path) -> None:
    script = scripts.write(
        tmp_path / "many.py",
        """
        from runstone import Pipeline, block

        @block
        def one() -> int:
            return 1

        for _ in range(12):
            Pipeline("many", [one]).run({}, show_progress=False)
        """,
    )
    assert scripts.python(str(script), cwd=tmp_path).returncode == 0
    assert len(lines_of("runs", "tail", at=tmp_path)) == 11
    assert len(lines_of("runs", "tail", "-n", "20", at=tmp_path)) == 13


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("status:failed", ["failed"]),
        ('error~"cuda OUT"', ["failed"]),
        ("param.lr>0.2", ["completed"]),
        ("tag:prod -status:completed", ["failed", "degraded"]),
        ("survey since:1h", ["completed", "failed", "degraded", "completed"]),
    ],
)
def test_queries_choose_runs_in_every_command(project: Path, query: str, expected: list[str]) -> None:
    assert [run[2] for run in lines_of("runs", "tail", "--query", query, at=project)[1:]] == expected
    assert [run[2] for run in lines_of("runs", "ls", "-q", query, at=project)[1:]] == expected[::-1]
    done = scripts.runstone("history", "--by", "status", "--query", query, "--json", cwd=project)
    assert json.loads(done.stdout)["total"]["runs"] == len(expected)


@pytest.mark.parametrize(
    "command",
    [["runs", "list"], ["tail"], ["history"], ["export"], ["cleanup", "--dry-run"]],
    ids=lambda words: words[0],
)
def test_that_only_the_beginning_of_long_texts_is_searched_is_told(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "makes.py").write_text(MAKES.partition("if __name__")[0])
    code = "import makes; makes.other.run({'n': 1}); makes.other.run({'n': 1, 'lr': 'hay ' * 3000 + 'needle'})"
    made = scripts.python("-c", code, cwd=tmp_path, RUNSTONE_LEDGER="")
    assert made.returncode == 0, made.stderr
    done = scripts.runstone(*command, "--query", "param.lr~needle", cwd=tmp_path, RUNSTONE_LEDGER="")
    assert "has only the first 200 characters of long texts in parameter 'lr'" in done.stderr, done.stderr
    silent = scripts.runstone(*command, "--query", "param.n~needle param.lr:1", cwd=tmp_path, RUNSTONE_LEDGER="")
    assert "characters" not in silent.stderr


def test_where_nothing_is_found_nothing_is_printed(project: Path) -> None:
    for command in (["runs", "tail"], ["runs", "list"]):
        done = scripts.runstone(*command, "--query", "tag:nobody", cwd=project)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "no runs\n")


def test_a_query_that_cannot_be_read_is_wrong_use_in_one_line(project: Path) -> None:
    for command in (["runs", "tail"], ["runs", "list"], ["history"], ["tail"]):
        done = scripts.runstone(*command, "--query", "tag:x stats:failed", cwd=project)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            "runstone: there is no field 'stats' to ask about; did you mean 'status'?, "
            "at position 6 of the query 'tag:x stats:failed'\n"
        )


def test_each_run_is_a_json_object_on_a_line(project: Path) -> None:
    done = scripts.runstone("runs", "tail", "--json", cwd=project)
    runs = [json.loads(line) for line in done.stdout.splitlines()]
    assert [run["status"] for run in runs] == STATUSES
    assert {"run_id", "workspace", "pipeline_name", "tags", "run_folder", "recorded_status"} <= set(runs[0])
    assert runs[1]["error"].startswith("load: ValueError: CUDA out of memory")


COLOURS = {"completed": "32", "failed": "31", "running": "33"}


def test_in_a_terminal_a_status_has_its_colour_and_its_word(project: Path) -> None:
    written, code = in_terminal("runs", "tail", at=project, width=120, RUNSTONE_LEDGER="")
    assert code == 0
    for status in ("completed", "failed"):
        assert f"\x1b[{COLOURS[status]}m{status}" in written
    plain, _ = in_terminal("runs", "tail", at=project, width=120, RUNSTONE_LEDGER="", NO_COLOR="1")
    assert "\x1b[" not in plain
    assert plain == re.sub(r"\x1b\[\d+m", "", written)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(project: Path, width: int) -> None:
    for command in (["runs", "tail"], ["runs", "list"], ["history"], ["history", "--by", "pipeline"]):
        written, code = in_terminal(*command, at=project, width=width, RUNSTONE_LEDGER="", NO_COLOR="1")
        assert code == 0
        assert max(map(len, written.splitlines())) < width, written
        if command[-1] in ("tail", "list"):
            assert all(status in written for status in STATUSES)
            assert written.count("s\n") == len(STATUSES), "the durations are cut"


def test_list_goes_through_all_runs_page_by_page(project: Path) -> None:
    first = scripts.runstone("runs", "list", "-n", "2", cwd=project)
    statuses = [run[2] for run in table(first.stdout)[1:]]
    more = first.stderr
    while more:
        assert more.startswith("more: runstone runs list -n 2 --cursor ")
        page = scripts.runstone(*more.split()[2:], cwd=project)
        statuses += [run[2] for run in table(page.stdout)[1:]]
        more = page.stderr
    assert statuses == STATUSES[::-1]


def test_a_cursor_that_was_cut_is_refused_in_one_line(project: Path) -> None:
    done = scripts.runstone("runs", "list", "--cursor", "abc", cwd=project)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "this is no cursor" in done.stderr


def test_workspaces_are_apart_unless_all_are_asked_for(project: Path) -> None:
    done = scripts.runstone("runs", "tail", "--workspace", "lab", cwd=project)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("runstone: no workspace 'lab'; there is default; make it with: ")
    assert scripts.runstone("runs", "tail", cwd=project, RUNSTONE_WORKSPACE="lab").stdout == ""
    assert [run[1] for run in lines_of("runs", "tail", "--all-workspaces", "-n1", at=project)[1:]] == ["default/survey"]


def ids(project: Path, query: str = "") -> list[str]:
    done = scripts.runstone("runs", "tail", "--json", "--query", query, cwd=project)
    return [json.loads(line)["run_id"] for line in done.stdout.splitlines()]


def test_show_tells_all_that_the_ledger_knows(project: Path) -> None:
    (failed,) = ids(project, "status:failed")
    done = scripts.runstone("runs", "show", failed[:8], cwd=project)
    assert (done.returncode, done.stderr) == (0, "")
    sections = re.findall(r"^(\w[\w ]*)$", done.stdout, re.MULTILINE)
    assert [each for each in sections if each in _SECTIONS] == _SECTIONS
    for said in (failed, "failed after", "tags     prod", "rows in   -", "ValueError: CUDA out of memory", "in load"):
        assert said in done.stdout
    assert re.search(r"input +[0-9a-f]{64}", done.stdout)
    whole = json.loads(scripts.runstone("runs", "show", failed, "--json", cwd=project).stdout)
    assert whole["run"]["run_id"] == failed
    assert [block["status"] for block in whole["blocks"]] == ["failed", "upstream_failed"]
    assert whole["params"] == {"n": -1, "lr": 0.1}


_SECTIONS = ["Timestamps", "Metrics", "Fingerprints", "Parameters", "Blocks", "Error", "Next"]


def test_show_takes_a_folder_too(project: Path) -> None:
    (failed,) = ids(project, "status:failed")
    by_folder = scripts.runstone("runs", "show", f"runs/survey-{failed[:8]}", cwd=project)
    assert "Fingerprints" in by_folder.stdout
    assert failed in by_folder.stdout


def test_what_is_no_run_is_told_in_one_line(project: Path) -> None:
    for command in (["runs", "show"], ["show"]):
        done = scripts.runstone(*command, "zzzz", cwd=project)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
        assert "no run 'zzzz'" in done.stderr


def test_a_run_without_its_folder_is_still_shown(project: Path, tmp_path: Path) -> None:
    home = tmp_path / "copy"
    shutil.copytree(project / ".runstone", home / ".runstone")
    (failed,) = ids(project, "status:failed")
    ledger = home / ".runstone" / "ledger.db"
    import apsw

    connection = apsw.Connection(str(ledger))
    connection.execute("UPDATE pipeline_run SET run_folder = run_folder || '-gone'")
    connection.close()
    for command in (["show"], ["runs", "show"]):
        done = scripts.runstone(*command, failed[:8], cwd=home)
        assert (done.returncode, done.stderr) == (0, "")
        assert "not there any more" in done.stdout
        assert "CUDA out of memory" in done.stdout
    told = json.loads(scripts.runstone("status", failed[:8], cwd=home).stdout)
    assert (told["status"], told["status_source"], told["run_folder"]) == ("failed", "ledger", None)
    assert "is not there any more" in told["message"]
    other = scripts.runstone("why", failed[:8], cwd=home)
    assert (other.returncode, len(other.stderr.splitlines())) == (1, 1)
    assert f"what the ledger knows of it: runstone runs show {failed[:8]}" in other.stderr


def test_of_a_run_without_a_folder_the_ledger_tells_the_status_and_no_folder_is_made_up(tmp_path: Path) -> None:
    (tmp_path / "tracks.py").write_text(
        "from runstone import track\nwith track('load', params={'lr': 0.1}) as t:\n    pass\nprint(t.run_id)\n"
    )
    run = scripts.python("tracks.py", cwd=tmp_path, RUNSTONE_LEDGER="").stdout.strip()
    done = scripts.runstone("status", run[:8], "--include-run-info", cwd=tmp_path, RUNSTONE_LEDGER="")
    told = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert (told["id"], told["status"], told["done"]) == (run, "completed", True)
    assert (told["status_source"], told["run_folder"], told["run_info"]) == ("ledger", None, None)
    assert told["params"] == {"lr": 0.1}
    for command in ("status", "watch"):
        block = scripts.runstone(command, f"{run[:8]}/load", cwd=tmp_path, RUNSTONE_LEDGER="")
        assert block.returncode == 1
        refused = json.loads(block.stdout)
        assert (refused["status"], refused["run_folder"]) == ("missing", None)
    assert "has no folder" in scripts.runstone("show", f"{run[:8]}/load", cwd=tmp_path, RUNSTONE_LEDGER="").stderr
    code = (
        f"import runstone; run = runstone.open({run[:8]!r})\n"
        "print(run.status, run.run_folder, dict(run.params), run.tags, run.notes, dict(run.outputs))"
    )
    opened = scripts.python("-c", code, cwd=tmp_path, RUNSTONE_LEDGER="")
    assert opened.stdout == "completed None {'lr': 0.1} [] [] {}\n", opened.stderr


EVERY_COMMAND = [
    (["status"], '"status":"failed"'),
    (["show"], "CUDA out of memory"),
    (["watch"], '"status":"failed"'),
    (["why"], "CUDA out of memory"),
    (["logs"], ""),
    (["graph"], "load"),
    (["runs", "show"], "CUDA out of memory"),
]


@pytest.mark.parametrize(("command", "says"), EVERY_COMMAND, ids=lambda value: value[-1] if value else "")
def test_every_command_finds_runs_that_are_recorded_elsewhere(
    project: Path, tmp_path: Path, command: list[str], says: str
) -> None:
    (failed,) = ids(project, "status:failed")
    ledger = str(project / ".runstone" / "ledger.db")
    for run in (failed, failed[:8]):
        done = scripts.runstone(*command, run, cwd=tmp_path, RUNSTONE_LEDGER=ledger)
        assert says in done.stdout, done.stderr


def test_a_block_of_a_run_that_is_recorded_elsewhere_is_found(project: Path, tmp_path: Path) -> None:
    (failed,) = ids(project, "status:failed")
    ledger = str(project / ".runstone" / "ledger.db")
    done = scripts.runstone("show", f"{failed[:8]}/load", cwd=tmp_path, RUNSTONE_LEDGER=ledger)
    assert done.stdout.startswith("survey/load\n"), done.stderr
    done = scripts.runstone("status", f"{failed[:8]}/halve", cwd=tmp_path, RUNSTONE_LEDGER=ledger)
    assert json.loads(done.stdout)["block"]["status"] == "upstream_failed"
    done = scripts.runstone("show", f"{failed[:8]}/nope", cwd=tmp_path, RUNSTONE_LEDGER=ledger)
    assert "has no block 'nope'; it has load, halve" in done.stderr


def test_python_finds_them_too(project: Path, tmp_path: Path) -> None:
    (failed,) = ids(project, "status:failed")
    code = f"import runstone; print(runstone.open({failed[:8]!r}).status)"
    done = scripts.python("-c", code, cwd=tmp_path, RUNSTONE_LEDGER=str(project / ".runstone" / "ledger.db"))
    assert done.stdout == "failed\n", done.stderr


def test_a_ledger_that_cannot_be_asked_does_not_hide_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("this is no database at all, whatever its name says" * 100)
    done = scripts.runstone("status", "abcdef", cwd=tmp_path, RUNSTONE_LEDGER=str(tmp_path / "ledger.db"))
    said = json.loads(done.stdout)["error"]
    assert said.startswith("no run 'abcdef' here")
    assert "the ledger cannot be asked" in said


@pytest.mark.parametrize("command", [["runs", "list"], ["history"]])
def test_where_there_is_no_ledger_the_reason_is_told(tmp_path: Path, command: list[str]) -> None:
    done = scripts.runstone(*command, cwd=tmp_path)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert f"there is no ledger yet at {tmp_path}/.runstone/ledger.db" in done.stderr
    done = scripts.runstone(*command, cwd=tmp_path, RUNSTONE_LEDGER="none")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert "the ledger is switched off" in done.stderr
    assert not (tmp_path / ".runstone").exists()


def test_tail_lists_the_folders_where_there_is_no_ledger(project: Path) -> None:
    switched_off = {"RUNSTONE_LEDGER": "none"}
    with_ledger = lines_of("tail", at=project)
    assert lines_of("tail", at=project, **switched_off) == with_ledger
    assert lines_of("tail", "-n1", at=project, **switched_off) == [HEAD, with_ledger[-1]]
    done = scripts.runstone("tail", "--query", "tag:prod", cwd=project, **switched_off)
    assert (done.returncode, done.stdout) == (1, "")
    assert "the ledger is switched off" in done.stderr


def test_history_counts_and_measures_by_day_pipeline_and_status(project: Path) -> None:
    def by(what: str) -> dict[str, dict[str, object]]:
        found = json.loads(scripts.runstone("history", "--by", what, "--json", cwd=project).stdout)
        assert found["total"]["runs"] == 5
        assert found["total"]["success_rate"] == pytest.approx(0.8)
        return {group["name"]: group for group in found["groups"]}

    assert {name: group["runs"] for name, group in by("status").items()} == {"completed": 3, "failed": 1, "degraded": 1}
    assert [(name, group["runs"]) for name, group in by("pipeline").items()] == [
        ("survey", 4),
        ("a-pipeline-with-a-rather-long-name", 1),
    ]
    assert list(by("day")) == [time.strftime("%Y-%m-%d")]
    head, *rows, total = lines_of("history", "--by", "pipeline", at=project)
    assert head == ["pipeline", "runs", "success", "average", "p50", "p95"]
    assert [row[:3] for row in (*rows, total)] == [
        ["survey", "4", "75.0%"],
        ["a-pipeline-with-a-rather-long-name", "1", "100.0%"],
        ["total", "5", "80.0%"],
    ]
    assert re.fullmatch("█+", rows[0][-1])


def test_a_run_whose_process_was_killed_is_crashed_wherever_it_is_listed(tmp_path: Path) -> None:
    script = scripts.write(
        tmp_path / "waits.py",
        """
        import pathlib, time
        from runstone import Pipeline, block

        @block
        def wait() -> int:
            pathlib.Path("started").touch()
            time.sleep(600)

        Pipeline("waits", [wait]).run({}, show_progress=False)
        """,
    )
    process = scripts.start(sys.executable, str(script), cwd=tmp_path)
    scripts.wait_for(tmp_path / "started")
    deadline = time.monotonic() + 30
    while not ids_or_none(tmp_path):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert [run[2] for run in lines_of("runs", "tail", "-q", "status:running", at=tmp_path)[1:]] == ["running"]
    process.kill()
    process.communicate()
    assert [run[2] for run in lines_of("runs", "tail", at=tmp_path)[1:]] == ["crashed"]
    assert [run[2] for run in lines_of("runs", "tail", "-q", "status:crashed", at=tmp_path)[1:]] == ["crashed"]
    (run_id,) = ids(tmp_path)
    shown = scripts.runstone("runs", "show", run_id[:8], cwd=tmp_path).stdout
    assert "crashed" in shown
    assert "recorded: running" in shown
    found = json.loads(scripts.runstone("history", "--by", "status", "--json", cwd=tmp_path).stdout)
    assert [group["name"] for group in found["groups"]] == ["crashed"]


def ids_or_none(project: Path) -> list[str]:
    return ids(project) if (project / ".runstone" / "ledger.db").exists() else []


class Following:
    """`runstone runs tail --follow` in the background, and what it says, line by line, with the time of each."""

    def __init__(self, *options: str, at: Path) -> None:
        command = [scripts.RUNSTONE, "runs", "tail", "--follow", *options]
        self.process = subprocess.Popen(
            command,
            cwd=at,
            env=scripts.environment(PYTHONUNBUFFERED="1"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self) -> list[str]:
        assert self.process.stdout is not None
        return re.split(r"\s{2,}", self.process.stdout.readline().rstrip())

    def interrupt(self) -> tuple[int, str]:
        self.process.send_signal(signal.SIGINT)
        said = self.process.communicate(timeout=30)[1]
        return self.process.returncode, said


def test_follow_shows_new_and_changed_runs_until_it_is_interrupted(project: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(project, home)
    script = scripts.write(
        home / "steps.py",
        """
        import pathlib, time
        from runstone import Pipeline, block

        @block
        def step() -> int:
            pathlib.Path("started").touch()
            while not pathlib.Path("go").exists():
                time.sleep(0.005)
            return 1

        Pipeline("steps", [step]).run({}, show_progress=False)
        """,
    )
    following = Following("-n", "2", at=home)
    assert following.line() == HEAD
    assert [following.line()[2] for _ in range(2)] == STATUSES[-2:]
    process = scripts.start(sys.executable, str(script), cwd=home)
    seen = following.line()
    assert seen[1] == "steps"
    while seen[2] != "running":
        seen = following.line()
    scripts.wait_for(home / "started")
    (home / "go").touch()
    assert following.line()[1:3] == ["steps", "completed"]
    process.communicate(timeout=30)
    assert following.interrupt() == (130, "\nrunstone: interrupted\n")


def test_follow_waits_for_the_first_run_of_a_project(tmp_path: Path) -> None:
    (tmp_path / ".runstone").mkdir()
    following = Following(at=tmp_path)
    assert following.line() == HEAD
    script = scripts.write(tmp_path / "makes.py", MAKES)
    assert scripts.python(str(script), cwd=tmp_path).returncode == 0
    ended: list[str] = []
    while len(ended) < 5:
        status = following.line()[2]
        ended += [status] if status not in ("pending", "running") else []
    # each run comes into the ledger by itself
    assert sorted(ended) == sorted(STATUSES)
    assert following.interrupt()[0] == 130


def test_follow_needs_a_ledger_to_look_at(tmp_path: Path) -> None:
    done = scripts.runstone("runs", "tail", "--follow", cwd=tmp_path, RUNSTONE_LEDGER="none")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert "switched off" in done.stderr


def test_a_reader_that_has_seen_enough_is_no_error(project: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{scripts.RUNSTONE} runs tail | head -1; exit ${{PIPESTATUS[0]}}"],
        cwd=project,
        env=scripts.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert os.linesep in done.stdout
