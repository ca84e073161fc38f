"""What a text classifier has to beat: the most frequent codes, weighted words, and fine-tuning by the usual recipe."""

import logging
import time
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from pydantic import Field

from augury.errors import UserError
from augury.parameters import Parameters
from augury.pipelines.model_training.linear_text import TfidfSettings, fit_tfidf
from augury.pipelines.model_training.text_decisions import choose_calibration, probabilities_of
from augury.pipelines.model_training.text_rows import TEST, TRAIN, TextRows, text_rows
from augury.predictors.label_hierarchy import LabelHierarchy
from augury.predictors.label_thresholds import ThresholdSettings, common_threshold, decide, fit_thresholds
from augury.predictors.taxonomy import Member
from augury.predictors.text_encoder import TextFeatures, new_encoder, open_tokenizer, special_tokens, windows_of
from augury.predictors.torch_device import DeviceName, choose_device, computing

Baseline: TypeAlias = Literal["most_frequent", "tfidf_linear", "original_recipe"]
Answers: TypeAlias = tuple[np.ndarray, np.ndarray]
"""Probabilities and decisions, both of shape (test texts, labels)."""

DECISION = 0.5

logger = logging.getLogger(__name__)


class OriginalRecipe(Parameters):
    """Fine-tuning as it is commonly copied: few steps at a small rate, a new head over the first token."""

    samples: int = Field(default=200, ge=1, description="training texts at most, drawn at random")
    epochs: int = Field(default=3, ge=1)
    learning_rate: float = Field(default=2e-5, gt=0, description="of encoder and head")
    batch_size: int = Field(default=16, ge=1)


class TextBaselines(Parameters):
    """Which baselines are fitted, and how."""

    models: tuple[Baseline, ...] = ("most_frequent", "tfidf_linear", "original_recipe")
    tfidf_linear: TfidfSettings = TfidfSettings()
    thresholds: ThresholdSettings = Field(default=ThresholdSettings(), description="of tfidf_linear")
    original_recipe: OriginalRecipe = OriginalRecipe()
    device: DeviceName = "auto"


def predict_text_baselines(
    features_texts: pd.DataFrame,
    features_codes: pd.DataFrame,
    tokenizer: dict[str, Any],
    features: TextFeatures,
    baselines: TextBaselines,
    seed: int,
) -> pd.DataFrame:
    """Fit the baselines to the training texts and predict the test texts.

    Args:
        features_texts: ``sample_id``, ``text``, ``split``, ``group``, ``confidence``, ``targets``, ``token_ids``.
        features_codes: ``code`` and ``parent`` of the codes that are modelled.
        tokenizer: JSON of the tokenizer.
        features: How texts become tokens.
        baselines: Parameters.
        seed: Seed of folds, draws and weights.

    Returns:
        ``sample_id`` of each test text, and of each baseline ``<name>_probability`` (list[float32], one per code) and
        ``<name>_codes`` (list[str], those that it gives).

    Raises:
        UserError: There is no training text with a code.
    """
    codes = features_codes["code"].tolist()
    hierarchy = LabelHierarchy.of_codes(codes, features_codes["parent"].tolist())
    train, test = (text_rows(features_texts, split, len(codes)) for split in (TRAIN, TEST))
    if not train.targets.any():
        raise UserError(
            f"taxonomy.features_texts: none of {len(train.text)} training texts (split '{TRAIN}') has a modelled code "
            "(column 'targets'); baselines need some."
        )
    result: dict[str, Any] = {"sample_id": test.sample_id}
    for name in baselines.models:
        started = time.monotonic()
        if name == "most_frequent":
            probability, given = most_frequent(train, test, hierarchy)
        elif name == "tfidf_linear":
            probability, given = tuned_tfidf(train, test, hierarchy, baselines, seed)
        else:
            probability, given = original_recipe(train, test, hierarchy, tokenizer, features, baselines, seed)
        # As objects: a column of rows of an array is no column of lists
        result[f"{name}_probability"] = pd.Series(list(probability.astype(np.float32)), dtype=object)
        result[f"{name}_codes"] = pd.Series(code_lists(given, codes), dtype=object)
        logger.info("Baseline '%s': %.1f s.", name, time.monotonic() - started)
    return pd.DataFrame(result)


def code_lists(given: np.ndarray, codes: Sequence[str]) -> list[list[str]]:
    """The codes of each row of decisions, in the order of the columns."""
    rows, places = np.nonzero(given)
    names = np.array(codes, dtype=object)[places]
    return [part.tolist() for part in np.split(names, np.searchsorted(rows, np.arange(1, len(given))))][: len(given)]


def most_frequent(train: TextRows, test: TextRows, hierarchy: LabelHierarchy) -> Answers:
    """The same codes for every text: so many of the most frequent ones as serve the training texts best.

    Args:
        train: Training texts.
        test: Test texts.
        hierarchy: Which code lies below which.

    Returns:
        Shares of the training texts as probabilities; decisions.
    """
    shares = train.targets.mean(axis=0)
    threshold = common_threshold(np.broadcast_to(shares, train.targets.shape), train.targets)
    probability = np.tile(shares, (len(test.text), 1))
    return probability, decide(probability, np.array(threshold), at_least_one=True, close=hierarchy.raised)


