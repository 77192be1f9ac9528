"""Noticing secrets in what is stored: in parameters that are none, and in what blocks return.

It is stored as it is, for a value is nobody's to change; but whoever looks at the run is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from runstone.core import events as ev
from runstone.core.records import ParamInfo
from runstone.engine.record import Buffer
from runstone.folder.values import Column
from runstone.folder.writer import RunWriter
from runstone.secrets import redaction

IN_OUTPUT, IN_PARAMETER = "secret_in_output", "secret_in_parameter"
"""The codes of the warnings."""


class StoredSecrets:
    """Looks at what blocks return, once there are secrets to look for, and warns of each block once."""

    def __init__(self, writer: RunWriter) -> None:
        self._writer = writer
        self._told: set[str] = set()

    def look(self, block: str, stored: Iterable[Buffer]) -> None:
        """These bytes were stored for a block; what is packed in them is not seen."""
        if redaction.known() and block not in self._told and _in_bytes(stored):
            self._warn(block)

    def look_at_small(self, output: str, stored: ev.StoredValue) -> None:
        """This output is stored in an event."""
        if not redaction.known():
            return
        block = self._writer.info.outputs.get(output)
        if block is not None and block.name not in self._told and _in_small(stored.value):
            self._warn(block.name)

    def _warn(self, block: str) -> None:
        self._told.add(block)
        self._writer.event(
            ev.Warned,
            code=IN_OUTPUT,
            block=block,
            message=f"what {block!r} returned holds a secret, and is stored as it was returned: whoever can read this "
            "run can read it",
        )


def in_parameters(infos: Mapping[str, ParamInfo], large: Mapping[str, Column]) -> Iterator[tuple[str, str]]:
    """A warning, its code and a sentence, for every parameter that is no secret and holds one."""
    if not redaction.known():
        return
    for name, info in infos.items():
        if _in_small(info.value) if info.is_small else name in large and _in_bytes(large[name].data):
            yield (
                IN_PARAMETER,
                f"parameter {name!r} holds a secret, and is stored as it was given: whoever can read this run can read "
                "it; give what is secret as a parameter of its own",
            )


def _in_small(value: object) -> bool:
    text = msgspec.json.encode(value).decode()
    return redaction.redact(text) != text


def _in_bytes(stored: Iterable[Buffer]) -> bool:
    values = [value.encode(errors="surrogateescape") for value in redaction.known()]
    return any(value in data for data in map(bytes, stored) for value in values)
