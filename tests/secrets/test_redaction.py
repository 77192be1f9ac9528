"""What a process has learnt is kept out of every text, however it is written, cut or torn."""

from __future__ import annotations

import base64
import html
import json
import shlex
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstone.engine.failures import describe
from runstone.engine.spoken import Spoken
from runstone.folder.logs import MESSAGE_LIMIT
from runstone.folder.preview import preview
from runstone.secrets import redaction
from tests.harness.canary import Canary


@pytest.fixture
def canary() -> Canary:
    found = Canary()
    redaction.learn(found.value)
    return found


def test_a_text_without_secrets_stays_the_same_object(canary: Canary) -> None:
    text = "nothing to hide"
    assert redaction.redact(text) is text


@pytest.mark.parametrize(
    "written",
    [
        lambda value: value,
        lambda value: repr([value]),
        lambda value: json.dumps({"a": value}),
        lambda value: f"https://x.org/?key={quote(value, safe='')}",
        lambda value: f"https://x.org/{quote(value)}",
        lambda value: f"Basic {base64.b64encode(value.encode()).decode()}",
        lambda value: value.encode().hex(),
        lambda value: str(value.encode()),
        lambda value: f"{value}{value}",
    ],
)
def test_every_form_in_which_programs_write_it_is_found(canary: Canary, written: Any) -> None:
    text = written(canary.value)
    assert canary.is_in(text) or quote(canary.value, safe="") in text
    assert not canary.is_in(redaction.redact(text))
    assert redaction.MASK in redaction.redact(text)


def test_a_secret_with_quotes_and_letters_of_all_kinds_is_found_in_a_repr_and_in_json() -> None:
    value = "pä'ss\"\\wörd\t<☃> 7731"
    redaction.learn(value)
    writers = (repr, json.dumps, lambda it: json.dumps(it, ensure_ascii=False), lambda it: repr(it.encode()))
    for text in (*(write(value) for write in writers), html.escape(value), shlex.join(["x", value])):
        assert redaction.MASK in redaction.redact(text)
        assert "7731" not in redaction.redact(text)


def test_it_is_found_in_base64_of_either_alphabet_with_and_without_padding() -> None:
    value = "~~??>>~~ 8842 ??>"
    redaction.learn(value)
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = encode(value.encode()).decode()
        assert encoded.endswith("=")
        assert redaction.redact(encoded) in ("***", "***=")
        assert redaction.redact(encoded.rstrip("=")) == "***"


def test_each_line_of_a_secret_with_several_is_kept_out_by_itself() -> None:
    lines = [Canary() for _ in range(3)]
    redaction.learn("\n".join(each.value for each in lines))
    for each in lines:
        assert redaction.redact(f"line: {each.value}") == "line: ***"


@given(st.integers(0, 300), st.integers(0, 260), st.integers(0, 60))
def test_a_cut_leaves_no_half_of_it(before: int, limit: int, between: int) -> None:
    value = "Zq7-Wv9-Xk3-Pj5-Rt1"
    redaction.learn(value)
    shown = redaction.beginning(f"{' ' * before}{value}{' ' * between}{value} and more", limit)
    assert len(shown) <= limit
    assert not any(value[:length] in shown for length in range(3, len(value)))


@given(st.lists(st.sampled_from(["Zq7-Wv9-Xk3-Pj5-Rt1", "Zq7-", "a" * 5000, "b", "\n", "\r"]), max_size=12), st.data())
def test_text_that_comes_in_pieces_never_tells_it(parts: list[str], data: Any) -> None:
    value = "Zq7-Wv9-Xk3-Pj5-Rt1"
    redaction.learn(value)
    text = "".join(parts)
    kept: list[str] = []

    spoken: Spoken[_Somebody] = Spoken(lambda speaker, stream, line: kept.append(redaction.redact(line)))
    somebody, at = _Somebody(), 0
    while at < len(text):
        step = data.draw(st.sampled_from([1, 3, 11, 4000, MESSAGE_LIMIT]))
        spoken.say(somebody, "stdout", text[at : at + step])
        at += step
    spoken.finish(None)
    assert not any(value in line for line in kept)
    assert all(value[4:] not in line for line in kept)


class _Somebody:
    logs = block = None


def _kept(*pieces: str) -> list[str]:
    """The lines that are kept of what was said piece by piece."""
    kept: list[str] = []
    spoken: Spoken[_Somebody] = Spoken(lambda speaker, stream, line: kept.append(redaction.redact(line)))
    somebody = _Somebody()
    for piece in pieces:
        spoken.say(somebody, "stdout", piece)
    spoken.finish(None)
    return kept


def test_a_line_that_is_too_long_to_wait_is_not_parted_within_it(canary: Canary) -> None:
    filling = "." * MESSAGE_LIMIT
    assert _kept(filling + canary.value[:20], canary.value[20:] + "!") == [filling, "***!"]


def test_the_half_of_it_that_was_said_last_is_not_kept(canary: Canary) -> None:
    assert _kept("so far: " + canary.value[:30]) == ["so far: ***"]


def test_previews_show_it_nowhere(canary: Canary) -> None:
    class Client:
        def __init__(self) -> None:
            self.headers = {"Authorization": f"Bearer {canary.value}", canary.value: 1}

    for value in (
        canary.value,
        "x" * 190 + canary.value,
        canary.value * 50,
        canary.value.encode(),
        b"x" * 45 + canary.value.encode(),
        [canary.value],
        {canary.value: (canary.value,)},
        Client(),
        PurePosixPath("x" * 155 + canary.value),
    ):
        assert not canary.is_in(json.dumps(preview(value))), value


def test_a_number_that_is_the_secret_is_not_shown() -> None:
    redaction.learn("7391846250")
    assert preview([7391846250]) == {"type": "list[1]", "length": 1, "items": ["***"]}


def test_exceptions_tell_it_in_no_part(canary: Canary) -> None:
    try:
        try:
            raise KeyError(canary.value)
        except KeyError as first:
            error = ValueError("x" * 3995 + canary.value + "y" * 9000)
            error.add_note(f"sent {canary.value}")
            raise error from first
    except ValueError as error:
        found = describe(error)
    assert not canary.is_in(found.message)
    assert not canary.is_in(found.traceback)
    assert "sent ***" in found.traceback


def test_a_traceback_is_not_cut_through_it(canary: Canary) -> None:
    for before in range(11_780, 12_020, 11):
        error = ValueError("short")
        error.add_note("." * before + canary.value + "." * 20_000)
        assert not canary.is_in(describe(error).traceback), before


def test_the_oldest_of_too_many_is_let_go_of_and_one_in_use_is_not() -> None:
    redaction.learn("first-of-many")
    redaction.learn("often-used")
    for number in range(redaction.KEPT):
        redaction.learn(f"another-{number:04}")
        redaction.learn("often-used")
    assert redaction.redact("first-of-many often-used another-0099") == "first-of-many *** ***"
