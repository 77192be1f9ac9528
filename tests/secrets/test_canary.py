"""Real runs that do all they can to have their secrets written: nothing of them is in any byte that is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import runstone
from tests import scripts
from tests.harness.canary import Canary
from tests.harness.postgres import Server
from tests.ledger.conftest import postgres_server
from tests.secrets import flow

__all__ = ["postgres_server"]

# what the project consists of, and what it writes itself
OWN = ("flow.py",)

token, password = Canary(), Canary()
SECRETS = {"API_TOKEN": token.value, "PASSWORD": password.value}


def found(place: Path) -> list[str]:
    return [where for canary in (token, password) for where in canary.found_in(place, but=OWN)]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return flow.make(tmp_path / "project")


def run(place: Path, *arguments: str, **more: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "flow.py", *arguments, token.value],
        cwd=place, env=scripts.environment(PYTHONWARNINGS="default", **SECRETS, **more), capture_output=True,
        check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-3000:]
    # the program itself shows what it always showed
    assert token.is_in(done.stdout)
    told: dict[str, Any] = json.loads(done.stdout.decode(errors="replace").splitlines()[-1])
    assert told["status"] == "degraded"
    return told


def look(place: Path, *command: str, **more: str) -> str:
    """What a command shows to people who do not know the secrets."""
    done = scripts.runstone(*command, cwd=place, **more)
    shown = done.stdout + done.stderr
    assert not token.is_in(shown), command
    assert not password.is_in(shown), command
    assert "Traceback (most recent call last)" not in done.stderr, shown
    return done.stdout


@pytest.mark.parametrize("executor", ["inline", "threads", "processes", "pool"])
def test_nothing_that_is_written_holds_a_secret(place: Path, executor: str) -> None:
    told = run(place, EXECUTOR=executor)
    folder = Path(told["folder"])
    assert found(place) == []

    lines = [json.loads(line) for path in folder.glob("logs/*") for line in path.read_text().splitlines()]
    said = "\n".join(line["message"] for line in lines)
    for part in (
        "early ***",
        "print ***",
        "in single letters ***",
        "half a line that nobody ends ***",
        "bytes ***",
        "logged ***",
    ):
        assert part in said
    assert "'***'" in said
    assert "warned of ***" in said
    if executor != "pool":
        assert "thread ***" in said
    assert "basic ***" in said
    if executor == "processes":
        assert "descriptor ***" in said
        assert "from C ***" in said
        assert "child ***" in said
    errors = runstone.open(folder).errors
    assert {error.block for error in errors} >= {"fails", "broken"}
    assert all(error.params["token"] == "***" for error in errors if error.block in ("fails", "broken"))
    assert any("with ***" in error.traceback for error in errors)
    document = json.loads((folder / "run.json").read_text())
    assert document["params"]["token"]["preview"] == "env:API_TOKEN"
    assert document["params"]["more_password"]["preview"] == "env:PASSWORD"

    assert document["started_by"]["command"] == "flow.py '***'"

    if executor in ("threads", "pool"):
        return
    # what others make of it afterwards
    second = run(place, EXECUTOR=executor)
    ident = told["id"]
    assert "env:API_TOKEN" in look(place, "show", ident)
    assert "***" in look(place, "logs", ident)
    look(place, "status", ident)
    look(place, "why", ident)
    look(place, "why", f"{ident}/fails")
    look(place, "why", f"{ident}/broken")
    look(place, "compare", ident, second["id"], "--all")
    look(place, "compare", ident, second["id"], "--json")
    look(place, "tail")
    look(place, "runs", "list", "--json")
    look(place, "runs", "show", ident, "--json")
    look(place, "sql", "SELECT * FROM runs")
    look(place, "graph", ident)
    look(place, "archive", ident, "run.zip")
    for name in ("all.json", "all.csv", "all.parquet"):
        look(place, "export", "-o", name, "--all-workspaces")
    look(place, "ledger", "check")
    assert {"run.zip", "all.json", "all.csv", "all.parquet"} <= set(os.listdir(place))
    assert found(place) == []


def test_nor_does_the_database_on_a_server(place: Path, postgres_server: Server) -> None:
    url = postgres_server.new_schema()
    told = run(place, EXECUTOR="inline", RUNSTONE_LEDGER=url)
    look(place, "runs", "show", told["id"], RUNSTONE_LEDGER=url)
    shown = look(place, "sql", "SELECT count(*) AS n FROM runs", RUNSTONE_LEDGER=url)
    assert "3" in shown
    assert found(place) == []
    for canary in (token, password):
        assert canary.found_in_postgres(url) == []


@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_a_run_that_was_killed_and_resumed_looks_its_secrets_up_again(place: Path, executor: str) -> None:
    (place / "wait").touch()
    driver = subprocess.Popen(
        [sys.executable, "flow.py"],
        cwd=place, env=scripts.environment(**SECRETS, EXECUTOR=executor, FOLDER="run", PYTHONWARNINGS="default"),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        scripts.wait_for(place / "waits")
    finally:
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    assert found(place) == []
    (place / "wait").unlink()

    refused = scripts.runstone("resume", "run", cwd=place, EXECUTOR=executor)
    assert refused.returncode == 2
    assert "env:API_TOKEN: the environment variable API_TOKEN is not set" in refused.stderr
    assert "env:PASSWORD" in refused.stderr

    resumed = scripts.runstone("resume", "run", cwd=place, EXECUTOR=executor, PYTHONWARNINGS="default", **SECRETS)
    assert resumed.returncode == 0, resumed.stderr
    state = json.loads(look(place, "status", "run"))
    assert (state["status"], state["epoch"]) == ("degraded", 2)
    assert found(place) == []


def test_a_run_with_a_literal_secret_says_that_nobody_can_go_on_with_it(place: Path) -> None:
    told = run(place, "literal", EXECUTOR="processes")
    assert found(place) == []
    state = json.loads(look(place, "status", told["id"]))
    assert state["params"]["token"] == "***"
    assert state["resumable"] is False
    assert [each["code"] for each in state["warnings"]] == ["literal_secret"]
    assert "'token' was given as a literal secret" in " ".join(look(place, "why", told["id"]).split())
    assert "not recoverable" in look(place, "show", told["id"])
    refused = scripts.runstone("resume", told["id"], cwd=place, **SECRETS)
    assert refused.returncode == 2
    assert "parameter 'token': it was given as a literal secret, which is kept nowhere" in refused.stderr


CACHED = """
from runstone import Pipeline, Secret, block

