"""When jobs are due."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from augury.scheduling.settings import WEEKDAYS, Job
from augury.scheduling.slots import PERIODS, newest_slot, next_slot, slots_between

MOMENTS = st.integers(0, 4_000_000_000)


@st.composite
def jobs(draw: Any) -> Job:
    every = draw(st.sampled_from(["hourly", "daily", "weekly"]))
    hour = 0 if every == "hourly" else draw(st.integers(0, 23))
    weekday = draw(st.sampled_from(WEEKDAYS)) if every == "weekly" else None
    return Job(every=every, at=f"{hour:02d}:{draw(st.integers(0, 59)):02d}", weekday=weekday)


@given(job=jobs(), now=MOMENTS)
def test_the_newest_slot_is_what_the_calendar_says(job: Job, now: int) -> None:
    """There is one moment in every period with the right minute, hour and day, and the standard library knows it."""
    slot = newest_slot(job, now)
    assert now - PERIODS[job.every] < slot <= now
    moment = datetime.fromtimestamp(slot, UTC)
    assert (moment.minute, moment.second) == (job.minute, 0)
    if job.every != "hourly":
        assert moment.hour == job.hour
    if job.every == "weekly":
        assert WEEKDAYS[moment.weekday()] == job.weekday


@given(job=jobs(), now=MOMENTS, periods=st.integers(0, 50))
def test_slots_are_counted_without_gaps(job: Job, now: int, periods: int) -> None:
    slot = newest_slot(job, now)
    assert newest_slot(job, next_slot(job, now)) == next_slot(job, now)
    assert newest_slot(job, next_slot(job, now) - 1) == slot
    later = newest_slot(job, slot + periods * PERIODS[job.every])
    assert slots_between(job, slot, later) == periods
    assert slots_between(job, later, slot) == 0 or periods == 0
