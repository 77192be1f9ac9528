"""A server of the ledger that is away for a minute."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.chaos.conftest import Figures
from tests.harness.postgres import Server
from tests.ledger import test_through_an_outage as outage

pytestmark = pytest.mark.chaos
home = outage.home


def test_a_minute(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path, figures: Figures
) -> None:
    """PostgreSQL away for 60 s, while runs go on"""
    monkeypatch.setattr(outage, "AWAY", 60.0)
    with Server() as server:
        done = outage.through_an_outage(server, monkeypatch, capfd, tmp_path, signal.SIGINT)
    figures.told("runs recorded meanwhile", done)
    figures.told("lost, or other than their folders say", 0)
