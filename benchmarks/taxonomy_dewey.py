"""How well Dewey numbers of library records are found: ours, TF-IDF with a linear model, and the usual recipe.

    python benchmarks/taxonomy_dewey.py --texts TRAINING.parquet --test TEST.parquet --sizes 200 1000 6000 --seeds 3

Both files have ``text`` and the lists ``ddc1`` and ``ddc2``. Each seed draws its own training records. Every model gets
the same records and chooses everything from them alone; the test records are read once, at the end. Results are added
to a file of JSON lines as they come, and what is there already is not computed again. CPU seconds include the answers
for the test records.
"""

import argparse
import json
import os
import resource
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pandas as pd

from augury.checkpointing import NoCheckpoints
from augury.pipelines.feature_engineering.labelled_texts import build_text_features
from augury.pipelines.model_training.linear_text import deal_folds
from augury.pipelines.model_training.text_baselines import TextBaselines, original_recipe
from augury.pipelines.model_training.text_classifier import train_taxonomy
from augury.pipelines.model_training.text_models import TextModel
from augury.pipelines.model_training.text_rows import TEST, TRAIN, VALIDATION, text_rows
from augury.predictors.label_calibration import LabelCalibration
from augury.predictors.label_hierarchy import LabelHierarchy
from augury.predictors.taxonomy import Member, combined
from augury.predictors.text_encoder import TextFeatures

PROVENANCE: dict[str, Any] = {"git_commit": None, "created_at": "benchmark", "versions": {}}
FEATURES = TextFeatures()
RESAMPLES = 1000
VALIDATION_SHARE = 0.1
MODELS = ("transformer", "blend", "frozen", "tfidf_linear", "original_recipe")
SHOWN = {
    "transformer": "fine-tuned encoder",
    "blend": "encoder + weighted words",
    "frozen": "frozen encoder + linear",
    "tfidf_linear": "TF-IDF + linear, tuned",
    "original_recipe": "original recipe (200 records)",
}


def tables(train: pd.DataFrame, test: pd.DataFrame, digits: int, held_out: float, seed: int) -> pd.DataFrame:
    """Primary texts: the training records, a share of them for validation, and the test records."""
    column = f"ddc{digits}"
    both = pd.concat([train, test], ignore_index=True)
    split = np.array([TRAIN] * len(train) + [TEST] * len(test), dtype=object)
    codes = [sorted(set(found)) for found in both[column]]
    if held_out:
        known = sorted({code for found in codes[: len(train)] for code in found})
        targets = np.array([[code in found for code in known] for found in codes[: len(train)]])
        part = deal_folds(targets, np.arange(len(train)), round(1 / held_out), seed)
        split[: len(train)][part == 0] = VALIDATION
    return pd.DataFrame(
        {
            "sample_id": [f"{number:06d}" for number in range(len(both))],
            "text": both["text"],
            "codes": codes,
            "split": split,
            "group": np.arange(len(both)),
            "confidence": 1.0,
        }
    )


def code_table(texts: pd.DataFrame) -> pd.DataFrame:
    """Primary codes, without any hierarchy: both digits are judged as flat lists."""
    counts = texts.loc[texts["split"] == TRAIN, "codes"].explode().value_counts().sort_index()
    return pd.DataFrame(
        {"code": counts.index, "label": counts.index, "parent": None, "level": 0, "texts": counts.to_numpy()}
    )


def answers(
    name: str, model: dict[str, Any], texts: pd.DataFrame, seed: int
) -> tuple[dict[str, np.ndarray], list[str], dict[str, Any], dict[str, np.ndarray]]:
    """Train a model and ask it for the codes of the test records.

    Returns:
        Model -> decisions: a blend answers for its fine-tuned member alone too, which is the same training; the codes
        of their columns; the account of the training; the members' scores.
    """
    frame, codes, tokenizer, report = build_text_features(texts, code_table(texts), FEATURES, seed)
    names = codes["code"].tolist()
    if name == "original_recipe":
        train, test = (text_rows(frame, split, len(codes)) for split in (TRAIN, TEST))
        flat = LabelHierarchy([-1] * len(codes))
        found = original_recipe(train, test, flat, tokenizer, FEATURES, TextBaselines(), seed)
        return {name: found[1]}, names, {}, {}
    predictor, _, account = train_taxonomy(
        frame, codes, tokenizer, report, {}, FEATURES, {}, TextModel.model_validate(model), seed, NoCheckpoints(),
        PROVENANCE,
    )  # fmt: skip
    test_texts = frame.loc[frame["split"] == TEST, "text"].tolist()
    scores = predictor.member_scores(test_texts)
    decided = {name: predictor.decide(predictor.combine(scores, len(test_texts)))}
    if name == "blend" and account["decisions"]["source"] == "fixed":
        alone = Member(name="transformer", calibration=LabelCalibration.none(len(names)))
        decided["transformer"] = predictor.decide(combined(scores, [alone], predictor.hierarchy))
    kept = {key: account[key] for key in ("decisions", "epochs", "validation")}
    kept["seconds"] = {member: facts["seconds"] for member, facts in account["members"].items()}
    return decided, names, kept, scores


def f1(given: np.ndarray, truth: np.ndarray, weights: np.ndarray | None = None) -> tuple[float, float]:
    """Micro-F1, and macro-F1 over the codes that occur in the test records; with a weight per record."""
    weights = np.ones(len(truth)) if weights is None else weights
    hits, total = weights @ (given & truth), weights @ given + weights @ truth
    occurs = weights @ truth > 0
    return float(2 * hits.sum() / total.sum()), float((2 * hits[occurs] / total[occurs]).mean())


