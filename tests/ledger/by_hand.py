"""Rows written by hand, for tests that need no run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from runstone.ledger.port import Store

AT = "2026-03-01T12:00:00.000001Z"
ADD_WORKSPACE = "INSERT INTO workspace (name, created_at, description) VALUES (:name, :at, :said)"


def add_workspace(store: Store, name: str, said: str = "") -> None:
    """A workspace; a second one of the same name is refused."""
    store.rows(ADD_WORKSPACE, {"name": name, "at": AT, "said": said})


def add_run(store: Store, run_id: str, **columns: Any) -> int:
    """A row of a run, in a workspace `w`; returns its key."""
    if not store.rows("SELECT 1 FROM workspace WHERE name = 'w'"):
        add_workspace(store, "w")
    said = {
        "run_id": run_id,
        "workspace": "w",
        "pipeline_id": "p",
        "pipeline_name": "p",
        "status": "running",
        "created_at": AT,
        **columns,
    }
    values = ", ".join(f":{name}" for name in said)
    [(key,)] = store.rows(f"INSERT INTO pipeline_run ({', '.join(said)}) VALUES ({values}) RETURNING run_key", said)
    return int(key)


def at_once(*calls: Callable[[], Any]) -> None:
    """Make these calls in threads of their own, and let what they raise be seen."""
    raised: list[BaseException] = []

    def call(function: Callable[[], Any]) -> None:
        try:
            function()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=call, args=(each,)) for each in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]
