"""All that the ledger knows of one run, and how it is found from what a user types."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path

import pytest

from runstone.errors import RunAmbiguous, RunNotFound
from runstone.ledger.detail import detail
from runstone.ledger.locating import FolderGone, locate, resolve
from runstone.ledger.of_folder import project
from runstone.ledger.opening import open_ledger
from runstone.ledger.place import Place
from runstone.ledger.port import Store
from tests import samples
from tests.ledger import library


@pytest.fixture
def survey(store: Store, tmp_path: Path) -> Path:
    """The folder of a run that the ledger knows."""
    folder = tmp_path / "elsewhere" / "survey"
    samples.run_survey(folder, tmp_path)
    project(store, str(folder))
    return folder


def test_a_run_with_its_blocks_errors_and_artifacts(store: Store, survey: Path) -> None:
    ((run_id,),) = store.rows("SELECT run_id FROM pipeline_run")
    found = detail(store, run_id[:8], workspace="default")
    assert (found.run.pipeline_name, found.run.status, found.run.tags) == ("survey", "degraded", ["docs"])
    assert [(block.block, block.status) for block in found.blocks] == [
        ("files", "completed"),
        ("parse", "degraded"),
        ("report", "completed"),
        ("text", "completed"),
    ]
    (parse,) = (block for block in found.blocks if block.block == "parse")
    assert (parse.total, parse.ok, parse.failed) == (10, 9, 1)
    (error,) = found.errors
    assert (error.block, error.element, error.type) == ("parse", 3, "ValueError")
    assert "cannot read src/3" in error.traceback
    (artifact,) = found.artifacts
    assert artifact.name == "report.md"
    assert os.path.exists(survey / artifact.path)
    assert found.params["root"] == "src"
    assert found.config_hash is None or len(found.config_hash) == 64
    assert found.related == []


def test_relations_are_told_from_both_sides(store: Store) -> None:
    library.put(store, [])
    finger = "f" * 64
    runs: dict[str, dict[str, str]] = {
        "first-1": {"input_fingerprint": finger},
        "again-2": {"retry_of": "first-1", "input_fingerprint": finger},
        "child-3": {"parent_id": "first-1"},
        "child-4": {"parent_id": "first-1"},
        "orphan5": {"parent_id": "gone-99"},
    }
    for number, (run_id, columns) in enumerate(runs.items()):
        said = {"run_id": run_id, "created_at": f"2026-01-0{number + 1}T00:00:00.000000Z", **columns}
        names = ", ".join(said)
        store.rows(
            f"INSERT INTO pipeline_run (workspace, pipeline_id, pipeline_name, status, {names})"
            f" VALUES ('default', 'p', 'p', 'pending', {', '.join(f':{name}' for name in said)})",
            said,
        )

    def related(run_id: str) -> list[tuple[str, str]]:
        return [(each.how, each.run_id) for each in detail(store, run_id, workspace="default").related]

    assert related("first-1") == [
        ("retried_by", "again-2"),
        ("child", "child-4"),
        ("child", "child-3"),
        ("same_input", "again-2"),
    ]
    assert detail(store, "first-1", workspace="default").children == 2
    assert related("again-2") == [("retry_of", "first-1"), ("same_input", "first-1")]
    assert related("child-3") == [("parent", "first-1")]
    (lost,) = detail(store, "orphan5", workspace="default").related
    assert (lost.how, lost.run_id, lost.pipeline_name) == ("parent", "gone-99", None)


# What a user types: always the ledger of the project, so of one kind.


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose ledger knows a run that lies elsewhere."""
    home = tmp_path / "home"
    (home / ".runstone").mkdir(parents=True)
    # while the ledger is switched off: otherwise this process would keep it in order
    samples.run_tiny(tmp_path / "far" / "tiny")
    monkeypatch.chdir(home)
    monkeypatch.setenv("RUNSTONE_LEDGER", str(home / ".runstone" / "ledger.db"))
    store = open_ledger(Place("sqlite", str(home / ".runstone" / "ledger.db")))
    project(store, str(tmp_path / "far" / "tiny"))
    store.close()
    return home


