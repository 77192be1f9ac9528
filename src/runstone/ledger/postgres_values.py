"""How values come out of PostgreSQL: in the forms that SQLite has them in too."""

from __future__ import annotations

import re
from typing import Any

from psycopg.abc import Buffer
from psycopg.adapt import AdaptersMap, Loader
from psycopg.types.numeric import Int8Dumper

# as the session writes them: ISO, in UTC
_TIME = re.compile(r"(\d{4,}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(?:\+00)?")


class _Text(Loader):
    def load(self, data: Buffer) -> str:
        return bytes(data).decode()


class _Time(Loader):
    """RFC 3339 in UTC with microseconds. What no such time can say, as `infinity`, comes as it is."""

    def load(self, data: Buffer) -> str:
        said = bytes(data).decode()
        found = _TIME.fullmatch(said)
        return said if found is None else f"{found[1]}T{found[2]}.{found[3] or '':0<6}Z"


class _Number(Loader):
    """Sums and averages of integers: whole ones as int, others as float."""

    def load(self, data: Buffer) -> int | float:
        said = bytes(data).decode()
        return int(said) if said.lstrip("-").isdigit() else float(said)


class _Truth(Loader):
    def load(self, data: Buffer) -> int:
        return int(bytes(data) == b"t")


class _TruthDumper(Int8Dumper):
    """No column of ours is a truth: 1 and 0."""

    def dump(self, obj: Any) -> Buffer | None:
        return super().dump(int(obj))


_LOADERS: dict[str, type[Loader]] = {
    **dict.fromkeys(("json", "jsonb", "uuid", "date", "time", "timetz", "interval"), _Text),
    **dict.fromkeys(("timestamptz", "timestamp"), _Time),
    "numeric": _Number,
    "bool": _Truth,
}


def adapt(adapters: AdaptersMap) -> None:
    """Teach a connection our forms."""
    for name, loader in _LOADERS.items():
        adapters.register_loader(name, loader)
    # the narrowest type of each value would make another prepared statement of nearly every row
    adapters.register_dumper(int, Int8Dumper)
    adapters.register_dumper(bool, _TruthDumper)
