"""What a rollout costs beyond the models: microseconds of CPU per decision, by stage.

python benchmarks/rollout_decision.py [--decisions 50000]
"""

import argparse
import tempfile
import time
from pathlib import Path

from augury.rollout import RolledOut, RolloutFile
from augury.rollout.moves import advance, stop
from augury.rollout.shares import place_of


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--decisions", type=int, default=50_000)
    decisions = parser.parse_args().decisions
    units = [f"{number:024x}" for number in range(decisions)]
    with tempfile.TemporaryDirectory() as folder:
        file = RolloutFile(Path(folder) / "compression.json", "compression")
        for stage in range(5):
            if stage:
                advance(file, gates=[{"passed": True}], force="benchmark")
            measure(file.read().words, file, units)
        measure(f"{file.read().words}, time limit", file, units, timeout_s=1.0)
        stop(file, "benchmark")
        measure("stopped", file, units)
    begun = time.process_time()
    for unit in units:
        place_of(unit, b"0123456789abcdef")
    print(f"{'the hash alone':24} {1e6 * (time.process_time() - begun) / decisions:6.1f} us")


def measure(name: str, file: RolloutFile, units: list[str], timeout_s: float | None = None) -> None:
    """Decide for every unit with models that do nothing."""
    rolled_out = RolledOut(lambda _: "a", lambda _: "b", lambda _: "c", file, timeout_s=timeout_s, flush_s=1e9)
    # CPU of all threads: with a time limit the model runs in another one
    begun = time.process_time()
    for unit in units:
        rolled_out.decide(unit, {})
    print(f"{name:24} {1e6 * (time.process_time() - begun) / len(units):6.1f} us")


if __name__ == "__main__":
    main()
