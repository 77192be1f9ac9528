"""What a result was made of, and in what something to be computed is not the same."""

from __future__ import annotations

import msgspec
import pytest

from runstone.core.cached import INPUT_BYTES, Recipe, differences, from_nearest, key_of, missed
from runstone.core.causes import Cause

PLAIN = Recipe(
    stage="shop/price",
    function="shop.price",
    code={"function": "f1", "calls:shop.helper": "h1", "python": "3.11"},
    outputs=["y"],
    inputs={"rate": "a" * 32},
    varying=["x"],
)


def other(**fields: object) -> Recipe:
    return msgspec.structs.replace(PLAIN, **fields)


def digests(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(INPUT_BYTES, "big") for number in numbers)


@pytest.mark.parametrize(
    "changed",
    [
        {"function": "shop.other"},
        {"code": {**PLAIN.code, "calls:shop.helper": "h2"}},
        {"code": {"function": "f1", "python": "3.11"}},
        {"outputs": ["z"]},
        {"inputs": {"rate": "b" * 32}},
        {"inputs": {"Rate": "a" * 32}},
        {"varying": ["z"]},
    ],
)
def test_every_part_but_the_stage_is_in_the_key(changed: dict[str, object]) -> None:
    assert other(**changed).base != PLAIN.base
    assert other(stage="elsewhere/price").base == PLAIN.base
    assert len({key_of(PLAIN.base, digests(number)) for number in range(100)}) == 100


def test_the_order_of_parts_makes_no_difference() -> None:
    assert other(code=dict(reversed(PLAIN.code.items()))).base == PLAIN.base


@pytest.mark.parametrize("code", [{}, {"function": "?"}, {"function": "f1", "constant:shop.LIMIT": "?"}])
def test_code_that_cannot_be_resolved_is_told_by_name(code: dict[str, str]) -> None:
    (why,) = other(code=code).unresolved
    assert (why.cause, why.subject) == (Cause.CODE_UNKNOWN, [*code, "function"][len(code) - 1])


def test_differences_are_named_and_the_nearest_recipe_is_compared_with() -> None:
    new = other(code={**PLAIN.code, "calls:shop.helper": "h2"})
    assert [(why.cause, why.subject) for why in differences(PLAIN, new)] == [(Cause.CODE, "calls:shop.helper")]
    far = other(code={"function": "f9"}, inputs={})
    assert from_nearest(new, [far, PLAIN]) == differences(PLAIN, new)
    assert from_nearest(new, [new, PLAIN]) == []
    assert [why.cause for why in from_nearest(new, [])] == [Cause.NOT_CACHED]


def test_elements_are_told_by_the_input_that_is_new() -> None:
    seen = [{digests(1), digests(2)}, {digests(8), digests(9)}]
    found = missed(
        ["x", "w"], {0: digests(1, 7), 1: digests(3, 8), 2: digests(4, 8), 5: digests(3, 7), 6: digests(1, 8)}, seen
    )
    told = {each.why[0].subject if len(each.why) == 1 else "both": each.elements for each in found}
    assert told == {"w": [(0, 1)], "x": [(1, 3)], "both": [(5, 6)], "x with w": [(6, 7)]}
    (gone,) = missed(["x"], {3: digests(1)}, [{digests(1)}])
    assert [(why.cause, why.elements) for why in gone.why] == [(Cause.NOT_CACHED, 1)]
