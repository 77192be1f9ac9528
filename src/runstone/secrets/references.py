"""`env:NAME` and `file:PATH`: where a secret is found, so that the secret itself need not be written down."""

from __future__ import annotations

import os

from runstone.errors import InputError

SCHEMES = ("env:", "file:")
LARGEST = 64 * 1024
"""The longest secret in a file, in bytes."""


def is_reference(text: str) -> bool:
    """Whether a text says where a secret is."""
    return text.startswith(SCHEMES)


def lasting(reference: str) -> str:
    """The reference as it means the same from any folder. `~` stays: it is the home of whoever resolves it."""
    scheme, _, place = reference.partition(":")
    if scheme != "file" or not place or place.startswith("~"):
        return reference
    return f"file:{os.path.abspath(place)}"


def resolve(reference: str) -> str:
    """The text that a reference leads to; of a file, without line ends behind it.

    Raises InputError, without anything of the text in it.
    """
    scheme, _, place = reference.partition(":")
    if not is_reference(reference) or not place:
        raise InputError(f"{reference!r} names nothing: write env:NAME or file:PATH")
    if not reference.isprintable():
        # it may come out of a folder, and goes to a terminal
        raise InputError(f"{reference!r} cannot be looked up: a reference has only letters that can be printed")
    if scheme == "env":
        value = os.environ.get(place)
        if value is None:
            raise InputError(f"{reference}: the environment variable {place} is not set")
        return value
    return _read(reference, os.path.expanduser(place))


def _read(reference: str, path: str) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"{reference} cannot be read: {why.lower()}") from None
    if len(data) > LARGEST:
        raise InputError(f"{reference} is no secret: it has more than {LARGEST:,} bytes")
    try:
        return data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise InputError(f"{reference} is no text in UTF-8") from None
