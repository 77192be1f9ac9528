"""`runstone sql` and `runstone ledger export`, as a user calls them."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from pathlib import Path

import duckdb
import pytest

from runstone import Pipeline, block
from runstone.ledger.of_folder import project
from runstone.ledger.opening import open_ledger
from runstone.ledger.place import Place
from tests.cli.command import RUNSTONE, complaint, in_terminal, runstone
from tests.scripts import environment
from tests.terminal import Screen, execute

LEDGER = {"RUNSTONE_LEDGER": "ledger.db"}
ODD = 'three\ttabs\nand "quotes", \\ and \x1b[31m'


@block
def halve(number: int) -> int:
    if number % 2:
        raise ValueError(ODD)
    return number // 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two runs in its ledger, one of them failed."""
    at = tmp_path_factory.mktemp("project")
    store = open_ledger(Place("sqlite", str(at / "ledger.db")))
    for number in range(2):
        run = at / "runs" / f"run{number}"
        Pipeline("halving", [halve]).run({"number": number}, run_folder=run, raise_on_error=False)
        project(store, str(run))
    store.close()
    return at


def test_on_a_pipe_lines_are_separated_by_tabs_and_never_cut(folder: Path) -> None:
    answer = runstone("sql", "SELECT * FROM runs ORDER BY started_at", at=folder, COLUMNS="40", **LEDGER)
    assert answer.returncode == 0, answer.stderr
    head, first, second = (line.split("\t") for line in answer.stdout.splitlines())
    assert len(head) == len(first) == len(second) == 16
    assert (head[0], head[10], first[3], second[3]) == ("run_id", "duration_seconds", "completed", "failed")
    assert len(first[5]) == 64
    assert first[4] == first[11] == ""


def test_what_would_break_a_line_is_escaped(folder: Path) -> None:
    sql = "SELECT 'a' || char(9) || 'b' || char(10) || 'c' || char(13) || char(92) AS odd, NULL AS absent"
    answer = runstone("sql", sql, at=folder, **LEDGER)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == "odd\tabsent\na\\tb\\nc\\r\\\\\t\n"


def test_as_csv_and_as_json_every_value_comes_back(folder: Path) -> None:
    sql = (
        "SELECT p.status, e.traceback, 1.5 AS half, NULL AS absent, 7 AS status"
        " FROM error e JOIN pipeline_run p USING (run_key)"
    )
    (row,) = csv.DictReader(io.StringIO(runstone("sql", "--csv", sql, at=folder, **LEDGER).stdout, newline=""))
    (found,) = json.loads(runstone("sql", "--json", sql, at=folder, **LEDGER).stdout)
    assert "\n" in row["traceback"]
    assert row["traceback"].replace("\r\n", "\n") == found["traceback"]
    assert (found["half"], found["absent"], found["status"], found["status_2"]) == (1.5, None, "failed", 7)
    assert row["absent"] == ""


def test_lines_of_csv_end_as_the_standard_says(folder: Path) -> None:
    command = [*RUNSTONE, "sql", "--csv", "SELECT 1 AS a, 'x,y' AS b"]
    raw = subprocess.run(command, cwd=folder, env=environment(**LEDGER), capture_output=True, check=True).stdout
    assert raw == b'a,b\r\n1,"x,y"\r\n'


def test_of_no_rows_there_is_still_a_header_or_an_empty_array(folder: Path) -> None:
    none = "SELECT run_id, status FROM runs WHERE 0"
    assert runstone("sql", none, at=folder, **LEDGER).stdout == "run_id\tstatus\n"
    assert json.loads(runstone("sql", "--json", none, at=folder, **LEDGER).stdout) == []


@pytest.mark.parametrize("width", [60, 120])
@pytest.mark.parametrize("sql", ["SELECT * FROM runs", "SELECT stage, status, duration_seconds, error FROM runs"])
def test_in_a_terminal_a_table_fits_the_width(folder: Path, width: int, sql: str) -> None:
    written, code = in_terminal("sql", sql, at=folder, width=width, **LEDGER)
    screen = Screen(width).feed(written)
    assert code == 0
    assert screen.wrapped == 0
    assert "duration_seconds" in screen.text
    assert "halving" in screen.text
    assert screen.text.endswith("2 rows")
    assert "\x1b[31m and" not in written


def test_numbers_stand_right_and_texts_are_cut_only_there(folder: Path) -> None:
    sql = (
        "SELECT 'a text that is far too long for a line of a small terminal' AS said, value AS number"
        " FROM json_each('[7, 12345]')"
    )
    written, _ = in_terminal("sql", sql, at=folder, width=40, NO_COLOR="1", **LEDGER)
    head, first, second, count = written.splitlines()
    assert head.split() == ["said", "number"]
    assert first.endswith("…       7")
    assert second.endswith("…   12345")
    assert len(first) == len(second) <= 40
    assert count == "2 rows"
    assert "small terminal" in runstone("sql", sql, at=folder, **LEDGER).stdout


