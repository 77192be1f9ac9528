"""The picture of a run's moves is the table that decides them."""

from __future__ import annotations

from tests.docs.moves_picture import picture, shown


def test_the_picture_shows_the_moves_of_the_table() -> None:
    assert shown() == picture(), "draw it again: python -m tests.docs.moves_picture"
