"""The sign that somebody writes in a ledger is seen by others, goes with its process, and holds nobody up."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

from runstone.ledger.sign import Sign
from runstone.ledger.sqlite import SqliteStore

ELSEWHERE = """
import sys
# as on a system that has no such locks
sys.modules["fcntl"] = None
sys.platform = "win32"
from runstone.ledger.sqlite import SqliteStore

store = SqliteStore(sys.argv[1])
with store.writing():
    store.script("CREATE TABLE one (two TEXT)")
print(store.rows("SELECT count(*) FROM one"))
"""


def test_it_is_seen_by_others_as_long_as_it_is_up(tmp_path: Path) -> None:
    ours, theirs = Sign(str(tmp_path)), Sign(str(tmp_path))
    assert not theirs.is_up()
    with ours:
        assert theirs.is_up()
    assert not theirs.is_up()
    ours.close()
    theirs.close()


def test_one_that_uses_the_same_lock_for_something_else_holds_up_no_writer(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "ledger.db"))
    other = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)

    def write() -> None:
        with store.writing():
            store.script("CREATE TABLE one (two TEXT)")

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    writer.join(5)
    went_on = not writer.is_alive()
    os.close(other)
    writer.join()
    assert went_on
    store.close()


def test_a_ledger_is_read_and_written_where_there_are_no_such_locks(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(tmp_path / "ledger.db")], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("[(0,)]\n", "")
