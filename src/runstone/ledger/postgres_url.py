"""What the URL of a ledger on a server says, as libpq is told it."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit, urlunsplit

from psycopg.conninfo import conninfo_to_dict, make_conninfo

STATEMENT_SECONDS = 60
"""How long one statement may take. What takes longer by its nature says so."""

IDLE_SECONDS = 600
"""After that long without a word inside of a transaction its sender is given up, and what it holds is let go."""

_LEAST_CONNECT_SECONDS = 2
"""libpq takes no less."""

_KEEPALIVE = {"keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "3", "tcp_user_timeout": "20000"}
"""A server whose machine is gone does not say good-bye: this notices within half a minute."""


def split_schema(url: str) -> tuple[str, str | None]:
    """The URL without its key `schema`, which only we know, and the schema it names."""
    parts = urlsplit(url)
    schema, others = None, []
    for pair in parts.query.split("&"):
        key, _, value = pair.partition("=")
        if key == "schema":
            schema = unquote(value) or None
        elif pair:
            others.append(pair)
    return urlunsplit(parts._replace(query="&".join(others))), schema


def conninfo(url: str, schema: str | None, patience: float) -> str:
    """What to connect with; the words of the URL win where that harms nothing. Raises psycopg.ProgrammingError.

    patience: seconds to wait for the server, and for another writer.
    """
    said = {key: str(value) for key, value in conninfo_to_dict(url).items() if value is not None}
    ours = {
        "lock_timeout": f"{max(1, int(patience * 1000))}ms",
        "statement_timeout": f"{STATEMENT_SECONDS}s",
        "idle_in_transaction_session_timeout": f"{IDLE_SECONDS}s",
        # a plan for any status at all goes through all runs to find that none is running
        "plan_cache_mode": "force_custom_plan",
        # our statements take less time than it takes to compile them
        "jit": "off",
    }
    # values are read in this form
    fixed = {"timezone": "UTC", "datestyle": "ISO", "intervalstyle": "postgres"}
    if schema is not None:
        quoted = schema.replace('"', '""')
        fixed["search_path"] = f'"{quoted}"'
    options = (_options(ours), said.get("options", ""), _options(fixed))
    settings = {
        "application_name": "runstone",
        "connect_timeout": str(max(_LEAST_CONNECT_SECONDS, round(patience))),
        **_KEEPALIVE,
        **said,
        "options": " ".join(filter(None, options)),
        "client_encoding": "UTF8",
    }
    return make_conninfo(**settings)


def _options(settings: dict[str, str]) -> str:
    return " ".join(f"-c {name}={_escaped(value)}" for name, value in settings.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace(" ", "\\ ")
