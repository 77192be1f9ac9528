"""What PostgreSQL and its driver say is wrong, as errors of ours: which place, and what to do."""

from __future__ import annotations

import re

import psycopg

from runstone.errors import LedgerBroken, LedgerBusy, LedgerDenied, LedgerError, LedgerFull, LedgerUnreachable

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_BUSY = frozenset({"55P03", "40001", "40P01"})
"""The lock was not to be had, or two writers crossed each other."""

_SLOW = frozenset({"57014"})

_GONE = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03", "53300"})
"""The server is stopped or starts, has ended this session, or takes no more of them."""

_DENIED = frozenset({"42501", "25006"})
_FULL = frozenset({"53100"})
_TAKEN = frozenset({"42P07", "42710", "3F000"})
"""Tables of these names are there already, or no schema is there that they could be in."""

_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_SIGN = re.compile(r"[\"'@:/?\[\]]")


def unreachable(where: str, error: BaseException, url: str) -> LedgerUnreachable:
    """No connection can be made, or it was lost."""
    return LedgerUnreachable(
        f"the ledger {where} cannot be reached: {_first_line(error, where, url)}; start its server, or correct "
        "RUNSTONE_LEDGER; runs are recorded and come into it later"
    )


def translated(where: str, error: BaseException, url: str, *, lost: bool) -> LedgerError:
    """lost: the connection is not usable any more."""
    state = (error.sqlstate if isinstance(error, psycopg.Error) else None) or ""
    if state in _BUSY:
        return LedgerBusy(f"the ledger {where} is locked by another process; runs are recorded and come into it later")
    if state in _SLOW:
        return LedgerBusy(f"the ledger {where} took too long to answer; runs are recorded and come into it later")
    if state in _FULL:
        return LedgerFull(f"no room is left for the ledger {where}; make room, then: runstone ledger sync")
    if lost or state in _GONE or state.startswith("08"):
        return unreachable(where, error, url)
    said = _first_line(error, where, url)
    if state in _DENIED or state.startswith("28"):
        return LedgerDenied(
            f"the ledger {where} may not be read or written: {said}; let its owner grant you the right, or name "
            "another place in RUNSTONE_LEDGER"
        )
    if state in _TAKEN:
        return LedgerBroken(
            f"the ledger {where} cannot be made there: {said}; give it a schema of its own: schema=runstone in the URL"
        )
    return LedgerError(f"the ledger {where}: {said}")


def _first_line(error: BaseException, where: str, url: str) -> str:
    """What was said, in one line, without what is in the place of the password."""
    said = str(error).replace(url, where).strip()
    if not said:
        return type(error).__name__
    secret = url.partition("://")[2].rpartition("@")[0].partition(":")[2]
    return _QUOTED.sub(lambda found: "***" if _tells(found[0], secret) else found[0], said.splitlines()[0].rstrip())


def _tells(quoted: str, secret: str) -> bool:
    """Whether a part of the secret is quoted: one that was written badly is taken for a host or a port."""
    return any(len(part) > 2 and part in secret for part in _SIGN.split(quoted))
