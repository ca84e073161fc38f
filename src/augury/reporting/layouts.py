"""The layout of every task's report."""

import re

from augury.reporting.multilabel_layout import MULTILABEL
from augury.reporting.policy_layout import POLICY
from augury.reporting.ranking_layout import RANKING
from augury.reporting.report_layout import BINARY, REGRESSION, Layout

LAYOUTS = {"regression": REGRESSION, "binary": BINARY, "multilabel": MULTILABEL, "ranking": RANKING, "policy": POLICY}


def layout_of(task: str) -> Layout:
    """Find the layout of a task.

    Args:
        task: The predictor's task; its first word counts, so that ``regression with a safe upper
            bound`` is a regression.

    Returns:
        The task's layout, or one without labels.
    """
    return LAYOUTS.get(re.split(r"\W", task.strip().lower())[0], Layout())