@block
def header(root: str, token: str) -> int:
    return len(token)

@block(mapspec="xs[i] -> y[i]")
def each(xs: int, own: Secret, header: int) -> int:
    return xs + len(own.reveal())

run = Pipeline("cached", [header, each]).run(
    {"root": "x", "token": Secret("env:API_TOKEN"), "own": Secret("env:API_TOKEN"), "xs": [1, 2]}, cache=True
)
print(*run.blocks.values())
"""


def test_the_cache_compares_secrets_and_holds_none(tmp_path: Path) -> None:
    script = scripts.write(tmp_path / "cached.py", CACHED)
    other = Canary()
    told = [
        scripts.python(str(script), cwd=tmp_path, API_TOKEN=value).stdout.strip()
        for value in (token.value, token.value, other.value, token.value)
    ]
    assert told == ["completed completed", "reused reused", "completed completed", "reused reused"]
    assert (tmp_path / ".runstone" / "cache").is_dir()
    assert [*token.found_in(tmp_path), *other.found_in(tmp_path)] == []


TRACKED = """
import os
from runstone import Secret, record_run, track, update_run

def failing(token: str) -> None:
    raise ValueError("cannot use " + token)

@track("decorated")
def decorated(token: str, password: str) -> None:
    failing(token)

for params in ({"token": Secret("env:API_TOKEN")}, {"password": os.environ["PASSWORD"]}):
    try:
        with track("with", params={**params, "header": ["Bearer " + os.environ["API_TOKEN"]]}) as t:
            t.degraded("without " + os.environ["API_TOKEN"])
            with open("report.txt", "w") as file:
                file.write("a report")
            failing(os.environ["API_TOKEN"] + os.environ.get("PASSWORD") * ("password" in params))
    except ValueError:
        pass
try:
    decorated(os.environ["API_TOKEN"], os.environ["PASSWORD"])
except ValueError as error:
    run = record_run(stage="by hand", params={"token": os.environ["API_TOKEN"], "password": "env:PASSWORD"})
    update_run(run, status="failed", error=error)
"""


def test_tracked_code_does_not_tell_it_either(tmp_path: Path) -> None:
    script = scripts.write(tmp_path / "tracked.py", TRACKED)
    (tmp_path / "runstone.toml").write_text(flow.CONFIG)
    done = scripts.python(str(script), cwd=tmp_path, **SECRETS)
    assert (done.returncode, done.stderr) == (0, "")
    text = "".join(path.read_text() for path in tmp_path.glob(".runstone/track/*.jsonl"))
    assert text.count("ValueError") >= 3
    assert "cannot use ***" in text
    assert '"password":"env:PASSWORD"' in text
    assert found(tmp_path) == []
    assert "***" in look(tmp_path, "tail", "--json") or "***" in look(tmp_path, "export")
    assert found(tmp_path) == []


TIMED_OUT = """
import os, subprocess, sys
from runstone import Pipeline, Secret, block

@block(timeout=0.5, executor="processes")
def calls(token: str) -> int:
    for padding in (50, 60, 70, 80):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60) #" + "-" * padding, token])
    subprocess.run([sys.executable, "-c", "import time; time.sleep(60)", token])
    return 1

run = Pipeline("calls", [calls]).run({"token": Secret("env:API_TOKEN")}, raise_on_error=False, grace=0.2)
print(run.status)
"""


def test_the_command_lines_of_processes_that_were_ended_do_not_tell_it(tmp_path: Path) -> None:
    script = scripts.write(tmp_path / "timed_out.py", TIMED_OUT)
    # with a quote in it, that a shell would need to be told of
    secret = f"it's {token.value}"
    done = scripts.python(str(script), secret, cwd=tmp_path, API_TOKEN=secret)
    assert done.stdout.strip() in ("failed", "timed_out"), done.stderr
    (journal,) = tmp_path.glob("runs/*/journal/0001.jsonl")
    assert journal.read_text().count("time.sleep(60)") >= 4
    assert token.found_in(tmp_path) == []


def test_the_search_itself_finds_what_is_there(tmp_path: Path) -> None:
    import gzip
    import zipfile

    (tmp_path / "half").write_text(token.value[:25])
    (tmp_path / "hex").write_text(token.value.encode().hex())
    (tmp_path / "packed").write_bytes(gzip.compress(token.value.encode()))
    with zipfile.ZipFile(tmp_path / "archive", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner", "x" * 1000 + token.value)
    assert len(token.found_in(tmp_path)) >= 4
