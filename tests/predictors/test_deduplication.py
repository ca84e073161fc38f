"""The trained index: the contract, and what a frame of sketches is answered."""

from types import SimpleNamespace

import pandas as pd
import pytest

from augury.errors import InputError, UserError
from augury.pipelines.collection.block_sketches import PairLimits, measure_blocks
from augury.pipelines.collection.file_versions import Version
from augury.pipelines.data_engineering.sketched_blocks import BlockSource, BlockSplit, prepare_blocks
from augury.pipelines.feature_engineering.sketched_blocks import build_block_features
from augury.pipelines.model_training.minhash_lsh import MinHashModel, Rows, replay_batch, train_near_duplicates
from augury.predictors.checks import CHECKS
from augury.predictors.policy import replayed
from augury.predictors.shingle_sketches import SketchRecipe

from .edited_blocks import family, random_block

SKETCH = SketchRecipe(hashes=128)
MODEL = MinHashModel(folds=2, least_similarities=(0.2, 0.4), least_savings=(0.2, 0.5))
PROVENANCE = {"git_commit": None, "created_at": "2026-01-01T00:00:00+00:00", "versions": {}}


@pytest.fixture(scope="module")
def trained():
    shares = (0.02, 0.1, 0.2, 0.3)
    versions = [
        Version(60_000 * (7 * seed + 13 * number), f"file {seed}", "source", block)
        for seed in range(24)
        for number, block in enumerate(family(1500 + 100 * seed, 6, shares[seed % 4], seed))
    ]
    versions.sort(key=lambda version: (version.ts, version.lineage))
    blocks, pairs = measure_blocks(versions, PairLimits(), SKETCH, 1)
    blocks = blocks.assign(ts=blocks["ts"] + range(len(blocks)))
    primary, kept, data = prepare_blocks(blocks, pairs, BlockSource(), BlockSplit(), 1)
    train, train_pairs, holdout, holdout_pairs, _ = build_block_features(primary, kept, SKETCH)
    predictor, account = train_near_duplicates(train, train_pairs, data, {}, SKETCH, MODEL, 1, PROVENANCE)
    return SimpleNamespace(
        predictor=predictor, account=account, train=train, holdout=holdout, pairs=holdout_pairs, raw=(blocks, pairs)
    )


@pytest.fixture
def frame(trained):
    asked = pd.concat([trained.holdout.head(6), trained.train.head(6)], ignore_index=True)
    asked.loc[2:3, "digest"] = None
    asked.loc[4:5, "block"] = None
    return asked[["block", "sketch", "digest"]]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_the_index_keeps_the_contract(check, trained, frame, tmp_path):
    check(trained.predictor, frame, tmp_path / "check")


def test_a_stored_block_is_identical_to_itself_under_another_name(trained):
    asked = trained.train[["sketch", "digest", "block"]].head(20)
    nameless = trained.predictor.predict(asked.drop(columns="block"))
    assert nameless["identical"].all()
    assert nameless["reference"].tolist() == asked["block"].tolist()
    named = trained.predictor.predict(asked)
    assert (named["reference"] != asked["block"]).all()


def test_without_digests_nothing_is_called_identical(trained):
    found = trained.predictor.predict(trained.train[["sketch"]])
    assert not found["identical"].any()
    assert (found["similarity"] == 1).all()


def test_blocks_and_their_sketches_are_answered_alike(trained):
    contents = family(2500, 5, 0.05, 77)
    own = trained.predictor.build([f"b{number}" for number in range(4)], contents[:4])
    answer = own.predict(own.describe(["new"], contents[4:]))
    match = own.find_similar(contents[4], 1)[0]
    assert answer["reference"].tolist() == [match.block] == ["b3"]
    assert answer["similarity"].iloc[0] == pytest.approx(match.similarity)
    assert answer["try_delta"].all()
    own.add(["b4"], [contents[4]])
    assert own.find_similar(contents[4])[0].identical
    assert own.predict(own.describe(["other"], [random_block(3000, 5)])).loc[0, "reference"] is None


def test_a_sketch_of_another_recipe_is_refused(trained):
    other = SketchRecipe(hashes=64)
    frame = trained.holdout[["sketch"]].head(2).assign(sketch="AAAA")
    with pytest.raises(InputError, match=r"must have 128 cells"):
        trained.predictor.predict(frame)
    with pytest.raises(InputError, match=r"deduplication.sketches.*must have 64 cells"):
        build_block_features(*prepare_blocks(*trained.raw, BlockSource(), BlockSplit(), 1)[:2], other)


def test_a_replay_one_by_one_equals_one_with_all_similarities_known(trained):
    predictor, cases = trained.predictor, trained.holdout
    found = replayed(predictor, cases, features_pairs=trained.pairs)
    rows = Rows(cases, trained.pairs, predictor._cells(cases))
    batch = replay_batch(rows, predictor.settings, predictor.delta)
    assert found["cost"].tolist() == batch.bytes.tolist()
    assert found["choice"].tolist() == batch.choices
    assert found["cost"].sum() < 0.8 * cases["plain_bytes"].sum()


def test_a_replay_without_deltas_is_refused(trained):
    with pytest.raises(UserError, match="needs the table 'features_pairs'"):
        trained.predictor.replay(trained.holdout)


def test_the_account_says_what_was_chosen_and_how_it_did_on_other_lineages(trained):
    account = trained.account
    assert account["training"]["recall"] >= 0.9
    assert account["folds"]["count"] == 2
    assert account["folds"]["recall"]["mean"] >= 0.85
    assert account["chosen"]["bands"] * account["chosen"]["rows"] <= 128
