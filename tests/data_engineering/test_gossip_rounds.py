"""Rounds and states of gossip: cleaned the same on every engine, networks on one side each."""

import numpy as np
import pandas as pd
import pytest

from augury.errors import UserError
from augury.pipelines.data_engineering.gossip_rounds import GossipSplit, held_out_networks, prepare_rounds
from augury.pipelines.feature_engineering.gossip_rounds import GossipFeatures, build_gossip_tables
from augury.schemas.gossip_rounds import EvaluatedStates, GossipRounds

NETWORKS = [f"{number:024x}" for number in range(5)]


def rounds(rows=40):
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "ts": 60_000 * np.arange(rows),
            "network": random.choice(NETWORKS, rows),
            "peers": 11,
            "loss": random.random(rows) / 3,
            "churn": 0.5,
            "rtt_p50_ms": 20.0,
            "rtt_p95_ms": 50.0,
            "message_class": "small",
            "fanout": random.integers(2, 12, rows),
            "ttl": 8,
            "messages": 30,
            "duplicates": 3,
            "coverage": random.random(rows),
            "p95_ms": 12.0,
            "policy": "uniform",
            "propensity": 0.1,
        }
    )


def evaluated():
    rows = [
        {"state": f"{name}-0", "seeds": part, "network": name, "fanout": fanout, "ttl": 8}
        for name in NETWORKS
        for part in ("choice", "judge")
        for fanout in (2, 3)
    ]
    columns = rounds(1).drop(columns=["ts", "network", "fanout", "ttl", "policy", "propensity"])
    return pd.DataFrame(rows).join(columns.loc[np.zeros(len(rows), dtype=int)].reset_index(drop=True))


def test_cleaning_is_the_same_on_every_engine(frame_engine):
    raw = rounds()
    raw.loc[3, "coverage"] = None
    raw.loc[4, "message_class"] = None
    raw.loc[5, "rtt_p95_ms"] = None
    found = prepare_rounds(frame_engine.make(raw), frame_engine.make(evaluated()), GossipSplit(), 1)
    expected = prepare_rounds(raw, evaluated(), GossipSplit(), 1)
    for table, other in zip(found[:3], expected[:3], strict=True):
        pd.testing.assert_frame_equal(table, other)
    assert found[3] == expected[3]
    observed = found[0].set_index("ts")
    assert 3 * 60_000 not in observed.index
    assert observed.loc[4 * 60_000, "message_class"] == "small"
    assert observed.loc[5 * 60_000, "rtt_p95_ms"] == 40
    assert observed["messages_per_node"].unique().tolist() == [30 / (1 + 10 * 0.5)]


def test_a_network_stays_on_one_side():
    observed, states, outcomes, report = prepare_rounds(rounds(), evaluated(), GossipSplit(holdout_share=0.4), 1)
    sides = pd.concat([observed, states]).groupby("network")["split"].nunique()
    assert (sides == 1).all()
    assert states["split"].value_counts().to_dict() == {"train": 3, "holdout": 2}
    assert report["networks_holdout"] == 2 and len(outcomes) == len(evaluated())


def test_the_split_depends_on_names_and_seed_alone():
    one = prepare_rounds(rounds(), evaluated(), GossipSplit(), 1)[1]
    other = prepare_rounds(rounds().sample(frac=1, random_state=0), evaluated()[::-1], GossipSplit(), 1)[1]
    pd.testing.assert_frame_equal(one, other)
    assert held_out_networks(["a", "b"], 0.01, 0) != [] and len(held_out_networks(["a", "b"], 0.99, 0)) == 1


def test_optional_columns_may_be_missing():
    raw = rounds().drop(columns=["churn", "rtt_p95_ms", "message_class", "propensity"])
    GossipRounds.validate(raw)
    observed = prepare_rounds(raw, evaluated(), GossipSplit(), 1)[0]
    assert (observed["churn"] == 0).all() and observed["propensity"].isna().all()


@pytest.mark.parametrize(
    ("validator", "table", "said"),
    [
        (GossipRounds, lambda: rounds().assign(loss=1.5), "'loss'"),
        (GossipRounds, lambda: rounds().drop(columns="fanout"), "'fanout'"),
        (GossipRounds, lambda: rounds().assign(message_class="huge"), "must be one of control"),
        (GossipRounds, lambda: rounds().assign(propensity=0.0), "above 0"),
        (EvaluatedStates, lambda: evaluated().assign(seeds="both"), "choice or judge"),
    ],
    ids=["loss", "fanout", "class", "propensity", "seeds"],
)
def test_broken_tables_are_refused(validator, table, said):
    with pytest.raises(UserError, match=said):
        validator.validate(table())


def test_nothing_to_learn_or_to_judge_by_is_refused():
    with pytest.raises(UserError, match="both must have some"):
        prepare_rounds(rounds().assign(coverage=np.nan), evaluated(), GossipSplit(), 1)
    with pytest.raises(UserError, match="at least 2"):
        prepare_rounds(rounds(), evaluated().head(4), GossipSplit(), 1)
    held_out = held_out_networks(NETWORKS, 0.4, 1)
    with pytest.raises(UserError, match="held out"):
        prepare_rounds(rounds().assign(network=held_out[0]), evaluated(), GossipSplit(), 1)


def test_the_latest_training_rounds_count_and_the_others_stand_by():
    prepared = prepare_rounds(rounds(200), evaluated(), GossipSplit(), 1)
    training, later, states, _, cases = build_gossip_tables(*prepared[:3], GossipFeatures(most_rounds=30))
    held_out = set(cases["network"])
    assert len(training) == 30 and not held_out & set(training["network"])
    train_times = prepared[0].loc[prepared[0]["split"] == "train", "ts"]
    assert training["ts"].min() >= train_times.sort_values().iloc[-30]
    assert set(later["network"]) == held_out and (cases["group"] == cases["network"]).all()
    assert len(states) == 5
