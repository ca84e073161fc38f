"""Fetches from peers: what is set aside, what a table is taken for, the order of time, and the same on every engine."""

import numpy as np
import pandas as pd
import pytest

from augury.errors import UserError
from augury.pipelines.collection.peer_simulation import PeerSimulation, simulate_fetches
from augury.pipelines.data_engineering.peer_fetches import FetchSource, FetchSplit, prepare_fetches
from augury.pipelines.feature_engineering.peer_fetches import build_request_features
from augury.schemas.fetches import Fetches

SMALL = PeerSimulation(clients=6, peers=9, requests=60, candidates=3, flaky=0.4)


@pytest.fixture(scope="module")
def fetches():
    return simulate_fetches(SMALL, 1)


def prepare(table, split=None, **source):
    return prepare_fetches(table, FetchSource(**source), split or FetchSplit())


def as_log(fetches):
    """Only what was chosen has an outcome."""
    chosen = fetches["chosen"] == 1
    return fetches.assign(rtt_ms=fetches["rtt_ms"].where(chosen), ok=fetches["ok"].where(chosen))


def test_a_mesh_is_kept_whole_and_split_by_time(fetches):
    primary, report = prepare(fetches)
    assert report["outcomes"] == "measured" and report["set_aside"] == {} and report["origin"] == {"simulated": 180}
    assert len(primary) == len(fetches) and primary["latency_ms"].notna().all()
    assert report["requests"] == {"train": 36, "test": 24}
    train, test = (primary[primary["split"] == side] for side in ("train", "test"))
    assert train["ts"].max() < test["ts"].min() == report["test_from"]
    assert primary["ts"].is_monotonic_increasing
    assert (primary.groupby("case")["peer"].apply(lambda peers: peers.is_monotonic_increasing)).all()


def test_failures_cost_the_timeout_that_training_tells(fetches):
    primary, report = prepare(fetches)
    train = primary[primary["split"] == "train"]
    expected = 3 * train.loc[train["ok"] == 1, "latency_ms"].quantile(0.99)
    assert report["timeout_ms"] == pytest.approx(expected)
    failed = primary["ok"] == 0
    assert failed.sum() == report["failed"] == (fetches["ok"] == 0).sum() > 0
    assert (primary.loc[failed, "latency_ms"] == report["timeout_ms"]).all()
    given = prepare(fetches, timeout_ms=9999.0)[0]
    assert (given.loc[given["ok"] == 0, "latency_ms"] == 9999.0).all()


def test_of_a_log_only_chosen_outcomes_count(fetches):
    log = as_log(fetches)
    primary, report = prepare(log)
    assert report["outcomes"] == "logged"
    np.testing.assert_array_equal(primary["latency_ms"].notna(), primary["chosen"] == 1)
    forced, _ = prepare(fetches, outcomes="logged")
    pd.testing.assert_frame_equal(forced.drop(columns="ok"), primary.drop(columns="ok"))


@pytest.mark.parametrize(
    ("change", "rule", "rows"),
    [
        (lambda t: t.assign(client=t["client"].where(t.index > 2, None)), "an id is missing", 3),
        (lambda t: t.assign(peer=t["peer"].where(t.index != 0, t["client"])), "a client is its own candidate", 1),
        (lambda t: pd.concat([t, t.head(2)]), "a candidate is listed twice", 2),
        (lambda t: t.assign(client=t["client"].where(t.index != 1, "other")), "a request has several clients", 3),
        (lambda t: t.assign(chosen=t["chosen"].where(t.index > 2, 1)), "a request has several chosen candidates", 3),
        (lambda t: t.assign(rtt_ms=t["rtt_ms"].where(t.index != 4, 0.0), ok=1.0), "a candidate was not measured", None),
        (lambda t: t.drop(index=[0, 1]), "a request has a single candidate", 1),
    ],
    ids=["blank", "itself", "twice", "clients", "chosen", "unmeasured", "single"],
)
def test_what_breaks_a_rule_is_set_aside_or_refused(fetches, change, rule, rows):
    table = change(fetches.reset_index(drop=True)).reset_index(drop=True)
    _, report = prepare(table)
    assert rule in report["set_aside"]
    assert rows is None or report["set_aside"][rule] == rows
    with pytest.raises(UserError, match=rule):
        prepare(table, invalid="refuse")


@pytest.mark.parametrize("value", [0.0, -3.0, np.nan, np.inf])
def test_what_is_no_latency_was_not_measured(fetches, value):
    table = fetches.assign(ok=1.0, rtt_ms=fetches["rtt_ms"].fillna(5.0))
    table.loc[7, "rtt_ms"] = value
    primary, report = prepare(table)
    assert report["set_aside"] == {"a candidate was not measured": 1}
    assert (primary["latency_ms"] > 0).all()


