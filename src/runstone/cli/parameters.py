"""Parameters of a run from the command line: `-p key=value` and `--params FILE`, converted by annotation."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
import msgspec

from runstone.secrets.marks import by_name, patterns
from runstone.secrets.references import is_reference
from runstone.secrets.secret import Secret

if TYPE_CHECKING:
    from runstone.pipeline import Pipeline


# What people say, besides what JSON and numbers say.
_SWITCHES = {"yes": True, "no": False, "on": True, "off": False}


def read_parameters(pipeline: Pipeline, pairs: Sequence[str], file: str | None) -> dict[str, Any]:
    """What the user gave; `-p` wins over the file. Raises click.UsageError."""
    given: dict[str, Any] = {}
    marks = patterns()
    for name, value in (_from_file(file) if file else {}).items():
        is_secret = isinstance(value, str) and _is_secret(pipeline, name, marks)
        given[name] = _secret(name, value) if is_secret else _fitted(pipeline, name, value)
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            # what was meant as the value of a secret may stand there
            raise click.UsageError(f"-p {'...' if marks else pair}: write key=value")
        is_secret = _is_secret(pipeline, name, marks)
        given[name] = _secret(name, text) if is_secret else _convert(pipeline, name, text)
    return given


def _is_secret(pipeline: Pipeline, name: str, marks: Sequence[str]) -> bool:
    parameter = pipeline.graph.run_parameters.get(name)
    return (parameter is not None and parameter.secret) or by_name(name, marks) is not None


def _secret(name: str, text: str) -> Secret:
    """A reference; others would see the secret itself in the list of processes, in the history of the shell, in the
    file."""
    if not is_reference(text):
        raise click.UsageError(f"{name!r} is a secret: say where it is found, {name}=env:NAME or {name}=file:PATH")
    return Secret(text)


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