@pytest.fixture
def far(home: Path) -> str:
    return str(home.parent / "far" / "tiny")


def rows(home: Path, sql: str) -> list[tuple[str, ...]]:
    store = open_ledger(Place("sqlite", str(home / ".runstone" / "ledger.db")))
    try:
        return store.rows(sql)
    finally:
        store.close()


def run_id(home: Path) -> str:
    return rows(home, "SELECT run_id FROM pipeline_run")[0][0]


def test_an_id_or_its_beginning_leads_to_the_folder_wherever_it_is(home: Path, far: str) -> None:
    for name in (run_id(home), run_id(home)[:8], run_id(home)[:4]):
        assert locate(name).folder == resolve(name) == far
    found = locate(f"{run_id(home)[:8]}/each")
    assert (found.folder, found.block) == (far, "each")
    with pytest.raises(RunNotFound, match="is a block"):
        resolve(f"{run_id(home)[:8]}/each")
    with pytest.raises(RunNotFound, match="has no block 'eech'; did you mean"):
        locate(f"{run_id(home)[:8]}/eech")


def test_folders_come_before_the_ledger(home: Path, far: str) -> None:
    shutil.copytree(far, home / "runs" / f"tiny-{run_id(home)[:8]}")
    assert locate(run_id(home)[:8]).folder == str(home / "runs" / f"tiny-{run_id(home)[:8]}")
    assert locate(far).folder == far
    os.rename(home / ".runstone" / "ledger.db", home / ".runstone" / "away")
    assert locate(run_id_of(far)).folder.startswith(str(home / "runs"))
    assert not (home / ".runstone" / "ledger.db").exists()


def run_id_of(folder: str) -> str:
    import json

    return str(json.loads(Path(folder, "run.json").read_text())["id"])


def test_what_nobody_knows_is_not_found(home: Path) -> None:
    for name in ("zzzzzz", "zzzzzz/each", "abc"):
        try:
            found = locate(name)
        except RunNotFound:
            continue
        # like every path that is no run: whoever reads it says so
        assert (found.folder, found.block) == (name, None)


def test_a_run_of_another_workspace_is_not_found(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = run_id(home)
    monkeypatch.setenv("RUNSTONE_WORKSPACE", "other")
    with pytest.raises(RunNotFound):
        locate(name)


def test_a_beginning_that_fits_several_runs_is_refused_with_their_names(home: Path) -> None:
    first = run_id(home)
    rows(
        home,
        "INSERT INTO pipeline_run (run_id, workspace, pipeline_id, pipeline_name, status, created_at)"
        f" VALUES ('{first[:6]}-second', 'default', 'p', 'p', 'pending', '2026-01-01T00:00:00.000000Z')",
    )
    with pytest.raises(RunAmbiguous, match=f"fits 2 runs: .*{first}.*give more characters"):
        locate(first[:6])
    assert locate(first[:12]).folder


@pytest.mark.parametrize("instead", ["nothing", "another run"])
def test_a_run_whose_folder_is_gone_is_told_so(
    home: Path, far: str, instead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = run_id(home)
    shutil.rmtree(far)
    if instead == "another run":
        monkeypatch.setenv("RUNSTONE_LEDGER", "none")
        samples.run_tiny(Path(far))
        monkeypatch.setenv("RUNSTONE_LEDGER", str(home / ".runstone" / "ledger.db"))
    with pytest.raises(FolderGone, match=f"not there any more; .*: runstone runs show {name[:8]}") as caught:
        locate(name)
    assert caught.value.run_id == name
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.run_id) == (str(caught.value), name)


def test_a_run_that_never_had_a_folder_is_told_so(home: Path) -> None:
    rows(home, "UPDATE pipeline_run SET run_folder = NULL")
    with pytest.raises(FolderGone, match="has no folder"):
        locate(run_id(home))


def test_a_damaged_ledger_is_named_where_it_could_have_helped(home: Path) -> None:
    (home / ".runstone" / "ledger.db").write_bytes(b"no database" * 1000)
    with pytest.raises(RunNotFound, match=r"no run 'abcdef' here.*the ledger cannot be asked"):
        locate("abcdef")
