"""The time zone of the person at the terminal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

from runstone.folder import clock


class LocalZone(tzinfo):
    """The zone of this machine, with its summer times, also for days far from today."""

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        if moment is None:
            return None
        try:
            return moment.replace(tzinfo=None).astimezone().utcoffset()
        except (OverflowError, OSError, ValueError):
            return timedelta(0)

    def dst(self, moment: datetime | None) -> timedelta | None:
        return None

    def tzname(self, moment: datetime | None) -> str | None:
        return "local"

    def fromutc(self, moment: datetime) -> datetime:
        try:
            return moment.replace(tzinfo=UTC).astimezone().replace(tzinfo=self)
        except (OverflowError, OSError, ValueError):
            return moment


def on_the_wall(moment: str | None, form: str) -> str | None:
    """A time of the ledger as the clock on the wall shows it; None if it is none."""
    then = clock.seconds(moment)
    if then is None:
        return None
    try:
        return datetime.fromtimestamp(then).astimezone().strftime(form)
    except (OverflowError, OSError, ValueError):
        return None
