"""What schedule.yml may say, and the one of the repository."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from augury.configuration import read_configuration
from augury.errors import UserError
from augury.pipelines.assembly import PREDICTORS
from augury.scheduling.settings import Job, Schedule, read_schedule

REPOSITORY = Path(__file__).parents[2]
STEPS = {"train": ["model_training"]}


def read(job: dict[str, Any], **settings: Any) -> Schedule:
    return read_schedule({"schedule": {"steps": STEPS, "jobs": {"prefetch": job}, **settings}})


def test_every_predictor_has_a_job() -> None:
    found = read_schedule(read_configuration(REPOSITORY, "test", "schedule"))
    assert set(found.jobs) == set(PREDICTORS)
    often = {name: job.every for name, job in found.jobs.items() if job.every != "weekly"}
    assert often == {"prefetch": "daily", "gossip_tuning": "daily", "peer_selection": "hourly"}
    weekly = {job.words for job in found.jobs.values() if job.every == "weekly"}
    assert weekly == {"weekly, sunday 03:00"}


def test_an_environment_overrides_single_values(tmp_path: Path) -> None:
    for name in ("base", "prod"):
        (tmp_path / "conf" / name).mkdir(parents=True)
    text = (REPOSITORY / "conf" / "base" / "schedule.yml").read_text(encoding="utf-8")
    (tmp_path / "conf" / "base" / "schedule.yml").write_text(text, encoding="utf-8")
    change = {"schedule": {"jobs": {"taxonomy": {"enabled": False}}, "retries": 5}}
    (tmp_path / "conf" / "prod" / "schedule.yml").write_text(yaml.safe_dump(change), encoding="utf-8")
    found = read_schedule(read_configuration(tmp_path, "prod", "schedule"))
    assert found.retries == 5
    assert not found.jobs["taxonomy"].enabled
    assert found.jobs["taxonomy"].words == "weekly, sunday 03:00"
    assert len(found.jobs) == len(PREDICTORS)


@given(hour=st.integers(0, 23), minute=st.integers(0, 59))
def test_times_mean_the_same_with_and_without_quotes(hour: int, minute: int) -> None:
    """YAML 1.1 reads a bare 13:30 as the number 810."""
    text = f"{hour:02d}:{minute:02d}"
    for written in (text, f"'{text}'"):
        job = Job.model_validate({"every": "daily", "at": yaml.safe_load(f"at: {written}")["at"]})
        assert (job.hour, job.minute) == (hour, minute)


@pytest.mark.parametrize(
    ("job", "message"),
    [
        pytest.param({"every": "monthly"}, "every", id="every"),
        pytest.param({"every": "daily", "at": "24:00"}, "no time of day", id="time"),
        pytest.param({"every": "hourly", "at": "03:00"}, "minute of every hour", id="hourly"),
        pytest.param({"every": "daily", "weekday": "monday"}, "weekly", id="weekday"),
        pytest.param({"every": "daily", "prio": 1}, "prio", id="unknown"),
        pytest.param({"every": "daily", "new_rows": {"file": "x.csv", "rows": 0}}, "rows", id="rows"),
    ],
)
def test_jobs_that_mean_nothing_are_refused(job: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=rf"schedule.yml: schedule.jobs.prefetch.*{message}"):
        read(job)


@pytest.mark.parametrize("name", ["--env=x", "../up", "Pre", "a b"])
def test_names_that_are_no_predictors_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="no name of a predictor"):
        read_schedule({"schedule": {"steps": STEPS, "jobs": {name: {"every": "daily"}}}})


def test_without_a_file_there_is_a_message() -> None:
    with pytest.raises(UserError, match=r"no conf/base/schedule.yml"):
        read_schedule(None)


def test_waits_double_up_to_the_longest() -> None:
    found = read({"every": "daily"}, backoff_minutes=10, most_backoff_minutes=60)
    assert [found.wait_before("prefetch", attempt) / 60 for attempt in (1, 2, 3, 4, 2000)] == [10, 20, 40, 60, 60]
    own = read({"every": "daily", "backoff_minutes": 1, "retries": 7})
    assert own.wait_before("prefetch", 2) == 120
    assert own.retries_of("prefetch") == 7
