"""A ledger full of runs that differ in everything that can be asked for, and the same runs to check answers by hand."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from runstone.ledger.opening import open_ledger
from runstone.ledger.place import Place
from runstone.ledger.port import Store

DONE = ("completed", "degraded", "failed", "timed_out", "cancelled", "crashed")
UNFINISHED = ("scheduled", "pending", "running", "cancelling")
WORKSPACES = ("default", "other")
PIPELINES = ("survey", "train", "Survey 2", "ünïcode", "50%_off")
TAGS = ("prod", "draft", "team a", "nightly", "x_y")
ERRORS = ("train[3]: RuntimeError: CUDA out of memory", "load: OSError: 100% full", "fit: ValueError: a_b \\ c", None)
HOSTS = ("gpu7", "gpu8", None)
TRIGGERS = ("script", "cli")


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """One run as it was put into the ledger."""

    run_key: int
    run_id: str
    workspace: str
    kind: str
    pipeline_name: str
    status: str
    error: str | None
    params: dict[str, Any]
    trigger_kind: str
    retry_of: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    duration_seconds: float | None
    host: str | None
    tags: list[str]
    rows_in: int | None
    rows_out: int | None
    llm_calls: int | None
    tokens: int | None
    metrics: dict[str, Any]


_COLUMNS = tuple(name for name in Book.__struct_fields__ if name not in ("params", "tags", "metrics"))
_RUN = (
    f"INSERT INTO pipeline_run ({', '.join(_COLUMNS)}, pipeline_id, variables, metrics)"
    "{overriding}"
    f" VALUES ({', '.join(f':{name}' for name in _COLUMNS)}, :pipeline_id, :variables, :metrics)"
)
_TAG = "INSERT INTO tag (workspace, tag, created_at, run_key) VALUES (:workspace, :tag, :created_at, :run_key)"
_WORKSPACE = "INSERT INTO workspace (name, created_at) VALUES (:name, '2026-01-01T00:00:00.000000Z')"


def books(count: int, seed: int = 0) -> list[Book]:
    """So many runs, made at random, but always the same; several at equal times."""
    dice = random.Random(seed)
    return [_book(dice, number) for number in range(1, count + 1)]


def _book(dice: random.Random, number: int) -> Book:
    status = dice.choice(DONE + DONE + UNFINISHED)
    minute = dice.randrange(0, 240)
    started = None if status in ("scheduled", "pending") else _time(minute, 1)
    done = status in DONE
    # of its own dice, so that what was made before stays as it was
    others = random.Random(number)
    counted = others.random() < 0.5
    return Book(
        run_key=number,
        run_id=f"{dice.randrange(16**8):08x}-{number:04}",
        workspace=dice.choices(WORKSPACES, (4, 1))[0],
        kind=dice.choices(("pipeline", "stage"), (5, 1))[0],
        pipeline_name=dice.choice(PIPELINES),
        status=status,
        error=dice.choice(ERRORS) if status in ("failed", "degraded", "timed_out") else None,
        params=_params(dice),
        trigger_kind=dice.choice(TRIGGERS),
        retry_of=dice.choice(("first", None, None)),
        created_at=_time(minute),
        started_at=started,
        finished_at=_time(minute + dice.randrange(1, 60)) if done else None,
        duration_seconds=float(dice.randrange(0, 100)) if done else None,
        host=dice.choice(HOSTS),
        tags=dice.sample(TAGS, dice.randrange(0, 4)),
        rows_in=others.choice((0, 100, 150, 5_000_000_000)) if counted else None,
        rows_out=others.choice((0, 1, 120, None)) if counted else None,
        llm_calls=others.choice((0, 3, None)) if counted else None,
        tokens=others.choice((0, 999, 1000, 200_000)) if counted else None,
        metrics=_metrics(others) if others.random() < 0.3 else {},
    )


def _params(dice: random.Random) -> dict[str, Any]:
    chosen = {
        "lr": dice.choice([0.1, 0.5, 1, 10, "0.5", None]),
        "name": dice.choice(["resnet", "ResNet 50", "a_b", "true"]),
        "flag": dice.choice([True, False, "true", 1]),
        "größe": dice.choice([1, 2]),
    }
    return {name: value for name, value in chosen.items() if dice.random() < 0.8}


def _metrics(dice: random.Random) -> dict[str, Any]:
    found = {"loss": dice.choice([0.05, 0.1, 1, 2.5e-7]), "val/f-1": dice.choice([0.5, 0.9])}
    return {name: value for name, value in found.items() if dice.random() < 0.8}


def _time(minute: int, second: int = 0) -> str:
    day, rest = divmod(minute, 60)
    return f"2026-01-{day + 1:02}T12:{rest:02}:{second:02}.000000Z"


def put(store: Store, found: list[Book]) -> None:
    """Bring the runs into a new ledger."""
    overriding = " OVERRIDING SYSTEM VALUE" if store.dialect == "postgres" else ""
    with store.writing():
        store.many(_WORKSPACE, [{"name": name} for name in WORKSPACES])
        store.many(
            _RUN.format(overriding=overriding),
            [
                {name: getattr(book, name) for name in _COLUMNS}
                | {
                    "pipeline_id": f"{book.workspace}/{book.pipeline_name}",
                    "variables": json.dumps(book.params, ensure_ascii=False),
                    "metrics": json.dumps(book.metrics),
                }
                for book in found
            ],
        )
        store.many(
            _TAG,
            [
                {"workspace": book.workspace, "tag": tag, "created_at": book.created_at, "run_key": book.run_key}
                for book in found
                for tag in book.tags
            ],
        )
    if store.dialect == "postgres":
        store.rows("SELECT setval(pg_get_serial_sequence('pipeline_run', 'run_key'), :last)", {"last": len(found) + 1})
        # as its autovacuum does; to a file nobody does it
        store.script("ANALYZE")


@contextmanager
def opened(request: pytest.FixtureRequest, found: list[Book]) -> Iterator[Store]:
    """A ledger with these runs, for many tests that change nothing. request: its parameter is the dialect."""
    if request.param == "postgres":
        place = Place("postgres", request.getfixturevalue("postgres_server").new_schema())
    else:
        place = Place("sqlite", str(request.getfixturevalue("tmp_path_factory").mktemp("library") / "ledger.db"))
    store = open_ledger(place)
    put(store, found)
    yield store
    store.close()
