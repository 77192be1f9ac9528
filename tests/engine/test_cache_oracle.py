"""Random edits of code and inputs, against an oracle that recomputes everything."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.shop import CODE, COSMETIC, shop

EDITS = 40


@pytest.mark.parametrize("seed", range(3))
def test_no_edit_leads_to_a_stale_result_or_to_a_call_in_vain(tmp_path: Path, seed: int) -> None:
    with shop(tmp_path, seed) as project:
        project.check()
        for number in range(EDITS):
            edited = project.edit()
            try:
                project.check()
            except AssertionError as error:
                raise AssertionError(f"edit {number} ({edited}): {error}") from None
        assert project.reused > project.called, "nothing was reused, so nothing was tried"


@pytest.mark.parametrize("field", COSMETIC)
def test_comments_white_space_and_docstrings_lead_to_no_call(tmp_path: Path, field: str) -> None:
    with shop(tmp_path, 0) as project:
        project.check()
        before = project.called
        project.fields[field] = {"unused": 7, "blank": "\n\n"}.get(field, "quite another text")
        project.check()
        assert project.called == before


@pytest.mark.parametrize("field", CODE)
def test_every_change_of_code_leads_to_calls_of_the_blocks_that_see_it(tmp_path: Path, field: str) -> None:
    with shop(tmp_path, 0) as project:
        project.check()
        before = project.called
        project.fields[field] = 3
        project.check()
        assert project.called > before
