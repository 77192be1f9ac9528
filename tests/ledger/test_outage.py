"""Servers go and come again; a store of the ledger outlives that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import psutil
import pytest

from runstone.errors import LedgerError, LedgerUnreachable
from runstone.ledger.opening import open_ledger
from runstone.ledger.place import Place
from runstone.ledger.port import Store
from tests.harness.postgres import Server
from tests.ledger.by_hand import add_workspace

NAMES = "SELECT name FROM workspace ORDER BY name"


@pytest.fixture
def store(own_server: Server) -> Iterator[Store]:
    store = open_ledger(Place("postgres", own_server.new_schema()))
    yield store
    store.close()


def names(store: Store) -> list[str]:
    return [row[0] for row in store.rows(NAMES)]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_a_server_that_was_restarted_is_found_again(own_server: Server, store: Store, how: signal.Signals) -> None:
    add_workspace(store, "before")

    own_server.stop(how)
    with pytest.raises(LedgerUnreachable, match=r"cannot be reached: .*; start its server"):
        names(store)
    with pytest.raises(LedgerUnreachable), store.writing():
        pass
    own_server.start()

    assert names(store) == ["before"]
    with store.writing():
        add_workspace(store, "after")
    assert names(store) == ["after", "before"]


def test_a_restart_that_nobody_saw_is_not_noticed(own_server: Server, store: Store) -> None:
    for number in range(3):
        with store.writing():
            add_workspace(store, f"w{number}")
        own_server.stop()
        own_server.start()

    assert names(store) == ["w0", "w1", "w2"]


def test_a_connection_that_was_lost_within_a_transaction_loses_all_of_it(own_server: Server, store: Store) -> None:
    def write() -> None:
        with store.writing():
            add_workspace(store, "first")
            own_server.stop()
            own_server.start()
            with pytest.raises(LedgerError):
                add_workspace(store, "second")
            # not by another connection, outside of the transaction
            add_workspace(store, "third")

    with pytest.raises(LedgerUnreachable):
        write()

    assert names(store) == []


def test_a_session_that_the_server_ended_is_made_again(own_server: Server, store: Store) -> None:
    [(pid,)] = store.rows("SELECT pg_backend_pid()")
    assert own_server.execute(f"SELECT pg_terminate_backend({pid}, 10000)") == [(True,)]

    add_workspace(store, "w")

    assert store.rows("SELECT pg_backend_pid()") != [(pid,)]


def test_a_call_that_waits_when_the_server_goes_does_not_wait_longer(own_server: Server, store: Store) -> None:
    raised: list[BaseException] = []

    def wait() -> None:
        try:
            store.rows("SELECT pg_sleep(60)")
        except LedgerError as error:
            raised.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    busy = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"
    while own_server.execute(busy) != [(1,)]:
        pass
    own_server.stop()
    thread.join(10)

    assert [type(error) for error in raised] == [LedgerUnreachable]


SERVE = """
import sys
import time
from tests.harness.postgres import Server

server = Server()
print(server._process.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no kernel ends a child with its parent")
def test_the_server_of_tests_ends_with_them_however_they_end() -> None:
    tests = subprocess.Popen([sys.executable, "-c", SERVE], stdout=subprocess.PIPE, text=True)
    assert tests.stdout is not None
    server = psutil.Process(int(tests.stdout.readline()))
    folder = server.cmdline()[server.cmdline().index("-k") + 1]
    children = server.children(recursive=True)
    assert server.name().startswith("postgres")
    assert server.uids().real != 0

    tests.kill()
    tests.wait()
    tests.stdout.close()

    _, alive = psutil.wait_procs([server, *children], timeout=20)
    assert alive == []
    for path, _, _ in os.walk(folder, topdown=False):
        for name in os.listdir(path):
            where = os.path.join(path, name)
            os.rmdir(where) if os.path.isdir(where) else os.unlink(where)
    os.rmdir(folder)
