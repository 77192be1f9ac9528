"""What holds for all tests."""

from __future__ import annotations

import os
import signal

from hypothesis import HealthCheck, settings

# A desk that is busy with other things is no reason for a property to fail. Where CI is set, hypothesis brings a
# profile of its own that says the same and always tries the same examples.
if "CI" not in os.environ:
    settings.register_profile("desk", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("desk")

# Runs of tests come into no database unless the test is about that.
os.environ["RUNSTONE_LEDGER"] = "none"

# Shells let what they start in the background ignore Ctrl-C, and so would every process that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
