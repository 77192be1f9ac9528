"""What it costs a run that it comes into the ledger as well."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable

from measure import SCRATCH, fresh, interleaved, show
from pipelines import chain, fan
from rows import Row

ELEMENTS = 100_000
IN_A_ROW = 50
LEDGER = str(SCRATCH / "projection.db")


def bench_projection() -> list[Row]:
    small, large = chain(), fan()
    numbers, folder, x = itertools.count(), fresh("projection"), list(range(ELEMENTS))

    def with_ledger(ledger: str, call: Callable[[], object]) -> Callable[[], object]:
        def go() -> None:
            os.environ["RUNSTONE_LEDGER"] = ledger
            call()

        return go

    def one() -> None:
        small.run({"v0": 0}, run_folder=folder / f"r{next(numbers)}")

    def many() -> None:
        from runstone.ledger import projector

        for _ in range(IN_A_ROW):
            one()
        projector.flush()

    def wide() -> None:
        large.run({"x": x}, run_folder=folder / f"m{next(numbers)}")

    before = os.environ.get("RUNSTONE_LEDGER", "")
    rows = []
    for what, call, repetitions, count in (
        ("a chain of 10 blocks", one, 150, 1),
        (f"{IN_A_ROW} such chains one after the other, until the ledger has all, each", many, 7, IN_A_ROW),
        (f"a map over {ELEMENTS:,}", wide, 15, 1),
    ):
        found = interleaved({"none": with_ledger("none", call), "ledger": with_ledger(LEDGER, call)}, repetitions, 3)
        none, ledger = found["none"].median / count, found["ledger"].median / count
        more = ledger / none - 1
        rows.append(
            Row(
                f"what the ledger adds to {what}",
                f"{more:+.1%} ({show(none)} to {show(ledger)})",
                "-",
                "<= 5 %",
                more <= 0.05,
            )
        )
    os.environ["RUNSTONE_LEDGER"] = before
    return rows