def tuned_tfidf(
    train: TextRows, test: TextRows, hierarchy: LabelHierarchy, baselines: TextBaselines, seed: int
) -> Answers:
    """TF-IDF and a linear support vector machine per code, its penalty, calibration and thresholds by folds.

    Args:
        train: Training texts.
        test: Test texts.
        hierarchy: Which code lies below which.
        baselines: Parameters.
        seed: Of folds and solver.

    Returns:
        Calibrated probabilities and decisions.
    """
    settings = baselines.tfidf_linear
    scorer, fit = fit_tfidf(train.text, train.targets, train.weights, train.groups, settings, seed)
    folded = not np.isnan(fit.out_of_fold).any()
    scores = fit.out_of_fold if folded else np.zeros((0, len(hierarchy.parents)))
    truth = train.targets if folded else train.targets[:0]
    member = Member(name="tfidf_linear", calibration=choose_calibration(scores, truth, "auto").calibration)

    def probabilities(values: np.ndarray) -> np.ndarray:
        return probabilities_of({"tfidf_linear": values}, [member], hierarchy)

    thresholds = fit_thresholds(probabilities(scores), truth, baselines.thresholds, hierarchy.raised)
    found = probabilities(scorer.logits(test.text))
    one = baselines.thresholds.at_least_one
    return found, decide(found, thresholds.values, at_least_one=one, close=hierarchy.raised)


def original_recipe(
    train: TextRows,
    test: TextRows,
    hierarchy: LabelHierarchy,
    tokenizer: dict[str, Any],
    features: TextFeatures,
    baselines: TextBaselines,
    seed: int,
) -> Answers:
    """Fine-tuning as it is commonly copied: the mean loss over codes, one small rate, no start from frequencies.

    Args:
        train: Training texts.
        test: Test texts.
        hierarchy: Which code lies below which; read by nothing here, neither decisions nor probabilities are closed.
        tokenizer: JSON of the tokenizer.
        features: Encoder, and tokens of the one window that is read.
        baselines: Parameters.
        seed: Of draws and weights.

    Returns:
        Probabilities, and decisions at 0.5.
    """
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    recipe = baselines.original_recipe
    random = np.random.default_rng(seed)
    chosen = train.take(np.sort(random.permutation(len(train.text))[: recipe.samples]))
    device = choose_device(baselines.device)
    with computing(seed=seed):
        encoder = new_encoder(features, tokenizer, seed).to(device)
        pad = int(encoder.config.pad_token_id or 0)
        special = special_tokens(open_tokenizer(tokenizer), pad)
        head = torch.nn.Linear(int(encoder.config.hidden_size), train.targets.shape[1]).to(device)
        torch.nn.init.normal_(head.weight, std=0.02)
        torch.nn.init.zeros_(head.bias)

        def logits(tokens: Sequence[np.ndarray]) -> Any:
            windows = [windows_of(ids, special, features.max_tokens, 1)[0] for ids in tokens]
            longest = max(map(len, windows))
            ids = np.array([np.pad(window, (0, longest - len(window)), constant_values=pad) for window in windows])
            real = np.arange(longest) < np.array([len(window) for window in windows])[:, None]
            inputs, mask = (torch.from_numpy(part.astype(np.int64)).to(device) for part in (ids, real))
            hidden = encoder(input_ids=inputs, attention_mask=mask).last_hidden_state[:, 0]
            return head(torch.nn.functional.dropout(hidden, 0.1, training=encoder.training))

        parameters = [*encoder.parameters(), *head.parameters()]
        optimizer = torch.optim.AdamW(parameters, lr=recipe.learning_rate, weight_decay=0.01)
        batches = -(-len(chosen.text) // recipe.batch_size)
        targets = torch.from_numpy(chosen.targets.astype(np.float32)).to(device)
        encoder.train()
        for epoch in range(recipe.epochs):
            order = random.permutation(len(chosen.text))
            for number, places in enumerate(np.array_split(order, batches)):
                left = 1 - (epoch * batches + number) / (recipe.epochs * batches)
                for group in optimizer.param_groups:
                    group["lr"] = recipe.learning_rate * left
                loss = binary_cross_entropy_with_logits(
                    logits([chosen.tokens[place] for place in places]), targets[torch.from_numpy(places).to(device)]
                )
                loss.backward()
                torch.nn.utils.clip_grad_norm_(parameters, 1.0)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        encoder.eval()
        order = np.argsort([len(ids) for ids in test.tokens], kind="stable")
        probability = np.zeros(test.targets.shape, dtype=np.float32)
        with torch.inference_mode():
            for places in np.array_split(order, -(-len(order) // 32)) if len(order) else []:
                found = torch.sigmoid(logits([test.tokens[place] for place in places]).float())
                probability[places] = found.cpu().numpy()
    return probability, probability >= DECISION
