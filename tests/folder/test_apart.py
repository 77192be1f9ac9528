"""Parquet that nobody vouches for: it may end the process that reads it, and that is not ours."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import runstone
from runstone.errors import FolderError
from runstone.folder.values import apart, tables

pa = pytest.importorskip("pyarrow")


def parquet() -> bytes:
    """A table, as it is stored."""
    table = pa.table({"a": list(range(50)), "b": [f"text {number}" for number in range(50)]})
    data = tables.encode_table(table, "pyarrow")
    assert data is not None
    return bytes(data)


def read(data: bytes) -> object:
    return tables.decode_table(data, "pyarrow", trust=False)


def reader() -> int:
    """The pid of the process that reads."""
    read(parquet())
    process = apart._readers[-1]._process
    assert process is not None
    return process.pid


def test_a_table_that_ends_the_process_that_reads_it_is_an_error_and_the_next_one_is_read() -> None:
    data = parquet()
    right = read(data)
    for at in range(len(data) - 1, 0, -1):
        damaged = bytearray(data)
        damaged[at] ^= 1 << 6
        try:
            read(bytes(damaged))
        except FolderError as error:
            if "ended its process (signal" in str(error):
                break
    else:
        pytest.skip("this version of pyarrow does not abort over a flipped bit of this table")
    assert read(data) == right


def test_one_process_reads_one_table_after_the_other() -> None:
    assert reader() == reader()


def test_reading_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "LIMIT_SECONDS", 0.1)
    stopped = reader()
    os.kill(stopped, signal.SIGSTOP)
    with pytest.raises(FolderError, match="took more than"):
        read(parquet())
    monkeypatch.undo()
    assert reader() != stopped


def test_several_threads_may_read_at_once() -> None:
    found: list[object] = []
    data = parquet()
    threads = [threading.Thread(target=lambda: found.extend(read(data) for _ in range(5))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    assert all(each == found[0] for each in found)


def test_a_forked_child_reads_with_a_process_of_its_own_and_leaves_the_parents_alone() -> None:
    mine = reader()
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if reader() != mine else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert reader() == mine


def test_the_process_that_reads_ends_with_the_one_that_asked() -> None:
    script = """
        import os, signal
        from tests.folder import test_apart
        print(test_apart.reader(), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(line.strip() for line in script.splitlines())],
        cwd=Path(__file__).parent.parent.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    pid = int(done.stdout)
    deadline = time.monotonic() + 10
    while _is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _is_running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_who_only_looks_reads_no_table(tmp_path: Path) -> None:
    @runstone.block
    def table() -> object:
        return pa.table({"a": list(range(5000))})

    folder = tmp_path / "run"
    runstone.Pipeline("tabular", [table]).run({}, run_folder=folder, show_progress=False)
    script = """
import sys
from runstone.cli.main import invoke
for arguments in (["status"], ["watch", "--timeout", "0"], ["show"], ["graph"]):
    try:
        invoke([*arguments, sys.argv[1]])
    except SystemExit as end:
        assert not end.code, (arguments, end.code)
assert "pyarrow" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    untrusted = runstone.open(folder, trust=False)
    assert untrusted.outputs["table"] == runstone.open(folder).outputs["table"]
