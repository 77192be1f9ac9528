"""Many processes at one ledger: what each of them does, and what must be there afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import apsw

WORKER = """
import json, os, sys
from runstone import Pipeline, block
from runstone.ledger import projector

BLOCKS, RUNS = int(sys.argv[1]), int(sys.argv[2])
if float(sys.argv[3]):
    projector.PATIENCE, projector._LOCK_PATIENCE = 2 * float(sys.argv[3]), float(sys.argv[3])


def made(number):
    def step(before):
        return before + 1
    step.__name__ = f"b{number}"
    return block(step, output=f"v{number + 1}", renames={"before": f"v{number}"})


chain = Pipeline("chain", [made(number) for number in range(BLOCKS)])
ids = [chain.run({"v0": 0}, show_progress=False).id for _ in range(RUNS)]
print(json.dumps(ids))
"""

POLLER = """
import sys, time
import apsw
until, longest = time.monotonic() + float(sys.argv[1]), 0.0
connection = apsw.Connection(".runstone/ledger.db", flags=apsw.SQLITE_OPEN_READONLY)
connection.set_busy_timeout(5000)
while time.monotonic() < until:
    began = time.monotonic()
    connection.execute("SELECT status, count(*) FROM pipeline_run GROUP BY status").fetchall()
    connection.execute("SELECT * FROM pipeline_run ORDER BY created_at DESC LIMIT 20").fetchall()
    longest = max(longest, time.monotonic() - began)
    time.sleep(0.05)
print(longest)
"""


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "RUNSTONE_LEDGER"}


def load(
    place: Path, *, processes: int, runs: int, blocks: int, pollers: int, snapshot: float, patience: float = 0.0
) -> dict[str, Any]:
    """Let so many processes record, while others ask, and one holds a snapshot for so many seconds.

    patience: seconds that each waits for its turn, instead of as long as everybody does: then what is in the ledger
    does not depend on how busy the machine is.
    Returns the ids that each process says it has recorded, what was written to stderr, and how long an answer took at
    most, in seconds.
    """
    begin = [sys.executable, "-c", WORKER, str(blocks)]
    first = subprocess.run(
        [*begin, "1", str(patience)], cwd=place, env=environment(), capture_output=True, text=True, check=True
    )
    reader = apsw.Connection(str(place / ".runstone" / "ledger.db"), flags=apsw.SQLITE_OPEN_READONLY)
    reader.execute("BEGIN")
    before = reader.execute("SELECT count(*) FROM pipeline_run").get
    began = time.monotonic()
    children = [
        subprocess.Popen(
            [*begin, str(runs), str(patience)],
            cwd=place,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]
    asking = [
        subprocess.Popen([sys.executable, "-c", POLLER, str(snapshot)], cwd=place, stdout=subprocess.PIPE, text=True)
        for _ in range(pollers)
    ]
    answers = [child.communicate() for child in children]
    took = time.monotonic() - began
    time.sleep(max(0.0, snapshot - took))
    assert reader.execute("SELECT count(*) FROM pipeline_run").get == before
    reader.execute("ROLLBACK")
    reader.close()
    longest = max((float(child.communicate()[0]) for child in asking), default=0.0)
    return {
        "ids": [json.loads(first.stdout), *(json.loads(out) for out, _ in answers)],
        "stderr": "".join(said for _, said in answers),
        "seconds": took,
        "longest_answer": longest,
    }


def judge(place: Path, found: dict[str, Any], blocks: int) -> list[str]:
    """What is wrong with the ledger after that."""
    connection = apsw.Connection(str(place / ".runstone" / "ledger.db"), flags=apsw.SQLITE_OPEN_READONLY)
    expected = {run: (2 + 2 * blocks, blocks) for ids in found["ids"] for run in ids}
    told = {
        run: (events, done)
        for run, events, done in connection.execute(
            "SELECT r.run_id, (SELECT count(*) FROM event e WHERE e.run_key = r.run_key),"
            " (SELECT count(*) FROM block_run b WHERE b.run_key = r.run_key AND b.status = 'completed')"
            " FROM pipeline_run r WHERE r.status = 'completed'"
        )
    }
    connection.close()
    wrong = [f"{run}: {told.get(run)}, not {counts}" for run, counts in expected.items() if told.get(run) != counts]
    return [*wrong, *(f"{run} was never run" for run in told.keys() - expected.keys())]
