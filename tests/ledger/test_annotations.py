"""Tags and notes: in the folder, in the ledger, in the index; said by many at once, and never part of the journal."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import runstone
from runstone import Pipeline, block
from runstone.core.annotated import Annotation, acting_tags, problem_with_tag
from runstone.errors import LedgerBusy, StorageError
from runstone.folder import annotations, observe
from runstone.ledger import intake
from runstone.ledger.annotations import annotate, of_run, retag, take_in
from runstone.ledger.of_folder import project, rows_of
from runstone.ledger.opening import open_ledger
from runstone.ledger.place import Place
from runstone.ledger.port import Store


@block
def one(n: int) -> int:
    return n


ones = Pipeline("ones", [one], tags=["own"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ones.run({"n": 1}, run_folder=tmp_path / "run", show_progress=False)
    return tmp_path / "run"


def tags(store: Store) -> list[str]:
    return sorted(tag for (tag,) in store.rows("SELECT tag FROM tag"))


def run_id(folder: Path) -> str:
    return str(json.loads((folder / "run.json").read_bytes())["id"])


def test_what_is_said_is_in_the_folder_the_ledger_and_the_index(folder: Path, store: Store) -> None:
    project(store, str(folder))
    journal = (folder / "journal" / "0001.jsonl").read_bytes()
    made = annotate(
        [("tag", "best"), ("untag", "own"), ("note", "a\nb")],
        by="ada@lab",
        run_id=run_id(folder),
        folder=str(folder),
        store=store,
    ).made
    assert [one.version for one in made] == [1, 2, 3]
    assert of_run(store, run_id(folder)) == annotations.read_from(str(folder)) == made
    assert tags(store) == ["best"]
    assert observe.status(str(folder))["tags"] == ["best"]
    opened = runstone.open(folder)
    assert opened.tags == ["best"]
    assert [(note.text, note.said_by) for note in opened.notes] == [("a\nb", "ada@lab")]
    assert (folder / "journal" / "0001.jsonl").read_bytes() == journal
    lines = [json.loads(line) for line in (folder / "annotations.jsonl").read_text().splitlines()]
    assert [(each["version"], each["kind"], each["text"], each["said_by"]) for each in lines] == [
        (1, "tag", "best", "ada@lab"),
        (2, "untag", "own", "ada@lab"),
        (3, "note", "a\nb", "ada@lab"),
    ]


def test_what_a_locked_ledger_does_not_take_is_said_nevertheless_where_there_is_a_folder(
    folder: Path, tmp_path: Path
) -> None:
    place = Place("sqlite", str(tmp_path / "ledger.db"))
    holder, hasty = open_ledger(place), open_ledger(place, patience=0.01)
    project(holder, str(folder))
    with holder.writing():
        said = annotate([("tag", "best")], by="", run_id=run_id(folder), folder=str(folder), store=hasty)
        assert isinstance(said.missed, LedgerBusy)
        with pytest.raises(LedgerBusy):
            annotate([("tag", "best")], by="", run_id=run_id(folder), folder=None, store=hasty)
    assert observe.status(str(folder))["tags"] == ["own", "best"]
    assert tags(holder) == ["own"]
    with holder.writing():
        intake.annotate(holder, str(folder), run_id(folder))
    assert tags(holder) == ["best", "own"]
    holder.close()
    hasty.close()


def test_a_tag_that_was_taken_away_does_not_come_back_with_the_run(folder: Path, store: Store) -> None:
    """Neither when the run is projected again, nor when its rows are made anew of its folder."""
    project(store, str(folder))
    annotate([("untag", "own"), ("tag", "x")], by="", run_id=run_id(folder), folder=str(folder), store=store)
    project(store, str(folder))
    assert tags(store) == ["x"]
    store.rows("DELETE FROM pipeline_run")
    project(store, str(folder))
    assert tags(store) == rows_of(str(folder)).tags == ["x"]


def test_what_was_said_elsewhere_comes_in_once(folder: Path, store: Store) -> None:
    project(store, str(folder))
    annotate([("tag", "here")], by="ada", run_id=run_id(folder), folder=None, store=store)
    annotations.say(str(folder), "tag", "there", by="bob")
    said = annotations.read_from(str(folder))
    assert take_in(store, run_id(folder), said, ["own"]) == 1
    assert take_in(store, run_id(folder), said, ["own"]) == 0
    assert [(one.version, one.text) for one in of_run(store, run_id(folder))] == [(1, "here"), (2, "there")]
    assert tags(store) == ["here", "own", "there"]
    store.rows("DELETE FROM tag")
    retag(store, run_id(folder), ["own"])
    assert tags(store) == ["here", "own", "there"]


def test_without_a_folder_the_ledger_keeps_it_and_without_a_ledger_the_folder(folder: Path, store: Store) -> None:
    annotate([("note", "waits")], by="ada", run_id="no-folder-yet", folder=None, store=store)
    assert [one.text for one in of_run(store, "no-folder-yet")] == ["waits"]
    annotate([("tag", "alone")], by="ada", run_id=run_id(folder), folder=str(folder), store=None)
    assert observe.status(str(folder))["tags"] == ["own", "alone"]


def test_a_folder_that_may_only_be_read_leaves_it_to_the_ledger(folder: Path, store: Store) -> None:
    """A folder in the place of the file refuses root as well."""
    (folder / "annotations.jsonl").mkdir()
    annotate([("tag", "x")], by="", run_id=run_id(folder), folder=str(folder), store=store)
    assert [one.text for one in of_run(store, run_id(folder))] == ["x"]
    with pytest.raises(StorageError):
        annotate([("tag", "x")], by="", run_id=run_id(folder), folder=str(folder), store=None)


SAYS = """
import sys
from runstone.folder.annotations import say
for number in range(25):
    say(sys.argv[1], "tag", f"{sys.argv[2]}-{number}", by="many")
