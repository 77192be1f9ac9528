"""Where a command writes what the user asked for: standard output, or a file that is whole or not there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import click


@contextmanager
def destination(path: str | None) -> Iterator[BinaryIO]:
    """Standard output, or a file that appears under its name once everything is written.

    Raises click.UsageError if there can be no such file, click.ClickException if it cannot be written.
    """
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if not path:
        raise click.UsageError("-o needs the name of a file")
    whole = os.path.realpath(path)
    folder, name = os.path.split(whole)
    if os.path.isdir(whole):
        raise click.UsageError(f"-o {path} is a folder; name a file")
    if not os.path.isdir(folder):
        raise click.UsageError(f"-o {path}: there is no folder {os.path.dirname(path)}")
    # A pipe or a device is written to as it is; put in its place, a file would be the end of it.
    is_special = os.path.exists(whole) and not os.path.isfile(whole)
    beside = whole if is_special else os.path.join(folder, f".{name}.{os.getpid()}.tmp")
    try:
        with open(beside, "wb" if is_special else "xb") as file:
            yield file
        if not is_special:
            os.replace(beside, whole)
    except OSError as error:
        raise click.ClickException(f"-o {path}: {(error.strerror or str(error)).lower()}") from error
    finally:
        if not is_special and os.path.exists(beside):
            os.unlink(beside)
