"""The gossip simulator against answers computed another way, and the networks it plays in."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augury.errors import UserError
from augury.pipelines.collection import gossip_network as gn
from augury.pipelines.collection.gossip_kernel import COVERAGE, DUPLICATES, MESSAGES, P95_MS, PRESENT, simulate
from augury.pipelines.collection.gossip_rounds import GossipCollection, collect_rounds, evaluate_states, log_rounds
from augury.predictors.gossip_states import ActionGrid
from augury.schemas.gossip_rounds import EvaluatedStates, GossipRounds

SMALL = GossipCollection(networks=4, rounds=60, states=1, repeats=3, promising=2, promising_repeats=2, peers=(4, 30))


def full_mesh(peers, rtt=20.0, links=1_000, loss_spread=0.0, seed=0):
    return gn.connect("mesh", peers, lambda first, second: np.full(first.shape, rtt), links, loss_spread, seed)


def play(network, rounds=200, loss=0.0, churn=0.0, copy_ms=0.0, fanout=3, ttl=16, seed=0):
    ones = np.ones(rounds)
    return simulate(
        network.neighbours,
        network.delays_ms,
        network.loss_factors,
        network.degrees,
        loss * ones,
        churn * ones,
        copy_ms * ones,
        np.full(rounds, fanout),
        np.full(rounds, ttl),
        np.random.default_rng(seed).integers(0, 2**63, rounds).astype(np.uint64),
    )


def test_flooding_without_loss_reaches_all_at_the_first_hop():
    found = play(full_mesh(6), fanout=10)
    assert (found[:, COVERAGE] == 1).all()
    assert (found[:, MESSAGES] == 5 + 5 * 4).all()  # the first sends to all, every other to all but whom it has it from
    assert (found[:, DUPLICATES] == 20).all()
    np.testing.assert_allclose(found[:, P95_MS], 10)


def test_one_hop_reaches_a_binomial_number():
    found = play(full_mesh(11), rounds=20_000, loss=0.3, fanout=4, ttl=1)
    heard = found[:, COVERAGE] * 11 - 1
    assert (found[:, MESSAGES] == 4).all()
    counts = np.bincount(heard.round().astype(int), minlength=5) / len(heard)
    expected = [0.3**4, 4 * 0.7 * 0.3**3, 6 * 0.7**2 * 0.3**2, 4 * 0.7**3 * 0.3, 0.7**4]
    np.testing.assert_allclose(counts, expected, atol=0.015)


def test_two_peers_lose_what_the_link_loses():
    found = play(full_mesh(2), rounds=20_000, loss=0.25, fanout=1)
    assert found[:, COVERAGE].mean() == pytest.approx(1 - 0.25 / 2, abs=0.01)


def test_copies_leave_one_after_the_other():
    found = play(full_mesh(4), fanout=3, ttl=1, copy_ms=7.0)
    np.testing.assert_allclose(found[:, P95_MS], 10 + 3 * 7)


def test_coverage_is_that_of_present_peers():
    found = play(full_mesh(40), rounds=500, churn=0.5, fanout=40)
    assert (found[:, COVERAGE] == 1).all()
    assert found[:, PRESENT].mean() == pytest.approx(1 + 39 * 0.5, rel=0.03)


def test_the_copy_that_comes_first_counts_and_not_the_one_over_fewer_hops():
    """0 - 1 - 2 is faster than 0 - 2: peer 2 hears it over two hops and may not pass it on to 3 any more."""
    rtt = np.full((4, 4), 1_000.0)
    for first, second in ((0, 1), (1, 2), (2, 3)):
        rtt[first, second] = rtt[second, first] = 10
    network = gn.network_of_matrix("line", rtt, 40, 0.0, 0)
    found = play(network, fanout=3, ttl=2)
    assert (found[:, COVERAGE] == 1).all()  # the direct copies still arrive
    assert found[:, P95_MS].max() > 400


@settings(max_examples=25, deadline=None)
@given(
    st.integers(2, 40), st.floats(0, 0.9), st.floats(0, 0.9), st.integers(1, 12), st.integers(1, 16), st.integers(0, 99)
)
def test_rounds_keep_their_invariants(peers, loss, churn, fanout, ttl, seed):
    network = full_mesh(peers, links=10, loss_spread=0.5, seed=seed)
    found = play(network, 20, loss, churn, 0.5, fanout, ttl, seed)
    present, reached = found[:, PRESENT], found[:, COVERAGE] * found[:, PRESENT]
    assert np.isfinite(found).all()
    assert (found[:, COVERAGE] > 0).all() and (found[:, COVERAGE] <= 1).all()
    assert (found[:, MESSAGES] <= reached.round() * fanout).all()
    assert (found[:, DUPLICATES] + reached.round() - 1 <= found[:, MESSAGES]).all()
    assert (present >= 1).all() and (present <= peers).all()
    again = play(network, 20, loss, churn, 0.5, fanout, ttl, seed)
    np.testing.assert_array_equal(found, again)


def test_a_round_depends_on_its_own_seed_alone():
    network = gn.simulated_wide("wide", 60, 20, 0.5, 3)
    together = play(network, 30, 0.2, 0.1)
    seeds = np.random.default_rng(0).integers(0, 2**63, 30).astype(np.uint64)
    alone = simulate(*network[1:5], *(np.array([v]) for v in (0.2, 0.1, 0.0)), np.array([3]), np.array([16]), seeds[17:18])
    np.testing.assert_array_equal(alone[0], together[17])


def test_more_of_both_covers_more():
    network = gn.simulated_wide("wide", 200, 40, 0.5, 1)
    means = [play(network, 200, 0.3, 0.2, 0.0, fanout, ttl)[:, COVERAGE].mean() for fanout, ttl in ((3, 4), (6, 4), (6, 10), (12, 16))]
    assert means == sorted(means)


# --- networks ---


def test_round_trips_of_a_map_follow_the_shortest_way():
    edges = pd.DataFrame({"u": [0, 1, 0, 3, 5], "v": [1, 2, 2, 3, 6], "rtt_prop_ms": [2.0, 3.0, 50.0, 1.0, 1.0]})
    network = gn.network_of_map("map", edges, 40, 0.0, 0)
    assert network.peers == 3  # the loop 3 - 3 and the other part are left out
    delays = {(i, int(j)): 2 * float(d) for i in range(3) for j, d in zip(network.neighbours[i], network.delays_ms[i], strict=True)}
    assert delays[0, 2] == pytest.approx(5.0)
    assert delays[0, 1] == delays[1, 0] == pytest.approx(2.0)


def test_missing_lengths_of_a_map_are_medians():
    edges = pd.DataFrame({"u": ["a", "b"], "v": ["b", "c"], "rtt_prop_ms": [4.0, None]})
    network = gn.network_of_map("map", edges, 40, 0.0, 0)
    assert sorted(network.delays_ms.ravel().tolist()) == [2, 2, 2, 2, 4, 4]
    unknown = gn.network_of_map("map", edges.assign(rtt_prop_ms=np.nan), 40, 0.0, 0)
    assert unknown.rtt_p50_ms == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("edges", "said"),
    [
        (pd.DataFrame({"u": [1], "v": [1], "rtt_prop_ms": [1.0]}), "at least 2"),
        (pd.DataFrame({"u": [], "v": [], "rtt_prop_ms": []}), "at least 2"),
        (pd.DataFrame({"u": [1], "v": [2]}), "rtt_prop_ms"),
    ],
    ids=["loop", "empty", "no-lengths"],
)
def test_a_map_without_a_network_is_refused(edges, said):
    with pytest.raises(UserError, match=said):
        gn.network_of_map("map", edges, 40, 0.0, 0)


def test_maps_that_are_no_networks_are_left_out():
    edges = pd.DataFrame({"net": ["a", "b"], "u": [1, 1], "v": [2, 1], "rtt_prop_ms": [1.0, 1.0]})
    assert [network.name for network in gn.networks_of_maps(edges, 40, 0.0, 0)] == ["a"]
    with pytest.raises(UserError, match="rtt_prop_ms"):
        list(gn.networks_of_maps(edges.drop(columns="rtt_prop_ms"), 40, 0.0, 0))


def test_matrices_of_any_shape():
    rtt = np.array([[0, 10, np.nan], [10, 0, 30], [5, 30, 0]], dtype=float)
    square = gn.network_of_matrix("m", rtt, 40, 0.0, 0)
    assert sorted(square.delays_ms.ravel().tolist()) == [2.5, 2.5, 5, 5, 15, 15]
    rectangle = gn.network_of_matrix("m", np.array([[1, 9.0], [9, 2], [3, 4], [np.nan, np.nan]]), 40, 0.0, 0)
    assert rectangle.peers == 3
    assert rectangle.delays_ms[0].tolist() == [5.0, 2.0]  # over the first: 1 + 9; over the first: 1 + 3
    with pytest.raises(UserError, match="two-dimensional"):
        gn.network_of_matrix("m", np.zeros(3), 40, 0.0, 0)


@pytest.mark.parametrize("peers", [2, 3, 4, 50, 300])
@pytest.mark.parametrize("draw", [gn.simulated_wide, gn.simulated_map], ids=["wide", "map"])
def test_peers_know_others_and_each_once(peers, draw):
    network = draw("x", peers, 40, 0.5, 5)
    assert network.peers == peers
    for number, row in enumerate(network.neighbours):
        assert number not in row and len(set(row.tolist())) == len(row) == min(40, peers - 1)
    assert (network.delays_ms > 0).all() and network.rtt_p50_ms <= network.rtt_p95_ms


# --- what collection leaves ---


@pytest.fixture(scope="module")
def collected():
    return collect_rounds(SMALL, 5)


def test_collection_fits_its_schemas_and_repeats_itself(collected):
    rounds, evaluated = collected
    GossipRounds.validate(rounds)
    EvaluatedStates.validate(evaluated)
    assert len(rounds) == 60 and len(evaluated) == 4 * 2 * 77
    for table, again in zip(collected, collect_rounds(SMALL, 5), strict=True):
        pd.testing.assert_frame_equal(table, again)
    assert rounds["propensity"].unique().tolist() == [pytest.approx(1 / 77)]


def test_parts_of_the_seeds_differ_and_promising_actions_are_played_more_often(collected):
    _, evaluated = collected
    parts = dict(list(evaluated.groupby("seeds")))
    assert set(parts) == {"choice", "judge"}
    assert not np.array_equal(parts["choice"]["messages"], parts["judge"]["messages"])
    assert parts["choice"]["rounds"].value_counts().to_dict() == {3: 4 * 75, 5: 4 * 2}
    assert (parts["judge"]["rounds"] == 3).all()


def test_propensities_are_the_frequencies_of_the_actions():
    network = full_mesh(4)
    table = log_rounds(network, 4_000, GossipCollection(explore=0.4), 1)
    default = (table["fanout"] == 6) & (table["ttl"] == 10)
    assert table.loc[default, "propensity"].iloc[0] == pytest.approx(0.6 + 0.4 / 77)
    assert default.mean() == pytest.approx(0.6 + 0.4 / 77, abs=0.03)


def test_means_are_those_of_single_rounds():
    network = full_mesh(3)
    states = pd.DataFrame(
        {"state": ["s"], "network": ["n"], "peers": [3], "loss": [0.0], "churn": [0.0], "message_class": ["small"]}
    )
    grid = ActionGrid(fanouts=(1, 2), ttls=(1, 2))
    found = evaluate_states(network, states, GossipCollection(actions=grid, repeats=5, promising=0), 0)
    table = found[found["seeds"] == "judge"].set_index(["fanout", "ttl"])
    assert table.loc[(2, 1), "coverage"] == 1 and table.loc[(2, 1), "messages"] == 2
    assert table.loc[(1, 2), "coverage"] == 1 and table.loc[(1, 2), "messages"] == 2
    assert table.loc[(1, 1), "coverage"] == pytest.approx(2 / 3)
