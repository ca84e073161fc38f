"""The words for a policy's metrics."""

from augury.reporting.layouts import layout_of
from augury.reporting.policy_layout import POLICY
from augury.reporting.report_layout import shown


def test_every_metric_is_shown_once_and_facts_are_not() -> None:
    names = [
        "n_train", "seed", "unit", "cost", "best_baseline", "saving_over_best_baseline", "saving_over_lz4", "regret",
        "regret_over_best_baseline", "accuracy", "ratio_r2", "hit_at_10", "onnx_rows", "decision_us_p99",
        "costly_share",
    ]  # fmt: skip
    found = shown(names, POLICY.metrics, "ms")
    assert sorted(item.name for item in found) == sorted(set(names) - {"n_train", "seed", "unit"})
    sections = {item.name: item.section for item in found}
    assert {sections[name] for name in ("ratio_r2", "hit_at_10", "costly_share")} == {"Further metrics"}
    assert sections["cost"] == "What the choices cost (ms)"


def test_the_first_word_of_the_task_chooses_the_layout() -> None:
    assert layout_of("policy: codec by predicted cost") is POLICY
