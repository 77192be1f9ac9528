"""Lists of runs in a terminal: names are seen as far as there is room, and nothing else is cut."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from runstone.cli.elapsed import elapsed
from runstone.cli.run_lines import RunLines
from runstone.drawing.lettering import cells
from runstone.ledger.find_summary import RunSummary

LONG = "extract_and_normalise_customer_addresses_v2"


def run(name: str, **more: Any) -> RunSummary:
    known: dict[str, Any] = {
        "run_id": "5f2c1d9a-3c1e-4b6a-9f00-6d1f0a4f7c11", "workspace": "default", "pipeline_name": name,
        "pipeline_version": None, "kind": "pipeline", "status": "completed", "recorded_status": "completed",
        "reason": None, "message": "", "error": None, "created_at": "2026-01-31T12:30:01.000000Z",
        "started_at": "2026-01-31T12:30:01.000000Z", "finished_at": "2026-01-31T12:30:02.000000Z", "updated_at": None,
        "duration_seconds": 12.45, "rows_in": None, "rows_out": None, "progress_done": 0, "progress_total": None,
        "progress_failed": 0, "error_count": 0, "artifact_count": 0, "trigger": "script", "host": None,
        "retry_of": None, "parent_id": None, "trace_id": None, "tags": [], "run_folder": None,
    }  # fmt: skip
    return RunSummary(**{**known, **more})


COUNTED = {"rows_in": 1_234_567, "rows_out": 42}
FULL = ["Run ID", "Stage", "Status", "Started At", "Rows In", "Rows Out", "Duration"]
SHORT = ["Run ID", "Stage", "Status", "Started At", "Duration"]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Any:
    def printed(width: int, *runs: RunSummary) -> list[str]:
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("NO_COLOR", "1")
        table = RunLines(runs)
        return [line.rstrip("\n") for line in (table.head(), *map(table.line, runs))]

    return printed


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("more", [{}, COUNTED])
@pytest.mark.parametrize("name", ["a", "adder", "nightly_training", LONG])
def test_every_line_fits(lines: Any, width: int, more: dict[str, int], name: str) -> None:
    assert max(map(cells, lines(width, run(name, **more), run("b")))) < width


@pytest.mark.parametrize(
    ("width", "name", "more", "titles"),
    [
        (120, LONG, COUNTED, FULL),
        (120, "adder", {}, FULL),
        (80, "adder", {}, FULL),
        (80, "daily-survey", {}, SHORT),
        (80, "nightly_training", COUNTED, ["Run ID", "Stage", "Status", "Started At", "In", "Out", "Duration"]),
        (60, "adder", COUNTED, SHORT),
        (60, "daily-survey-of", {}, ["Run ID", "Stage", "Status", "Started At", "Time"]),
        (40, "adder", {}, ["Run ID", "Stage", "Status", "Time"]),
    ],
)
def test_other_columns_give_way_to_the_name(
    lines: Any, width: int, name: str, more: dict[str, int], titles: list[str]
) -> None:
    head, line = lines(width, run(name, **more))
    assert re.split(r"\s{2,}", head) == titles
    assert f"  {name}  " in line
    assert line.endswith("12.45s")


def test_a_name_for_which_there_is_no_room_takes_all_there_is(lines: Any) -> None:
    _, line = lines(60, run(LONG))
    assert f"  {LONG[:15]}…  completed" in line
    assert cells(line) == 59


def test_rows_are_round_numbers_where_digits_have_no_room(lines: Any) -> None:
    _, line = lines(80, run("nightly_training", **COUNTED))
    assert line.split()[-3:] == ["1.2M", "42", "12.45s"]
    _, line = lines(120, run("nightly_training", **COUNTED))
    assert line.split()[-3:] == ["1,234,567", "42", "12.45s"]


def test_a_run_that_goes_on_has_lasted_since_its_start(lines: Any) -> None:
    began = datetime.fromtimestamp(time.time() - 90, UTC).isoformat().replace("+00:00", "Z")
    underway = {"started_at": began, "finished_at": None, "duration_seconds": None}
    _, line, waits = lines(80, run("adder", status="running", **underway), run("b", status="pending", **underway))
    assert 90 <= float(line.split()[-1].removesuffix("s")) < 120
    assert waits.endswith(" -")


@pytest.mark.parametrize(
    ("status", "started_at", "recorded", "told"),
    [
        ("completed", "2026-01-31T12:30:01Z", 2.5, 2.5),
        ("crashed", "2026-01-31T12:30:01Z", None, None),
        ("running", None, None, None),
        ("running", "9999-01-31T12:30:01Z", None, 0.0),
    ],
)
def test_what_is_recorded_is_told_and_what_nobody_knows_is_not(
    status: str, started_at: str | None, recorded: float | None, told: float | None
) -> None:
    assert elapsed(status, started_at, recorded) == told
