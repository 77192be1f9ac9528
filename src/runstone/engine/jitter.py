"""Chance, where the engine leaves something to it."""

from __future__ import annotations


def jitter() -> float:
    """The part of a wait, from [0, 1), that is waited."""
    # loaded by those who wait: it takes as long as all of a small run
    import random

    return random.random()
