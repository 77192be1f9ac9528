"""Looking for a secret in every byte that somebody wrote, also in what is packed."""

from __future__ import annotations

import base64
import gzip
import io
import secrets
import sqlite3
import zipfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg.sql import SQL

from runstone.ledger.postgres_url import split_schema


class Canary:
    """A text that nobody else writes. Half of it is a find as well, and so are other ways to write it."""

    def __init__(self) -> None:
        self.value = f"cnry+{secrets.token_hex(16)}/{secrets.token_hex(4)}"
        inner = self.value.encode()
        self._signs = {
            inner[5:17],
            inner[21:33],
            base64.b64encode(inner)[8:24],
            inner.hex().encode()[10:34],
        }

    def is_in(self, data: bytes | str) -> bool:
        """Whether anything of it is in there."""
        raw = data.encode(errors="surrogateescape") if isinstance(data, str) else data
        return any(sign in raw for sign in self._signs)

    def found_in(self, root: Path, *, but: tuple[str, ...] = ()) -> list[str]:
        """The files below a folder that hold anything of it, as far as one can unpack them. but: names to pass over."""
        found: list[str] = []
        looked = 0
        for path in sorted(root.rglob("*")):
            if path.is_file() and path.name not in but:
                looked += 1
                found += [f"{path}: {what}" for what, data in _contents(path) if self.is_in(data)]
            if self.is_in(str(path)):
                found.append(f"{path}: its name")
        assert looked, f"there is nothing in {root}"
        return found

    def found_in_postgres(self, url: str) -> list[str]:
        """The tables of a database that hold anything of it, each row as text."""
        found: list[str] = []
        plain, schema = split_schema(url)
        with psycopg.connect(plain) as connection:
            tables = connection.execute(
                "SELECT format('%%I.%%I', schemaname, tablename) FROM pg_tables WHERE schemaname = %s", (schema,)
            ).fetchall()
            assert tables, "there are no tables"
            for (table,) in tables:
                rows = connection.execute(SQL("SELECT t::text FROM {} t").format(SQL(table))).fetchall()
                if any(self.is_in(row[0]) for row in rows):
                    found.append(table)
        return found


def _contents(path: Path) -> Iterator[tuple[str, bytes]]:
    data = path.read_bytes()
    yield "its bytes", data
    if data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield name, archive.read(name)
    elif data.startswith(b"\x1f\x8b"):
        yield "unpacked", gzip.decompress(data)
    elif data.startswith(b"SQLite format 3"):
        # a row may lie on several pages
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            yield "its rows", "\n".join(connection.iterdump()).encode(errors="surrogateescape")
    elif data.startswith(b"PAR1"):
        from pyarrow import parquet

        yield "its columns", str(parquet.read_table(io.BytesIO(data)).to_pylist()).encode()
