"""Training with tuned parameters: they reach the trees, and the metadata says so."""

import pytest

from augury.errors import UserError
from augury.pipelines.model_training.boosted_classifier import BoostedClassifierModel, train_query_cost
from augury.pipelines.model_training.boosted_trees import BoundedRegressionModel, train_bounded_regression

PROVENANCE = {"git_commit": None, "created_at": "2026-01-01T00:00:00+00:00", "versions": {"augury": "0.1.0"}}
BEST = {"parameters": {"recipes.physics_trees.num_leaves": 4, "recipes.physics_trees.n_estimators": 7}}


def test_the_regression_is_trained_with_tuned_parameters_where_asked(pdf_features, train_pdf_memory):
    plain = BoundedRegressionModel.model_validate(train_pdf_memory()[0].metadata.parameters)
    asked = plain.model_copy(update={"use_tuned": True})

    def train(best_params, model):
        rows, specification = pdf_features.train, pdf_features.specification
        return train_bounded_regression(rows, specification, best_params, model, 3, PROVENANCE)[0]

    tuned, untouched = train(BEST, asked), train(BEST, plain)
    assert tuned.metadata.parameters["recipes"]["physics_trees"]["num_leaves"] == 4
    assert tuned.trees.count("\nTree=") == 7
    assert tuned.metadata.parameters["use_tuned"]
    assert untouched.trees == train_pdf_memory()[0].trees != tuned.trees
    with pytest.raises(UserError, match=r"'pdf_memory.model.use_tuned' is true.*--namespaces=pdf_memory"):
        train({}, asked)


def test_the_classifier_of_queries_asks_for_what_is_not_there():
    model = BoostedClassifierModel(use_tuned=True)
    with pytest.raises(UserError, match=r"'query_cost\.model\.use_tuned' is true"):
        train_query_cost(None, None, {}, {}, {}, {}, model, 3, PROVENANCE)
