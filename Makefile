# Everything starts here: `make train` and `make test` need nothing but Python 3.11, pip and make.
PYTHON ?= $(or $(shell command -v python3.11),python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
export DO_NOT_TRACK := 1

.DEFAULT_GOAL := help
.PHONY: help install train test lint format viz mlflow airflow lock clean browser

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(INSTALLED) ## Create .venv and install the pinned requirements

# -qq: pip warns once per package about every extra index that lacks it; errors still show
$(INSTALLED): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the pinned requirements into $(VENV) (a few minutes the first time) ..."
	$(BIN)/python -m pip install -qq --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	-@$(BIN)/python -m augury store
	@touch $@

train: $(INSTALLED) ## Train, judge and record every predictor
	$(BIN)/kedro run --pipeline=training

# With bytecode also where the environment says none: the tests start hundreds of processes
test: export PYTHONDONTWRITEBYTECODE :=
test: $(INSTALLED) browser ## Run all tests
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

lint: $(INSTALLED) ## Check style, types and architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED) ## Mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

viz: $(INSTALLED) ## Open the pipelines in kedro-viz on 127.0.0.1:4141
	$(BIN)/kedro viz run --host 127.0.0.1

mlflow: $(INSTALLED) ## Open the tracked runs in MLflow on 127.0.0.1:5000
	$(BIN)/mlflow ui --backend-store-uri sqlite:///mlflow.db --host 127.0.0.1

airflow: $(INSTALLED) ## Run the weekly retraining in a real Airflow, in .venv-airflow
	bash deploy/airflow/check.sh

# The local version label of a CPU build is cut off, so that the lock also installs elsewhere
lock: $(INSTALLED) ## Remake requirements.lock from pyproject.toml
	$(BIN)/pip-compile -q --all-extras --strip-extras --no-header --no-emit-index-url --no-emit-find-links \
		--output-file requirements.lock pyproject.toml
	sed -i -E 's/^(torch==[0-9.]+)\+[a-z0-9.]+/\1/; 1i # Made by `make lock` from pyproject.toml, every extra included' requirements.lock

# The browser tests drive Chromium. Where it is missing and apt-get may be used, it is installed; elsewhere they are skipped.
browser:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { \
		if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
			echo "Installing Chromium for the browser tests ..."; \
			apt-get update -qq >/dev/null && apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
		else echo "No Chromium found: the browser tests will be skipped."; fi; }

clean: ## Remove caches and everything that runs have written (not .venv, not the raw data)
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage htmlcov spark-warehouse
	rm -rf mlflow.db mlartifacts mlruns data/test data/spark data/0[2-8]_*
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
