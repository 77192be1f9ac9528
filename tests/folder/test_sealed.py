"""A checksum of its own bytes in a JSON object: plain JSON for everybody, and no change goes unnoticed."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runstone.folder.sealed import seal, unseal

objects = st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=9), min_size=1, max_size=4)


@settings(max_examples=100, deadline=None)
@given(objects)
def test_what_was_sealed_comes_back_and_is_json_with_one_more_field(content: dict[str, object]) -> None:
    body = msgspec.json.encode(content)
    sealed = seal(body)
    assert unseal(sealed) == body
    parsed = json.loads(sealed)
    assert len(parsed.pop("crc")) == 8 or "crc" in content
    assert {**content, **parsed} == content


@settings(max_examples=200, deadline=None)
@given(objects, st.data())
def test_a_changed_cut_or_longer_object_is_known_as_such(content: dict[str, object], data: st.DataObject) -> None:
    sealed = seal(msgspec.json.encode(content))
    position = data.draw(st.integers(0, len(sealed) - 1))
    flipped = bytearray(sealed)
    flipped[position] ^= 1 << data.draw(st.integers(0, 7))
    assert unseal(bytes(flipped)) is None
    assert unseal(sealed[:position]) is None
    assert unseal(sealed + b"\0") is None


@pytest.mark.parametrize("data", [b"", b"{}", b'{"a":1}', b',"crc":"00000000"}', b'{"crc":"00000000"}', bytes(100)])
def test_what_was_never_sealed_is_not_opened(data: bytes) -> None:
    assert unseal(data) is None
