"""New rows are predicted by whom the log says, as the predictor itself would, in batches of any size."""

import json

import pandas as pd
import pytest
from kedro.io.core import DatasetError

from augury.datasets.new_rows import NewRowsDataset
from augury.errors import InputError, UserError
from augury.pipelines.inference.new_rows import Inference, predict_new_rows
from augury.predictors import load_predictor
from augury.predictors.predictor_version import PredictorVersion

PROVENANCE = {"created_at": "2026-02-01T03:00:00+00:00", "git_commit": None, "versions": {}}


def serve(predictor, version="7"):
    return PredictorVersion("augury.toy", version, predictor)


@pytest.fixture(scope="module")
def jobs(pdf_features):
    """New jobs as a service gets them: no peak, no features, an index of their own."""
    return pdf_features.holdout.drop(columns="peak_mem_mb").sample(frac=1, random_state=3)


@pytest.mark.parametrize("batch_rows", [1, 7, 100_000])
def test_the_champions_predictions_bit_by_bit(jobs, pdf_predictors, batch_rows):
    predictor = pdf_predictors["physics_trees"]
    rows = jobs.iloc[:20].set_axis([0] * 20)
    inference = Inference(batch_rows=batch_rows, progress=False)
    predictions, report = predict_new_rows(serve(predictor), rows, PROVENANCE, inference)
    expected = predictor.predict(jobs.iloc[:20]).set_axis(rows.index)
    pd.testing.assert_frame_equal(predictions[list(expected)], expected, check_exact=True)
    pd.testing.assert_frame_equal(predictions[list(rows)], rows)
    assert predictions[["model", "model_version", "predicted_at"]].drop_duplicates().to_numpy().tolist() == [
        ["augury.toy", "7", "2026-02-01T03:00:00+00:00"]
    ]
    assert report["rows"] == 20
    assert report["batches"] == -(-20 // batch_rows)
    assert report["outputs"]["predicted"]["mean"] == pytest.approx(expected["predicted"].mean())
    assert (report["model"], report["version"], report["predictor"]) == ("augury.toy", "7", "pdf_memory")
    assert report["data_fingerprint"] == predictor.metadata.data.fingerprint
    assert report["missing"] == {
        name: int(count)
        for name, count in rows[[column.name for column in predictor.metadata.inputs]].isna().sum().items()
        if count
    }
    json.dumps(report, allow_nan=False)


def test_queries(query_cost_model):
    predictor = load_predictor(query_cost_model)
    queries = pd.DataFrame(
        {
            "query": ["select count(*) from lineitem", "show tables", "select * from a, b where a.x = b.y"] * 3,
            "user": ["ann", None, "bob"] * 3,
            "is_heavy": "unknown yet",
        }
    )
    inference = Inference(batch_rows=4, progress=False)
    predictions, report = predict_new_rows(serve(predictor), queries, PROVENANCE, inference)
    expected = predictor.predict(queries)
    pd.testing.assert_frame_equal(predictions[list(expected)], expected, check_exact=True)
    # A column of the input that has the name of an output is not lost
    assert set(predictions["given_is_heavy"]) == {"unknown yet"}
    assert report["batches"] == 3
    assert report["outputs"]["category"]["counts"]["model"] == 6
    assert report["missing"] == {"user": 3}


def test_times_may_be_times(query_cost_model):
    predictor = load_predictor(query_cost_model)
    times = pd.to_datetime(["2026-08-31T14:58:09.413050", None, "2026-09-05T03:00:00"], format="ISO8601")
    queries = pd.DataFrame({"query": ["select count(*) from lineitem l"] * 3, "create_time": times})
    texts = queries.assign(create_time=["2026-08-31T14:58:09.413050Z", None, "2026-09-05T03:00:00+00:00"])
    expected = predictor.predict(texts)
    for rows in (queries, queries.assign(create_time=times.tz_localize("UTC").tz_convert("Asia/Tokyo"))):
        predictions, _ = predict_new_rows(serve(predictor), rows, PROVENANCE, Inference())
        pd.testing.assert_frame_equal(predictions[list(expected)], expected, check_exact=True)
        pd.testing.assert_frame_equal(predictions[list(rows)], rows)


def test_no_rows_give_no_rows(jobs, pdf_predictors):
    predictions, report = predict_new_rows(serve(pdf_predictors["original"]), jobs.iloc[:0], PROVENANCE, Inference())
    assert predictions.empty
    assert {"predicted", "model_version"} <= set(predictions)
    assert (report["rows"], report["outputs"]["predicted"]) == (0, {"mean": None, "min": None, "max": None})


def test_progress_is_shown_where_it_takes_a_while(jobs, pdf_predictors, capsys):
    for inference, shown in ((Inference(batch_rows=5), True), (Inference(), False)):
        predict_new_rows(serve(pdf_predictors["original"]), jobs.iloc[:20], PROVENANCE, inference)
        assert ("predict: 100%" in capsys.readouterr().err) == shown


def test_mistakes_are_named(jobs, pdf_predictors):
    predictor = pdf_predictors["original"]
    with pytest.raises(InputError, match="required column missing: 'pages'"):
        predict_new_rows(serve(predictor), jobs.drop(columns="pages"), PROVENANCE, Inference())
    broken = PredictorVersion("augury.toy", "7", None, problem="damaged")
    with pytest.raises(UserError, match=r"Version 7 of augury\.toy cannot be used: damaged"):
        predict_new_rows(broken, jobs, PROVENANCE, Inference())


def test_a_missing_file_is_one_line(tmp_path):
    dataset = NewRowsDataset(filepath=str(tmp_path / "new.parquet"))
    with pytest.raises(DatasetError) as refused:
        dataset.load()
    message = str(refused.value.__cause__)
    assert message.startswith("There are no new rows to predict: '")
    assert "new.parquet' is missing. Put a Parquet file there" in message
    rows = pd.DataFrame({"size": [1]})
    rows.to_parquet(tmp_path / "new.parquet")
    pd.testing.assert_frame_equal(dataset.load(), rows)


def test_purchases(trained_waste, waste_tables):
    predictor = trained_waste.predictor
    names = [column.name for column in predictor.metadata.inputs if column.name in waste_tables.purchases]
    rows = waste_tables.purchases.sort_values("purchased_at")[names].tail(200)
    expected = predictor.predict(rows)
    for batch_rows in (23, 1000):
        inference = Inference(batch_rows=batch_rows, progress=False)
        predictions, _ = predict_new_rows(serve(predictor), rows, PROVENANCE, inference)
        pd.testing.assert_frame_equal(predictions[list(expected)], expected, check_exact=True)
    assert predictions["purchased_at"].equals(rows["purchased_at"])
