"""Decoding Parquet that nobody vouches for in a process of its own.

The library that reads Parquet can abort its process over a damaged or malicious file, and nothing in Python can catch
that. So a child reads it, checks every value, and hands it back as Arrow's stream format, which is little more than the
memory it describes. The child stays for the next table, and ends with this process.

    request and answer := length (u64) one byte, content      the byte: of an answer, table or refusal
"""

from __future__ import annotations

import atexit
import contextlib
import os
import subprocess
import sys
import threading
from typing import IO, Any

from runstone.errors import FolderError
from runstone.folder.values.parquet import read_parquet

LIMIT_SECONDS = 60.0
"""How long reading one table may take."""

_TABLE, _REFUSAL = b"t", b"r"
_LENGTH_BYTES = 8
_REFUSAL_KEPT = 1000


class _Reader:
    """The child. Used by one thread at a time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def read(self, parquet: bytes | memoryview) -> bytes:
        """A table in Arrow's stream format. Raises FolderError if it is malformed, or takes too long."""
        with self.lock:
            process = self._running()
            late = threading.Timer(LIMIT_SECONDS, process.kill)
            late.daemon = True
            late.start()
            try:
                assert process.stdin is not None
                assert process.stdout is not None
                _send(process.stdin, _TABLE, parquet)
                kind, content = _receive(process.stdout)
            except (OSError, EOFError):
                kind, content = b"", b""
            finally:
                expired = not late.is_alive()
                late.cancel()
            if kind == _TABLE:
                return content
            if kind == _REFUSAL:
                raise FolderError(content.decode(errors="replace"))
            # one that ends itself gets to say how
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1)
            code = self._end(process)
        why = f"took more than {LIMIT_SECONDS:.0f} s" if expired else f"ended its process ({_told(code)})"
        raise FolderError(f"a stored table cannot be read: reading it {why}")

    def _running(self) -> subprocess.Popen[bytes]:
        process = self._process
        if process is None or process.poll() is not None:
            # what this process can import the child can too, and no more: not what lies in the current folder
            known = os.pathsep.join(path for path in sys.path if path)
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", f"from {__name__} import serve; serve()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": known},
                start_new_session=True,
            )
            self._process = process
            atexit.register(self.close)
        return process

    def close(self) -> None:
        """End the child, if there is one."""
        if self._process is not None:
            self._end(self._process)

    def _end(self, process: subprocess.Popen[bytes]) -> int:
        self._process = None
        atexit.unregister(self.close)
        process.kill()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        return process.wait()


_readers = [_Reader()]
"""The last one is used."""


def _forked() -> None:
    # The lock may be held by a thread that the child does not have, and the pipes belong to the parent. Kept, because
    # letting go of the parent's process would wait for it.
    atexit.unregister(_readers[-1].close)
    _readers.append(_Reader())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def read_apart(parquet: bytes | memoryview) -> Any:
    """The pyarrow Table in a Parquet file. Raises FolderError if it is malformed, a bomb, or takes too long."""
    import pyarrow

    return pyarrow.ipc.open_stream(pyarrow.py_buffer(_readers[-1].read(parquet))).read_all()


def serve() -> None:
    """The child's life: read tables until nobody asks any more."""
    import pyarrow

    with contextlib.suppress(ImportError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while True:
        try:
            _, content = _receive(source)
        except EOFError:
            return
        try:
            table = read_parquet(content)
            table.validate(full=True)
            out = pyarrow.BufferOutputStream()
            with pyarrow.ipc.new_stream(out, table.schema) as writer:
                writer.write_table(table)
            _send(sink, _TABLE, memoryview(out.getvalue()))
        except Exception as error:
            said = str(error) if isinstance(error, FolderError) else f"a stored table cannot be read: {error}"
            _send(sink, _REFUSAL, said[:_REFUSAL_KEPT].encode(errors="replace"))


def _send(pipe: IO[bytes], kind: bytes, content: bytes | memoryview) -> None:
    size = content.nbytes if isinstance(content, memoryview) else len(content)
    pipe.write(size.to_bytes(_LENGTH_BYTES, "little") + kind)
    pipe.write(content)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> tuple[bytes, bytes]:
    """Raises EOFError where there is no more."""
    head = pipe.read(_LENGTH_BYTES + 1)
    if len(head) <= _LENGTH_BYTES:
        raise EOFError
    size = int.from_bytes(head[:_LENGTH_BYTES], "little")
    content = pipe.read(size)
    if len(content) < size:
        raise EOFError
    return head[_LENGTH_BYTES:], content


def _told(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
