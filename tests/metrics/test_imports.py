"""What importing the shared packages and the stages that use them loads."""

import subprocess
import sys


def test_importing_the_modules_loads_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from augury.metrics import binary\n"
        "from augury.reporting import report\n"
        "from augury.pipelines.evaluation import binary_plots, binary_predictions, binary_report\n"
        "from augury.pipelines.evaluation import contributions, event_days, fairness, fold_stability, known_truth\n"
        "from augury.pipelines.evaluation import gathered_metrics, training_shift, validation_plots, weak_slices\n"
        "from augury.pipelines.monitoring import alarms, feature_drift, replay_plots, replay_report\n"
        "heavy = {'sklearn', 'scipy', 'plotly', 'jinja2', 'kedro', 'mlflow', 'pyspark', 'xgboost', 'fairlearn'}\n"
        "heavy &= set(sys.modules)\n"
        "print(sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
