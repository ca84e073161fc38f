"""What a report shows of a classifier of texts into several codes."""

from augury.reporting.report_layout import Label, Layout

_SETS = "Assigned codes"
_RANKING = "Order of the codes"
_TREE = "In the tree of codes"
_PROBABILITIES = "Probabilities"
_RIVALS = "Beside other models"
_ORACLE = "Beside the oracle"
_DATA = "Codes of the judged texts"

MULTILABEL = Layout(
    metrics=[
        Label("micro_f1", "Micro F1", "score", section=_SETS, headline="micro F1"),
        Label("micro_precision", "Micro precision", "share", section=_SETS),
        Label("micro_recall", "Micro recall", "share", section=_SETS),
        Label("macro_f1", "Macro F1", "score", section=_SETS, headline="macro F1"),
        Label("macro_precision", "Macro precision", "share", section=_SETS),
        Label("macro_recall", "Macro recall", "share", section=_SETS),
        Label("sample_f1", "F1 by text, mean", "score", section=_SETS),
        Label("sample_precision", "Precision by text, mean", "share", section=_SETS),
        Label("sample_recall", "Recall by text, mean", "share", section=_SETS),
        Label("subset_accuracy", "Texts with exactly the right codes", "share", section=_SETS),
        Label("hamming_loss", "Wrong pairs of text and code", "share", section=_SETS),
        Label(r"precision_at_(?P<size>\d+)", "Precision at {size}", "share", section=_RANKING),
        Label(r"ndcg_at_(?P<size>\d+)", "nDCG at {size}", "score", section=_RANKING, headline="nDCG at {size}"),
        Label("average_precision_micro", "Average precision, all pairs", "score", section=_RANKING),
        Label("average_precision_macro", "Average precision, mean of codes", "score", section=_RANKING),
        Label("hierarchical_f1", "Hierarchical F1", "score", section=_TREE),
        Label("hierarchical_precision", "Hierarchical precision", "share", section=_TREE),
        Label("hierarchical_recall", "Hierarchical recall", "share", section=_TREE),
        Label("specific_f1", "F1 of the most specific codes", "score", section=_TREE, headline="F1, most specific"),
        Label(r"f1_level_(?P<level>\d+)", "F1 at level {level}", "score", section=_TREE),
        Label("ece", "Calibration error (all pairs)", "score", section=_PROBABILITIES, headline="calibration error"),
        Label("brier", "Brier score (all pairs)", "score", section=_PROBABILITIES),
        Label("oracle_micro_f1", "Micro F1 of the oracle", "score", section=_ORACLE),
        Label(
            "micro_f1_of_oracle",
            "Micro F1 / that of the oracle",
            "share",
            section=_ORACLE,
            headline="of the oracle's F1",
        ),
        Label(r"micro_f1_above_(?P<rival>\w+)", "Micro F1 less that of {rival}", "score", section=_RIVALS),
        Label(r"macro_f1_above_(?P<rival>\w+)", "Macro F1 less that of {rival}", "score", section=_RIVALS),
        Label("n_codes", "Codes that the model knows", section=_DATA),
        Label("n_codes_judged", "of them among the judged texts", section=_DATA),
        Label("labels_per_row", "Codes by text", section=_DATA),
        Label("predicted_per_row", "Assigned codes by text", section=_DATA),
        Label("unmodelled_share", "Codes that the model does not know", "share", section=_DATA),
        Label(r"onnx_(?P<fact>\w+)", "{fact}", section="ONNX export"),
    ],
    baselines=[
        Label("model", "model", "text"),
        Label("micro_f1", "micro F1", "score"),
        Label("micro_f1_above", "model's lead, micro", "score"),
        Label("macro_f1", "macro F1", "score"),
        Label("macro_f1_above", "model's lead, macro", "score"),
        Label("sample_f1", "F1 by text", "score"),
        Label("specific_f1", "F1, most specific", "score"),
        Label("precision_at_1", "precision at 1", "share"),
        Label(r"ndcg_at_(?P<size>\d+)", "nDCG at {size}", "score"),
        Label("average_precision_micro", "average precision", "score"),
        Label("ece", "calibration error", "score"),
        Label("predicted_per_row", "codes by text"),
    ],
    slices=[
        Label("slice", "slice", "text"),
        Label("n", "texts"),
        Label("micro_f1", "micro F1", "score"),
        Label("sample_f1", "F1 by text", "score"),
        Label("micro_precision", "precision", "share"),
        Label("micro_recall", "recall", "share"),
        Label("specific_f1", "F1, most specific", "score"),
        Label(r"precision_at_(?P<size>\d+)", "precision at {size}", "share"),
        Label("groups", "groups"),
    ],
)

CODES = [
    Label("code", "code", "text"),
    Label("label", "label", "text"),
    Label("n_train", "training texts"),
    Label("support", "judged texts"),
    Label("called", "assigned"),
    Label("precision", "precision", "share"),
    Label("recall", "recall", "share"),
    Label("f1", "F1", "score"),
    Label("average_precision", "average precision", "score"),
    Label("threshold", "threshold", "score"),
    Label("level", "level"),
]
"""Columns of the table of codes."""

CONFUSIONS = [
    Label("code", "missed", "text"),
    Label("label", "label", "text"),
    Label("instead", "assigned instead", "text"),
    Label("instead_label", "its label", "text"),
    Label("texts", "texts"),
    Label("share", "of those with the code", "share"),
    Label("level", "level"),
]
"""Columns of the table of confused codes."""
