"""`executor="auto"` where other processes are no choice."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from runstone import Pipeline, block


def test_what_cannot_be_sent_elsewhere_stays_here_and_is_no_error(tmp_path: Path) -> None:
    lock = threading.Lock()

    def work(x: int) -> int:
        with lock:
            time.sleep(0.005)
        return x + 1

    pipeline = Pipeline("stays", [block(work, mapspec="x[i] -> y[i]", executor="auto")])
    run = pipeline.run({"x": list(range(150))}, run_folder=tmp_path / "run")
    assert run.outputs["y"] == list(range(1, 151))
    assert run.errors == []
    assert run.status_object()["errors"] == []
