"""Replay executed queries as a log in Trino's shape: who asked what, when and how often, over some weeks.

Nothing here invents a cost: every row carries the measured cost of an executed query times a small log-normal noise.
What is invented is the traffic around it: popularity, users and their habits, schedules, failures, and a last week that
differs.
"""

import datetime
import json
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from augury.errors import UserError
from augury.parameters import Parameters
from augury.predictors.query_columns import COLUMNS, EXECUTED, REPLAYED, TEXTS

GIB = 2**30

LIMIT_ERRORS = {
    "time_limit": "EXCEEDED_TIME_LIMIT",
    "cpu_limit": "EXCEEDED_CPU_LIMIT",
    "memory_limit": "EXCEEDED_LOCAL_MEMORY_LIMIT",
}
"""Outcome of an executed query -> what Trino calls it; all are of type INSUFFICIENT_RESOURCES."""

ANALYSIS_ERRORS = ("SYNTAX_ERROR", "TABLE_NOT_FOUND", "COLUMN_NOT_FOUND", "PERMISSION_DENIED")
"""Errors of type USER_ERROR that end a query before it reads anything."""

INTERRUPTIONS = (
    ("USER_CANCELED", "USER_ERROR", 0.7),
    ("ABANDONED_QUERY", "USER_ERROR", 0.1),
    ("ADMINISTRATIVELY_KILLED", "USER_ERROR", 0.05),
    ("REMOTE_TASK_ERROR", "INTERNAL_ERROR", 0.1),
    ("GENERIC_INTERNAL_ERROR", "INTERNAL_ERROR", 0.05),
)
"""Errors that end a running query, with their types and weights."""

VERSIONS = ("476", "477", "479")
"""Server versions, one after the other in equal parts of the time."""


@dataclass(frozen=True)
class Role:
    """A kind of user: with which clients, at what hours, and how much of it by schedule."""

    name: str
    share: float
    sources: tuple[str, ...]
    tags: tuple[str | None, ...]
    resource_group: str
    session: tuple[str | None, ...]
    peak_hour: float
    spread_hours: float
    activity: float


ROLES = (
    Role("etl", 0.06, ("dbt", "airflow"), ("nightly", "etl,nightly", None), "global.etl",
         ('{"query_max_run_time":"2h"}', None), 3.0, 3.0, 6.0),
    Role("dashboard", 0.08, ("superset", "tableau"), ("dashboard", "dashboard,bi"), "global.bi",
         ('{"query_max_run_time":"10m"}',), 11.0, 3.5, 6.0),
    Role("application", 0.06, ("trino-jdbc", "orders-api"), (None, "service"), "global.service",
         (None,), 13.0, 5.0, 5.0),
    Role("analyst", 0.5, ("trino-cli", "DBeaver 24.1", "superset"), (None, None, "adhoc"), "global.adhoc",
         (None, None, '{"join_distribution_type":"PARTITIONED"}'), 13.0, 3.0, 1.0),
    Role("scientist", 0.3, ("trino-python-client", "jupyter"), (None, "notebook"), "global.adhoc",
         (None, '{"task_concurrency":"8"}'), 15.0, 4.0, 1.2),
)  # fmt: skip
"""The kinds of users."""

PERIODS = (("hourly", 11, 0.35), ("every four hours", 6, 0.25), ("daily", 1, 0.35), ("weekly", 1, 0.05))
"""Schedules: name, runs on a day, share of the schedules."""

FIRST_NAMES = (
    "ada boris chen dana elif femi gita hugo ines jonas kofi lena mario nadia omar paula quinn rosa sven tara".split()
)
LAST_NAMES = (
    "adeyemi brandt costa dubois eriksen fischer garcia hansen ito jansen kovac lopez meyer novak okoye patel".split()
)


class QueryDrift(Parameters):
    """How the last days differ from all before."""

    days: int = Field(ge=0, description="how many days at the end are different; 0: none")
    new_tables: tuple[str, ...] = Field(description="tables that nobody queried before")
    new_template_share: float = Field(ge=0, lt=1, description="share of the other templates that nobody sent before")
    new_template_rows: float = Field(ge=0, le=1, description="share of the drift's rows that come from new templates")
    new_user_share: float = Field(ge=0, lt=1, description="share of the users who were not there before")
    larger_data_share: float = Field(
        ge=0, le=1, description="share of the queries over a smaller copy of the data that move to the largest one"
    )


