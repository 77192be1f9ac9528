"""What holds for all tests."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile

from hypothesis import HealthCheck, settings

# A desk that is busy with other things is no reason for a property to fail. Where CI is set, hypothesis brings a
# profile of its own that says the same and always tries the same examples.
if "CI" not in os.environ:
    settings.register_profile("desk", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("desk")

# Runs of tests come into no database unless the test is about that.
os.environ["RUNSTONE_LEDGER"] = "none"

# The key by which secrets are compared is made at its first use, and not among the files of who runs the tests.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="runstone-state-")
atexit.register(shutil.rmtree, os.environ["XDG_STATE_HOME"], ignore_errors=True)

# Shells let what they start in the background ignore Ctrl-C, and so would every process that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
