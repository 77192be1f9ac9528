"""`Secret` itself: where it finds its text, and that it does not give it away."""

from __future__ import annotations

import copy
import os
import pickle
import stat
from pathlib import Path
from typing import Annotated, Any

import cloudpickle
import pytest

from runstone import InputError, Secret, block
from runstone.secrets import key, marks, redaction
from runstone.secrets.given import not_recoverable
from runstone.secrets.secret import recorded


def test_a_reference_is_looked_up_when_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "from the environment")
    (tmp_path / "token").write_text("from a file\r\n\n")
    assert Secret("env:SOME_TOKEN").reveal() == "from the environment"
    assert Secret(f"file:{tmp_path / 'token'}").reveal() == "from a file"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Secret("file:token").reveal() == Secret("file:~/token").reveal() == "from a file"
    assert Secret("itself").reveal() == "itself"


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("env:NOT_SET", "env:NOT_SET: the environment variable NOT_SET is not set"),
        ("env:EMPTY", "env:EMPTY is empty: at least 4 characters are needed"),
        ("env:SHORT", "env:SHORT is only 3 characters long: at least 4"),
        ("env:", "'env:' names nothing"),
        ("file:", "'file:' names nothing"),
        ("file:nowhere", "file:nowhere cannot be read: no such file"),
        ("file:.", "file:. cannot be read: is a directory"),
        ("file:large", "more than 65,536 bytes"),
        ("file:binary", "no text in UTF-8"),
        ("file:/a\0b", "cannot be looked up: a reference has only letters that can be printed"),
        ("env:\x1b[31mA", "cannot be looked up"),
        ("file:\udcff", "cannot be looked up"),
    ],
)
def test_what_cannot_be_looked_up_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.setenv("SHORT", "abc")
    (tmp_path / "large").write_text("x" * 65537)
    (tmp_path / "binary").write_bytes(b"\xff\xfe1234")
    with pytest.raises(InputError) as told:
        Secret(given).reveal()
    assert complaint in str(told.value)
    assert "\n" not in str(told.value)
    assert "abc" not in str(told.value)


def test_what_a_folder_claims_to_be_a_reference_is_none_without_a_known_scheme() -> None:
    with pytest.raises(InputError, match="'path:/etc/hostname' names nothing"):
        recorded("path:/etc/hostname").reveal()


def test_what_is_too_short_or_no_text_is_refused_at_once() -> None:
    with pytest.raises(InputError, match="only 3 characters"):
        Secret("abc")
    wrong: Any = 1234567
    with pytest.raises(InputError, match="takes a text, not a int"):
        Secret(wrong)


def test_showing_it_does_not_tell_it() -> None:
    literal, reference = Secret("hunter2000"), Secret("env:TOKEN")
    for shown in (repr(literal), str(literal), f"{literal}", f"{[literal]}", "%s" % literal):  # noqa: UP031  # also so
        assert "hunter" not in shown
    assert repr(reference) == "Secret('env:TOKEN')"
    assert redaction.redact("it was hunter2000") == "it was ***"


def test_it_is_not_pickled_and_says_why() -> None:
    for dumps in (pickle.dumps, cloudpickle.dumps):
        with pytest.raises(TypeError, match="neither stored nor sent"):
            dumps({"a": [Secret("hunter2000")]})
    assert copy.deepcopy([Secret("hunter2000")]) == copy.copy([Secret("hunter2000")]) == [Secret("hunter2000")]


def test_equal_are_the_same_reference_or_the_same_text() -> None:
    assert Secret("env:A") == Secret("env:A") != Secret("env:B")
    assert Secret("hunter2000") == Secret("hunter2000") != Secret("hunter2001")
    assert len({Secret("env:A"), Secret("env:A"), Secret("hunter2000"), Secret("hunter2000")}) == 2
    assert Secret("env:A") != "env:A"


def test_annotations_mark_parameters_and_say_what_is_received() -> None:
    def plain(a: str, b: Any, c) -> None: ...  # type: ignore[no-untyped-def]  # also without
    def marked(a: Secret, b: Secret | None, c: Annotated[str, Secret], d: Annotated[str, "Secret"], e: str) -> None: ...

    assert [each.secret for each in block(plain).parameters] == [False, False, False]
    assert [each.secret for each in block(marked).parameters] == [True, True, True, False, False]
    assert [marks.wants_secret(each.annotation) for each in block(marked).parameters] == [True, True] + [False] * 3


def test_annotations_that_cannot_be_resolved_mark_by_their_words() -> None:
    def marked(a, b, c) -> None: ...  # type: ignore[no-untyped-def]  # they are put there below

    marked.__annotations__ = {"a": "nowhere.Secret", "b": "Annotated[Nothing, Secret]", "c": "Secretary"}
    assert [each.secret for each in block(marked).parameters] == [True, True, False]


@pytest.mark.parametrize(
    ("name", "patterns", "mark"),
    [
        ("api_token", ["*token*"], "*token*"),
        ("API_TOKEN", ["*token*"], "*token*"),
        ("db.password", ["password"], "password"),
        ("db.password", ["db.*"], "db.*"),
        ("max_tokens", ["*token*", "!max_tokens"], None),
        ("max_tokens", ["!max_tokens", "*token*"], "*token*"),
        ("tokens", ["token"], None),
    ],
)
def test_names_are_marked_by_patterns_of_which_the_last_that_fits_counts(
    name: str, patterns: list[str], mark: str | None
) -> None:
    assert marks.by_name(name, patterns) == mark


def test_the_key_is_made_once_for_its_user_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    first = key.digest("token", "hunter2000")
    place = tmp_path / "state" / "runstone" / "secrets.key"
    assert Path(key.path()) == place
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    assert os.listdir(place.parent) == ["secrets.key"]
    key._known.clear()
    assert key.digest("token", "hunter2000") == first
    assert key.digest("other", "hunter2000") != first
    assert key.digest("token", "hunter2001") != first


def test_another_key_gives_another_digest_and_tells_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for name in ("one", "two"):
        monkeypatch.setenv("RUNSTONE_SECRETS_KEY", str(tmp_path / name))
        found.append(key.digest("token", "hunter2000").split("@"))
    assert found[0][0] != found[1][0]
    assert found[0][1] != found[1][1]


@pytest.mark.parametrize("content", [b"", b"abcd", b"zz" * 32, b"\xff" * 64])
def test_a_key_that_is_damaged_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setenv("RUNSTONE_SECRETS_KEY", str(tmp_path / "key"))
    (tmp_path / "key").write_bytes(content)
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(key.KeyUnusable, match="cannot be used"):
        key.digest("token", "hunter2000")


def test_a_key_that_others_can_read_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNSTONE_SECRETS_KEY", str(tmp_path / "key"))
    (tmp_path / "key").write_text("00" * 32)
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(key.KeyUnusable, match="others may read it; chmod 600"):
        key.digest("token", "hunter2000")


def test_of_several_literal_secrets_is_spoken_as_of_several() -> None:
    assert not_recoverable(["a"]).startswith(
        "not recoverable: 'a' was given as a literal secret, which is kept nowhere"
    )
    told = not_recoverable(["a", "b"])
    assert told.startswith("not recoverable: 'a', 'b' were given as literal secrets, which are kept nowhere")
    assert "only who gives them again" in told
