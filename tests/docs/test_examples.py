"""What the pages show is what happens."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.likeness import alike
from tests.docs.page import PAGES
from tests.docs.reader import follow


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_example_of_a_page_gives_what_the_page_shows(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow(page, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("run 0a1b2c3d ended", "run 4d5e6f70 ended\n"),
        ("first\n...\nlast", "first\na\nb\nlast\n"),
        ("first\n...\nlast", "first\nlast\n"),
        ('{"id":...,"seq":3}', '{"id":"x","done":true,"seq":3}'),
        ("in /home/ada/project/runs", "in /tmp/somewhere/runs"),
    ],
)
def test_what_differs_in_every_run_may_differ(shown: str, printed: str) -> None:
    assert alike(shown, printed, "/tmp/somewhere")


@pytest.mark.parametrize(
    ("shown", "printed"),
    [("completed", "failed"), ("a\nb", "a\n"), ("a", "a\nb\n"), ("9 files", "8 files"), ("a ... c", "a b d")],
)
def test_everything_else_must_not_differ(shown: str, printed: str) -> None:
    assert not alike(shown, printed, "/tmp/somewhere")
