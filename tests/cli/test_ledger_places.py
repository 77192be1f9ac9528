"""What is named as the ledger and cannot be one: a line that says what to do, no damage, and runs go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import scripts

JOB = """
from runstone import Pipeline, block, track

@block
def one() -> int:
    return 1

job = Pipeline("job", [one])

if __name__ == "__main__":
    print(job.run({}, show_progress=False).status)
"""
WRITE = "write a path, postgresql://... or 'none'"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "job.py").write_text(JOB)
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("named", "hints"),
    [
        ("job.py", ("job.py is damaged, or no database", "if it is not, name another file in RUNSTONE_LEDGER")),
        ("/dev/null", ("/dev/null", "it is a device or a pipe; name a file in RUNSTONE_LEDGER")),
        ("folder", ("it is a folder; name a file in RUNSTONE_LEDGER",)),
        ("   ", ("RUNSTONE_LEDGER is '   ', which names nothing", WRITE)),
        (":memory:", ("RUNSTONE_LEDGER is ':memory:', a ledger that ends with its process", WRITE)),
        ("sqlite:///:memory:", ("a ledger that ends with its process", WRITE)),
        ("sqlite://", ("which names nothing", WRITE)),
        ("newdir/", ("RUNSTONE_LEDGER is 'newdir/', a folder", "such as newdir/ledger.db")),
        ("postgresql:/u:secret@host/d", ("RUNSTONE_LEDGER is 'postgresql:/u:***@host/d'", WRITE)),
        ("postgresql+psycopg://u:secret@h/d", ("u:***@h/d", "leave the driver out and write postgresql://...")),
        ("job.py/ledger.db", ("cannot be made: a part of the path is a file", "name another place")),
    ],
)
def test_it_is_refused_in_a_line_and_left_as_it_is(home: Path, named: str, hints: tuple[str, ...]) -> None:
    before = sorted(path.name for path in home.iterdir())
    ran = scripts.python("job.py", cwd=home, RUNSTONE_LEDGER=named)
    assert (ran.returncode, ran.stdout) == (0, "completed\n")
    (line,) = ran.stderr.splitlines()
    assert line.startswith("runstone: runs are recorded in their folders alone for now: ")
    listed = scripts.runstone("ledger", "sync", cwd=home, RUNSTONE_LEDGER=named)
    (refusal,) = listed.stderr.splitlines()
    assert listed.returncode in (1, 2)
    for hint in hints:
        assert hint in line
        assert hint in refusal
    assert "secret" not in line + refusal
    assert (home / "job.py").read_text() == JOB
    assert sorted(path.name for path in home.iterdir() if path.name not in (".runstone", "runs")) == before


def test_folders_on_the_way_to_a_ledger_are_made(home: Path) -> None:
    ran = scripts.python("job.py", cwd=home, RUNSTONE_LEDGER="new/deep/runs.db")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert (home / "new/deep/runs.db").exists()


def test_the_environment_wins_over_a_file_that_nobody_understands(home: Path) -> None:
    (home / "runstone.toml").write_text("[ledger]\nulr = 'x'\n")
    done = scripts.runstone("ledger", "sync", cwd=home, RUNSTONE_LEDGER="mine.db")
    assert done.returncode == 0
    assert "warning" in done.stderr


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("nowhere/b.db", "nowhere/b.db cannot be written: there is no folder nowhere; make it, or name another file"),
        ("job.py", "job.py is there already, and is not overwritten; name another file"),
        ("nofolder/", "nofolder/ cannot be written: it is a folder; name a file"),
        ("/proc/b.db", "/proc/b.db cannot be written: no such file or directory"),
        ("", "name a file to write"),
    ],
)
def test_a_backup_that_cannot_be_written_is_not_blamed_on_the_ledger(home: Path, target: str, hint: str) -> None:
    assert scripts.runstone("ledger", "sync", cwd=home).returncode == 0
    done = scripts.runstone("ledger", "backup", target, cwd=home)
    assert (done.returncode, done.stderr) == (1, f"runstone: {hint}\n")
    assert not list(home.rglob("*.part"))


def test_what_is_no_backup_is_not_called_the_ledger(home: Path) -> None:
    assert scripts.runstone("ledger", "sync", cwd=home).returncode == 0
    done = scripts.runstone("ledger", "restore", "job.py", cwd=home)
    said = "runstone: job.py is no backup of a ledger, and was not restored: file is not a database\n"
    assert (done.returncode, done.stderr) == (1, said)


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("nowhere/x.zip", "nowhere/x.zip cannot be written: there is no folder nowhere; make it"),
        ("folder", "folder is a folder: name a file in it"),
        ("folder/", "folder/ is a folder: name a file in it"),
        ("nofolder/", "nofolder/ is a folder: name a file in it"),
        ("job.py", "job.py is there already, and nothing is overwritten; name another file"),
        ("/proc/x.zip", "/proc/x.zip cannot be written: no such file or directory"),
        ("", "name a file to write"),
    ],
)
def test_an_archive_that_cannot_be_written_is_not_blamed_on_the_run(home: Path, target: str, hint: str) -> None:
    ran = scripts.runstone("run", "job.py", "--no-progress", "--run-folder", "here", cwd=home, RUNSTONE_LEDGER="none")
    assert ran.returncode == 0
    done = scripts.runstone("archive", "here", target, cwd=home)
    assert (done.returncode, done.stderr) == (1, f"runstone: {hint}\n")
    assert not (home / "nofolder").exists()
