"""Where PyTorch computes: what is asked for, what is there, and nothing left behind."""

import pytest
import torch

from augury.errors import UserError
from augury.predictors import torch_device
from augury.predictors.torch_device import autocast_dtype, available_cores, choose_device, choose_threads, computing


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto").type == choose_device("cpu").type == "cpu"
    with pytest.raises(UserError, match="'device' is 'cuda'"):
        choose_device("cuda")


def test_a_gpu_is_taken_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [choose_device(name).type for name in ("auto", "cuda", "cpu")] == ["cuda", "cuda", "cpu"]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "5,2", "OMP_WAIT_POLICY": "PASSIVE"}, 5),
        ({}, 1),  # idle threads would spin
        ({"OMP_WAIT_POLICY": "ACTIVE"}, 1),
        ({"OMP_WAIT_POLICY": "passive"}, 8),
        ({"OMP_NUM_THREADS": "many", "OMP_WAIT_POLICY": "PASSIVE"}, 8),
    ],
)
def test_threads_follow_from_the_environment(variables, expected, monkeypatch):
    for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch_device, "available_cores", lambda: 8)
    assert choose_threads("auto") == expected
    assert choose_threads(2) == 2
    assert available_cores() >= 1


def test_precision(monkeypatch):
    cpu = torch.device("cpu")
    assert autocast_dtype(cpu, "float32") is None
    assert autocast_dtype(cpu, "bfloat16") is torch.bfloat16
    for capable in (True, False):
        monkeypatch.setattr(torch_device, "_multiplies_bfloat16", lambda _, capable=capable: capable)
        assert autocast_dtype(cpu, "auto") is (torch.bfloat16 if capable else None)


def test_threads_and_generators_are_left_as_they_were():
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    with pytest.raises(KeyError), computing(threads + 1, seed=3):
        assert torch.get_num_threads() == threads + 1
        first = torch.rand(4)
        raise KeyError
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)
    with computing(1, seed=3):
        assert torch.equal(torch.rand(4), first)
