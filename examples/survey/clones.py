"""Finding functions that were copied from one file to another, also if they were changed afterwards.

A function becomes a word with one letter for each node of its syntax tree. Winnowing chooses a few fingerprints of each
word; functions that share many become suspects; comparing their words letter by letter decides.

Source of winnowing: Schleimer, Wilkerson, Aiken: Winnowing, local algorithms for document fingerprinting, 2003.
"""

from __future__ import annotations

import ast
import functools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from difflib import SequenceMatcher
from itertools import combinations
from typing import TypedDict
from zlib import crc32

from survey.syntax import FUNCTIONS, children, definitions

SHORTEST = 40  # letters: about four lines. What is shorter is alike by chance
GRAM, WINDOW = 8, 5  # each run of GRAM + WINDOW - 1 = 12 letters that two words share gives them a common fingerprint
COMMON = 40  # a fingerprint that more functions than this have says nothing
SUSPICIOUS = 0.2  # the share of fingerprints in common from which on two words are compared
ALIKE = 0.8  # the likeness from which on we speak of a copy


class Copies(TypedDict):
    """Code that stands in several places. lines: of the shortest. likeness: of the least alike that were compared."""

    places: list[str]
    lines: int
    likeness: float


def words(path: str, tree: ast.Module) -> dict[str, str]:
    """The word of every function that is long enough, by its place; functions within functions belong to the outer."""
    found = {}
    for name, node, deferred in definitions(tree):
        if isinstance(node, FUNCTIONS) and not deferred and len(word := _word(node)) >= SHORTEST:
            found[f"{path}:{node.lineno} {name}"] = word
    return found


def _word(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Layout, comments, docstring, constants and the names of local variables make no difference to it."""
    body = function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body
    nodes = [node for statement in body for node in _in_order(statement)]
    own = {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}
    own |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return "".join(_letter(_meaning(node, own)) for node in nodes)


def _in_order(root: ast.AST) -> Iterator[ast.AST]:
    todo = [root]
    while todo:
        node = todo.pop()
        yield node
        todo += reversed(children(node))


def _meaning(node: ast.AST, own: set[str]) -> str:
    if isinstance(node, ast.Name):
        return "own" if node.id in own else node.id
    return f".{node.attr}" if isinstance(node, ast.Attribute) else type(node).__name__


@functools.cache
def _letter(meaning: str) -> str:
    """One of the 20,000 letters from U+4E00 on. Few meanings share one, and a likeness hardly feels it."""
    return chr(0x4E00 + crc32(meaning.encode(errors="surrogatepass")) % 20_000)


def winnow(word: str) -> list[int]:
    """The fingerprints of a word: of every WINDOW grams that follow each other, the one with the lowest checksum."""
    data = word.encode("utf-16-le")  # two bytes a letter
    sums = [crc32(data[start : start + 2 * GRAM]) for start in range(0, len(data) - 2 * GRAM + 2, 2)]
    return sorted({min(sums[start : start + WINDOW]) for start in range(len(sums) - WINDOW + 1)})


def suspects(fingerprints: Mapping[str, list[int]]) -> list[tuple[str, str]]:
    """Pairs of functions in different files that have many fingerprints in common."""
    holders: dict[int, list[str]] = defaultdict(list)
    for place, prints in fingerprints.items():
        for each in prints:
            holders[each].append(place)
    shared: Counter[tuple[str, str]] = Counter()
    for places in holders.values():
        if len(places) <= COMMON:
            shared.update(pair for pair in combinations(places, 2) if file_of(pair[0]) != file_of(pair[1]))
    return sorted(
        (one, other)
        for (one, other), count in shared.items()
        if count >= SUSPICIOUS * max(len(fingerprints[one]), len(fingerprints[other]))
    )


def likeness(one: str, other: str) -> float:
    """How alike two words are, from 0 to 1 (Ratcliff and Obershelp)."""
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


def families(
    found: Mapping[str, str], compared: Iterable[tuple[tuple[str, str], float]], lines: Mapping[str, int]
) -> list[Copies]:
    """Gather what is identical or alike enough, also by way of a third; what has the most copied lines comes first.

    found: the word of every function. compared: pairs of different words with their likeness. lines: of every function.
    """
    by_word: dict[str, list[str]] = defaultdict(list)
    for place, word in found.items():
        by_word[word].append(place)
    family = {place: places for places in by_word.values() for place in places}
    least = dict.fromkeys(found, 1.0)
    for (one, other), value in compared:
        if value < ALIKE:
            continue
        into, out_of = family[one], family[other]
        least[into[0]] = min(value, least[into[0]], least[out_of[0]])
        if into is not out_of:
            into += out_of
            family.update(dict.fromkeys(out_of, into))
    copies = []
    for places in {id(places): places for places in family.values()}.values():
        if len({file_of(place) for place in places}) > 1:
            shortest = min(lines[place] for place in places)
            copies.append(Copies(places=sorted(places), lines=shortest, likeness=round(least[places[0]], 3)))
    return sorted(copies, key=lambda each: (-each["lines"] * (len(each["places"]) - 1), each["places"]))


def file_of(place: str) -> str:
    """The file of a place."""
    return place.partition(":")[0]
