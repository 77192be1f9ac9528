"""What holds for tests about secrets."""

from __future__ import annotations

import pytest

from runstone.secrets import redaction


@pytest.fixture(autouse=True)
def nothing_is_known_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process keeps out what it has learnt until it ends, and this one has other tests to execute."""
    monkeypatch.setattr(redaction, "_values", ())
    monkeypatch.setattr(redaction, "_forms", ())
    monkeypatch.setattr(redaction, "_longest", 0)
