"""The key by which secrets are compared: it lies with the user, outside of every run folder and project.

What a run keeps of a secret is an HMAC of it. Whoever has the folder and not the key can neither read the secret out of
that nor try guesses on it; whoever has the key of another machine cannot compare.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import stat

VARIABLE = "RUNSTONE_SECRETS_KEY"
"""Of the environment: the path of the key, where it is to lie elsewhere."""

_BYTES = 32
_known: dict[str, bytes] = {}


class KeyUnusable(Exception):
    """Why there is no key here, in words."""


def path() -> str:
    """Where the key of this user lies."""
    given = os.environ.get(VARIABLE)
    if given:
        return os.path.abspath(os.path.expanduser(given))
    state = os.environ.get("XDG_STATE_HOME") or os.path.join("~", ".local", "state")
    return os.path.join(os.path.expanduser(state), "runstone", "secrets.key")


def digest(name: str, value: str) -> str:
    """What a run keeps of a secret to compare it by: `<64 hexadecimal digits>@<name of the key>`.

    name: of the parameter; the same secret in two of them has two digests. Raises KeyUnusable.
    """
    key = _key()
    said = hmac.new(key, f"{name}\0{value}".encode(errors="surrogateescape"), hashlib.sha256).hexdigest()
    return f"{said}@{hashlib.sha256(b'runstone key ' + key).hexdigest()[:8]}"


def _key() -> bytes:
    place = path()
    known = _known.get(place)
    if known is None:
        try:
            known = _known[place] = _read(place) or _made(place)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise KeyUnusable(f"the key {place} cannot be used: {why.lower()}") from None
    return known


def _read(place: str) -> bytes | None:
    """The key, None if there is none. Raises OSError, ValueError."""
    try:
        descriptor = os.open(place, os.O_RDONLY)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if os.name == "posix" and stat.S_IMODE(found.st_mode) & 0o077:
            raise ValueError(f"others may read it; chmod 600 {place}")
        text = file.read(4 * _BYTES)
    key = bytes.fromhex(text.decode("ascii").strip())
    if len(key) != _BYTES:
        raise ValueError("it is damaged; remove it, and a new one is made")
    return key


def _made(place: str) -> bytes:
    """A new key, or that of another process which was first. Raises OSError."""
    folder = os.path.dirname(place)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    beside = f"{place}.{os.getpid()}.{os.urandom(4).hex()}"
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(os.urandom(_BYTES).hex().encode() + b"\n")
            file.flush()
            os.fsync(descriptor)
        # complete under its name at once, and never in the place of one that is there
        with contextlib.suppress(FileExistsError):
            os.link(beside, place)
    finally:
        os.unlink(beside)
    found = _read(place)
    if found is None:
        raise ValueError("it was removed just now")
    return found
