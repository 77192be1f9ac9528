"""The secrets among the parameters of a run: found, looked up, and described for its record."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from runstone.core.graph import Graph
from runstone.core.records import SecretInfo
from runstone.errors import InputError
from runstone.secrets import marks, redaction, references
from runstone.secrets.secret import Secret, recorded, restored


class GivenSecrets(msgspec.Struct, frozen=True, kw_only=True):
    """infos: what the record says of each. warnings: what who looks at the run should know: a code and a sentence."""

    infos: dict[str, SecretInfo] = {}
    warnings: list[tuple[str, str]] = []


NONE = GivenSecrets()


def take_out(graph: Graph, values: dict[str, Any], config_text: bytes | None = None) -> GivenSecrets:
    """Put a looked-up `Secret` in the place of every parameter that is one; nothing is written here.

    values: all parameters of a run. config_text: what is in `runstone.toml`, if that is known.
    Raises InputError, with everything that cannot be looked up in one message.
    """
    names = marks.patterns(config_text)
    secrets = {
        name: value
        for name, value in values.items()
        if type(value) is Secret or _is_marked(graph, name) or (names and marks.by_name(name, names))
    }
    if not secrets:
        return NONE
    problems: list[str] = []
    infos: dict[str, SecretInfo] = {}
    warnings: list[tuple[str, str]] = []
    for name, value in secrets.items():
        if value is None or type(value) is bool:
            # nothing was given, or it only says whether
            continue
        try:
            values[name] = found = _as_secret(name, value, names).resolved()
        except InputError as error:
            problems.append(f"parameter {name!r}: {error}")
            continue
        infos[name] = _described(name, found, warnings)
    if problems:
        raise InputError("; ".join(problems))
    literal = [name for name, info in infos.items() if info.reference is None]
    if literal:
        warnings.insert(0, ("literal_secret", not_recoverable(literal)))
    return GivenSecrets(infos=infos, warnings=warnings)


def not_recoverable(names: Iterable[str]) -> str:
    """What is said of a run that was given secrets as themselves."""
    listed = list(map(repr, names))
    were, it = (
        ("was given as a literal secret, which is", "it")
        if len(listed) == 1
        else ("were given as literal secrets, which are", "them")
    )
    return (
        f"not recoverable: {', '.join(listed)} {were} kept nowhere; only who gives {it} again can go on with this run; "
        "env:NAME or file:PATH would be kept"
    )


def handed(value: Any, annotation: Any) -> Any:
    """What a block receives: the text of a secret, or the `Secret` if that is what it asks for. Raises InputError."""
    if type(value) is not Secret or marks.wants_secret(annotation):
        return value
    return value.reveal()


def shown(values: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """Values as they may be recorded: a `Secret` in the place of each that is marked by its name, or known as one.

    For code that is tracked, and has its values already: one that is not there is no error. Raises SettingError.
    """
    _learn(values.values())
    names, known = marks.lately(), redaction.known()
    if not names and not known:
        return values

    def is_secret(name: Any, value: Any) -> bool:
        is_known = type(value) is str and value in known
        return is_known or (isinstance(name, str) and marks.by_name(name, names) is not None)

    return {name: _hidden(value) if is_secret(name, value) else value for name, value in values.items()}


def _learn(values: Iterable[Any]) -> None:
    """Look up what is referred to, so that it is kept out of what follows; what is not there cannot be told either."""
    for value in values:
        if type(value) is Secret:
            with contextlib.suppress(InputError):
                value.reveal()


def _hidden(value: Any) -> Any:
    if type(value) is Secret or value is None or type(value) is bool:
        return value
    try:
        found = Secret(value)
    except InputError:
        # no text, or too short
        return recorded(None)
    _learn([found])
    return found


def digest_of(name: str, secret: Secret) -> str | None:
    """What a secret is compared by, as a parameter of this name; None if it cannot be looked up, or there is no key."""
    # loaded by those who have secrets
    from runstone.secrets import key

    try:
        return key.digest(name, secret.reveal())
    except (InputError, key.KeyUnusable):
        return None


def _is_marked(graph: Graph, name: str) -> bool:
    parameter = graph.run_parameters.get(name)
    return parameter is not None and parameter.secret


def _as_secret(name: str, value: Any, names: list[str]) -> Secret:
    if type(value) is Secret:
        found = value
    elif isinstance(value, str):
        found = Secret(value)
    else:
        mark = marks.by_name(name, names)
        by = f"[secrets] names marks it by {mark!r}" if mark else "its annotation says so"
        out = f"; add '!{name}' behind that if it is none" if mark else ""
        raise InputError(f"it is a secret, as {by}, but secrets are texts, and not {type(value).__name__}{out}")
    if not found.is_known:
        raise InputError("it was given as a literal secret, which is kept nowhere: give it again, or as env:NAME")
    if found.reference is None:
        return found
    return restored(references.lasting(found.reference), found.reveal())


def _described(name: str, secret: Secret, warnings: list[tuple[str, str]]) -> SecretInfo:
    from runstone.secrets import key

    try:
        digest = key.digest(name, secret.reveal())
    except key.KeyUnusable as why:
        warnings.append(("secret_not_comparable", f"whether the secret {name!r} changes cannot be seen: {why}"))
        digest = None
    return SecretInfo(reference=secret.reference, digest=digest)
