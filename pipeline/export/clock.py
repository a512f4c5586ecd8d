"""Site time as text: epoch seconds rounded to microseconds, ISO 8601 UTC to milliseconds."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def rounded_s(time_s: float) -> float:
    """Epoch seconds to the microsecond, the precision that is written."""
    return round(float(time_s), 6)


def iso(time_s: float) -> str:
    """``2026-03-01T09:00:00.040Z``: UTC, milliseconds."""
    moment = _EPOCH + timedelta(milliseconds=round(float(time_s) * 1000))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_iso(text: str) -> float:
    """Epoch seconds of an ISO 8601 time; UTC where no zone is given.

    Raises:
        ValueError: not such a time.
    """
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
