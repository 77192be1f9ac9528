"""What a tracked run finds around it: the trace it is part of, the commit of its code, the run it is inside of."""

from __future__ import annotations

import sys
from typing import Any

from runstone import config
from runstone.core.settings import Settings
from runstone.core.tracked import TrackSurroundings
from runstone.engine import surroundings
from runstone.errors import SettingError
from runstone.folder import clock


def trace_id() -> str | None:
    """The trace of OpenTelemetry that is going on, 32 hexadecimal digits; None if there is none."""
    api: Any = sys.modules.get("opentelemetry.trace")
    if api is None:
        return None
    try:
        context = api.get_current_span().get_span_context()
        return f"{context.trace_id:032x}" if context.is_valid else None
    except Exception:
        # whatever stands there, it is somebody else's
        return None


def look_around() -> TrackSurroundings:
    """The commit of the code, and a digest of the configuration. Waits for git."""
    try:
        file = config.text()
    except SettingError:
        # whoever needs the file says what is wrong with it
        file = b""
    return TrackSurroundings(
        at=clock.now(),
        code_ref=surroundings.commit(surroundings.ask()) or None,
        config_hash=surroundings.config_hash(Settings(), {}, file),
    )
