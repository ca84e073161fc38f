"""What processes do to one predictor's folder at the same time; apart, because new processes import this module."""

from augury.datasets.best_parameters import BestParametersDataset
from augury.predictors import load_predictor

SAVES = 25


def train(source, model, together):
    predictor = load_predictor(source)
    together.wait()
    for _ in range(SAVES):
        predictor.save(model)


def tune(model, together):
    together.wait()
    for number in range(10 * SAVES):
        BestParametersDataset(filepath=str(model / "best_params.yml")).save({"parameters": {"trees.depth": number}})
