"""A run that is killed at any moment leaves the last good model loadable."""

import os
import shutil
import signal
import time

import pandas as pd
import pytest

from augury.predictors import load_predictor
from augury.predictors.contract import Predictor, replace_directory

pytestmark = pytest.mark.slow

MOMENTS = (0.5, 0.9)
"""Shares of an undisturbed run's time."""


def test_killing_a_run_leaves_a_model(trained_project, tmp_path):

    project = trained_project.copy(tmp_path / "project", "pdf_memory")
    model = project.folder / "data/test/06_models/pdf_memory"
    frame = pd.DataFrame(load_predictor(model).example)
    start = time.monotonic()
    assert project.kedro("run", "--pipelines=model_training", "--namespaces=pdf_memory", "--env=test").returncode == 0
    duration = time.monotonic() - start
    for share in MOMENTS:
        running = project.start("run", "--pipelines=model_training", "--namespaces=pdf_memory", "--env=test")
        time.sleep(share * duration)
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        predictor = load_predictor(model)
        assert len(predictor.predict(frame)) == len(frame)
        # The model, whichever it is, is whole: metadata, trees and export belong together
        assert predictor.metadata.features == predictor.specification.features
        assert predictor.onnx


@pytest.mark.parametrize("step", ["before any rename", "between the renames", "before the clean-up"])
def test_every_step_of_a_save_can_be_the_last(trained_project, tmp_path, monkeypatch, step):

    model = tmp_path / "model"
    shutil.copytree(trained_project.folder / "data/test/06_models/pdf_memory", model)
    old = load_predictor(model)
    frame = pd.DataFrame(old.example)
    renamed = 0
    real = os.replace

    class Killed(BaseException):
        pass

    def replace(source, target):
        nonlocal renamed
        if step == "before any rename" or (step == "between the renames" and renamed == 1):
            raise Killed
        renamed += 1
        real(source, target)

    def rmtree(path, **options):
        if step == "before the clean-up" and renamed == 2:
            raise Killed
        if renamed == 0:
            real_rmtree(path, **options)

    real_rmtree = shutil.rmtree
    monkeypatch.setattr("augury.predictors.contract.os.replace", replace)
    monkeypatch.setattr("augury.predictors.contract.shutil.rmtree", rmtree)
    with pytest.raises(Killed):
        Predictor.save(old, model)
    monkeypatch.undo()
    pd.testing.assert_frame_equal(load_predictor(model).predict(frame), old.predict(frame))
    # The next save works on what was left behind
    old.save(model)
    assert load_predictor(model).metadata == old.metadata
    assert not list(tmp_path.glob(".model.old"))


def test_replace_directory_needs_no_previous_one(tmp_path):
    staging = tmp_path / "staging"
    staging.mkdir()
    (staging / "file").write_text("new")
    replace_directory(staging, tmp_path / "target")
    assert (tmp_path / "target" / "file").read_text() == "new"
