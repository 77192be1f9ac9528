"""Nothing that users can name is missing from the pages, and the pages name nothing that is not there."""

from __future__ import annotations

import importlib
import itertools
from enum import Enum

import click
import msgspec
import pytest

import runstone
from runstone.cli.main import COMMANDS
from runstone.cli.main import runstone as entry
from runstone.core import block_status, records
from runstone.core import events as ev
from runstone.core.outcome import block_end
from runstone.core.reasons import Reason
from runstone.core.run_state import BlockState, OutputState, RunState
from runstone.core.settings import BlockSettings, PipelineSettings, RunSettings
from runstone.core.status import KEYS
from runstone.core.statuses import ALIASES, BlockStatus, Liveness, RunStatus
from runstone.folder.checkpoint import Checkpoint, FileMark
from runstone.folder.logs import LogLine
from runstone.folder.why import Explanation
from tests.docs.page import PAGES, ROOT, Page, rows, words

README = Page(ROOT / "README.md")
FOLDERS = Page(ROOT / "docs" / "run-folders.md")
PIPELINES = Page(ROOT / "docs" / "pipelines.md")
FORMAT = Page(ROOT / "docs" / "format.md")
WHY = Page(ROOT / "docs" / "why.md")


def named(section: str, column: int = 0) -> list[str]:
    """What the tables of a section name in one of their columns, in order."""
    return [word for cells in rows(section) for word in _in_order(cells[column])]


def _in_order(cell: str) -> list[str]:
    return [part for number, part in enumerate(cell.split("`")) if number % 2]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented_with_all_its_options(command: str) -> None:
    found: click.Command = importlib.import_module(COMMANDS[command][0]).command
    table = rows(FOLDERS.section("Commands"))
    assert any(f"`runstone {command} " in cells[0] for cells in table), f"runstone {command} is in no table"
    documented = {
        word.split()[0]
        for cells in table
        if command in words(cells[1]) or cells[1] in ("all", "all about runs")
        for word in _in_order(cells[0])
    }
    options = {name for option in found.params if isinstance(option, click.Option) for name in _names(option)}
    assert options <= documented


def _names(option: click.Option) -> list[str]:
    return [*option.opts, *option.secondary_opts]


def test_the_pages_name_no_option_that_is_not_there() -> None:
    commands = [importlib.import_module(module).command for module, _ in COMMANDS.values()]
    there = {
        name for each in (*commands, entry) for option in each.params for name in (*option.opts, *option.secondary_opts)
    }
    documented = {
        word.split()[0] for cells in rows(FOLDERS.section("Commands")) for word in _in_order(cells[0]) if word[0] == "-"
    }
    assert documented <= there | {"--help", "-h"}


def test_every_key_of_the_status_object_is_documented_in_its_order() -> None:
    assert named(FOLDERS.section("The status object")) == list(KEYS)


def test_every_key_of_the_record_of_a_block_is_documented_in_its_order() -> None:
    table = [cells for cells in rows(FOLDERS.section("One block")) if len(cells) == 4]
    assert [word for cells in table for word in _in_order(cells[0])] == list(block_status.KEYS)


@pytest.mark.parametrize("kind", [RunStatus, BlockStatus])
def test_every_status_is_documented(kind: type[Enum]) -> None:
    assert {status.value for status in kind} <= set(named(FOLDERS.section("Statuses")))


def test_every_reason_is_documented_and_no_other() -> None:
    assert named(FOLDERS.section("Reasons")) == [reason.value for reason in Reason]


def test_the_reasons_that_can_be_tried_again_are_the_last_ones_of_the_table() -> None:
    assert "true for the last four" in FOLDERS.section("Reasons")
    assert [reason.retryable for reason in Reason][-5:] == [False, True, True, True, True]


def test_every_liveness_is_documented_and_no_other() -> None:
    section = FOLDERS.section("When a run counts as crashed")
    assert named(section) == [liveness.value for liveness in Liveness]


