"""`runstone compare`, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import scripts
from tests.cli.command import complaint, in_terminal, runstone
from tests.terminal import Screen

FIT = """
from runstone import Pipeline, block

class Model:
    pass

@block
def load(n: int) -> list[int]:
    return list(range(n))

@block
def fit(load: list, lr: float) -> dict:
    return {"loss": sum(load) * lr, "kind": "linear"}

@block
def report(fit: dict) -> str:
    return "# Report\\n[bold]loss[/] " + str(fit["loss"]) + "\\nend\\x1b[31m"

@block
def model(n: int) -> object:
    return Model()

fit_all = Pipeline("fit-all", [load, fit, report, model])
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the runs `low`, `high` and `more`."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "fit.py").write_text(FIT)
    for name, n, lr in (("low", 10, 0.1), ("high", 10, 0.2), ("more", 20, 0.1)):
        made = runstone("run", "fit.py", "-p", f"n={n}", "-p", f"lr={lr}", "--run-folder", f"runs/{name}", at=folder)
        assert made.returncode == 0, made.stderr
    return folder


def test_differences_come_first_and_the_block_where_they_begin(project: Path) -> None:
    done = runstone("compare", "low", "high", at=project)
    assert (done.returncode, done.stderr) == (0, "")
    assert "first to diverge: fit (fit.loss), for: parameter lr" in done.stdout
    assert "+0.1 (+100 %)" in done.stdout
    assert "-[bold]loss[/] 4.5" in done.stdout
    assert "model looks the same; pickles stay closed without --trust" in done.stdout
    assert "\x1b" not in done.stdout
    assert "Code" not in done.stdout
    assert "linear" not in done.stdout
    everything = runstone("compare", "low", "high", "--all", at=project).stdout
    assert "Code" in everything
    assert "fit.kind  same: 'linear'" in everything


def test_several_are_compared_with_the_first(project: Path) -> None:
    told = json.loads(runstone("compare", "low", "high", "more", "--json", at=project).stdout)
    assert [run["folder"].rpartition("/")[2] for run in told["runs"]] == ["low", "high", "more"]
    parameters = {entry["subject"]: entry["values"] for entry in told["sections"]["parameters"] if not entry["same"]}
    assert parameters == {"n": ["10", "10", "20"], "lr": ["0.1", "0.2", "0.1"]}
    assert told["diverges"]["block"] == "load"
    assert told["differences"] > 4


def test_a_run_does_not_differ_from_itself(project: Path) -> None:
    done = runstone("compare", "low", "runs/low", "--trust", at=project)
    assert (done.returncode, done.stderr) == (0, "")
    assert "they do not differ" in done.stdout
    assert "all blocks made the same" in done.stdout


TRACKS = """
from runstone import track

for lr, rows, note in ((0.1, 10, "a"), (0.2, 12, "a" * 500)):
    with track("load", rows_in=10, params={"lr": lr, "kind": "x", "note": note}) as t:
        t.rows_out = rows
        t.metric("loss", lr / 10)
    print(t.run_id)
"""


def test_tracked_runs_are_compared_by_what_the_ledger_has(tmp_path: Path) -> None:
    (tmp_path / "tracks.py").write_text(TRACKS)
    (tmp_path / "fit.py").write_text(FIT)
    here = {"RUNSTONE_LEDGER": ""}
    first, second = scripts.python("tracks.py", cwd=tmp_path, **here).stdout.split()
    made = runstone("run", "fit.py", "-p", "n=3", "-p", "lr=0.1", "--run-folder", "runs/fit", at=tmp_path, **here)
    assert made.returncode == 0, made.stderr
    told = json.loads(runstone("compare", first, second, "--json", at=tmp_path, **here).stdout)
    assert (told["source"], [run["folder"] for run in told["runs"]]) == ("ledger", [None, None])
    differs = {
        name: {entry["subject"]: entry["values"] for entry in entries if not entry["same"]}
        for name, entries in told["sections"].items()
    }
    assert list(differs["parameters"]) == ["lr", "note"]
    assert differs["metrics"] == {"rows_out": ["10", "12"], "loss": ["0.01", "0.02"]}
    assert (differs["run"], differs["code"], list(differs["inputs"])) == ({}, {}, ["fingerprint"])
    shown = runstone("compare", first, second, "--all", at=tmp_path, **here).stdout
    assert f"without outputs: {first[:8]}, {second[:8]} have no folder" in shown
    assert "+2 (+20 %)" in shown
    assert "all blocks made the same" not in shown
    assert "stage  same: load" in shown
    # beside one that has a folder, both are told by the ledger
    mixed = json.loads(runstone("compare", first, "fit", "--json", at=tmp_path, **here).stdout)
    assert mixed["source"] == "ledger"
    assert {entry["subject"]: entry["same"] for entry in mixed["sections"]["parameters"]}["lr"] is True
    alone = runstone("compare", first, "fit", at=tmp_path, RUNSTONE_LEDGER="none")
    assert alone.returncode == 1
    unknown = runstone("compare", first, "nothing", at=tmp_path, **here)
    assert unknown.returncode == 1
    assert "the ledger does not know nothing" in complaint(unknown)


NAMED_ALIKE = """
from runstone import record_run

for number in (1, 2):
    named = {"params": {"fingerprint": f"mine {number}"}, "metrics": {"errors": 7.5 * number, "loss": 0.5}}
    print(record_run(stage="load", status="completed", input_fingerprint=f"{number}" * 64, **named))
"""


def test_what_a_tracked_run_names_like_something_of_ours_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "tracks.py").write_text(NAMED_ALIKE)
    here = {"RUNSTONE_LEDGER": ""}
    runs = scripts.python("tracks.py", cwd=tmp_path, **here).stdout.split()
    told = json.loads(runstone("compare", *runs, "--json", at=tmp_path, **here).stdout)["sections"]
    values = {name: {entry["subject"]: entry["values"] for entry in told[name]} for name in told}
    assert values["parameters"] == {"fingerprint": ["'mine 1'", "'mine 2'"]}
    assert values["inputs"] == {"fingerprint": ["111111111111", "222222222222"]}
    assert values["metrics"]["errors"] == ["0", "0"]
    assert values["metrics"]["metric.errors"] == ["7.5", "15.0"]
    assert values["metrics"]["loss"] == ["0.5", "0.5"]


@pytest.mark.parametrize("width", [60, 120])
def test_it_fits_a_terminal(project: Path, width: int) -> None:
    said, code = in_terminal("compare", "low", "more", at=project, width=width)
    screen = Screen(width).feed(said)
    assert code == 0
    assert screen.wrapped == 0
    assert "first to diverge" in screen.text
    # what can be copied is in one piece
    (line,) = [line for line in screen.text.splitlines() if "runs/more" in line]
    assert line.endswith("runs/more")
    assert "fit-all\n" in screen.text or "fit-all  " in screen.text


def test_wrong_use_is_told_in_a_line(project: Path) -> None:
    alone = runstone("compare", "low", at=project)
    assert (alone.returncode, "two runs" in complaint(alone)) == (2, True)
    nothing = runstone("compare", "low", "nothing", at=project)
    assert (nothing.returncode, "nothing" in complaint(nothing)) == (1, True)
