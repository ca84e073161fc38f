"""Augury: ten operational predictors in one Kedro project."""

import os

# Read by OpenMP when PyTorch loads. Threads that wait by spinning make a training with two threads up to 28 times
# slower as soon as anything else runs on the machine; waiting asleep costs nothing that could be measured.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