@pytest.mark.parametrize("section", ["Where the answer comes from", "For readers of pipefunc's status"])
def test_every_source_of_a_status_is_documented(section: str) -> None:
    assert named(FOLDERS.section(section)) == ["heartbeat", "journal", "disk_heuristic", "ledger"]


def test_the_readme_has_every_status_of_a_run_with_its_aliases() -> None:
    table = {words(cells[0]).pop(): cells[3] for cells in rows(README.section("Statuses"))}
    aliases = {
        status.value: ", ".join(alias for alias, meant in ALIASES.items() if meant is status) for status in RunStatus
    }
    assert table == aliases


def test_every_setting_is_documented_where_it_can_be_written() -> None:
    levels = {"block": BlockSettings, "run": RunSettings, "pipeline": PipelineSettings}
    there = {
        name: {level for level, settings in levels.items() if name in settings.__annotations__}
        for name in {name for settings in levels.values() for name in settings.__annotations__}
    }
    documented = {
        words(cells[0]).pop(): set(cells[1].replace(";", ",").split(", "))
        for cells in rows(PIPELINES.section("Settings"))
    }
    assert documented == there


def test_the_table_of_how_a_block_ends_is_what_happens() -> None:
    counts = {"none": (0,), "some": (1, 2), "all": (2,), "any number": (0, 2)}
    tolerances = {"fail": (False,), "continue": (True,), "either": (False, True)}
    seen = set()
    for failed, upstream, good, tolerance, status in (
        cells for cells in rows(PIPELINES.section("How a block ends")) if len(cells) == 5
    ):
        for case in itertools.product(counts[failed], counts[upstream], counts[good], tolerances[tolerance.strip("`")]):
            bad, not_called, ok, tolerated = case
            assert block_end(ok, bad, not_called, tolerated=tolerated)[0].value == status.strip("`"), case
            seen.add((bad > 0, not_called > 0, ok > 0, tolerated))
    assert len(seen) == 2**4, "the table leaves cases out"


def test_every_event_is_documented_with_all_its_fields() -> None:
    documented = {cells[0].strip("`"): words(cells[1]) for cells in rows(FORMAT.section("Events"))}
    kinds = ev.JournalEvent.__args__
    assert set(documented) == {kind.__struct_config__.tag for kind in kinds}
    for kind in kinds:
        fields = set(kind.__struct_fields__) - {"seq", "at"}
        assert fields <= documented[kind.__struct_config__.tag], kind


@pytest.mark.parametrize(
    ("record", "section"),
    [
        (ev.Driver, "Events"),
        (ev.StoredValue, "Events"),
        (ev.Chunk, "Output files"),
        (ev.ColumnMeta, "Output files"),
        (records.RunInfo, "run.json"),
        (records.PipelineInfo, "run.json"),
        (records.BlockInfo, "run.json"),
        (records.ParameterInfo, "run.json"),
        (records.ParamInfo, "run.json"),
        (records.StartedBy, "run.json"),
        (Checkpoint, "status.json"),
        (FileMark, "status.json"),
        (BlockState, "status.json"),
        (OutputState, "status.json"),
        (LogLine, "Logs"),
    ],
)
def test_every_field_of_a_file_is_documented(record: type[msgspec.Struct], section: str) -> None:
    assert set(record.__struct_fields__) <= words(FORMAT.section(section))


def test_every_field_of_the_fold_is_documented() -> None:
    times = {name for name in RunState.__struct_fields__ if name.endswith("_at")}
    assert "the times of the status object" in FORMAT.section("status.json")
    assert times <= set(KEYS)
    assert set(RunState.__struct_fields__) - times <= words(FORMAT.section("status.json"))


def test_every_public_name_is_documented() -> None:
    text = "".join(page.read_text() for page in PAGES)
    assert not [name for name in runstone.__all__ if name not in text and name != "__version__"]


def test_every_key_of_an_explanation_is_documented() -> None:
    assert set(named(WHY.section("As JSON, and in Python"))) == set(Explanation.__struct_fields__)