"""


def test_many_may_speak_at_once(folder: Path) -> None:
    speakers = [subprocess.Popen([sys.executable, "-c", SAYS, str(folder), str(number)]) for number in range(4)]
    assert [speaker.wait(timeout=60) for speaker in speakers] == [0] * 4
    said = annotations.read_from(str(folder))
    assert sorted(one.text for one in said) == sorted(f"{who}-{number}" for who in range(4) for number in range(25))
    assert len({one.version for one in said}) == 100
    assert [one.version for one in said] == sorted(one.version for one in said)


def test_half_a_line_of_a_writer_that_died_takes_nothing_with_it(folder: Path) -> None:
    annotations.say(str(folder), "tag", "first", by="")
    with (folder / "annotations.jsonl").open("ab") as file:
        file.write(b'{"version":2,"kind":"tag","text":"ha')
    assert [one.text for one in annotations.read_from(str(folder))] == ["first"]
    annotations.say(str(folder), "tag", "second", by="")
    assert [(one.version, one.text) for one in annotations.read_from(str(folder))] == [(1, "first"), (2, "second")]


LINE = '{"version":%s,"kind":"%s","text":"%s","said_at":"2026-01-01T00:00:00.000000Z","said_by":"x"}'


@pytest.mark.parametrize(
    "line",
    [
        LINE % (1, "explode", "x"),
        LINE % (1, "tag", ""),
        LINE % (1, "note", "n" * 20_000),
        (LINE % (1, "tag", "x")).replace("2026-01-01T00:00:00.000000Z", "yesterday"),
        '{"version":1}',
        "[" * 100_000,
        "\xff",
        "",
    ],
    ids=range(8),
)
def test_what_makes_no_sense_is_stepped_over(folder: Path, line: str) -> None:
    text = f"{line}\n{LINE % (10**18, 'tag', 'good')}\n{LINE % (-5, 'tag', 'better')}\n"
    (folder / "annotations.jsonl").write_bytes(text.encode("latin-1"))
    said = annotations.read_from(str(folder))
    assert [(one.version, one.text) for one in said] == [(1, "good"), (2, "better")]
    assert observe.status(str(folder))["status"] == "completed"


def test_a_link_or_a_pipe_in_its_place_is_not_opened(folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(LINE % (1, "tag", "secret") + "\n")
    (folder / "annotations.jsonl").symlink_to(secret)
    assert annotations.read_from(str(folder)) == []
    with pytest.raises(StorageError):
        annotations.say(str(folder), "tag", "x", by="")
    (folder / "annotations.jsonl").unlink()
    os.mkfifo(folder / "annotations.jsonl")
    assert annotations.read_from(str(folder)) == []
    with pytest.raises(StorageError):
        annotations.say(str(folder), "tag", "x", by="")
    assert len(secret.read_text().splitlines()) == 1


def test_a_copy_takes_it_along(folder: Path, tmp_path: Path) -> None:
    annotations.say(str(folder), "note", "kept", by="ada")
    shutil.copytree(folder, tmp_path / "copy")
    assert annotations.read_from(str(tmp_path / "copy")) == annotations.read_from(str(folder))


def test_the_last_word_about_a_tag_counts() -> None:
    said = [
        Annotation(version=number, kind=kind, text=text, said_at="")
        for number, (kind, text) in enumerate(
            [("untag", "a"), ("tag", "b"), ("tag", "a"), ("note", "c"), ("untag", "b"), ("untag", "never")], start=1
        )
    ]
    assert acting_tags(["a", "own", ""], said) == ["own", "a"]


@pytest.mark.parametrize("tag", ["", " a", "a ", "a\nb", "a\x1b", "t" * 201])
def test_no_tags(tag: str) -> None:
    assert problem_with_tag(tag) is not None
    assert problem_with_tag("räu ber:1/2") is None
