"""What the tests of moments take as the truth: Python's own `datetime`, with the zones of the package tzdata."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from engine.values.calendar import zone_names

__all__ = ["clock_at", "seconds", "zone", "zones"]

YEAR_2, YEAR_9998 = -62_104_060_800, 253_339_228_800


@cache
def zone(name: str) -> ZoneInfo:
    """A zone as the package has it, not the machine."""
    before = zoneinfo.TZPATH
    zoneinfo.reset_tzpath(())
    try:
        return ZoneInfo.no_cache(name)
    finally:
        zoneinfo.reset_tzpath(before)


def clock_at(moment: int, name: str) -> datetime:
    """The wall clock in a zone."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=moment)).astimezone(zone(name))


zones = st.sampled_from(
    [
        "UTC", "Europe/Amsterdam", "Europe/Dublin", "America/New_York", "America/St_Johns", "Asia/Tokyo",
        "Asia/Kathmandu", "Africa/Casablanca", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Pyongyang",
        "America/Caracas",
    ]
) | st.sampled_from(zone_names())  # fmt: skip
"""Zones with something odd about them, and all others."""

seconds = st.integers(0, 2**32) | st.integers(YEAR_2, YEAR_9998)
"""Moments that Python's `datetime` knows in every zone."""
