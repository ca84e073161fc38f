"""Memory that a node has freed goes back to the system."""

import subprocess
import sys

import pytest

from augury.settings import HOOKS

CODE = """
from pathlib import Path
import numpy as np
from augury.hooks import MemoryGivenBack

def resident_mb():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024

# Too small for pages of their own, and the last one keeps the heap from shrinking by itself
pieces = [np.ones(8_000) for _ in range(4_000)]
last = pieces.pop()
del pieces
before = resident_mb()
MemoryGivenBack().after_node_run()
print(before, resident_mb())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_freed_memory_goes_back():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    before, after = map(float, done.stdout.split())
    assert before - after > 200


def test_every_run_has_the_hook():
    assert any(type(hook).__name__ == "MemoryGivenBack" for hook in HOOKS)
