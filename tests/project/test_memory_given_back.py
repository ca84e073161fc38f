"""Memory that a node has freed, or that only its inputs and garbage still take, goes back to the system."""

import subprocess
import sys

import pytest

from augury.settings import HOOKS

CODE = """
import gc
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
hook = MemoryGivenBack()
hook.before_pipeline_run()
# A cycle, as pandas makes with every accessor; no collection happens by chance
gc.disable()
frame = {"values": np.ones(25_000_000)}
frame["itself"] = frame
inputs = {"table": np.ones(25_000_000), "frame": frame}
del frame
before = resident_mb()
hook.after_node_run(inputs)
hook.after_pipeline_run()
print(before, resident_mb())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_freed_memory_goes_back():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    before, after = map(float, done.stdout.split())
    # The first large array lies where the pieces were
    assert before - after > 380


def test_every_run_has_the_hook():
    assert any(type(hook).__name__ == "MemoryGivenBack" for hook in HOOKS)
