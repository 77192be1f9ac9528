"""Which ledger a project has: a file, a server, or none."""

from __future__ import annotations

import os
import re

import msgspec

from runstone import config
from runstone.errors import SettingError

VARIABLE = "RUNSTONE_LEDGER"
DEFAULT = ".runstone/ledger.db"
_SCHEMES = ("postgresql", "postgres")
_NONE = ("none", "off")
_IN_MEMORY = ":memory:"
_URL_WITHOUT_SLASHES = ("postgresql:", "postgres:", "sqlite:", "file:")
_LOGIN = re.compile(r":[^:/]*@")
_SECRET = re.compile(r"([?&](?:ssl)?password=)[^&]*")


class Place(msgspec.Struct, frozen=True):
    """dialect: `sqlite` or `postgres`. address: the absolute path of a file, or the URL of a database."""

    dialect: str
    address: str

    @property
    def shown(self) -> str:
        """As a person may read it: no password."""
        return self.address if self.dialect == "sqlite" else without_password(self.address)


def find(given: str | None = None) -> Place | None:
    """The ledger that is meant; None if it is switched off.

    given: a path, a URL or `none`; without it RUNSTONE_LEDGER, then `[ledger] url` of `runstone.toml` decide, else it
    is a file in the project. Raises SettingError.
    """
    for said, where in ((given, "the ledger"), (os.environ.get(VARIABLE), VARIABLE)):
        if said:
            return _read(said, where)
    if configured := _configured():
        return _read(configured, f"[ledger] url in {config.FILE}")
    return Place("sqlite", os.path.join(config.project_root(), DEFAULT))


def without_password(url: str) -> str:
    """A URL as it may be shown, also one that was written so that nobody could use it."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return _LOGIN.sub(":***@", url)
    login, at, place = rest.rpartition("@")
    name, colon, _ = login.partition(":")
    return _SECRET.sub(r"\1***", f"{scheme}{separator}{name}{':***' if colon else ''}{at}{place}")


def _configured() -> str | None:
    return config.section("ledger").get("url")


def _read(said: str, where: str) -> Place | None:
    told = f"{where} is {without_password(said)!r}"
    said = said.strip()
    if said.lower() in _NONE:
        return None
    scheme, separator, rest = said.partition("://")
    if separator and scheme in _SCHEMES:
        return Place("postgres", said)
    if separator and scheme.partition("+")[0] in _SCHEMES:
        raise SettingError(f"{told}: leave the driver out and write postgresql://...")
    # as SQLAlchemy users write them: three slashes for a relative path, four for an absolute one
    path = rest.removeprefix("/") if separator and scheme == "sqlite" else said
    if (separator and scheme != "sqlite") or path.startswith(_URL_WITHOUT_SLASHES):
        raise SettingError(f"{told}: write a path, postgresql://... or 'none'")
    if path == _IN_MEMORY:
        raise SettingError(f"{told}, a ledger that ends with its process: write a path, postgresql://... or 'none'")
    if not path:
        raise SettingError(f"{told}, which names nothing: write a path, postgresql://... or 'none'")
    if path.endswith(os.sep):
        raise SettingError(f"{told}, a folder: write the path of a file in it, such as {path}ledger.db")
    return Place("sqlite", os.path.join(config.project_root(), os.path.expanduser(path)))
