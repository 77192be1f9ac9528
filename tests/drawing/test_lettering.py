from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstone.drawing.lettering import cells, pixels, shortened, shortened_to_cells, showable, wrapped_to_cells


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("files[i] -> stats[i]", "files[i] -> stats[i]"),
        ("größe 日本 😀", "größe 日本 😀"),
        ("a\nb\tc", "a b c"),
        ("\x1b[31mred", "\ufffd[31mred"),
        ("\x9b31m", "\ufffd31m"),
        ("half \ud83d", "half \ufffd"),
        ("\u202eturned", "\ufffdturned"),
        ("no character \uffff", "no character \ufffd"),
    ],
)
def test_what_could_command_a_terminal_or_break_a_picture_is_replaced(text: str, shown: str) -> None:
    assert showable(text) == shown


@pytest.mark.parametrize(("text", "columns"), [("abc", 3), ("日本", 4), ("e\u0301", 1), ("", 0), ("a\u200b", 1)])
def test_columns_are_counted_as_a_terminal_does(text: str, columns: int) -> None:
    assert cells(text) == columns


@given(st.text(), st.integers(0, 30))
def test_shortened_text_fits_and_is_the_start_of_the_whole(text: str, most: int) -> None:
    text = showable(text)
    for short, room in ((shortened_to_cells(text, most), cells), (shortened(text, most * 10, size=14), None)):
        if room:
            assert room(short) <= most
        elif short != "…":
            assert pixels(short, 14) <= most * 10
        assert text.startswith(short.removesuffix("…").rstrip()) or text == short


@given(st.text(alphabet="ab 日\u0301", max_size=60), st.integers(2, 12))
def test_wrapped_text_fits_and_loses_no_letter(text: str, most: int) -> None:
    lines = wrapped_to_cells(text, most)
    assert all(cells(line) <= most for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_text_is_wrapped_at_spaces() -> None:
    assert wrapped_to_cells("makes train, validation, test", 14) == ["makes train,", "validation,", "test"]