def test_statements_come_from_files_and_standard_input_too(folder: Path) -> None:
    (folder / "count.sql").write_text("-- how many\nSELECT count(*) AS runs\nFROM runs;\n")
    assert runstone("sql", "--file", "count.sql", at=folder, **LEDGER).stdout == "runs\n2\n"
    piped = subprocess.run(
        [*RUNSTONE, "sql", "-"], cwd=folder, env=environment(**LEDGER), input="SELECT 3 AS n", capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert piped.stdout == "n\n3\n"


def test_mistakes_are_one_line(folder: Path, tmp_path: Path) -> None:
    def refused(*arguments: str, at: Path = folder, code: int = 2, **more: str) -> str:
        answer = runstone("sql", *arguments, at=at, **{**LEDGER, **more})
        assert answer.returncode == code
        assert answer.stdout == ""
        return complaint(answer)

    assert "did you mean 'status'?" in refused("SELECT statu FROM runs")
    assert "did you mean 'runs'?" in refused("SELECT * FROM rnus")
    assert "only reads" in refused("DELETE FROM pipeline_run")
    assert "one statement at a time" in refused("SELECT 1; SELECT 2")
    assert "write the SQL" in refused()
    assert "WHERE tenant_id = 'acme'" in refused("SELECT 1", "--workspace", "acme")
    assert "choose one" in refused("SELECT 1", "--json", "--csv")
    assert "no such file" in refused("--file", "nowhere.sql")
    assert "the first recorded run makes it" in refused("SELECT 1", at=tmp_path, code=1)
    assert "switched off" in refused("SELECT 1", code=1, RUNSTONE_LEDGER="none")


def test_runs_are_copied_into_a_file_by_duckdb(folder: Path) -> None:
    answer = runstone("sql", "COPY (SELECT * FROM runs) TO 'runs.csv'", at=folder, **LEDGER)
    assert answer.stdout == "Count\n2\n", answer.stderr
    with open(folder / "runs.csv", newline="") as file:
        assert [row["stage"] for row in csv.DictReader(file)] == ["halving"] * 2
    native = runstone("sql", "--engine", "native", "COPY (SELECT 1) TO 'no.csv'", at=folder, **LEDGER)
    assert native.returncode == 2
    assert not (folder / "no.csv").exists()


COUNTING = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n{limit})"


def test_many_rows_take_little_memory(folder: Path) -> None:
    # what getrusage tells of a child begins with the memory of its parent
    script = (
        "import sys; from runstone.cli.main import invoke\n"
        "code = invoke(['sql', sys.argv[1]])\n"
        "with open('/proc/self/status') as file:\n"
        "    print(*(line.split()[1] for line in file if line.startswith('VmHWM')), file=sys.stderr)"
    )
    sql = f"{COUNTING.format(limit=' LIMIT 300000')} SELECT i, printf('%0200d', i) FROM n"
    done = subprocess.run(
        [RUNSTONE[0], "-c", script, sql], cwd=folder, env=environment(**LEDGER), stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    assert int(done.stderr) < 80_000, "kilobytes"


def test_ctrl_c_ends_a_statement_and_says_so(folder: Path) -> None:
    sql = f"{COUNTING.format(limit='')} SELECT count(*) FROM n"
    # ready once the statement is what the main thread is busy with
    script = f"""
import sys, threading, time
from runstone.cli.main import invoke

main = threading.main_thread().ident

def tell():
    while not sys._current_frames()[main].f_code.co_filename.endswith("user_sqlite.py"):
        time.sleep(0.01)
    print("ready", flush=True)

threading.Thread(target=tell, daemon=True).start()
sys.exit(invoke(["sql", {sql!r}]))
"""
    written, code = execute([RUNSTONE[0], "-c", script], folder, environment=LEDGER, interrupt_at="ready")
    assert code == 130
    assert written.endswith("runstone: interrupted\n")


def test_the_ledger_becomes_a_file_of_duckdb(folder: Path) -> None:
    answer = runstone("ledger", "export", "out.duckdb", at=folder, **LEDGER)
    assert answer.stdout == "2 runs written to out.duckdb\n", answer.stderr
    with duckdb.connect(str(folder / "out.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchall() == [(2,)]
    again = runstone("ledger", "export", "out.duckdb", at=folder, **LEDGER)
    assert again.returncode == 2
    assert "--force" in complaint(again)
    assert runstone("ledger", "export", "out.duckdb", "--force", at=folder, **LEDGER).returncode == 0
    lost = runstone("ledger", "export", "no/where.duckdb", at=folder, **LEDGER)
    assert "there is no folder no" in complaint(lost)
