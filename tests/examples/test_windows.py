"""The example of windows, run as its readers run it: a second time, and after a file was changed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "windows.py"


def run(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "RUNSTONE_LEDGER"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def counts(answer: subprocess.CompletedProcess[str]) -> tuple[int, ...]:
    """Windows that were read, reused, failed."""
    assert (answer.returncode, answer.stderr) == (0, "")
    found = re.search(r"(\d+) read, (\d+) reused, (\d+) failed$", answer.stdout, re.MULTILINE)
    assert found is not None, answer.stdout
    return tuple(int(number) for number in found.groups())


def test_its_own_texts_with_one_that_really_fails(tmp_path: Path) -> None:
    first = run(tmp_path, str(EXAMPLE))
    read, reused, failed = counts(first)
    assert read > 50
    assert (reused, failed) == (0, 1)
    assert "in letter.txt: 'utf-8' codec can't decode byte 0xfc" in first.stdout
    second = run(tmp_path, str(EXAMPLE))
    assert counts(second) == (0, read, 1)
    table = [line for line in first.stdout.splitlines() if ".md" in line]
    assert table == [line for line in second.stdout.splitlines() if ".md" in line]
    failures = run(tmp_path, "-m", "runstone", "tail", "--query", "status:failed")
    assert failures.stdout.count("failed") == 2


def test_a_changed_file_costs_its_own_windows(tmp_path: Path) -> None:
    texts = {f"{name}.txt": [f"Line {number} of {name}." for number in range(120)] for name in ("one", "two", "three")}

    def pack() -> None:
        with zipfile.ZipFile(tmp_path / "own.zip", "w") as file:
            for name, lines in texts.items():
                file.writestr(name, "\n".join(lines))

    pack()
    assert counts(run(tmp_path, str(EXAMPLE), "--zip", "own.zip")) == (9, 0, 0)
    texts["two.txt"][60] = "Something else."
    texts["zero.txt"] = ["Quite new."]
    pack()
    # one window of two.txt, and the new file
    assert counts(run(tmp_path, str(EXAMPLE), "--zip", "own.zip")) == (2, 8, 0)


def test_what_is_no_zip_or_has_no_texts_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "no.zip").write_text("no zip")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as file:
        file.writestr("picture.png", b"")
    for name, said in (("no.zip", "cannot be read"), ("empty.zip", "no texts"), ("missing.zip", "cannot be read")):
        answer = run(tmp_path, str(EXAMPLE), "--zip", name)
        assert answer.returncode == 1
        assert answer.stderr.count("\n") == 1
        assert said in answer.stderr
