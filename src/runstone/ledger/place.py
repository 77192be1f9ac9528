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
    for said, where in ((given, "the ledger"), (os.environ.get(VARIABLE), VARIABLE), (_configured(), config.FILE)):
        if said:
            return _read(said, where)
    return Place("sqlite", os.path.join(config.project_root(), DEFAULT))


def without_password(url: str) -> str:
    """A URL as it may be shown, also one that was written so that nobody could use it."""
    scheme, separator, rest = url.partition("://")
    login, at, place = rest.rpartition("@")
    name, colon, _ = login.partition(":")
    return _SECRET.sub(r"\1***", f"{scheme}{separator}{name}{':***' if colon else ''}{at}{place}")


def _configured() -> str | None:
    said = config.section("ledger").get("url")
    if said is not None and not isinstance(said, str):
        raise SettingError(f"[ledger] url in {config.FILE} is {said!r}: write a path, a URL or 'none'")
    return said


def _read(said: str, where: str) -> Place | None:
    if said.lower() in _NONE:
        return None
    scheme, separator, _ = said.partition("://")
    if not separator:
        return Place("sqlite", os.path.join(config.project_root(), os.path.expanduser(said)))
    if scheme in _SCHEMES:
        return Place("postgres", said)
    if scheme == "sqlite":
        # as SQLAlchemy users write them: three slashes for a relative path, four for an absolute one
        return Place("sqlite", os.path.join(config.project_root(), said.removeprefix("sqlite://").removeprefix("/")))
    raise SettingError(f"{where} is {without_password(said)!r}: write a path, postgresql://... or 'none'")