def test_renamed_columns_other_units_and_numbers_as_ids(fetches):
    ids = {name: pd.factorize(fetches[name], sort=True)[0] for name in ("request", "client", "peer")}
    ids["peer"] = ids["peer"] + 100
    other = fetches.assign(**ids, rtt_ms=fetches["rtt_ms"] / 1000).rename(
        columns={"rtt_ms": "seconds", "request": "decision"}
    )
    renamed, _ = prepare(other, columns={"rtt_ms": "seconds", "request": "decision"}, scale_to_ms=1000.0)
    assert np.sort(renamed["latency_ms"]) == pytest.approx(np.sort(prepare(fetches)[0]["latency_ms"]))
    assert set(renamed["client"]) == {str(number) for number in range(6)}


def test_the_fewest_columns_are_enough(fetches):
    primary, report = prepare(fetches[["request", "client", "peer", "rtt_ms"]].dropna())
    assert report["outcomes"] == "measured" and report["propensities"] == "missing"
    assert (primary["chosen"] == 0).all() and primary["ts"].is_monotonic_increasing
    order = primary["case"].drop_duplicates()
    assert order.tolist() == fetches["request"].drop_duplicates()[lambda names: names.isin(order)].tolist()


@pytest.mark.parametrize(
    ("table", "source", "message"),
    [
        (lambda t: t.drop(columns="peer"), {}, "required column missing: 'peer'"),
        (lambda t: t, {"columns": {"rtt_ms": "rt_ms"}}, r"'rt_ms' \(Did you mean 'rtt_ms'"),
        (lambda t: t, {"columns": {"rtt": "rtt_ms"}}, "'rtt' is no column of this table"),
        (lambda t: t.assign(ok=0.0), {}, "no fetch of the training period came to its end"),
        (lambda t: t.assign(ts=5), {}, "all requests are of one moment"),
        (lambda t: t.assign(client=t["peer"]), {}, "no request is left"),
        (lambda t: t.head(0), {}, "peer_selection.fetches: the table has no rows"),
    ],
    ids=["column", "renamed", "no column", "all failed", "one moment", "nothing left", "no rows"],
)
def test_tables_that_cannot_be_read_are_refused(fetches, table, source, message):
    with pytest.raises(UserError, match=message):
        prepare(table(fetches), **source)


def test_the_schema_names_column_and_rule(fetches):
    assert Fetches.validate(fetches) is fetches
    with pytest.raises(UserError, match=r"rtt_ms.*must be a number"):
        Fetches.validate(fetches.assign(rtt_ms="fast"))
    with pytest.raises(UserError, match="no rows"):
        Fetches.validate(fetches.head(0))


def test_every_engine_gives_the_same(frame_engine, fetches):
    raw = as_log(fetches).sample(frac=1, random_state=0)
    expected, told = prepare(as_log(fetches))
    found, report = prepare(frame_engine.make(raw))
    pd.testing.assert_frame_equal(found, expected)
    assert report == told


def test_cases_are_the_held_out_requests(fetches):
    primary, _ = prepare(fetches)
    train, cases, candidates, report = build_request_features(primary)
    assert cases["case"].tolist() == candidates["case"].drop_duplicates().tolist()
    assert len(train) + len(candidates) == len(primary) and report["holdout_requests"] == len(cases) == 24
    known = set(train["peer"])
    new = candidates[~candidates["peer"].isin(known)].groupby("case").size()
    expected = cases["case"].map(new).fillna(0).astype(int).astype(str)
    assert cases["slice_new_peers"].tolist() == expected.tolist()


# --- the simulation ---


def test_a_simulation_is_the_same_for_a_seed_and_has_what_it_says():
    collection = PeerSimulation(clients=10, peers=20, requests=2000, flaky=0.25, flaky_timeouts=0.4, timeouts=0.0)
    first, again, other = (simulate_fetches(collection, seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)
    by_request = first.groupby("request")
    assert (by_request["chosen"].sum() == 1).all() and (by_request["propensity"].sum() - 1 < 1e-9).all()
    assert (by_request["peer"].nunique() == 5).all()
    failed = first["ok"].eq(0).groupby(first["peer"]).mean()
    assert ((failed == 0) | ((failed > 0.3) & (failed < 0.5))).all() and 0 < (failed > 0).sum() < 12
    lives = first.groupby("peer")["ts"].agg(["min", "max"])
    length = first["ts"].max() - first["ts"].min()
    assert ((lives["min"] - first["ts"].min()) > 0.08 * length).sum() == 3
    assert ((first["ts"].max() - lives["max"]) > 0.08 * length).sum() == 3
