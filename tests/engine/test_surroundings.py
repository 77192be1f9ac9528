"""What a run says of the repository and the settings around it."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from runstone import Pipeline, block
from runstone.core.settings import Retries, Settings
from runstone.engine import surroundings
from runstone.engine.launch import launch
from tests import scripts


@block
def doubled(number: int) -> int:
    return 2 * number


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a process that has run nothing yet, on a machine that has nothing else to do."""
    monkeypatch.setattr(surroundings, "_heard", None)
    monkeypatch.setattr(surroundings, "PATIENCE", 60.0)
    yield
    commit()
    assert surroundings._asked is None


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit, and the current folder in it."""
    folder = tmp_path / "repository"
    (folder / "deeper").mkdir(parents=True)
    (folder / "tracked.py").write_text("one\n")
    git(folder, "init", "--quiet")
    git(folder, "add", "tracked.py")
    record(folder)
    monkeypatch.chdir(folder / "deeper")
    return folder


def commit() -> str:
    return surroundings.commit(surroundings.ask())


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def record(folder: Path) -> str:
    git(folder, "commit", "--quiet", "--all", "--allow-empty", "-m", "a change")
    return git(folder, "rev-parse", "HEAD")


def commit_of_run(folder: Path) -> str:
    Pipeline("p", [doubled]).run({"number": 1}, run_folder=folder)
    said: str = json.loads((folder / "run.json").read_text())["started_by"].get("commit", "")
    return said


def test_a_run_knows_the_commit_it_was_started_at(repository: Path, tmp_path: Path) -> None:
    assert commit_of_run(tmp_path / "run") == git(repository, "rev-parse", "HEAD")


def test_changes_of_tracked_files_are_dirt_and_other_files_are_none(repository: Path, tmp_path: Path) -> None:
    (repository / "new.txt").write_text("never added")
    assert "+" not in commit()
    (repository / "tracked.py").write_text("two, and longer\n")
    surroundings._heard = None
    assert commit_of_run(tmp_path / "run") == git(repository, "rev-parse", "HEAD") + "+dirty"


def test_a_commit_between_two_runs_is_noticed_at_once(repository: Path, tmp_path: Path) -> None:
    before = commit_of_run(tmp_path / "one")
    (repository / "tracked.py").write_text("two, and longer\n")
    after = record(repository)
    assert before != after
    assert commit_of_run(tmp_path / "two") == after


def test_git_is_not_asked_again_while_the_repository_stays_as_it_is(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surroundings, "FRESH", 600.0)
    first = commit()
    monkeypatch.setenv("PATH", str(repository / "nowhere"))
    assert commit() == first != ""
    monkeypatch.setattr(surroundings, "FRESH", 0.0)
    assert commit() == ""


def test_the_repository_of_a_hook_is_not_mistaken_for_that_of_the_folder(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    theirs = record(other)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert commit() not in ("", theirs)


def test_going_to_another_repository_between_question_and_answer_tells_the_right_one(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    theirs = record(other)
    surroundings.ask()
    monkeypatch.chdir(other)
    assert commit() == theirs
    monkeypatch.chdir(tmp_path)
    assert commit() == ""


def test_a_worktree_has_its_own_commit(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(repository, "worktree", "add", "--quiet", str(tmp_path / "tree"))
    monkeypatch.chdir(tmp_path / "tree")
    before = commit()
    after = record(tmp_path / "tree")
    assert before != after
    assert commit() == after


def test_without_a_repository_or_a_commit_or_git_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert commit() == ""
    git(tmp_path, "init", "--quiet")
    assert commit() == ""
    record(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert commit() == ""


def test_outside_of_a_repository_git_is_not_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool(tmp_path, f"touch {tmp_path}/called")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    assert commit() == ""
    assert not (tmp_path / "called").exists()
    (tmp_path / ".git").mkdir()
    commit()
    assert (tmp_path / "called").exists()


def test_a_git_that_hangs_is_ended_and_nothing_is_said(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = f"echo '# branch.oid abc'; echo $$ > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid"
    tool(tmp_path, f"{told}; exec sleep 600")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(surroundings, "PATIENCE", 0.2)
    state = surroundings.ask()
    scripts.wait_for(tmp_path / "pid")
    assert surroundings.commit(state) == ""
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def tool(folder: Path, script: str) -> None:
    """A program `git` in a folder."""
    path = folder / "git"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_asking_does_not_wait_and_threads_that_ask_together_get_one_answer(repository: Path) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(commit())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) == {git(repository, "rev-parse", "HEAD")}


def test_a_run_that_is_not_kept_asks_nobody(repository: Path) -> None:
    launched = launch(
        Pipeline("p", [doubled]),
        {"number": 1},
        run_folder=None,
        show_progress=False,
        workspace=None,
        settings={},
    )
    assert launched.info.started_by.commit == ""
    assert surroundings._asked is None


def condition(number: int) -> bool:
    return number > 0


def test_the_hash_of_the_configuration_is_the_same_for_the_same_and_another_for_every_change() -> None:
    plain = Settings()

    def hashed(run: Settings = plain, one: Settings = plain, file: bytes = b"") -> str:
        return surroundings.config_hash(run, {"a": one, "b": plain}, file)

    found = [
        hashed(),
        hashed(Settings(max_parallel=2)),
        hashed(one=Settings(max_parallel=2)),
        hashed(one=Settings(retries=Retries(1))),
        hashed(one=Settings(retries=Retries(1, on=(OSError,)))),
        hashed(one=Settings(when=condition)),
        hashed(file=b"[ledger]\n"),
    ]
    assert len(set(found)) == len(found)
    assert all(len(each) == 64 for each in found)
    assert hashed(one=Settings(retries=Retries(1, on=(OSError,)))) == found[4]
    swapped = surroundings.config_hash(plain, {"b": plain, "a": plain}, b"")
    assert swapped == found[0]


def test_a_run_keeps_the_hash_of_its_settings_and_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def hashed(name: str) -> str:
        Pipeline("p", [doubled]).run({"number": 1}, run_folder=tmp_path / name)
        said: str = json.loads((tmp_path / name / "run.json").read_text())["config_hash"]
        return said

    before = hashed("one")
    assert hashed("two") == before
    (tmp_path / "runstone.toml").write_text("[ledger]\nurl = 'none'\n")
    assert hashed("three") != before
