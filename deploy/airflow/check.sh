#!/bin/bash
# Check the DAGs in a real Airflow: bash deploy/airflow/check.sh [PREDICTOR], by default pdf_memory.
# 1. All DAGs import. 2. Where a gate is not passed, what follows is skipped and nothing is tried again. 3. The predictor's DAG runs
# through with the project's own commands, in a copy of the project and its environment `test`.
# AIRFLOW_VENV is the environment of Airflow (.venv-airflow), made from requirements.txt if it is not there.
set -euo pipefail
cd "$(dirname "$0")/../.."
project=$PWD
predictor=${1:-pdf_memory}
venv=${AIRFLOW_VENV:-$project/.venv-airflow}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

if [ ! -x "$venv/bin/airflow" ]; then
    python3.11 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r deploy/airflow/requirements.txt
fi
export PATH=$venv/bin:$PATH AIRFLOW_HOME=$scratch/airflow AIRFLOW__CORE__DAGS_FOLDER=$project/deploy/airflow
export AIRFLOW__CORE__LOAD_EXAMPLES=False AIRFLOW_VAR_AUGURY_ENV=test DO_NOT_TRACK=1
airflow db migrate > "$scratch/migrate.log" 2>&1 || { cat "$scratch/migrate.log"; exit 1; }

echo "== 1. imports"
AIRFLOW__LOGGING__LOGGING_LEVEL=ERROR python - <<'PYTHON'
from airflow.dag_processing.dagbag import DagBag

bag = DagBag()
if bag.import_errors or not bag.dags:
    raise SystemExit(f"the DAGs do not import: {bag.import_errors}")
print(*sorted(bag.dags))
PYTHON

# What a command prints last: its answer, after what Airflow logs
quietly() {
    AIRFLOW__LOGGING__LOGGING_LEVEL=ERROR "$@" 2> /dev/null | tail -n 1
}

# States of the tasks of a DAG's only run, in the order in which they ran
states() {
    local run
    run=$(quietly airflow dags list-runs "$1" --output json | python -c 'import json, sys; print(json.load(sys.stdin)[0]["run_id"])')
    quietly airflow tasks states-for-dag-run "$1" "$run" --output json | python -c '
import json, sys
states = {task["task_id"]: task["state"] for task in json.load(sys.stdin)}
print(*(f"{name}={states[name]}" for name in ("validate_data", "train", "evaluate", "deploy_if_better")))'
}

run_dag() {
    # A task that fails would be waited for until it may be tried again
    timeout "${2:-120}" airflow dags test "$1" > "$scratch/$1.log" 2>&1 || { cat "$scratch/$1.log"; exit 1; }
}

expect() {
    echo "$1: $2"
    [ "$2" = "$3" ] || { cat "$scratch/$1.log"; echo "expected $3"; exit 1; }
}

echo "== 2. a gate that is not passed"
mkdir -p "$scratch/gate/.venv/bin"
printf '#!/bin/bash\ncase "$*" in *evaluation*) exit 99;; esac\n' > "$scratch/gate/.venv/bin/kedro"
chmod +x "$scratch/gate/.venv/bin/kedro"
other=$([ "$predictor" = query_cost ] && echo pdf_memory || echo query_cost)
AIRFLOW_VAR_AUGURY_PROJECT=$scratch/gate run_dag "augury_$other"
expect "augury_$other" "$(states "augury_$other")" \
    "validate_data=success train=success evaluate=skipped deploy_if_better=skipped"

echo "== 3. $predictor"
mkdir -p "$scratch/project/src" "$scratch/project/conf/local" "$scratch/project/data/01_raw"
cp -r conf/[!l]* "$scratch/project/conf/"
cp conf/logging.yml "$scratch/project/conf/"
cp pyproject.toml .telemetry "$scratch/project/"
cp -r "data/01_raw/$predictor" "$scratch/project/data/01_raw/"
ln -s "$project/.venv" "$scratch/project/.venv"
AIRFLOW_VAR_AUGURY_PROJECT=$scratch/project run_dag "augury_$predictor" 540
expect "augury_$predictor" "$(states "augury_$predictor")" \
    "validate_data=success train=success evaluate=success deploy_if_better=success"
