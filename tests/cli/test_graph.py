"""`runstone graph`: pipelines and runs, as text, as a picture and as JSON."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from runstone.drawing.lettering import cells
from tests.cli.command import complaint, in_terminal, make_lab, runstone

MORE = """
from runstone import Pipeline, block

@block
def source(seed: int = 3) -> list[int]:
    return [seed]

@block(output=("left", "right"))
def split(source: list[int]) -> tuple:
    return source, source

@block(mapspec="right[j] -> half[j]")
def halve(right: int) -> int:
    return right

@block(mapspec="left[i], half[j] -> grid[i, j]")
def cross(left: int, half: int) -> int:
    return left * half

@block(mapspec="grid[i, :] -> row[i]")
def rows(grid: list[int]) -> int:
    return sum(grid)

def wanted(source, enabled): return enabled

@block(when=wanted)
def extra(row: list[int], **rest) -> int:
    return len(rest)

more = Pipeline("more", [source, split, halve, cross, rows, extra])
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_lab(tmp_path_factory.mktemp("lab")).parent
    (folder / "more.py").write_text(MORE, encoding="utf-8")
    return folder


def edges(at: Path, place: str) -> dict[tuple[str, str, str], tuple[bool, bool]]:
    drawing = json.loads(runstone("graph", place, "--json", at=at).stdout)
    labels = {node["id"]: node["label"] for node in drawing["nodes"]}
    return {
        (labels[edge["source"]], labels[edge["target"]], edge["label"]): (edge["mapped"], edge["reduces"])
        for edge in drawing["edges"]
    }


def test_a_pipeline_is_drawn_as_text(lab: Path) -> None:
    answer = runstone("graph", "more.py", at=lab)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("more\n\n")
    assert "seed" in answer.stdout
    assert "int = 3" in answer.stdout
    assert "right[j] -> half[j]" in answer.stdout
    assert "completed" not in answer.stdout


def test_how_values_travel_is_read_from_the_record(lab: Path) -> None:
    found = edges(lab, "more.py:more")
    assert found[("seed", "source", "")] == (False, False)
    assert found[("source", "split", "source")] == (False, False)
    assert found[("split", "halve", "right")] == (True, False)
    assert found[("halve", "cross", "half")] == (True, False)
    assert found[("cross", "rows", "grid")] == (True, True)
    assert found[("rows", "extra", "row")] == (False, True)


def test_what_a_condition_asks_for_is_an_edge_too(lab: Path) -> None:
    found = edges(lab, "more:more")
    assert found[("source", "extra", "source")] == (False, False)
    assert found[("enabled", "extra", "")] == (False, False)


def test_parameters_that_only_extra_arguments_take_are_drawn_for_a_run(lab: Path) -> None:
    made = runstone("run", "more.py", "-p", "enabled=true", "-p", "colour=red", "--run-folder", "more", at=lab)
    assert made.returncode == 0, made.stderr
    assert ("colour", "extra", "") in edges(lab, "more")


def test_a_run_is_drawn_with_the_status_of_each_block(lab: Path) -> None:
    page = runstone("graph", "run", at=lab).stdout
    assert page.startswith("lab  degraded\n")
    lines = page.splitlines()
    assert any("multiply" in line and "degraded" in line for line in lines)
    assert any("fit_each" in line and "completed" in line for line in lines)
    assert any(line.rstrip().endswith("[1, 2, 3]") for line in lines)


def test_a_folder_with_a_run_is_a_run_whatever_its_name(lab: Path) -> None:
    shutil.copytree(lab / "run", lab / "odd.py")
    assert runstone("graph", "odd.py", at=lab).stdout.startswith("lab  degraded\n")
    run_id = json.loads((lab / "run" / "run.json").read_text())["id"]
    shutil.copytree(lab / "run", lab / "runs" / "lab-copy")
    assert runstone("graph", run_id[:8], at=lab).stdout.startswith("lab  degraded\n")


def test_a_picture_is_one_svg_file(lab: Path) -> None:
    for place in ("more.py", "run"):
        answer = runstone("graph", place, "-o", "graph.svg", at=lab)
        assert answer.returncode == 0, answer.stderr
        assert not answer.stdout
        root = ElementTree.parse(lab / "graph.svg").getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "degraded" in (lab / "graph.svg").read_text()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_on_a_terminal_it_fits_and_statuses_have_their_colours(lab: Path, width: int) -> None:
    written, code = in_terminal("graph", "run", at=lab, width=width)
    assert code == 0
    assert "\x1b[33mdegraded" in written
    assert written.count("\x1b[32mcompleted") == 6
    plain, _ = in_terminal("graph", "run", at=lab, width=width, NO_COLOR="1")
    assert "\x1b" not in plain
    assert max(map(cells, plain.splitlines())) <= width


def test_where_only_ascii_can_be_shown_it_is_ascii(lab: Path) -> None:
    page = runstone("graph", "run", at=lab, PYTHONIOENCODING="ascii").stdout
    assert page.isascii()
    assert "?" not in page


def test_what_is_neither_run_nor_pipeline_is_told_how_both_are_named(lab: Path) -> None:
    answer = runstone("graph", "nothing", at=lab)
    assert answer.returncode == 1
    assert "a pipeline is named as FILE.py or module:name" in complaint(answer)
