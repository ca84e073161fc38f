"""Simulated texts: what they are made of, and whether the oracle knows what it says it does."""

import re
from itertools import combinations

import numpy as np
import pytest

from augury.pipelines.collection import labelled_text_simulation as simulation
from augury.pipelines.collection.labelled_text_simulation import (
    SIMULATED,
    TextSimulation,
    create_labelled_texts,
    describe_labelled_texts,
)
from augury.pipelines.collection.labelled_text_vocabulary import GENERAL, read_tree

SMALL = TextSimulation(texts=200)


def above(code):
    return {code, code[:2] + "0", code[0] + "00"}


def test_the_tree_has_its_levels_and_terms():
    tree = read_tree()
    codes = [subject.code for subject in tree]
    assert codes == sorted(set(codes))
    assert sum(subject.parent is None for subject in tree) == 10
    leaves = set(codes) - {subject.parent for subject in tree}
    assert len(leaves) >= 60
    for subject in tree:
        assert re.fullmatch(r"\d{3}", subject.code)
        assert above(subject.code) <= set(codes)
        assert subject.parent is None or subject.parent in above(subject.code) - {subject.code}
        assert len(subject.terms) == len(set(subject.terms))
        assert all(re.fullmatch(r"[a-z]+([ -][a-z]+)*", term) for term in subject.terms)
        assert len(subject.terms) >= (12 if subject.code in leaves else 4)
    assert len(set(GENERAL)) == len(GENERAL)


def test_the_seed_decides():
    first, codes = create_labelled_texts(SMALL, 1)
    again, _ = create_labelled_texts(SMALL, 1)
    other, _ = create_labelled_texts(SMALL, 2)
    assert first.equals(again)
    assert not first["text"].equals(other["text"])
    assert codes["parent"].isna().sum() == 10


def test_noise_and_near_duplicates_come_at_their_rates():
    samples, _ = create_labelled_texts(TextSimulation(texts=4_000, noise=0.1, near_duplicates=0.2), 3)
    wrong = samples["taxonomy_codes"].map(set) != samples["true_codes"].map(set)
    assert wrong.mean() == pytest.approx(0.1, abs=4 * np.sqrt(0.09 / 4_000))
    # The confidence is the chance of being right
    low = samples["confidence"] < 0.8
    assert (~wrong[low]).mean() == pytest.approx(samples.loc[low, "confidence"].mean(), abs=0.06)
    assert wrong[low].mean() > 2 * wrong[~low].mean()
    titles = samples["text"].str.split(".").str[0]
    repeated = titles.duplicated().mean()
    assert 0.1 < repeated < 0.25
    assert samples["taxonomy_codes"].map(len).between(1, 2).all()
    assert samples["true_codes"].map(len).mean() == pytest.approx(1.3, abs=0.04)
    assert set(samples["origin"]) == {SIMULATED}


def test_without_noise_every_code_is_true():
    samples, _ = create_labelled_texts(TextSimulation(texts=100, noise=0.0), 3)
    assert (samples["taxonomy_codes"] == samples["true_codes"]).all()
    assert (samples["confidence"] == 1).all()
    assert describe_labelled_texts(samples)["label_noise"] == 0


def by_enumeration(world, terms, two_subjects, noise):
    """The chance of each code in closed form, set by set and term by term, in logarithms."""
    leaves = range(len(world.leaves))
    codes = [subject.code for subject in world.tree]
    leaf_codes = [codes[place] for place in world.leaves]
    logs = {}
    for z in leaves:
        logs[(z,)] = np.log((1 - two_subjects) * world.prior[z]) + sum(np.log(world.speech[z, t]) for t in terms)
    for a, b in combinations(leaves, 2):
        prior = two_subjects * (world.prior[a] * world.second[a, b] + world.prior[b] * world.second[b, a])
        logs[a, b] = np.log(prior) + sum(np.log((world.speech[a, t] + world.speech[b, t]) / 2) for t in terms)
    highest = max(logs.values())
    weights = {found: np.exp(log - highest) for found, log in logs.items()}
    total = sum(weights.values())
    chances = dict.fromkeys(codes, 0.0)
    for found, weight in weights.items():
        if weight / total < 1e-9:
            continue
        outcomes = [(1 - noise, found)]
        for place, leaf in enumerate(found):
            kept = tuple(other for at, other in enumerate(found) if at != place)
            outcomes += [(noise / len(found) * world.second[leaf, r], (*kept, r)) for r in leaves if r != leaf]
        for chance, noted in outcomes:
            for code in set().union(*(above(leaf_codes[leaf]) for leaf in noted)):
                chances[code] += weight / total * chance
    return np.array([chances[code] for code in codes])


def test_the_posterior_is_that_of_enumerating_everything():
    world = simulation._build_world(SMALL, 5)
    drawn = simulation._draw(world, SMALL, 5)
    marginals = simulation._marginals(world, drawn, SMALL)
    terms = drawn.terms[0][drawn.terms[0] >= 0]
    # Some subjects never say some terms
    with np.errstate(divide="ignore"):
        expected = by_enumeration(world, terms, SMALL.two_subjects, SMALL.noise)
    np.testing.assert_allclose(marginals[0], expected, atol=1e-6)


def test_the_posterior_is_calibrated_and_the_decision_gets_what_it_expects():
    collection = TextSimulation(texts=2_000, near_duplicates=0)
    world = simulation._build_world(collection, 6)
    drawn = simulation._draw(world, collection, 6)
    marginals = simulation._marginals(world, drawn, collection)
    noted = np.zeros(marginals.shape, dtype=bool)
    for column in (0, 1):
        rows = np.flatnonzero(drawn.noted[:, column] >= 0)
        noted[rows] |= world.above[drawn.noted[rows, column]]
    spread = np.sqrt((marginals * (1 - marginals)).sum(axis=0))
    assert (np.abs((noted - marginals).sum(axis=0)) < 4.5 * spread + 1).all()
    for low in (0.1, 0.4, 0.7):
        inside = (marginals > low) & (marginals < low + 0.2)
        # Codes above one another go together, so that sums vary more than those of independent ones
        chance = marginals[inside]
        assert abs((noted[inside] - chance).sum()) < 4 * np.sqrt(3 * (chance * (1 - chance)).sum())
    chosen, expected_f1 = simulation._decide(marginals)
    assert 2 * (chosen & noted).sum() / (chosen.sum() + noted.sum()) == pytest.approx(expected_f1, abs=0.01)


def test_the_decision_is_the_best_of_all_thresholds():
    marginals = np.random.default_rng(0).beta(0.3, 1.0, (40, 6))
    chosen, best = simulation._decide(marginals)
    total = marginals.sum()
    f1 = [2 * marginals[marginals >= t].sum() / ((marginals >= t).sum() + total) for t in np.unique(marginals)]
    assert best == pytest.approx(max(f1))
    # Known from theory: the best threshold is half the best F1
    assert marginals[chosen].min() >= best / 2 - 1e-9
    assert marginals[~chosen].max() <= best / 2 + 1e-9


def test_parameters_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="shortest"):
        TextSimulation(shortest=30, longest=20)
    with pytest.raises(ValueError, match="above 1 in all"):
        TextSimulation(own=0.9, stray=0.3)
