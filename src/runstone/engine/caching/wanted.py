"""What a block is about to compute, as the cache knows it: a recipe, and a key for each element."""

from __future__ import annotations

from typing import Any

import msgspec

from runstone.cache.pieces import KEY_BYTES
from runstone.core.cached import INPUT_BYTES, Recipe, key_of
from runstone.core.calls import CallPlan
from runstone.core.causes import Cause, Why
from runstone.core.events import Miss
from runstone.core.ranges import missing_ranges, numbers, to_ranges
from runstone.engine import code, inline
from runstone.engine.caching.keeper import NO_KEY
from runstone.engine.value_digests import Digests
from runstone.engine.work import Work
from runstone.secrets.given import digest_of
from runstone.secrets.secret import Secret

_RANGES_KEPT = 200


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """plan: None of a block that is not mapped, which has the one element 0. numbers: the elements that are to be
    computed and have a key. keys, facts: of all elements, `KEY_BYTES` and the digests of what varies for each.
    unknown: those that have none, as what they are made of cannot be compared.
    """

    recipe: Recipe
    plan: CallPlan | None
    numbers: list[int]
    keys: bytes
    facts: bytes
    unknown: list[Miss]

    @property
    def count(self) -> int:
        """How many elements are to be computed, with a key or without."""
        return len(self.numbers) + sum(stop - start for miss in self.unknown for start, stop in miss.elements)

    def key(self, number: int) -> bytes:
        """The key of an element."""
        return self.keys[number * KEY_BYTES : (number + 1) * KEY_BYTES]

    def made_of(self, number: int) -> bytes:
        """The digests of what varies, of an element."""
        size = INPUT_BYTES * len(self.recipe.varying)
        return self.facts[number * size : (number + 1) * size]


def wanted(stage: str, work: Work) -> Wanted:
    """What is to be computed. Raises whatever its values raise when they are looked at."""
    if not work.block.graph_block().is_mapped:
        return _of_call(stage, work)
    plan = inline.plan_of(work)
    digests = Digests()
    recipe, unknown = _recipe(stage, work, digests, plan.fixed(), [name for name, _, _ in plan.varying()])
    blocked = plan.blocked()
    recorded = work.recorder.state.blocks[work.block.name].recorded
    left = [number for number in numbers(missing_ranges(recorded, plan.count)) if number not in blocked]
    if unknown or recipe.unresolved:
        miss = Miss(elements=to_ranges(left)[:_RANGES_KEPT], why=[*recipe.unresolved, *unknown])
        return Wanted(recipe=recipe, plan=plan, numbers=[], keys=b"", facts=b"", unknown=[miss])
    known, facts, nameless = [], [], dict[str, list[int]]()
    columns = [(name, item, places, dict[int, bytes | None]()) for name, item, places in plan.varying()]
    nothing = bytes(INPUT_BYTES * len(columns))
    base, wanting = recipe.base, set(left)
    keys: list[bytes] = []
    for number in range(plan.count):
        if number not in wanting:
            keys.append(NO_KEY)
            facts.append(nothing)
            continue
        parts: list[bytes] = []
        for name, item, places, seen in columns:
            at = places[number]
            if at not in seen:
                seen[at] = digests.of(item(at))
            told = seen[at]
            if told is None:
                nameless.setdefault(name, []).append(number)
                break
            parts.append(told)
        if len(parts) < len(columns):
            keys.append(NO_KEY)
            facts.append(nothing)
            continue
        made_of = b"".join(parts)
        known.append(number)
        keys.append(key_of(base, made_of))
        facts.append(made_of)
    return Wanted(
        recipe=recipe,
        plan=plan,
        numbers=known,
        keys=b"".join(keys),
        facts=b"".join(facts),
        unknown=[
            Miss(
                elements=to_ranges(them)[:_RANGES_KEPT],
                why=[Why(cause=Cause.INPUT_UNKNOWN, subject=name, elements=len(them))],
            )
            for name, them in nameless.items()
        ],
    )


def _of_call(stage: str, work: Work) -> Wanted:
    arguments, keywords = inline.arguments_of(work)
    positional = [each.python_name for each in work.block.parameters if not each.keyword_only]
    named = dict(zip(positional, arguments, strict=True)) | keywords
    recipe, unknown = _recipe(stage, work, Digests(), named, [])
    if unknown or recipe.unresolved:
        miss = Miss(elements=[(0, 1)], why=[*recipe.unresolved, *unknown])
        return Wanted(recipe=recipe, plan=None, numbers=[], keys=b"", facts=b"", unknown=[miss])
    return Wanted(recipe=recipe, plan=None, numbers=[0], keys=key_of(recipe.base, b""), facts=b"", unknown=[])


def _recipe(
    stage: str, work: Work, digests: Digests, fixed: dict[str, Any], varying: list[str]
) -> tuple[Recipe, list[Why]]:
    inputs: dict[str, str] = {}
    unknown: list[Why] = []
    secrets = _secrets(work)
    for name, value in fixed.items():
        if name in secrets:
            # by a key that lies elsewhere: nothing here is to tell what it is
            told = digest_of(name, secrets[name])
        else:
            own = digests.of(value)
            told = None if own is None else own.hex()
        if told is None:
            unknown.append(Why(cause=Cause.INPUT_UNKNOWN, subject=name))
        else:
            inputs[name] = told
    recipe = Recipe(
        stage=stage,
        function=code.name_of(work.block.function),
        code=work.code,
        outputs=list(work.block.outputs),
        inputs=inputs,
        varying=varying,
    )
    return recipe, unknown


def _secrets(work: Work) -> dict[str, Secret]:
    """The arguments that are secrets, by the names the function knows."""
    named = {each.python_name: each.name for each in work.block.parameters} | {name: name for name in work.extras}
    found = {python_name: work.values[name] for python_name, name in named.items()}
    return {python_name: value for python_name, value in found.items() if type(value) is Secret}
