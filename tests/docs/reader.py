"""Somebody who does what a page says: types its commands, executes its code, compares what comes out."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import traceback
import types
from pathlib import Path

import pytest

from runstone.ledger import projector
from tests.docs.likeness import PID, alike
from tests.docs.page import Fence, Page

_PATIENCE_SECONDS = 60


class Reader:
    """Follows one page, from top to bottom, in a folder of its own."""

    def __init__(self, page: Page, home: Path, patch: pytest.MonkeyPatch) -> None:
        self.page = page
        self.home = home
        self._status = 0
        self._background: subprocess.Popen[str] | None = None
        self._main = types.ModuleType("__main__")
        self._environment = dict(os.environ)
        for name in ("COLUMNS", "RUNSTONE_LEDGER", "FORCE_COLOR"):
            self._environment.pop(name, None)
        self._environment |= {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "NO_COLOR": "1",
            "TERM": "dumb",
            "PYTHONWARNINGS": "error",
        }
        patch.delenv("RUNSTONE_LEDGER", raising=False)
        # a person types more slowly than the thread that brings runs into the ledger is, on the busiest machine
        patch.setattr(projector, "PATIENCE", 60.0)
        patch.chdir(home)
        patch.syspath_prepend(str(home))
        patch.setitem(sys.modules, "__main__", self._main)

    def follow(self) -> None:
        """Do everything the page says; fails the test at the first difference."""
        before, environment = set(sys.modules), dict(os.environ)
        fences = self.page.fences()
        try:
            for number, fence in enumerate(fences):
                self._do(fence, self._output_of(fence, fences[number + 1 : number + 2]))
        finally:
            self._kill()
            # what a page says to its own shell is not for the tests after it
            os.environ.clear()
            os.environ.update(environment)
            for name in set(sys.modules) - before:
                if Path(getattr(sys.modules[name], "__file__", None) or "/").is_relative_to(self.home):
                    del sys.modules[name]

    def _output_of(self, fence: Fence, following: list[Fence]) -> str | None:
        """What the page shows as the output of a piece of code: the `text` block that follows at once."""
        for output in following:
            between = self.page.text[fence.behind : output.behind].partition("```")[0]
            if output.language == "text" and not between.strip():
                return output.text
        return None

    def _do(self, fence: Fence, output: str | None) -> None:
        if fence.file is not None:
            (self.home / fence.file).write_text(fence.text)
        elif fence.language == "python":
            printed = self._execute(fence)
            self._compare(fence, output or "", printed)
        elif fence.language == "console" and fence.note == "in the background":
            self._begin(fence)
        elif fence.language == "console":
            meanwhile = fence.note == "the process in the background is killed meanwhile"
            for command, shown in _commands(fence.text):
                self._compare(fence, shown, self._type(command, meanwhile=meanwhile), command)
                meanwhile = False

    def _execute(self, fence: Fence) -> str:
        stream = io.StringIO()
        place = f"{self.page.path.name}:{fence.line}"
        # Without what this module imports from __future__: the reader's prompt has none of it.
        code = compile("\n" * fence.line + fence.text, place, "exec", dont_inherit=True)
        with contextlib.redirect_stdout(stream):
            try:
                exec(code, self._main.__dict__)
            except Exception as error:
                stream.write("".join(traceback.format_exception_only(error)))
        return stream.getvalue()

    def _type(self, command: str, *, meanwhile: bool) -> str:
        """Execute a command and return what it says. meanwhile: kill the one in the background after its first line."""
        killed = self._background if command == f"kill -9 {PID}" else None
        if killed is not None:
            command = f"kill -9 {killed.pid}"
        projector.flush()
        with self._popen(["bash", "-c", f"(exit {self._status})\n{command}"], stderr=subprocess.STDOUT) as process:
            assert process.stdout is not None
            first = ""
            if meanwhile:
                first = process.stdout.readline()
                self._kill()
            try:
                rest = process.communicate(timeout=_PATIENCE_SECONDS)[0]
            except subprocess.TimeoutExpired:
                process.kill()
                rest = f"{process.communicate()[0]}<still going on after {_PATIENCE_SECONDS} seconds>"
        if killed is not None:
            killed.wait()
        self._status = process.returncode
        return first + rest

    def _begin(self, fence: Fence) -> None:
        """Start a command in the background, and wait until it has said its first line."""
        ((command, shown),) = _commands(fence.text)
        self._kill()
        self._background = self._popen(["bash", "-c", f"exec {command}"], stderr=subprocess.PIPE)
        assert self._background.stderr is not None
        self._compare(fence, shown, self._background.stderr.readline(), command)

    def _popen(self, command: list[str], *, stderr: int) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            cwd=self.home,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )

    def _kill(self) -> None:
        if self._background is not None:
            self._background.kill()
            self._background.communicate()
            self._background = None

    def _compare(self, fence: Fence, shown: str, printed: str, command: str = "") -> None:
        if not alike(shown, printed, str(self.home)):
            pytest.fail(
                f"{self.page.path.name}, line {fence.line}{': $ ' if command else ''}{command}\n"
                f"--- the page shows\n{shown}\n--- but this comes out\n{printed}",
                pytrace=False,
            )


def _commands(text: str) -> list[tuple[str, str]]:
    """Every command behind a `$`, continued on lines that begin with `>`, with the output below it."""
    found: list[tuple[str, str]] = []
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines(keepends=True)
        count = 1
        while count < len(lines) and lines[count].startswith("> "):
            count += 1
        command = "".join([lines[0], *(line[2:] for line in lines[1:count])])
        found.append((command.rstrip("\n"), "".join(lines[count:])))
    return found


def follow(path: Path, home: Path, patch: pytest.MonkeyPatch) -> None:
    """Follow the page at `path`; what it makes goes into `home`."""
    Reader(Page(path), home, patch).follow()
