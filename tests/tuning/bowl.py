"""A problem whose answer is known: the distance to a point, with noise that the folds share."""

import json
import math
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from augury.datasets.optuna_journal import StudyJournal
from augury.parameters import Parameters
from augury.pipelines.tuning.racing import SearchSettings, TransientStudies, search
from augury.pipelines.tuning.search_space import SearchSpace


class Bowl(Parameters):
    """Parameters of the model of the problem."""

    x: float = 4.0
    y: int = 30
    kind: str = "round"


class BowlModel(Parameters):
    bowl: Bowl = Bowl()
    use_tuned: bool = False


@dataclass
class BowlProblem:
    """Least at x = 1, y = 10 and kind `round`; later folds cost more and differ a little."""

    direction: str = "minimize"
    folds: int = 5
    rows: int = 100
    data: str = "rows"
    predictor: str = "bowls"
    metric: str = "depth"
    seconds: float = 0.0
    calls: list = field(default_factory=list)

    @property
    def fold_costs(self):
        return [float(10 - fold) for fold in range(self.folds)]  # the last is the cheapest

    @property
    def fingerprint(self):
        return {"data": self.data}

    def evaluate(self, parameters, fold):
        self.calls.append((dict(parameters), fold))
        time.sleep(self.seconds)
        x, y = parameters["bowl.x"], parameters.get("bowl.y", 10)
        depth = (x - 1) ** 2 + (math.log(y / 10)) ** 2 + (parameters.get("bowl.kind", "round") != "round")
        depth += 0.02 * math.sin(50 * x + 7 * y + fold)
        return depth if self.direction == "minimize" else -depth


SPACE = {
    "bowl.x": ["float", -5, 5],
    "bowl.y": ["int", 1, 100, "log"],
    "bowl.kind": ["categorical", ["round", "flat"]],
}


def make_settings(**changes):
    return SearchSettings.model_validate({"trials": 30, "space": SPACE, "delta": 0.05} | changes)


def run_search(problem=None, studies=None, seed=3, model=None, **changes):
    problem = problem or BowlProblem()
    settings = make_settings(**changes)
    space = SearchSpace(problem.predictor, model or BowlModel(), settings.space, settings.fixed, "bowl.")
    return search(problem, space, settings, seed, studies or TransientStudies())


def course(result):
    """All that must be the same however a search was run."""
    return [(t.number, t.parameters, dict(sorted(t.scores.items())), t.state, t.value) for t in result.trials]


if __name__ == "__main__":
    # A search that may be killed: journal, trials, seconds that a fit takes
    path, trials, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    result = run_search(BowlProblem(seconds=seconds), StudyJournal(Path(path)), trials=trials)
    answer = {"course": course(result), "best": result.best.number, "reused": result.reused_fits}
    sys.stdout.write(json.dumps(answer))
