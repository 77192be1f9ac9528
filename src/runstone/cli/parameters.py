"""Parameters of a run from the command line: `-p key=value` and `--params FILE`, converted by annotation."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
import msgspec

if TYPE_CHECKING:
    from runstone.pipeline import Pipeline


# What people say, besides what JSON and numbers say.
_SWITCHES = {"yes": True, "no": False, "on": True, "off": False}


def read_parameters(pipeline: Pipeline, pairs: Sequence[str], file: str | None) -> dict[str, Any]:
    """What the user gave; `-p` wins over the file. Raises click.UsageError."""
    given: dict[str, Any] = {}
    for name, value in (_from_file(file) if file else {}).items():
        given[name] = _fitted(pipeline, name, value)
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise click.UsageError(f"-p {pair}: write key=value")
        given[name] = _convert(pipeline, name, text)
    return given


def _from_file(path: str) -> dict[str, Any]:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise click.UsageError(f"--params {path}: {(error.strerror or str(error)).lower()}") from None
    ending = os.path.splitext(path)[1].lower()
    try:
        if ending == ".toml":
            import tomllib

            found: Any = tomllib.loads(data.decode())
        elif ending == ".json":
            found = msgspec.json.decode(data)
        else:
            raise click.UsageError(f"--params {path}: the file must be .json or .toml")
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"--params {path}: {error}") from None
    if not isinstance(found, dict):
        raise click.UsageError(f"--params {path}: it must hold an object with the parameters by name")
    return found


def _convert(pipeline: Pipeline, name: str, text: str) -> Any:
    parameter = pipeline.graph.run_parameters.get(name)
    annotation = Any if parameter is None else parameter.annotation
    if annotation is str:
        return text
    if annotation is Any or isinstance(annotation, str):
        return _guess(text)
    if isinstance(annotation, type) and issubclass(annotation, os.PathLike):
        return Path(text)
    candidates = [text, _json(text)]
    if bool in (annotation, *get_args(annotation)):
        candidates.append(_SWITCHES.get(text.lower(), text))
    for candidate in candidates:
        try:
            return msgspec.convert(candidate, annotation, strict=False)
        except (msgspec.ValidationError, TypeError):
            continue
    if _known(annotation):
        shown = getattr(annotation, "__name__", None) if isinstance(annotation, type) else None
        hint = "; say true or false, yes or no, on or off, 1 or 0" if annotation is bool else ""
        raise click.UsageError(f"-p {name}={text}: {text!r} is not of type {shown or annotation}{hint}")
    return _guess(text)


def _fitted(pipeline: Pipeline, name: str, value: Any) -> Any:
    """A value from a file, which has fewer types than annotations have."""
    if isinstance(value, str):
        parameter = pipeline.graph.run_parameters.get(name)
        # a text in a file is meant as text, unless an annotation says otherwise
        plain = parameter is None or parameter.annotation in (str, Any) or isinstance(parameter.annotation, str)
        return value if plain else _convert(pipeline, name, value)
    return value


def _known(annotation: Any) -> bool:
    """Whether this library can make values of the annotation at all."""
    try:
        msgspec.json.Decoder(annotation)
    except TypeError:
        return False
    return True


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text.encode(errors="surrogateescape"))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return text


def _guess(text: str) -> Any:
    """Without an annotation: numbers, true, false, null, lists and objects as JSON writes them, else the text."""
    return _json(text)