class QueryReplay(Parameters):
    """The traffic to make of the executed queries."""

    start_date: datetime.date = Field(description="first day of the log (UTC)")
    days: int = Field(ge=2, description="days of the log")
    rows: int = Field(ge=1, description="rows of the log; at least as many as executed queries")
    users: int = Field(ge=5, description="users, services among them")
    zipf_exponent: float = Field(ge=0, description="popularity of the k-th template is 1 / k ** exponent")
    cost_aversion: float = Field(ge=0, description="how much rarer costly templates are; 0: popularity knows no cost")
    metadata_share: float = Field(ge=0, lt=1, description="share of cheap statements (SHOW, DESCRIBE, SET, ...)")
    scheduled_share: float = Field(ge=0, lt=1, description="share of the other rows that come from schedules")
    larger_data_share: float = Field(ge=0, le=1, description="mean share of queries over the largest copy of the data")
    cost_noise: float = Field(ge=0, lt=1, description="standard deviation of log CPU seconds around the measured ones")
    memory_noise: float = Field(ge=0, lt=1, description="the same of the peak memory")
    late_template_share: float = Field(ge=0, lt=1, description="share of the templates that appear after the first day")
    analysis_error_share: float = Field(ge=0, lt=1, description="share of rows that fail before they read anything")
    interruption_share: float = Field(
        ge=0, lt=0.5, description="share of rows that are cancelled or lost while running"
    )
    lost_statistics_share: float = Field(ge=0, lt=1, description="share of rows whose cost the log does not know")
    non_curated_share: float = Field(ge=0, lt=1, description="share of the users whose client info says NON-CURATED")
    drift: QueryDrift


def replay_log(executed: pd.DataFrame, replay: QueryReplay, seed: int) -> pd.DataFrame:
    """Turn executed queries into a log.

    Every executed query appears exactly once with ``origin`` executed and its measured cost; all other rows are
    ``replayed``: the measured cost times log-normal noise, cut off where the row was cancelled.

    Args:
        executed: The executed queries.
        replay: The traffic.
        seed: Seed of the traffic.

    Returns:
        The log with the canonical columns, sorted by ``create_time``.

    Raises:
        UserError: If there are more executed queries than rows, or the drift is as long as the log.
    """
    _check(executed, replay)
    executed = executed.reset_index(drop=True)
    rng = np.random.default_rng([seed, 11])
    templates = _templates(executed, replay, rng)
    users = _users(replay, rng)
    traffic = _traffic(executed, templates, users, replay, rng)
    traffic = _include_all(traffic, templates, replay, rng)
    traffic = traffic.sort_values(["time", "query"], kind="stable", ignore_index=True)
    first = np.zeros(len(traffic), dtype=bool)
    # One random row of every executed query is the execution itself
    order = rng.permutation(len(traffic))
    first[order[~pd.Series(traffic["query"].to_numpy()[order]).duplicated().to_numpy()]] = True
    return _log(traffic, first, executed, users, replay, rng)


def _check(executed: pd.DataFrame, replay: QueryReplay) -> None:
    if replay.rows < 2 * len(executed):
        raise UserError(
            f"Parameter 'query_cost.replay.rows': {len(executed)} executed queries need at least {2 * len(executed)} "
            f"rows, not {replay.rows}. Example: --params=query_cost.replay.rows={20 * len(executed)}"
        )
    if replay.drift.days >= replay.days:
        raise UserError(
            f"Parameter 'query_cost.replay.drift.days': {replay.drift.days} days of drift leave nothing of a log of "
            f"{replay.days} days. Example: --params=query_cost.replay.drift.days=7"
        )
    if executed["kind"].ne("metadata").sum() == 0:
        raise UserError("Dataset 'query_cost.executed' holds no query over data (column 'kind').")


