"""What many documents say together."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence, Sized
from typing import TypedDict

from reading.texts import Mentions

MOST = 30  # sentences in a report


class Said(TypedDict):
    """A sentence about the topic, where it stands, and what it mentions besides."""

    path: str
    sentence: str
    beside: list[str]


def rank(documents: Sequence[Mentions]) -> list[tuple[str, float]]:
    """Everything that is mentioned, with its weight; the heaviest first.

    The weight is how often a thing is mentioned times how few documents do (the logarithm of their inverse share, plus
    one): tf-idf. Source: Spärck Jones: A statistical interpretation of term specificity, 1972.
    """
    often: Counter[str] = Counter()
    known_in: Counter[str] = Counter()
    for document in documents:
        often.update(document["counts"])
        known_in.update(document["counts"].keys())
    weights = {name: count * (1 + math.log(len(documents) / known_in[name])) for name, count in often.items()}
    return sorted(((name, round(weight, 2)) for name, weight in weights.items()), key=lambda each: (-each[1], each[0]))


def about(topic: str, documents: Sequence[Mentions]) -> list[Said]:
    """The sentences in which the topic stands, in the order of the documents."""
    word = re.compile(rf"\b{re.escape(topic)}", re.IGNORECASE)
    return [
        Said(path=document["path"], sentence=sentence, beside=_beside(sentence, document["counts"], topic))
        for document in documents
        for sentence in document["sentences"]
        if word.search(sentence)
    ]


def _beside(sentence: str, counts: dict[str, int], topic: str) -> list[str]:
    return [name for name in counts if name in sentence and topic.lower() not in name.lower()]


def counted(things: Sized, what: str) -> str:
    """How many there are, in words: `1 sentence`, `12 sentences`."""
    return f"{len(things):,} {what}{'' if len(things) == 1 else 's'}"


def report(
    topic: str, told: Sequence[Said], documents: Sequence[Mentions], ranking: Sequence[tuple[str, float]]
) -> str:
    """The report as Markdown."""
    beside = Counter(name for each in told for name in each["beside"])
    sources = Counter(each["path"] for each in told)
    lines = [
        f"# {counted(documents, 'document')} about {topic!r}",
        "",
        f"{counted(told, 'sentence')} in {counted(sources, 'document')}. Mentioned beside it most often: "
        + (", ".join(f"{name} ({count})" for name, count in beside.most_common(8)) or "nothing")
        + ".",
        "",
        "| document | sentences about it | in all |",
        "|---|---:|---:|",
        *(
            f"| {document['path']} | {sources[document['path']]} | {len(document['sentences'])} |"
            for document in sorted(documents, key=lambda each: -sources[each["path"]])
        ),
        "",
        *(f"> {each['sentence']}\n>\n> {each['path']}\n" for each in told[:MOST]),
        "" if len(told) <= MOST else f"And {len(told) - MOST} more.\n",
        "## What the documents are about",
        "",
        ", ".join(name for name, _ in ranking[:40]) + ".",
        "",
    ]
    return "\n".join(lines)
