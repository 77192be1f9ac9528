"""A pipeline that does as it is told: fails, waits or dies at the calls that a file of orders names.

The orders are no part of its code, so the same run can be gone on with under other orders.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from runstone import Block, Pipeline, artifact, block
from runstone.engine import collect
from runstone.folder import identity, writer

PLACE = "RUNSTONE_TEST_PLACE"
DRIVER = "RUNSTONE_TEST_DRIVER"


class Told(Exception):
    """What blocks raise that are told to."""


def obey(name: str, number: int = 0) -> None:
    """Note a call, and do what the orders say about it: {"save": [...], "fail": [...], "wait": {call: file},
    "die": [...]}."""
    place = os.environ[PLACE]
    call = f"{name}:{number}"
    descriptor = os.open(os.path.join(place, "calls"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.write(descriptor, f"{call}\n".encode())
    os.close(descriptor)
    with open(os.path.join(place, "orders")) as file:
        orders = json.load(file)
    if call in orders.get("save", []):
        artifact(__file__, name=call)
    if call in orders.get("wait", {}):
        while not os.path.exists(os.path.join(place, orders["wait"][call])):
            time.sleep(0.005)
    if call in orders.get("die", []):
        os.kill(int(os.environ[DRIVER]), signal.SIGKILL)
        time.sleep(60)
    if call in orders.get("fail", []):
        raise Told(call)


def give_orders(place: Path, **orders: Any) -> None:
    """Say what is to happen from now on, and make this process one that obeys."""
    place.mkdir(parents=True, exist_ok=True)
    (place / "orders").write_text(json.dumps(orders))
    os.environ.update({PLACE: str(place), DRIVER: str(os.getpid())})


def calls(place: Path) -> Counter[str]:
    """Which calls were begun, and how often."""
    path = place / "calls"
    return Counter(path.read_text().split()) if path.exists() else Counter()


def numbered(name: str, count: int) -> Counter[str]:
    """One call of each element."""
    return Counter(f"{name}:{number}" for number in range(count))


def numbers(size: int) -> list[int]:
    obey("numbers")
    return list(range(size))


def double(numbers: int) -> int:
    obey("double", numbers)
    return helped(numbers)


def helped(number: int) -> int:
    return 2 * number


def halve(doubled: int, by: int = 2) -> float:
    obey("halve", doubled // 2)
    return doubled / by


def total(halved: list[float]) -> float:
    obey("total")
    return sum(halved)


def greeting(name: str = "you") -> str:
    obey("greeting")
    return f"hello {name}"


BLOCKS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "numbers": (numbers, {}),
    "double": (double, {"output": "doubled", "mapspec": "numbers[i] -> doubled[i]"}),
    "halve": (halve, {"output": "halved", "mapspec": "doubled[i] -> halved[i]"}),
    "total": (total, {}),
    "greeting": (greeting, {}),
}


@block
def bulky() -> bytes:
    obey("bulky")
    return b"b" * 100_000


@block(output=("large", "small"))
def mixed() -> tuple[bytes, int]:
    obey("mixed")
    return b"m" * 100_000, 7


@block
def measured(bulky: bytes, large: bytes, small: int) -> int:
    return len(bulky) + len(large) + small


BULK = (bulky, mixed, measured)
"""Blocks whose values are too large for an event."""

ALL = ("numbers:0", "total:0", "greeting:0")


def undisturbed(size: int) -> Counter[str]:
    """All calls of a run of which nothing is known."""
    return Counter(ALL) + numbered("double", size) + numbered("halve", size)


def pipeline(
    changed: Mapping[str, Callable[..., Any]] | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    more: Iterable[Block[..., Any]] = (),
    **whole: Any,
) -> Pipeline:
    """With other functions for some blocks, more settings for some, more blocks, or settings for all."""
    made = [
        block(**{**own, **(settings or {}).get(name, {})}, name=name)((changed or {}).get(name, function))
        for name, (function, own) in BLOCKS.items()
    ]
    return Pipeline("ordered", [*made, *more], **whole)


def live(
    folder: str,
    oracle: str,
    *,
    orders: dict[str, Any],
    params: dict[str, Any],
    settings: dict[str, dict[str, Any]] | None = None,
    chunk: int = 1,
    elsewhere: bool = False,
    rebooted: bool = False,
    gate: str | None = None,
    bulk: bool = False,
    **options: Any,
) -> dict[str, Any]:
    """Run it in this process, under orders, to its end or the process's.

    elsewhere: this process says that it is on another machine; rebooted: on this one, before its last start. gate: a
    file that has to come first.
    """
    give_orders(Path(oracle).parent, **orders)
    writer.HEARTBEAT_SECONDS = 0.02
    collect.CLOSE_ELEMENTS = collect.BATCH = chunk
    if elsewhere:
        identity.machine_id, identity.boot_id = lambda: "f" * 32, lambda: "another boot"
    if rebooted:
        identity.boot_id = lambda: "the boot before"
    while gate is not None and not os.path.exists(gate):
        time.sleep(0.0005)
    run = pipeline(settings=settings, more=BULK if bulk else ()).run(
        params, run_folder=folder, show_progress=False, raise_on_error=False, **options
    )
    return {"status": run.status, "id": run.id, "folder": run.run_folder, "epoch": run.status_object()["epoch"]}
