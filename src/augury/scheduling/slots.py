"""When a job is due: the slots of its calendar, in seconds since the epoch (UTC)."""

from datetime import UTC, datetime

from augury.scheduling.settings import Job

PERIODS = {"hourly": 3_600, "daily": 86_400, "weekly": 604_800}
"""Seconds from one slot to the next; UTC knows no summer time, so they are all alike."""

_MONDAY = 4 * 86_400
"""The first Monday after the epoch, which was a Thursday."""


def newest_slot(job: Job, now: float) -> int:
    """The last time at which a job was due.

    Args:
        job: When it is due.
        now: Seconds since the epoch.

    Returns:
        The largest slot that is not after `now`.

    Examples:
        >>> job = Job(every="weekly", weekday="sunday", at="03:00")
        >>> as_text(newest_slot(job, datetime(2026, 7, 8, tzinfo=UTC).timestamp()))
        '2026-07-05T03:00Z'
    """
    period = PERIODS[job.every]
    offset = job.minute * 60
    if job.every != "hourly":
        offset += job.hour * 3_600
    if job.every == "weekly":
        offset += _MONDAY + job.day * 86_400
    return int((now - offset) // period) * period + offset


def next_slot(job: Job, now: float) -> int:
    """The next time at which a job is due, after `now`."""
    return newest_slot(job, now) + PERIODS[job.every]


def slots_between(job: Job, last: int, newest: int) -> int:
    """How many slots lie after `last`, up to and with `newest`; a calendar that was changed has moved slots."""
    return -(-(newest - last) // PERIODS[job.every]) if newest > last else 0


def as_text(moment: float) -> str:
    """A moment to the minute, such as ``2026-07-05T03:00Z``."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%MZ")