@dataclass(frozen=True)
class _Templates:
    """Popularity and life of the templates, and their executed variants."""

    code: np.ndarray
    """Template of every executed query."""
    weight: np.ndarray
    birth: np.ndarray
    """First day on which a template may appear."""
    new: np.ndarray
    metadata: np.ndarray
    order: np.ndarray
    """Executed queries sorted by template and catalog."""
    start: np.ndarray
    """Where the variants of (template, catalog) start in ``order``, and how many there are."""
    count: np.ndarray
    size: np.ndarray
    """Order of the catalogs by the size of their data; the last is the largest."""


def _templates(executed: pd.DataFrame, replay: QueryReplay, rng: np.random.Generator) -> _Templates:
    touches = _touches(executed, replay.drift.new_tables)
    cheap = executed["kind"].eq("metadata")
    # Statements about new tables are a template of their own, for the others of their kind are older
    code, names = pd.factorize(executed["template"].where(~(cheap & touches), executed["template"] + " new"), sort=True)
    scales = np.sort(executed["scale_factor"].unique())
    size = np.searchsorted(scales, executed["scale_factor"].to_numpy())
    metadata = cheap.groupby(code).first().to_numpy()
    cost = executed["cpu_s"].groupby(code).median().rank(pct=True).to_numpy()
    rank = np.argsort(np.argsort(rng.random(len(names)) + replay.cost_aversion * cost))
    weight = (1.0 + rank) ** -replay.zipf_exponent
    drift_start = replay.days - replay.drift.days
    late = ~metadata & (rng.random(len(names)) < replay.late_template_share)
    birth = np.where(late, rng.integers(1, max(drift_start, 2), len(names)), 0)
    held_back = ~metadata & (rng.random(len(names)) < replay.drift.new_template_share)
    new = (touches.groupby(code).first().to_numpy() | held_back) & (replay.drift.days > 0)
    if (new | metadata).all():
        raise UserError(
            "Parameters 'query_cost.replay.drift.new_tables' and 'new_template_share' leave no template for the days "
            "before the drift. Example: --params=query_cost.replay.drift.new_template_share=0.1"
        )
    birth = np.where(new, drift_start + rng.integers(0, max(replay.drift.days // 2, 1), len(names)), birth)
    birth[np.argmax(np.where(metadata | new, 0.0, weight))] = 0  # something must exist on the first day
    cell = code * len(scales) + size
    order = np.argsort(cell, kind="stable")
    cells = np.arange(len(names) * len(scales))
    start = np.searchsorted(cell[order], cells)
    count = np.searchsorted(cell[order], cells, side="right") - start
    shape = (len(names), len(scales))
    return _Templates(
        code, weight, birth, new, metadata, order, start.reshape(shape), count.reshape(shape), np.arange(len(scales))
    )


def _touches(executed: pd.DataFrame, tables: tuple[str, ...]) -> pd.Series:
    """Which queries are about some of these tables; cheap statements name them in their text at most."""
    if not tables:
        return pd.Series(False, index=executed.index)
    pattern = rf"\b(?:{'|'.join(map(re.escape, tables))})\b"
    named = executed["tables"].where(executed["kind"].ne("metadata"), executed["query"])
    return named.str.contains(pattern, regex=True, flags=re.IGNORECASE)


def _users(replay: QueryReplay, rng: np.random.Generator) -> pd.DataFrame:
    """Users with their habits; the last ones are new in the drift."""
    shares = np.array([role.share for role in ROLES])
    role = rng.choice(len(ROLES), size=replay.users, p=shares / shares.sum())
    role[: len(ROLES)] = np.arange(len(ROLES))  # at least one of each
    new = np.arange(replay.users) >= replay.users - round(replay.users * replay.drift.new_user_share)
    if replay.drift.days == 0:
        new[:] = False
    activity = np.array([ROLES[r].activity for r in role]) * (1.0 + rng.permutation(replay.users)) ** -0.7
    names = [
        f"svc_{ROLES[r].name}_{number}" if ROLES[r].name in ("etl", "dashboard", "application")
        else f"{FIRST_NAMES[number % len(FIRST_NAMES)]}.{LAST_NAMES[(number // len(FIRST_NAMES)) % len(LAST_NAMES)]}"
        + (str(number) if number >= len(FIRST_NAMES) * len(LAST_NAMES) else "")
        for number, r in enumerate(role)
    ]  # fmt: skip
    sources = [
        ROLES[r].sources[int(pick * len(ROLES[r].sources))] for r, pick in zip(role, rng.random(len(role)), strict=True)
    ]
    peak = np.array([ROLES[r].peak_hour for r in role]) + rng.normal(0, 1.5, len(role))
    mean = min(max(replay.larger_data_share, 0.01), 0.99)
    return pd.DataFrame(
        {
            "name": names,
            "role": role,
            "new": new,
            "activity": activity,
            "source": sources,
            "peak_hour": peak,
            "spread": [ROLES[r].spread_hours for r in role],
            "larger_data": rng.beta(2 * mean, 2 * (1 - mean), len(role)),
            "non_curated": rng.random(len(role)) < replay.non_curated_share,
        }
    )


def _choose(weights: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Positions drawn in proportion to weights, from uniform draws."""
    cumulated = np.cumsum(weights)
    return np.minimum(np.searchsorted(cumulated, draws * cumulated[-1], side="right"), len(weights) - 1)


def _traffic(
    executed: pd.DataFrame, templates: _Templates, users: pd.DataFrame, replay: QueryReplay, rng: np.random.Generator
) -> pd.DataFrame:
    """Who sends which executed query when.

    Returns:
        One row per log entry: ``day`` and ``time`` (s) since the start, positions of ``user``, ``template`` and
        executed ``query``, ``size`` of the data, whether it is ``scheduled`` and by which schedule (``run``, else -1).
    """
    metadata_rows = round(replay.rows * replay.metadata_share) if templates.metadata.any() else 0
    scheduled_rows = round((replay.rows - metadata_rows) * replay.scheduled_share)
    habits = _habits(templates, users, rng)
    scheduled = _scheduled(scheduled_rows, habits, templates, users, replay, rng)
    rows = replay.rows - len(scheduled)
    day = _choose(_day_weights(replay), rng.random(rows))
    user = _draw_users(day, users, replay, rng)
    other = pd.DataFrame(
        {"day": day, "user": user, "time": _times(day, user, users, rng), "scheduled": False, "run": -1}
    )
    cheap = np.arange(rows) < metadata_rows
    kinds = np.flatnonzero(templates.metadata)
    template = np.empty(rows, dtype=int)
    if metadata_rows:
        older = np.where(templates.new[kinds], 0.0, templates.weight[kinds] ** 0.7)
        template[cheap] = kinds[_choose(older, rng.random(metadata_rows))]
    template[~cheap] = _draw_templates(day[~cheap], user[~cheap], habits, templates, replay, rng)
    other["template"] = template
    other["size"] = _draw_sizes(rng.random(rows) < users["larger_data"].to_numpy()[user], len(templates.size), rng)
    traffic = pd.concat([scheduled, other], ignore_index=True)
    drifting = traffic["day"].to_numpy() >= replay.days - replay.drift.days
    moves = drifting & (rng.random(len(traffic)) < replay.drift.larger_data_share)
    # A schedule that moved stays moved
    moves &= ~traffic["scheduled"].to_numpy()
    schedule_moves = rng.random(traffic["run"].max() + 2) < replay.drift.larger_data_share
    moves |= drifting & traffic["scheduled"].to_numpy() & schedule_moves[traffic["run"].to_numpy()]
    traffic.loc[moves, "size"] = templates.size[-1]
    traffic["query"] = _draw_variants(traffic, templates, rng)
    return traffic


def _habits(templates: _Templates, users: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Weight of every template for every user: popularity, and a taste for some of them."""
    taste = rng.gamma(0.15, size=(len(users), len(templates.weight)))
    return np.maximum(taste, 1e-12) * np.where(templates.metadata, 0.0, templates.weight)


def _day_weights(replay: QueryReplay) -> np.ndarray:
    """More on working days, and a little more every week."""
    days = np.arange(replay.days)
    weekday = (replay.start_date.weekday() + days) % 7
    return np.where(weekday < 5, 1.0, 0.35) * 1.002**days


def _draw_users(day: np.ndarray, users: pd.DataFrame, replay: QueryReplay, rng: np.random.Generator) -> np.ndarray:
    drifting = day >= replay.days - replay.drift.days
    activity = users["activity"].to_numpy()
    draws = rng.random(len(day))
    known = np.where(users["new"], 0.0, activity)
    return np.where(drifting, _choose(activity, draws), _choose(known, draws))


def _times(day: np.ndarray, user: np.ndarray, users: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Seconds since the start: around the user's hours, with a share at any time."""
    hour = rng.normal(users["peak_hour"].to_numpy()[user], users["spread"].to_numpy()[user])
    hour = np.where(rng.random(len(day)) < 0.08, rng.uniform(0, 24, len(day)), hour) % 24
    return day * 86_400 + hour * 3_600


def _draw_templates(
    day: np.ndarray,
    user: np.ndarray,
    habits: np.ndarray,
    templates: _Templates,
    replay: QueryReplay,
    rng: np.random.Generator,
) -> np.ndarray:
    """Templates by the users' habits, none before its first day."""
    drifting = day >= replay.days - replay.drift.days
    fresh = drifting & (rng.random(len(day)) < replay.drift.new_template_rows) & templates.new.any()
    drawn = np.full(len(day), -1)
    open_ = np.arange(len(day))
    # Only a few draws hit a template that does not exist yet, so a few rounds settle nearly all
    for _ in range(8):
        for one in np.unique(user[open_]):
            mine = open_[user[open_] == one]
            for wanted, rows in ((True, mine[fresh[mine]]), (False, mine[~fresh[mine]])):
                if len(rows):
                    weights = np.where(templates.new == wanted, habits[one], 0.0)
                    drawn[rows] = _choose(weights, rng.random(len(rows)))
        open_ = open_[templates.birth[drawn[open_]] > day[open_]]
        if not len(open_):
            return drawn
    for one in np.unique(day[open_]):
        rows = open_[day[open_] == one]
        born = (templates.birth <= one) & ~templates.metadata
        drawn[rows] = _choose(np.where(born, templates.weight, 0.0), rng.random(len(rows)))
    return drawn


def _draw_sizes(larger: np.ndarray, sizes: int, rng: np.random.Generator) -> np.ndarray:
    smaller = rng.integers(0, max(sizes - 1, 1), len(larger))
    return np.where(larger, sizes - 1, smaller)


def _scheduled(
    rows: int,
    habits: np.ndarray,
    templates: _Templates,
    users: pd.DataFrame,
    replay: QueryReplay,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Runs of dashboards and jobs: the same template by the same user over the same data, at the same minutes."""
    services = np.flatnonzero(users["role"].to_numpy() < 3)
    count = max(rows // 20, 30)  # more than enough schedules, of which the first fill the rows
    user = services[_choose(users["activity"].to_numpy()[services], rng.random(count))]
    period = _choose(np.array([share for _, _, share in PERIODS]), rng.random(count))
    drift_start = replay.days - replay.drift.days
    # Half of the schedules exist on the first day, the others come over time, as do those of new users and templates
    begin = np.where(rng.random(count) < 0.5, 0, rng.integers(0, replay.days, count))
    begin = np.where(users["new"].to_numpy()[user], np.maximum(begin, drift_start), begin)
    template = _draw_templates(begin, user, habits, templates, replay, rng)
    life = np.where(rng.random(count) < 0.7, replay.days, rng.geometric(1 / 15, count))
    end = np.minimum(begin + life, replay.days)
    size = _draw_sizes(rng.random(count) < users["larger_data"].to_numpy()[user], len(templates.size), rng)
    hour = np.where(users["role"].to_numpy()[user] == 0, rng.integers(0, 6, count), rng.integers(6, 10, count))
    second = rng.integers(0, 60, count) * 60 + rng.integers(0, 20, count)
    runs = np.array([runs for _, runs, _ in PERIODS])[period]
    schedule = np.repeat(np.arange(count), (end - begin) * runs)
    position = np.arange(len(schedule)) - np.repeat(
        np.cumsum((end - begin) * runs) - (end - begin) * runs, (end - begin) * runs
    )
    day = begin[schedule] + position // runs[schedule]
    step = np.array([1, 4, 0, 0])[period][schedule]
    time = (
        (hour[schedule] + step * (position % runs[schedule])) % 24 * 3_600
        + second[schedule]
        + rng.exponential(2.0, len(schedule))
    )
    weekday = (replay.start_date.weekday() + day) % 7
    kept = (period[schedule] != 3) | (weekday == schedule % 7)
    kept &= (weekday < 5) | (users["role"].to_numpy()[user[schedule]] == 0) | (rng.random(len(schedule)) < 0.4)
    found = pd.DataFrame(
        {
            "day": day,
            "user": user[schedule],
            "time": day * 86_400 + np.minimum(time, 86_399.0),
            "scheduled": True,
            "run": schedule,
            "template": template[schedule],
            "size": size[schedule],
        }
    )
    return found[kept].iloc[:rows].reset_index(drop=True)


def _draw_variants(traffic: pd.DataFrame, templates: _Templates, rng: np.random.Generator) -> np.ndarray:
    """An executed query of the template over the wanted data, or over other data if there is none."""
    template, size = traffic["template"].to_numpy(), traffic["size"].to_numpy().copy()
    for other in templates.size[::-1]:
        missing = templates.count[template, size] == 0
        size[missing] = other
    start, count = templates.start[template, size], templates.count[template, size]
    # People repeat some literals more than others; schedules go through them day by day
    adhoc = np.floor(count * rng.random(len(traffic)) ** 1.5).astype(int)
    daily = (traffic["day"].to_numpy() + traffic["run"].to_numpy()) % count
    return templates.order[start + np.where(traffic["scheduled"], daily, adhoc)]


def _include_all(
    traffic: pd.DataFrame, templates: _Templates, replay: QueryReplay, rng: np.random.Generator
) -> pd.DataFrame:
    """Put every executed query that nobody sent in the place of a repetition, not before its template's first day."""
    query = traffic["query"].to_numpy().copy()
    day = traffic["day"].to_numpy()
    metadata = templates.metadata[templates.code]
    earliest = templates.birth[templates.code]
    missing = np.setdiff1d(np.arange(len(templates.code)), query)
    missing = missing[rng.permutation(len(missing))]
    wanted = earliest[missing] + np.floor(rng.random(len(missing)) * (replay.days - earliest[missing])).astype(int)
    # Rows that say again what another row says, in random order, those of schedules last
    order = rng.permutation(len(traffic))
    order = order[np.argsort(traffic["scheduled"].to_numpy()[order], kind="stable")]
    again = order[pd.Series(query[order[::-1]]).duplicated().to_numpy()[::-1]]
    free = {}
    for cheap in (True, False):
        places = again[metadata[query[again]] == cheap]
        free[cheap] = [list(places[day[places] == one][::-1]) for one in range(replay.days)]
    for position, target in zip(missing, wanted, strict=True):
        # The wanted day, else the nearest later one, else the nearest earlier one; rows of the same kind first
        days = [*range(target, replay.days), *range(target - 1, earliest[position] - 1, -1)]
        kinds = (free[bool(metadata[position])], free[not metadata[position]])
        found = next((kind[one] for kind in kinds for one in days if kind[one]), None)
        if found is None:
            raise UserError(
                f"Parameter 'query_cost.replay.rows': {replay.rows} rows leave no place for all executed queries of "
                f"the last days. Example: --params=query_cost.replay.rows={2 * replay.rows}"
            )
        query[found.pop()] = position
    return traffic.assign(query=query)


def _log(
    traffic: pd.DataFrame,
    first: np.ndarray,
    executed: pd.DataFrame,
    users: pd.DataFrame,
    replay: QueryReplay,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Fill in the columns of the log."""
    rows = len(traffic)
    asked = executed.loc[traffic["query"]].reset_index(drop=True)
    people = users.loc[traffic["user"]].reset_index(drop=True)
    cpu = asked["cpu_s"].to_numpy() * np.where(first, 1.0, np.exp(rng.normal(0, replay.cost_noise, rows)))
    memory = asked["peak_memory_bytes"].to_numpy() * np.where(
        first, 1.0, np.exp(rng.normal(0, replay.memory_noise, rows))
    )
    memory = np.minimum(memory, np.where(first, np.inf, asked["memory_limit_mb"] * 2**20))
    wall = asked["wall_s"].to_numpy() * rng.uniform(1.0, 1.6, rows)
    failures = _failures(asked, first, wall, replay, rng)
    ended = failures["left"].to_numpy()
    cpu, memory, wall = cpu * ended, memory * np.where(ended < 1, ended**0.5, 1.0), wall * ended
    before_reading = failures["analysis"].to_numpy()
    known = first | (rng.random(rows) >= replay.lost_statistics_share)
    create = np.datetime64(replay.start_date, "us") + (traffic["time"].to_numpy() * 1e6).astype("timedelta64[us]")
    queued = np.minimum(rng.exponential(0.4, rows) * np.where(rng.random(rows) < 0.03, 60, 1), 600)
    end = create + ((queued + wall) * 1e6).astype("timedelta64[us]")
    context = _context(traffic, asked, people, replay, rng)
    statistics = {
        "cpu_time_s": np.where(first, cpu, np.round(cpu, 4)),
        "peak_memory_gb": np.where(first, memory / GIB, np.round(memory / GIB, 6)),
        "physical_input_bytes": np.where(before_reading, 0.0, asked["physical_input_bytes"] * ended),
        "physical_input_rows": np.where(before_reading, 0.0, asked["physical_input_rows"] * ended),
    }
    query = asked["query"].to_numpy(dtype=object)
    broken = failures["error_name"].eq("SYNTAX_ERROR").to_numpy() & asked["prepared_query"].isna().to_numpy()
    # A statement that was sent unfinished
    for row in np.flatnonzero(broken):
        query[row] = query[row][: max(int(len(query[row]) * 0.6), 6)]
    log = pd.DataFrame(
        {
            "query_id": _query_ids(create, replay, rng),
            "query": query,
            "prepared_query": asked["prepared_query"],
            "query_state": np.where(failures["error_name"].isna(), "FINISHED", "FAILED"),
            "query_type": asked["query_type"].mask(failures["error_name"].eq("SYNTAX_ERROR"), None),
            **context,
            "create_time": create,
            "end_time": end,
            "date": np.datetime_as_string(create, unit="D").astype(object),
            **{
                name: np.where(known, np.floor(values) if "input" in name else values, np.nan)
                for name, values in statistics.items()
            },
            "error_name": failures["error_name"],
            "error_type": failures["error_type"],
            "inputs_json": asked["inputs_json"].mask(before_reading, None),
            "origin": np.where(first, EXECUTED, REPLAYED),
        }
    )
    for name in TEXTS:
        log[name] = log[name].astype(object).mask(log[name].isna(), None)
    return log[list(COLUMNS)]


def _failures(
    asked: pd.DataFrame, first: np.ndarray, wall: np.ndarray, replay: QueryReplay, rng: np.random.Generator
) -> pd.DataFrame:
    """Errors of the rows, and which share of the work was done before them."""
    rows = len(asked)
    error = asked["outcome"].map(LIMIT_ERRORS).astype(object)
    type_ = error.map(lambda name: "INSUFFICIENT_RESOURCES" if isinstance(name, str) else None).astype(object)
    left = np.ones(rows)
    free = ~first & error.isna().to_numpy() & asked["kind"].ne("metadata").to_numpy()
    # People cancel what takes long
    patience = np.where(free, np.minimum(wall, 5.0) + 0.2, 0.0)
    interrupted = free & (
        rng.random(rows) < np.minimum(replay.interruption_share * rows * patience / max(patience.sum(), 1e-9), 0.5)
    )
    reason = _choose(np.array([weight for _, _, weight in INTERRUPTIONS]), rng.random(rows))
    names = np.array([name for name, _, _ in INTERRUPTIONS], dtype=object)
    types = np.array([kind for _, kind, _ in INTERRUPTIONS], dtype=object)
    error = error.mask(interrupted, pd.Series(names[reason]))
    type_ = type_.mask(interrupted, pd.Series(types[reason]))
    left = np.where(interrupted, rng.uniform(0.05, 0.95, rows), left)
    analysis = free & ~interrupted & (rng.random(rows) < replay.analysis_error_share)
    wrong = np.array(ANALYSIS_ERRORS, dtype=object)[rng.integers(0, len(ANALYSIS_ERRORS), rows)]
    error = error.mask(analysis, pd.Series(wrong))
    type_ = type_.mask(analysis, "USER_ERROR")
    left = np.where(analysis, 0.0, left)
    return pd.DataFrame({"error_name": error, "error_type": type_, "left": left, "analysis": analysis})


def _context(
    traffic: pd.DataFrame, asked: pd.DataFrame, people: pd.DataFrame, replay: QueryReplay, rng: np.random.Generator
) -> dict[str, Any]:
    """Who asked, with which client and session."""
    rows = len(traffic)
    role = people["role"].to_numpy()
    source = people["source"].to_numpy(dtype=object)
    # Everybody opens a console now and then
    source = np.where((rng.random(rows) < 0.04) & (role >= 3), "trino-cli", source)
    source = np.where(asked["prepared_query"].notna(), "trino-jdbc", source)
    tags = _of_role("tags", role, rng)
    dashboards = pd.Series(np.where(traffic["run"].to_numpy() >= 0, traffic["run"].to_numpy() % 200, -1))
    info = dashboards.map({number: json.dumps({"dashboard": number}) for number in range(200)}).astype(object)
    info = info.mask(~np.isin(source.astype(str), ["superset", "tableau"]), None)
    info = info.mask(people["non_curated"].to_numpy(), "gateway=general; NON-CURATED")
    own_session = asked["qualified"].to_numpy() & (rng.random(rows) < 0.5)
    group = np.array([item.resource_group for item in ROLES], dtype=object)[role]
    group = np.where(role >= 3, group + "." + people["name"].to_numpy(dtype=object), group)
    part = np.minimum((traffic["day"].to_numpy() * len(VERSIONS)) // replay.days, len(VERSIONS) - 1)
    return {
        "user": people["name"].to_numpy(dtype=object),
        "source": source,
        "catalog": asked["catalog"].mask(own_session, None),
        "schema": asked["schema"].mask(own_session, None),
        "client_info": info,
        "client_tags": tags,
        "resource_group_id": group,
        "session_properties": _of_role("session", role, rng),
        "server_version": np.array(VERSIONS, dtype=object)[part],
    }


def _of_role(field: str, role: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One of the values that the roles have for a field."""
    options = [getattr(item, field) for item in ROLES]
    width = max(len(values) for values in options)
    table = np.array([[values[i % len(values)] for i in range(width)] for values in options], dtype=object)
    return table[role, rng.integers(0, width, len(role))]


def _query_ids(create: np.ndarray, replay: QueryReplay, rng: np.random.Generator) -> np.ndarray:
    """Trino's form: time, number within the day, and a name that the coordinator draws when it starts."""
    letters = np.array(list("abcdefghijkmnpqrstuvwxyz23456789"))
    days = create.astype("datetime64[D]")
    number = pd.Series(days).groupby(days).cumcount().to_numpy() % 100_000
    starts = np.array(["".join(rng.choice(letters, 5)) for _ in VERSIONS], dtype=object)
    since = (days - np.datetime64(replay.start_date, "D")).astype(int)
    name = starts[np.minimum(since * len(VERSIONS) // replay.days, len(VERSIONS) - 1)]
    stamp = pd.Series(pd.DatetimeIndex(create).strftime("%Y%m%d_%H%M%S"))
    return (stamp + "_" + pd.Series(number).map("{:05d}".format) + "_" + pd.Series(name)).to_numpy(dtype=object)
