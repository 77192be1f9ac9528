"""The example, run as its readers run it: real processes, real files, and a death in the middle."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import runstone

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "stdlib_survey.py"
RUNSTONE = [sys.executable, "-c", "from runstone.cli.main import main; main()"]
FOLDER = "runs/stdlib_survey-1"
PATIENCE = 120.0


def run(arguments: list[str], place: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments, cwd=place, capture_output=True, text=True, encoding="utf-8", timeout=PATIENCE, check=False
    )


def status(folder: Path) -> dict[str, Any]:
    answer = run([*RUNSTONE, "status", str(folder)], folder)
    assert answer.returncode == 0, answer.stdout
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The place of a run over some fifty files, and what its process said."""
    place = tmp_path_factory.mktemp("small")
    return place, run([sys.executable, str(EXAMPLE), "--limit", "50"], place)


def test_broken_files_make_the_run_degraded_and_are_named(
    small: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    place, answer = small
    assert answer.returncode == 0, answer.stderr
    found = status(place / FOLDER)
    assert found["status"] == "degraded"
    assert found["blocks"] == {"completed": 10, "degraded": 2}
    ended = runstone.open(place / FOLDER)
    assert {error.type for error in ended.errors} == {"SyntaxError"}
    broken = {error.params["path"] for error in ended.errors}
    assert len(broken) >= 2
    assert broken == set(ended.outputs["unparsable"])
    for path in broken:
        assert Path(path).name in answer.stdout


def test_what_failed_can_be_called_again(small: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    ended = runstone.open(small[0] / FOLDER)
    with pytest.raises(SyntaxError):
        ended.errors[0].reproduce()


def test_the_first_words_are_how_to_follow_and_the_last_where_to_look(
    small: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    place, answer = small
    lines = answer.stdout.splitlines()
    assert lines[0] == "Follow this run from a second terminal:"
    assert lines[2].endswith(f"runstone watch {FOLDER}")
    assert lines[-1].endswith(f"runstone output {FOLDER} unparsable")
    said = [line.strip() for line in lines if line.startswith("  runs/")]
    assert [Path(path).name for path in said] == ["report.md", "complexity.svg"]
    assert all((place / path).is_file() for path in said)


def test_artifacts_are_there_as_recorded(small: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder = small[0] / FOLDER
    artifacts = {artifact.name: artifact for artifact in runstone.open(folder).list_artifacts()}
    assert set(artifacts) == {"report.md", "complexity.svg"}
    for artifact in artifacts.values():
        data = (folder / artifact.path).read_bytes()
        assert len(data) == artifact.size_bytes
        assert hashlib.sha256(data).hexdigest() == artifact.sha256


def test_the_report_says_what_was_measured(small: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder = small[0] / FOLDER
    outputs = runstone.open(folder).outputs
    report = (folder / outputs["report"]).read_text(encoding="utf-8")
    totals, measured = outputs["totals"], len(outputs["files"]) - len(outputs["unparsable"])
    assert sum(side["files"] for side in totals.values()) == measured
    assert f"{measured:,} files with " in report
    assert all(f"| `{path}` | SyntaxError: " in report for path in outputs["unparsable"])
    assert f"`{totals['library']['most_complex'][0]['place']}`" in report
    assert (folder / outputs["report"]).parent.joinpath("complexity.svg").is_file()
    assert "](complexity.svg)" in report


def test_the_plot_has_a_dot_for_every_length_and_complexity(
    small: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder = small[0] / FOLDER
    outputs = runstone.open(folder).outputs
    picture = ElementTree.parse(folder / outputs["plot"])
    dots = [path.get("d", "") for path in picture.iter() if (path.get("class") or "").startswith("dots")]
    sizes = {
        (
            function["lines"],
            function["complexity"],
            bool({"test", "tests", "idle_test"} & set(module["path"].split("/"))),
        )
        for module in outputs["modules"]
        if not isinstance(module, runstone.Failed)
        for function in module["functions"]
    }
    assert len(sizes) > 100
    assert sum(each.count("M") for each in dots) == len(sizes)


LOOP = """
def {name}({text}, seen=None):
    {doc}
    found = []
    for {item} in sorted({text}.splitlines()):
        if {item} and not {item}.startswith("#"):
            key, _, value = {item}.partition("=")
            found.append((key.strip(), value.strip() or {default}))
    return dict(found) if found else {{}}
"""


def test_a_library_without_broken_files_gets_two_and_what_was_planted_is_found(tmp_path: Path) -> None:
    library = tmp_path / "library"
    (library / "package").mkdir(parents=True)
    one = LOOP.format(name="read", text="text", item="line", doc="""'''Read.'''""", default="None")
    other = LOOP.format(name="parse", text="lines", item="each", doc="# not the same", default="0")
    (library / "first.py").write_text(f"import os\nfrom package import second\n{one}")
    (library / "package" / "__init__.py").write_text("")
    (library / "package" / "second.py").write_text(f"import first\nfrom . import third\n{other}")
    (library / "package" / "third.py").write_text(
        "import os, re\n"
        "def steep(n):\n"
        "    if n == 1 or n == 2:\n"
        "        pass\n"
        "    elif n == 3:\n"
        "        while n:\n"
        "            n -= 1\n"
        "    return [m for m in (n, 1) if m]\n"
        "if __name__ == '__main__':\n"
        "    import first\n"
    )
    answer = subprocess.run(
        [*RUNSTONE, "run", str(EXAMPLE), "-p", f"root={library}", "--run-folder", "it"],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    ended = runstone.open(tmp_path / "it")
    outputs = ended.outputs
    assert [Path(path).name for path in outputs["unparsable"]] == ["bad_coding.py", "badsyntax_colon.py"]
    assert all(Path(path).is_file() and tmp_path in Path(path).parents for path in outputs["unparsable"])
    assert "the survey made two" in (tmp_path / "it" / outputs["report"]).read_text(encoding="utf-8")
    (copied,) = outputs["copies"]
    assert copied == {"places": ["first.py:4 read", "package/second.py:4 parse"], "lines": 8, "likeness": 1.0}
    assert outputs["imported"]["cycles"] == [["first", "package.second"]]
    assert outputs["imported"]["most"] == [("os", 2, 0), ("re", 1, 0)]
    (steep,) = (each for each in outputs["totals"]["library"]["most_complex"] if each["place"].endswith("steep"))
    # if, or, elif, while, the comprehension and its if; the while lies in one elif, which is no deeper than its if
    assert (steep["complexity"], steep["nesting"], steep["lines"]) == (7, 2, 7)


def start(place: Path, *, recorded: int) -> subprocess.Popen[str]:
    """The whole survey, as soon as that many elements are recorded."""
    process = subprocess.Popen(
        [sys.executable, str(EXAMPLE)], cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[1]
        if (place / FOLDER / "run.json").exists():
            done = runstone.open(place / FOLDER).status_object()["progress"]["done"]
            if done > recorded:
                return process
        time.sleep(0.05)
    process.kill()
    raise AssertionError("nothing was recorded in time")


def loadable(cells: Sequence[Any]) -> Iterator[Any]:
    """What was recorded; one element after the other, so up to the first that was not."""
    for number in range(len(cells)):
        try:
            yield cells[number]
        except runstone.FolderError:
            return


def test_after_a_kill_it_is_crashed_and_counts_what_is_recorded(tmp_path: Path) -> None:
    with start(tmp_path, recorded=40) as process:
        process.send_signal(signal.SIGKILL)
    folder = tmp_path / FOLDER
    said = status(folder)
    assert (said["status"], said["recorded_status"], said["liveness"]) == ("crashed", "running", "gone")
    recorded = list(loadable(runstone.open(folder).outputs["modules"]))
    assert len(recorded) > 30
    files = runstone.open(folder).outputs["files"]
    assert all(
        isinstance(module, runstone.Failed) or module["path"] == path
        for path, module in zip(files, recorded, strict=False)
    )
    # the block that found the files counts as one
    assert said["progress"]["done"] == len(recorded) + 1
    assert said["progress"]["failed"] == sum(isinstance(each, runstone.Failed) for each in recorded)
    assert said["outputs"]["modules"]["progress"] == pytest.approx(len(recorded) / len(files))
    watched = run([*RUNSTONE, "watch", str(folder)], tmp_path)
    assert watched.returncode == 1
    assert json.loads(watched.stdout.splitlines()[-1])["status"] == "crashed"


def test_ctrl_c_ends_with_a_word_and_no_traceback(tmp_path: Path) -> None:
    with start(tmp_path, recorded=10) as process:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "Stopped. What was recorded until now is kept:" in errors
    assert f"runstone show {FOLDER}" in errors
    assert status(tmp_path / FOLDER)["status"] == "cancelled"
