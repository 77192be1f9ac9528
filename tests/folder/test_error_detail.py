"""Errors that say the same as one: what is told apart, and how much of it."""

from __future__ import annotations

from typing import Any

import pytest

from runstone.folder.error_detail import ELEMENTS, GROUPS, ErrorDetail, ErrorGroups


def error(message: str = "no", **fields: Any) -> ErrorDetail:
    known: dict[str, Any] = {"block": "f", "element": None, "index": None, "type": "ValueError"}
    fixed: dict[str, Any] = {"attempt": 1, "reason": "exception", "occurred_at": "2026-03-01T00:00:00Z"}
    return ErrorDetail(message=message, **fixed, **known | fields)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("row 3 is bad", "row 17 is bad"),
        ("took 3.5 s", "took 12 s"),
        ("<object at 0x7f00aa>", "<object at 0x7f00bb12>"),
    ],
)
def test_messages_are_equal_whatever_numbers_are_in_them(one: str, other: str) -> None:
    (group,) = ErrorGroups([error(one), error(other)]).groups()
    assert (group.count, group.first.message, group.same_message) == (2, one, True)


@pytest.mark.parametrize("fields", [{"message": "yes"}, {"type": "KeyError"}, {"block": "g"}])
def test_another_message_type_or_block_is_another_group(fields: dict[str, Any]) -> None:
    assert [group.count for group in ErrorGroups([error(), error(**fields), error()]).groups()] == [2, 1]


def test_a_group_names_its_first_elements() -> None:
    errors = [error(f"no {at}", element=at, index=[at // 10, at % 10]) for at in range(100)]
    (group,) = ErrorGroups(errors).groups()
    assert group.count == 100
    assert group.elements == list(range(ELEMENTS))
    assert group.places[:2] == ["[0, 0]", "[0, 1]"]
    assert len(group.places) == ELEMENTS


def test_a_rare_error_comes_before_other_messages_of_a_type_that_was_told() -> None:
    words = [error(f"not {letter * 3}") for letter in "abcdefgh"]
    groups = ErrorGroups([*words, error("rare", type="KeyError"), *words]).groups()
    assert [group.first.type for group in groups[:3]] == ["ValueError", "KeyError", "ValueError"]
    assert [group.first.message for group in groups[2:]] == [each.message for each in words[1:]]


def test_of_ever_new_messages_a_bounded_number_is_told_apart_and_all_are_counted() -> None:
    def letters(number: int) -> str:
        return "".join(chr(97 + int(digit)) for digit in str(number))

    groups = ErrorGroups(
        [*(error(letters(number)) for number in range(1000)), error("rare", type="KeyError"), error("last")]
    ).groups()
    assert len(groups) == GROUPS + 2
    assert sum(group.count for group in groups) == 1002
    rest = [group for group in groups if not group.same_message]
    assert sorted((group.first.type, group.count) for group in rest) == [("KeyError", 1), ("ValueError", 1001 - GROUPS)]
    assert {group.first.type for group in groups[:2]} == {"KeyError", "ValueError"}


def test_the_number_of_groups_is_bounded_whatever_a_folder_claims() -> None:
    assert len(ErrorGroups(error(type=f"T{number}x{'y' * number}") for number in range(200)).groups()) == 2 * GROUPS
