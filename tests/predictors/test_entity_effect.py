"""The effect of a repeated entity: as a loop computes it, from the past only, and close to the truth."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augury.predictors.entity_effect import EntityEffect, entity_effects, residuals

START = pd.Timestamp("2026-01-01")


def effects(asked, evidence, prior=1.0):
    effect = EntityEffect(prior_information=prior)
    return entity_effects(asked, evidence, effect, entity="who", asked_at="at", known_at="known")


def tables(seed, asked=40, cases=60, entities=4):
    random = np.random.default_rng(seed)

    def times(rows):
        # Few distinct times, so that many are the same
        return START + pd.to_timedelta(random.integers(0, 12, rows), unit="h")

    probability = random.uniform(0.05, 0.95, cases)
    actual = (random.random(cases) < probability).astype(float)
    actual[random.random(cases) < 0.2] = np.nan
    residual, information = residuals(actual, probability)
    names = np.array([f"h{number}" for number in range(entities + 1)], dtype=object)
    evidence = pd.DataFrame(
        {
            "who": names[random.integers(0, entities, cases)],
            "known": times(cases),
            "residual": residual,
            "information": information,
        }
    )
    evidence.loc[evidence.sample(3, random_state=seed).index, "known"] = pd.NaT
    return pd.DataFrame({"who": names[random.integers(0, entities + 1, asked)], "at": times(asked)}), evidence


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.floats(0.01, 100))
def test_it_is_what_a_loop_over_the_past_computes(seed, prior):
    asked, evidence = tables(seed)
    found = effects(asked, evidence, prior)
    for row, (who, at) in enumerate(asked.itertuples(index=False)):
        past = evidence[(evidence["who"] == who) & (evidence["known"] < at)].dropna()
        total, weight = past["residual"].sum(), past["information"].sum()
        expected = [total / (weight + prior), weight, total / np.sqrt(weight) if weight else 0.0]
        assert found.iloc[row].tolist() == pytest.approx(expected, abs=1e-7)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.randoms())
def test_order_and_company_change_no_bit(seed, random):
    asked, evidence = tables(seed)
    whole = effects(asked, evidence)
    order = list(range(len(evidence)))
    random.shuffle(order)
    one = asked.iloc[[7]]
    own = evidence.iloc[order]
    pd.testing.assert_frame_equal(
        effects(one, own[own["who"] == one["who"].iloc[0]]), whole.iloc[[7]], check_exact=True
    )


def test_what_is_known_later_changes_nothing():
    asked, evidence = tables(1)
    moment = START + pd.Timedelta(hours=6)
    changed = evidence.assign(residual=evidence["residual"].where(evidence["known"] < moment, 99.0))
    before = (asked["at"] <= moment).to_numpy()
    assert (effects(asked, evidence)[before] == effects(asked, changed)[before]).all(axis=None)
    assert (effects(asked, evidence)[~before] != effects(asked, changed)[~before]).any(axis=None)


def test_without_evidence_there_is_no_effect():
    asked, evidence = tables(2)
    assert (effects(asked, evidence.iloc[:0]) == 0).all(axis=None)


def test_it_finds_the_entities_that_differ():
    random = np.random.default_rng(0)
    truth = random.normal(0, 1, 200)
    who = np.repeat(np.arange(200), 60)
    base = random.normal(-1, 1, len(who))
    actual = (random.random(len(who)) < 1 / (1 + np.exp(-base - truth[who]))).astype(float)
    residual, information = residuals(actual, 1 / (1 + np.exp(-base)))
    evidence = pd.DataFrame({"who": who, "known": START, "residual": residual, "information": information})
    asked = pd.DataFrame({"who": np.arange(200), "at": START + pd.Timedelta(days=1)})
    found = effects(asked, evidence)["effect"]
    assert np.corrcoef(found, truth)[0, 1] > 0.9
    assert np.abs(found).mean() < np.abs(effects(asked, evidence, 0.01)["effect"]).mean()  # shrunk
