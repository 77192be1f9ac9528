"""Child processes in large numbers: real ones, each with its own pid and its own death, but born in milliseconds.

A server without threads has imported everything once and forks a child for each wish, so that a thousand runs can be
killed in the time that starting a hundred interpreters takes. What a child returns comes back as JSON in a file. A
child that died stays a zombie until somebody asks for its exit code.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 60.0


class Child:
    """A process that the nursery has made."""

    def __init__(self, nursery: Nursery, pid: int, answer: Path) -> None:
        self.pid = pid
        self._nursery = nursery
        self._answer = answer
        self._handle = os.pidfd_open(pid)
        self._code: int | None = None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; no other process can be hit."""
        signal.pidfd_send_signal(self._handle, number)

    def died(self, timeout: float) -> bool:
        """Wait until it is dead (a zombie until somebody asks for its exit code); False after `timeout` seconds."""
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        return bool(poll.poll(timeout * 1000))

    def stopped(self) -> bool:
        """Whether a signal has stopped it."""
        return state_of(self.pid) == "T"

    def wait_stopped(self, timeout: float = PATIENCE) -> bool:
        """Wait until it is stopped; False if it died first."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.stopped():
                return True
            if self.died(0.002):
                return False
        raise TimeoutError(f"child {self.pid} was neither stopped nor dead after {timeout} s")

    def wait(self, timeout: float = PATIENCE) -> int:
        """Its exit code, negative for a signal."""
        if self._code is None:
            if not self.died(timeout):
                raise TimeoutError(f"child {self.pid} still lives after {timeout} s: {self.stderr()[-3000:]}")
            self._code = int(self._nursery.ask(do="reap", pid=self.pid)["code"])
            os.close(self._handle)
        return self._code

    def answer(self, timeout: float = PATIENCE) -> dict[str, Any]:
        """What its function returned, or `{"error": type, "message": ...}`; `{"killed": signal}` if it had no time."""
        code = self.wait(timeout)
        if not self._answer.exists():
            return {"killed": -code}
        found: dict[str, Any] = json.loads(self._answer.read_text())
        return found

    def stderr(self) -> str:
        """What it has written to standard error."""
        path = self._answer.with_suffix(".err")
        return path.read_text(errors="replace") if path.exists() else ""

    def kill(self) -> None:
        """Kill it, if it is not dead yet, and reap it."""
        if self._code is None:
            self.signal(signal.SIGKILL)
            self.wait()


class Nursery:
    """Makes children; a context manager at whose end all of them are dead. answers: a folder for what they return."""

    def __init__(self, answers: Path) -> None:
        self._answers = answers
        self._number = 0
        self._children: list[Child] = []

    def __enter__(self) -> Nursery:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.harness.nursery"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.clear()
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        # said, for the end of the pipe may never come: what was forked meanwhile holds it too
        self._server.stdin.write(json.dumps({"do": "leave"}).encode() + b"\n")
        self._server.stdin.close()
        self._server.wait(PATIENCE)
        self._server.stdout.close()

    def ask(self, **question: Any) -> dict[str, Any]:
        """Say one thing to the server and hear its answer."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(question).encode() + b"\n")
        self._server.stdin.flush()
        answer: dict[str, Any] = json.loads(self._server.stdout.readline())
        return answer

    def spawn(self, call: str, **arguments: Any) -> Child:
        """Call `module:function` with these keyword arguments in a new process."""
        self._number += 1
        path = self._answers / f"{self._number:06d}.json"
        pid = self.ask(do="spawn", call=call, arguments=arguments, answer=str(path))["pid"]
        child = Child(self, pid, path)
        self._children.append(child)
        return child

    def clear(self) -> None:
        """Kill and reap every child there still is."""
        for child in self._children:
            child.kill()
        self._children.clear()


def state_of(pid: int) -> str:
    """The letter that the kernel gives to the state of a process, "" if there is none."""
    try:
        content = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return content[content.rfind(b")") + 2 :].split()[0].decode()


def _serve() -> None:
    for line in sys.stdin.buffer:
        wish = json.loads(line)
        if wish["do"] == "leave":
            return
        if wish["do"] == "reap":
            _, status = os.waitpid(wish["pid"], 0)
            _reply({"code": os.waitstatus_to_exitcode(status)})
            continue
        module, _, name = wish["call"].partition(":")
        function = getattr(importlib.import_module(module), name)
        pid = os.fork()
        if pid == 0:
            _be_child(function, wish["arguments"], wish["answer"])
        _reply({"pid": pid})


def _reply(answer: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    sys.stdout.buffer.flush()


def _be_child(function: Any, arguments: dict[str, Any], answer: str) -> None:
    code = 1
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        os.dup2(os.open(Path(answer).with_suffix(".err"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666), 2)
        try:
            returned = function(**arguments)
            code = 0
        except BaseException as error:
            import traceback

            traceback.print_exc()
            returned = {"error": type(error).__name__, "message": str(error)}
        beside = f"{answer}.tmp"
        Path(beside).write_text(json.dumps(returned))
        os.rename(beside, answer)
        sys.stderr.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    _serve()
