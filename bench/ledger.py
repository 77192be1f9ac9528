"""Finding runs among many, in both stores; writes LEDGER.md. Run it alone: `make bench-ledger`.

python bench/ledger.py [--runs 1000000] [--stores sqlite,postgres] [--keep FOLDER] [--no-report]

The server is the one that the tests start: its memory for pages is small (32 MB), so that most pages of a large ledger
come from the system. The first call of each kind is not measured.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ledger_fill import FIRST, PIPELINES, YEARS, fill
from measure import ROOT, SCRATCH, script, show

from runstone.core.query import parse
from runstone.ledger.find import count, find
from runstone.ledger.opening import open_for_reading, open_ledger
from runstone.ledger.place import Place
from runstone.ledger.port import Store

RESULTS = ROOT / "bench" / "LEDGER.md"
NOW = FIRST + timedelta(days=365 * YEARS)
PAGE = 20
REPETITIONS = 300
FEW = 40
LOAD = os.getloadavg()[0]


class Row:
    """What was asked, how often, the times, the budget in seconds of the 95th percentile (None: there is none)."""

    def __init__(self, what: str, seconds: list[float], budget: float | None, note: str = "") -> None:
        self.what, self.budget, self.note = what, budget, note
        self.median = statistics.median(seconds)
        self.p95 = sorted(seconds)[max(0, -(-len(seconds) * 95 // 100) - 1)]
        self.most = max(seconds)
        self.times = len(seconds)

    def cells(self, store: str) -> list[str]:
        met = "" if self.budget is None else "met" if self.p95 <= self.budget else "**missed**"
        budget = "" if self.budget is None else show(self.budget)
        times = [show(self.median), show(self.p95), show(self.most)]
        return [store, self.what, str(self.times), *times, budget, met, self.note]


def timed(calls: Iterator[Callable[[], object]]) -> list[float]:
    """Seconds of each call but the first."""
    found = []
    for number, call in enumerate(calls):
        begun = time.perf_counter()
        call()
        if number:
            found.append(time.perf_counter() - begun)
    return found


def asked(store: Store, queries: Iterator[str]) -> list[float]:
    """Seconds to find a page for each of these queries."""
    meant = [parse(query) for query in queries]
    return timed((lambda query=query: find(store, query, limit=PAGE, now=NOW)) for query in meant)  # type: ignore[misc]


def pages(store: Store, query: str, last: int) -> tuple[list[float], list[float], int]:
    """Seconds of each of the first hundred pages, of the last hundred up to page `last`, and how many there were."""
    meant = parse(query)
    cursor: str | None = None
    seconds = []
    while len(seconds) < last:
        begun = time.perf_counter()
        page = find(store, meant, limit=PAGE, cursor=cursor, now=NOW)
        seconds.append(time.perf_counter() - begun)
        cursor = page.cursor
        if cursor is None:
            break
    return seconds[1:101], seconds[-100:], len(seconds)


def measure(store: Store, runs: int) -> list[Row]:
    """All that is asked of one store."""
    dice = random.Random(1)
    moments = [FIRST + (NOW - FIRST) * dice.random() for _ in range(REPETITIONS)]

    def many(query: Callable[[], str], times: int = REPETITIONS) -> Iterator[str]:
        return (query() for _ in range(times + 1))

    statuses = ("completed", "failed", "degraded", "cancelled", "timed_out", "running", "crashed", "pending")
    tags = (2, 3, 7, 11, 997, 1009, 10_007)

    def tag() -> str:
        every = dice.choice(tags)
        return f"tag:of-{every}-{dice.randrange(every)}"

    def between() -> str:
        moment = dice.choice(moments)
        return f"since:{moment:%Y-%m-%d} until:{moment + timedelta(days=dice.choice((1, 7, 30))):%Y-%m-%d}"

    def pipeline() -> str:
        return f"pipeline:pipeline-{dice.randrange(PIPELINES):03}"

    def rows() -> str:
        return f"rows_in>{dice.randrange(65_000)}"

    first, later, number = pages(store, "", 10_000)
    first_failed, later_failed, number_failed = pages(store, "status:failed", 1000)
    fast, slow = 2e-3, 50e-3
    return [
        Row("list the newest", asked(store, many(lambda: "")), fast),
        Row("the first 100 pages", first, fast),
        Row(f"the 100 pages up to page {number:,}", later, fast),
        Row("failed runs: the first 100 pages", first_failed, fast),
        Row(f"failed runs: the 100 pages up to page {number_failed:,}", later_failed, fast),
        Row("by status", asked(store, many(lambda: f"status:{dice.choice(statuses)}")), fast),
        Row("by pipeline", asked(store, many(pipeline)), fast),
        Row("by tag", asked(store, many(tag)), fast, "on half of the runs to a ten-thousandth"),
        Row("by time", asked(store, many(between)), fast),
        Row("by the first 8 characters of an id", asked(store, many(lambda: f"id:{dice.randrange(16**8):08x}")), fast),
        Row(
            "by rows", asked(store, many(lambda: f"rows_in>{dice.randrange(65_000)}")), fast, "one run in five has any"
        ),
        Row("by tokens", asked(store, many(lambda: f"tokens<{dice.randrange(10_000, 1_000_000)}")), fast),
        Row("by metric", asked(store, many(lambda: f"metric.loss<{dice.uniform(0.05, 1):.3f}")), fast),
        Row("two tags", asked(store, many(lambda: f"{tag()} {tag()}", FEW)), None),
        Row("status and pipeline", asked(store, many(lambda: f"status:failed {pipeline()}", FEW)), None),
        Row("all but one status", asked(store, many(lambda: "-status:completed", FEW)), None),
        Row("last_run_failed", asked(store, many(lambda: "last_run_failed:true", FEW)), None, f"{PIPELINES} pipelines"),
        Row("by parameter, one in all", asked(store, many(lambda: f"param.seed:{dice.randrange(runs)}", FEW)), slow),
        Row("by parameter, many", asked(store, many(lambda: "param.lr>0.1", FEW)), slow),
        Row("by error text", asked(store, many(lambda: f'error~"error {dice.randrange(runs)}"', FEW)), slow),
        Row("by host", asked(store, many(lambda: f"host:node{dice.randrange(20)}", FEW)), slow),
        Row("by a word", asked(store, many(lambda: f"word{dice.randrange(100)}", FEW)), slow),
        Row("count all", timed((lambda: count(store, now=NOW)) for _ in range(6)), None),
        Row(
            "count failed runs",
            timed((lambda: count(store, parse("status:failed"), now=NOW)) for _ in range(11)),
            None,
        ),
    ]


def commands(place: Place) -> list[Row]:
    """Whole processes."""
    home = SCRATCH / "home"
    home.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "RUNSTONE_LEDGER": place.address}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def go(*words: str) -> Callable[[], object]:
        return lambda: subprocess.run(
            [script("runstone"), *words], check=True, cwd=home, env=environment, stdout=subprocess.DEVNULL
        )

    tail = go("runs", "tail")
    failed = go("runs", "tail", "--query", "status:failed")
    return [
        Row("the command runs tail", timed(tail for _ in range(21)), 0.12, "whole process"),
        Row("the command runs tail, failed ones", timed(failed for _ in range(11)), 0.12, "whole process"),
    ]


@contextmanager
def places(names: list[str], folder: Path) -> Iterator[dict[str, Place]]:
    """Where the ledgers are to be; the server runs as long."""
    found: dict[str, Place] = {}
    if "sqlite" in names:
        found["sqlite"] = Place("sqlite", str(folder / "ledger.db"))
    if "postgres" not in names:
        yield found
        return
    sys.path.insert(0, str(ROOT))
    from tests.harness.postgres import Server

    with Server() as server:
        yield {**found, "postgres": Place("postgres", server.new_schema())}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=1_000_000)
    arguments.add_argument("--stores", default="sqlite,postgres")
    arguments.add_argument(
        "--keep", type=Path, help="a folder with a ledger.db that was filled before, or is to be kept"
    )
    arguments.add_argument("--no-report", action="store_true")
    said = arguments.parse_args()
    folder = (said.keep or SCRATCH).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[list[str]] = []
    facts: list[str] = []
    with places(said.stores.split(","), folder) as found:
        for name, place in found.items():
            if not (name == "sqlite" and os.path.exists(place.address)):
                store = open_ledger(place)
                begun = time.perf_counter()
                fill(store, said.runs)
                size = store.size_bytes() / 1e9
                facts.append(f"{name}: filled in {time.perf_counter() - begun:.0f} s, {size:.2f} GB")
                store.close()
            reading = open_for_reading(place)
            assert reading is not None
            for row in (*measure(reading, said.runs), *commands(place)):
                rows.append(row.cells(name))
                print(*rows[-1], sep=" | ", flush=True)
            reading.close()
    if not said.no_report:
        report(rows, facts, said.runs)


def report(rows: list[list[str]], facts: list[str], runs: int) -> None:
    """Write the page."""
    heads = ["store", "asked for", "times", "median", "p95", "most", "budget (p95)", "", ""]
    lines = [
        "# Finding runs among many",
        "",
        f"{runs:,} runs of {PIPELINES} pipelines with ten tags each; pages of {PAGE}. Made by `make bench-ledger` on "
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, load {LOAD:.1f} when it began, "
        f"Python {platform.python_version()}. {'; '.join(facts)}.",
        "",
        *(f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)),
        "",
    ]
    RESULTS.write_text("\n".join(lines), encoding="utf-8")
    print(f"\n{RESULTS}")


if __name__ == "__main__":
    main()
