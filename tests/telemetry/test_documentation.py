"""docs/telemetry.md says of every column what the code does."""

import re
from pathlib import Path

import pytest

from augury.telemetry import EVENTS
from augury.telemetry.events import columns, event_bits

PAGE = (Path(__file__).parents[2] / "docs/telemetry.md").read_text()


@pytest.mark.parametrize("event", EVENTS)
def test_the_table_of_an_event_is_that_of_the_code(event):
    section = PAGE.split(f"### `{event}`: ")[1].split("\n## ")[0].split("\n### ")[0]
    bits = event_bits(event)
    assert section.startswith(f"{sum(bits.values()):.0f} bits\n")
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*) \| ([\d.]*) \|$", section, re.MULTILINE)
    assert [(name, role, said) for name, role, _, said in rows] == [
        (name, column.role, str(bits.get(name, ""))) for name, column in columns(event).items()
    ]
    assert [kept.endswith(", or missing") for _, _, kept, _ in rows] == [c.optional for c in columns(event).values()]


def test_the_example_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    said = []
    exec(example.replace("/var/lib/store/", ""), {"print": lambda *words: said.append(words)})
    assert said[0][1:] == (1031, 0)
    assert said[1][0].written == 1
    assert (tmp_path / "state/augury/node.secret").stat().st_mode & 0o777 == 0o600
