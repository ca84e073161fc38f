"""Airflow 3: retrain every predictor each Sunday at 3:00 UTC, and put the new model in force if it is better.

Copy or link this file into the folder of DAGs. It imports nothing of the project, which has an environment of its own.
Airflow variables (or AIRFLOW_VAR_AUGURY_PROJECT and AIRFLOW_VAR_AUGURY_ENV) say where that is:

- `augury_project`: the project's folder, with its `.venv`; by default /opt/augury.
- `augury_env`: the Kedro environment; by default prod.

What the environment itself wants to know (MLFLOW_TRACKING_URI, AWS_*, AUGURY_DATABASE ...) the tasks inherit from the
worker.
"""

import datetime as dt

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

PREDICTORS = ("food_waste", "pdf_memory", "query_cost", "recommendation", "taxonomy")

STEPS = {
    "validate_data": "data_engineering,feature_engineering",
    "train": "model_training",
    "evaluate": "evaluation",
    "deploy_if_better": "promotion",
}
"""Task -> pipelines."""

BROKEN_MAY_BE_TRIED_AGAIN = {"retries": 2, "retry_delay": dt.timedelta(minutes=10)}

PROJECT = "{{ var.value.get('augury_project', '/opt/augury') }}"
ENVIRONMENT = "{{ var.value.get('augury_env', 'prod') }}"

for predictor in PREDICTORS:
    with DAG(
        dag_id=f"augury_{predictor}",
        description=f"Retrain {predictor}, judge it, and promote it if it is better",
        schedule="0 3 * * 0",
        start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        catchup=False,
        max_active_runs=1,
        default_args={"execution_timeout": dt.timedelta(hours=6)},
        tags=["augury"],
    ):
        earlier = None
        for step, pipelines in STEPS.items():
            task = BashOperator(
                task_id=step,
                bash_command=(
                    f".venv/bin/kedro run --env={ENVIRONMENT} --pipelines={pipelines} --namespaces={predictor}"
                ),
                cwd=PROJECT,
                # A gate that was not passed is a verdict, no failure: what follows is skipped, nothing is tried again
                skip_on_exit_code=99,
                **BROKEN_MAY_BE_TRIED_AGAIN,
            )
            if earlier is not None:
                earlier >> task
            earlier = task
