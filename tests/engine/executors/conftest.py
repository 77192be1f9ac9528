"""Executors of all kinds, made once."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import pytest

from tests.engine.executors.ways import EVERY, PASSED, Way

_made: dict[str, Any] = {}


def _thread_pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(3)


def _process_pool() -> ProcessPoolExecutor:
    # this process has threads, so its pools must not fork it
    return ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))


def _dask() -> Any:
    from distributed import Client, LocalCluster

    addresses: Any = {"dashboard_address": ":0", "worker_dashboard_address": None}
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, processes=True, silence_logs=50, **addresses)
    client = _made["dask client"] = Client(cluster)
    return client.get_executor()


_MAKERS: dict[str, Callable[[], Any]] = {"thread pool": _thread_pool, "process pool": _process_pool, "dask": _dask}


def way_called(name: str) -> Way:
    """A way to execute blocks; executors that take long to start are made once."""
    if name not in PASSED:
        return Way(name, "inline" if name == "awaited" else name)
    if name not in _made:
        _made[name] = _MAKERS[name]()
    return Way(name, _made[name])


@pytest.fixture(params=EVERY)
def way(request: pytest.FixtureRequest) -> Way:
    """Every way to execute blocks, one after the other."""
    return way_called(request.param)


@pytest.fixture(scope="session", autouse=True)
def _executors() -> Iterator[None]:
    yield
    for name in ("thread pool", "process pool"):
        if name in _made:
            _made.pop(name).shutdown()
    client = _made.pop("dask client", None)
    if client is not None:
        _made.pop("dask").shutdown()
        client.cluster.close()
        client.close()
