"""What a folder says of its workspace and its id counts only where its place proves it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from runstone.ledger import claims
from runstone.ledger.of_folder import project as bring
from runstone.ledger.port import Store
from runstone.ledger.sync import Report, sync
from tests import samples
from tests.ledger.projects import claim, project, told

__all__ = ["project"]


def rows(store: Store) -> dict[str, tuple[str, str]]:
    """Workspace and folder of every run in the ledger, by its id."""
    found = store.rows("SELECT run_id, workspace, run_folder FROM pipeline_run")
    return {run_id: (workspace, folder) for run_id, workspace, folder in found}


def places(store: Store) -> list[str]:
    return sorted(path for (path,) in store.rows("SELECT path FROM place"))


def run_of(workspace: str, folder: Path) -> str:
    """Execute a run, and let it say that it is of this workspace; returns its id."""
    samples.run_tiny(folder)
    claim(folder, workspace=workspace)
    return told(folder).run_id


def refused(report: Report) -> dict[str, str]:
    assert report.refused.count == len(report.refused.first)
    return {Path(path).name: why for path, why in report.refused.first}


def test_a_run_is_taken_where_its_workspace_keeps_its_runs(store: Store, project: Path) -> None:
    first = run_of("default", project / "runs" / "first")
    second = run_of("other", project / ".runstone/workspaces/other/runs/second")
    deep = run_of("default", project / "runs" / "april" / "12" / "deep")
    report = sync(store)
    assert rows(store) == {
        first: ("default", str(project / "runs/first")),
        second: ("other", str(project / ".runstone/workspaces/other/runs/second")),
        deep: ("default", str(project / "runs/april/12/deep")),
    }
    assert (report.taken, report.refused.count) == (3, 0)


@pytest.mark.parametrize("workspace", ["default", "../..", "..", "b/../other"])
def test_a_run_of_another_workspace_is_refused_by_name(store: Store, project: Path, workspace: str) -> None:
    run_of(workspace, project / ".runstone/workspaces/other/runs/liar")
    run_of("other", project / "runs" / "stray")
    report = sync(store)
    assert rows(store) == {}
    assert refused(report) == {
        "liar": f"it says it is of workspace {workspace!r}, and lies where those of 'other' are",
        "stray": "it says it is of workspace 'other', and lies where those of 'default' are",
    }


def test_the_folder_of_a_workspace_called_default_is_no_place_for_runs(store: Store, project: Path) -> None:
    run_of("default", project / ".runstone/workspaces/default/runs/hidden")
    run_of("default", project / "runs" / "seen")
    assert sync(store).folders == 1


def test_an_id_that_another_workspace_has_is_refused(store: Store, project: Path) -> None:
    mine = run_of("default", project / "runs" / "mine")
    sync(store)
    thief = project / ".runstone/workspaces/other/runs/thief"
    shutil.copytree(project / "runs" / "mine", thief)
    claim(thief, workspace="other")
    report = sync(store)
    assert rows(store) == {mine: ("default", str(project / "runs/mine"))}
    assert refused(report) == {"thief": f"a run of workspace 'default' has its id, {mine}"}
    assert places(store) == [str(project / "runs/mine")]


def test_a_link_that_leads_out_is_refused_and_one_within_is_no_second_place(
    store: Store, project: Path, tmp_path: Path
) -> None:
    inside = run_of("default", project / "runs" / "inside")
    run_of("default", tmp_path / "outside")
    (project / "runs" / "an early name").symlink_to("inside")
    (project / "runs" / "sly").symlink_to(tmp_path / "outside")
    (project / "runs" / "circle").symlink_to("circle")
    report = sync(store)
    assert list(rows(store)) == [inside]
    assert places(store) == [str(project / "runs/inside")]
    assert refused(report) == {"sly": "it is a link that leads out of the folder of the workspace's runs"}


def test_a_root_that_is_a_link_is_a_root(store: Store, project: Path, tmp_path: Path) -> None:
    (tmp_path / "big disk").mkdir()
    (project / "runs").symlink_to(tmp_path / "big disk")
    run_id = run_of("default", project / "runs" / "one")
    sync(store)
    assert rows(store) == {run_id: ("default", str(project / "runs/one"))}


def test_a_place_that_a_driver_told_is_believed_for_this_run_alone(store: Store, project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere" / "one"
    run_id = run_of("default", folder)
    assert sync(store).folders == 0
    bring(store, str(folder))
    assert (sync(store).known, rows(store)) == (1, {run_id: ("default", str(folder))})
    (project / "runs").mkdir()
    (project / "runs" / "link").symlink_to(folder)
    assert sync(store).refused.count == 0
    (project / "runs" / "link").unlink()
    shutil.rmtree(folder)
    other = run_of("default", folder)
    report = sync(store)
    assert refused(report) == {"one": f"it holds run {other}, and the ledger knows this place for {run_id}"}
    assert list(rows(store)) == [run_id]


def test_a_folder_with_a_name_that_is_no_text_is_refused(store: Store, project: Path) -> None:
    samples.run_tiny(project / "runs" / "plain")
    (project / "runs" / "plain").rename(project / "runs" / "odd \udcff")
    report = sync(store)
    assert rows(store) == {}
    assert list(refused(report).values()) == [
        "its path cannot be kept in the ledger: give it a shorter name, of letters"
    ]


def test_folders_of_other_programs_are_stepped_over(store: Store, project: Path) -> None:
    folder = project / "runs" / "theirs"
    folder.mkdir(parents=True)
    (folder / "run_info.json").write_text("{}")
    (project / "runs" / "notes").mkdir()
    report = sync(store)
    assert (report.folders, report.foreign, report.refused.count, report.unreadable.count) == (1, 1, 0, 0)


def test_what_is_on_its_way_is_not_looked_at(project: Path) -> None:
    samples.run_tiny(project / "runs" / ".incoming" / "half")
    (root,) = claims.roots()
    assert list(claims.runs_below(root, [root], lambda path, why: None)) == []
