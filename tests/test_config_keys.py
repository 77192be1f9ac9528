"""What is said of a `runstone.toml` that has something which means nothing: once, with what was probably meant."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from runstone import config
from runstone.config_keys import KEYS, problems
from runstone.errors import SettingError
from tests import scripts
from tests.docs.page import ROOT, Page, rows

PROJECT = Page(ROOT / "docs" / "project.md")

RUNS = """
from runstone import Pipeline, block

@block
def one() -> int:
    return 1

job = Pipeline("job", [one])

if __name__ == "__main__":
    job.run({}, show_progress=False)
    job.run({}, show_progress=False)
"""


def said(text: str) -> list[tuple[str, str]]:
    return [(each.section, each.said) for each in problems(tomllib.loads(text))]


@pytest.mark.parametrize(
    ("text", "section", "hint"),
    [
        ("[legder]\nurl = 'x'", "", "[legder] is not known; did you mean [ledger]?"),
        ("[gizmo]\n", "", "[gizmo] is not known; there are [ledger], [retention]"),
        ("keep = 3", "", "keep stands in no section; write it below [retention]"),
        ("gizmo = 3", "", "gizmo stands in no section; there are the sections [ledger], [retention]"),
        ("ledger = 'x.db'", "ledger", "ledger is the value 'x.db': write a table, [ledger]"),
        ("[[ledger]]\nurl = 'x'", "ledger", "[[ledger]] is a list of tables: write one, [ledger]"),
        ("[ledger]\nulr = 'x'", "ledger", "[ledger] ulr is not known; did you mean url?"),
        ("[ledger]\ngizmo = 'x'", "ledger", "[ledger] gizmo is not known; there is url"),
        ("[retention]\nolder-than = '30d'", "retention", "did you mean older_than?"),
        ("[retention]\nKEEP = 3", "retention", "did you mean keep?"),
        ("[retention]\nkeep = '3'", "retention", "[retention] keep is '3': write a whole number, not below 0"),
        ("[retention]\nkeep = -1", "retention", "write a whole number"),
        ("[retention]\nkeep = true", "retention", "write a whole number"),
        ("[retention]\nolder_than = 30", "retention", "write a span of time such as '30d'"),
        (
            "[retention]\nolder_than = '5'",
            "retention",
            "[retention] older_than is '5': write a span of time such as '30d'",
        ),
        ("[cache]\nmax_age = '5'", "cache", "[cache] max_age is '5': write a span of time such as '30d'"),
        ("[cache]\nmax_size = 'lots'", "cache", "[cache] max_size is 'lots': write a size such as '10 GB'"),
        ("[cache]\nmax_size = true", "cache", "write a size such as '10 GB'"),
        ("[ledger]\nurl = ['x']", "ledger", "write a path, a URL or 'none'"),
    ],
)
def test_what_means_nothing_is_named_with_what_was_meant(text: str, section: str, hint: str) -> None:
    ((where, what),) = said(text)
    assert where == section
    assert hint in what


def test_nothing_is_said_of_what_is_right() -> None:
    assert said("[ledger]\nurl = 'runs.db'\n[retention]\nolder_than = '30d'\nkeep = 0") == []
    assert said("[cache]\nmax_age = '12 h'\nmax_size = '1.5 TB'") == said("[cache]\nmax_size = 5000") == []


def test_the_page_lists_all_keys_and_no_others() -> None:
    listed = [tuple(cells[0].split("`")[1::2]) for cells in rows(PROJECT.section("runstone.toml"))]
    assert sorted((f"[{key.section}]", key.name) for key in KEYS) == sorted(listed)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(config, "_told", set())
    (tmp_path / "job.py").write_text(RUNS)
    return tmp_path


def test_a_section_that_somebody_needs_is_refused_and_others_are_told_once(home: Path) -> None:
    (home / "runstone.toml").write_text("[retention]\nkep = 3\n[legder]\n")
    with pytest.raises(SettingError, match=r"runstone\.toml: \[retention\] kep is not known; did you mean keep\?"):
        config.section("retention")
    assert config.section("ledger") == {}
    (told,) = config.untold()
    assert told == f"{home}/runstone.toml: [legder] is not known; did you mean [ledger]?"
    assert config.untold() == []


def test_a_file_that_is_no_toml_is_said_by_those_who_need_it(home: Path) -> None:
    (home / "runstone.toml").write_text("[retention")
    assert config.untold() == []
    with pytest.raises(SettingError, match=r"runstone\.toml is no TOML"):
        config.section("retention")


def test_a_command_and_a_run_warn_once_and_go_on(home: Path) -> None:
    (home / "runstone.toml").write_text("[retention]\nkep = 3\n")
    warning = f"runstone: warning: {home}/runstone.toml: [retention] kep is not known; did you mean keep?"
    for done in (
        scripts.runstone("run", "job.py", "--no-progress", cwd=home),
        scripts.python("job.py", cwd=home),
        scripts.runstone("tail", cwd=home),
        scripts.python("-", cwd=home, stdin="from runstone import track\nwith track('t'): pass\n"),
    ):
        assert done.returncode == 0, done.stderr
        assert [line for line in done.stderr.splitlines() if "runstone.toml" in line] == [warning]
    assert scripts.runstone("list-runs", cwd=home).stderr == ""


def test_a_command_that_cannot_mean_it_ends_and_says_it_once(home: Path) -> None:
    (home / "runstone.toml").write_text("[retention]\nkep = 3\n[ledger]\nulr = 'x'\n")
    done = scripts.runstone("tail", cwd=home)
    assert done.returncode == 2
    assert [line.partition("runstone.toml: ")[2] for line in done.stderr.splitlines()] == [
        "[retention] kep is not known; did you mean keep?",
        "[ledger] ulr is not known; did you mean url?",
    ]
    ran = scripts.runstone("run", "job.py", "--no-progress", cwd=home)
    assert ran.returncode == 0
    assert ran.stderr.count("did you mean url?") == 1
