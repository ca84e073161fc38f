#!/bin/bash
# Retrain predictors one after another: bash deploy/retrain.sh food_waste pdf_memory
# AUGURY_ENV is the Kedro environment (prod). Exit code: 0, or that of the last predictor that did not get through; 99 means that
# a gate was not passed.
set -uo pipefail
cd "$(dirname "$0")/.."
result=0
for predictor in "$@"; do
    for pipelines in data_engineering,feature_engineering model_training evaluation promotion; do
        .venv/bin/kedro run --env="${AUGURY_ENV:-prod}" --pipelines="$pipelines" --namespaces="$predictor"
        code=$?
        if [ "$code" -ne 0 ]; then
            echo "$(date --iso-8601=seconds) $predictor: $pipelines ended with exit code $code"
            result=$code
            break
        fi
    done
done
exit "$result"