def judged(given: np.ndarray, names: list[str], test: list[list[str]], seed: int) -> dict[str, Any]:
    """F1 on the test records with bootstrap intervals; codes that nobody could learn count as misses."""
    every = sorted({*names, *(code for found in test for code in found)})
    place = {code: number for number, code in enumerate(every)}
    truth = np.zeros((len(test), len(every)), dtype=bool)
    for row, found in enumerate(test):
        truth[row, [place[code] for code in found]] = True
    called = np.zeros_like(truth)
    called[:, [place[code] for code in names]] = given
    micro, macro = f1(called, truth)
    random = np.random.default_rng(seed)
    draws = random.multinomial(len(test), np.full(len(test), 1 / len(test)), RESAMPLES).astype(np.float64)
    resampled = np.array([f1(called, truth, draw) for draw in draws])
    low, high = np.quantile(resampled, [0.025, 0.975], axis=0)
    return {
        "micro_f1": micro,
        "micro_interval": [float(low[0]), float(high[0])],
        "macro_f1": macro,
        "macro_interval": [float(low[1]), float(high[1])],
    }


def markdown(rows: list[dict[str, Any]]) -> str:
    """A table per number of digits: means over seeds, with the mean interval of the test records."""
    places: dict[tuple[int, int, str], list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: (row["digits"], row["size"], row["model"])):
        places.setdefault((row["digits"], row["size"], row["model"]), []).append(row)
    lines, last = [], 0
    for (digits, size, model), found in places.items():
        if digits != last:
            lines += [
                f"\n### First {digits} digit{'s' if digits > 1 else ''}\n",
                "| model | records | seeds | micro-F1 | macro-F1 | CPU seconds |",
                "| --- | --- | --- | --- | --- | --- |",
            ]
            last = digits
        shown = []
        for name in ("micro", "macro"):
            mean = np.mean([row[f"{name}_f1"] for row in found])
            low, high = np.mean([row[f"{name}_interval"] for row in found], axis=0)
            shown.append(f"{mean:.3f} ({low:.3f}-{high:.3f})")
        seconds = np.mean([row["cpu_seconds"] for row in found])
        lines.append(f"| {SHOWN.get(model, model)} | {size} | {len(found)} | {shown[0]} | {shown[1]} | {seconds:.0f} |")
    return "\n".join(lines).lstrip() + "\n"


def main() -> None:
    """Run what is not in the file of results yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[200, 1000, 6000])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--digits", type=int, nargs="+", default=[1])
    parser.add_argument("--models", nargs="+", default=["tfidf_linear", "original_recipe", "blend"])
    parser.add_argument("--settings", default="{}", help="JSON: parameters of the model by kind")
    parser.add_argument("--tag", default="", help="appended to the models' names, to tell settings apart")
    parser.add_argument("--tune", type=int, default=0, help="judge on so many other training records, not on the test")
    parser.add_argument("--results", type=Path, default=Path("taxonomy_dewey.jsonl"))
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--scores", type=Path, help="folder for what the members say of the test records")
    arguments = parser.parse_args()
    settings = json.loads(arguments.settings)
    everything, held_back = pd.read_parquet(arguments.texts), pd.read_parquet(arguments.test)
    done = (
        [json.loads(line) for line in arguments.results.read_text().splitlines()] if arguments.results.exists() else []
    )
    known = {(row["digits"], row["size"], row["seed"], row["model"]) for row in done}
    wanted = [
        (digits, seed, size, name)
        for digits in arguments.digits
        for seed in range(arguments.seeds)
        for size in arguments.sizes
        for name in arguments.models
        # It takes no more records than these, so that more do not change it
        if name != "original_recipe" or size == min(arguments.sizes)
    ]
    for digits, seed, size, name in wanted:
        if (digits, size, seed, name + arguments.tag) in known:
            continue
        order = np.random.default_rng(seed).permutation(len(everything))
        test = everything.iloc[order[len(order) - arguments.tune :]] if arguments.tune else held_back
        model = {"kind": name, "export_onnx": False, **settings.get(name, {})}
        held_out = model.pop("validation_share", 0.0)
        started, cpu = time.monotonic(), _cpu()
        texts = tables(everything.iloc[order[:size]], test, digits, held_out, seed)
        decided, names, account, scores = answers(name, model, texts, seed)
        facts = {"cpu_seconds": _cpu() - cpu, "seconds": time.monotonic() - started, "account": account}
        truth = [sorted(set(found)) for found in test[f"ddc{digits}"]]
        for answered, given in decided.items():
            place = {"digits": digits, "size": size, "seed": seed, "model": answered + arguments.tag}
            row = place | judged(given, names, truth, seed) | facts
            done.append(row)
            with arguments.results.open("a") as file:
                file.write(json.dumps(row, default=str) + "\n")
            print({key: row[key] for key in row if key != "account"}, flush=True)
        if arguments.scores:
            arguments.scores.mkdir(parents=True, exist_ok=True)
            target = arguments.scores / f"{name}{arguments.tag}-{digits}-{size}-{seed}.npz"
            arrays: dict[str, Any] = {"codes": np.array(names), **scores}
            np.savez_compressed(target, **arrays)
    text = markdown(done)
    if arguments.markdown:
        arguments.markdown.write_text(text)
    print(text)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
