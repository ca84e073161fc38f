import random
import sqlite3
from collections import defaultdict

import numpy as np
import pytest

from augury.errors import UserError
from augury.telemetry import EVENTS, TelemetryCollector
from augury.telemetry.aggregates import GRID, MOST_EPSILON, _Noise, aggregate
from augury.telemetry.pseudonyms import EPOCH_MS

WEEK = 2_900
NOW = (WEEK + 40) * EPOCH_MS


def write(path, node, week, events):
    """Events of a node in a week; node -> secret."""
    clock = week * EPOCH_MS * 1_000_000 + 10**9
    with TelemetryCollector(path, secret_path=path.parent / f"{node}.secret", clock=lambda: clock) as collector:
        for event, fields in events:
            assert collector.record(event, **fields)
    assert collector.stats().written == len(events)
    return path


@pytest.fixture(scope="module")
def fleet(tmp_path_factory, example):
    """22 nodes: all store zstd-3 blocks of 4 KiB, ten of them also lz4 blocks; the first does so a hundred times."""
    folder = tmp_path_factory.mktemp("fleet")
    small = example("block_stored", size=5_000, codec="zstd-3", stored_bytes=2_000, compress_us=50.0)
    rare = {**small, "codec": "lz4"}
    return [
        write(
            folder / f"{node}.db",
            node,
            WEEK,
            [("block_stored", small)] * (100 if node == 0 else 2)
            + [("block_stored", rare)] * (2 if node < 10 else 0)
            + [("block_accessed", example("block_accessed", size=5_000, hit=node % 2))],
        )
        for node in range(22)
    ]


def copies(fleet, folder):
    """The budget is entered in the files, so a test that spends it needs files of its own."""
    folder.mkdir()
    for path in fleet:
        (folder / path.name).write_bytes(path.read_bytes())
    return [folder / path.name for path in fleet]


def test_only_cells_with_enough_nodes_are_released(fleet):
    release = aggregate(fleet, "block_stored", now_ms=NOW)
    assert release.units == 22
    assert release.withheld == 1
    (cell,) = release.cells
    assert (cell["codec"], cell["size_below"], cell["units"]) == ("zstd-3", 4**7, 22)
    # A node counts once: node 0 with 100 of 102 rows, nine with half of theirs, twelve with all
    assert cell["weight"] == pytest.approx(100 / 102 + 9 / 2 + 12, abs=GRID)
    assert cell["stored_bytes_mean"] == pytest.approx(2_000, rel=0.02)
    assert cell["compress_us_mean"] == pytest.approx(50, rel=0.02)


def test_the_mean_of_a_flag_is_its_rate(fleet):
    (cell,) = aggregate(fleet, "block_accessed", now_ms=NOW).cells
    assert cell["hit_mean"] == pytest.approx(0.5, abs=0.001)
    assert set(cell) == {"size_below", "units", "weight", "hit_mean", "prefetched_mean"}


def test_nothing_that_names_a_node_or_a_block_is_released(fleet):
    release = aggregate(fleet, "block_stored", now_ms=NOW)
    assert not {"ts", "block", "lineage", "node", "policy"} & set(release.cells[0])


def test_nineteen_nodes_are_too_few_and_k_cannot_be_lowered(fleet):
    release = aggregate(fleet[:19], "block_stored", now_ms=NOW)
    assert (release.cells, release.units) == ([], 19)
    for k in (19, 0, -1):
        with pytest.raises(UserError, match="at least 20"):
            aggregate(fleet, "block_stored", k=k, now_ms=NOW)
    assert aggregate(fleet, "block_stored", k=23, now_ms=NOW).cells == []


def test_the_same_file_or_node_twice_counts_once(fleet, tmp_path, example):
    twice = aggregate([*fleet[:19], *fleet[:19]], "block_stored", now_ms=NOW)
    assert (twice.cells, twice.units) == ([], 19)
    write(fleet[0].parent / "second.db", 0, WEEK, [("block_stored", example("block_stored"))])
    assert aggregate([*fleet[:19], fleet[0].parent / "second.db"], "block_stored", now_ms=NOW).units == 19


def test_weeks_of_one_node_count_and_the_running_week_does_not(tmp_path, example):
    for week in range(21):
        write(tmp_path / "e.db", "n", WEEK + week, [("gossip_round", example("gossip_round"))])
    over = aggregate([tmp_path / "e.db"], "gossip_round", now_ms=(WEEK + 20) * EPOCH_MS + 5)
    assert (over.units, over.cells[0]["units"]) == (20, 20)
    assert aggregate([tmp_path / "e.db"], "gossip_round", now_ms=(WEEK + 20) * EPOCH_MS - 1).cells == []


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_can_be_released(tmp_path, example, event):
    for week in range(20):
        write(tmp_path / "e.db", "n", WEEK + week, [(event, example(event))])
    (cell,) = aggregate([tmp_path / "e.db"], event, now_ms=NOW).cells
    assert cell["weight"] == 20
    for name, value in cell.items():
        if name.endswith("_mean"):
            assert value == pytest.approx(example(event)[name.removesuffix("_mean")], rel=0.03, abs=0.01)


# --- Noise ---


def test_a_release_with_noise_is_accounted_and_never_overdrawn(fleet, tmp_path):
    files = copies(fleet, tmp_path / "fleet")
    release = aggregate(files, "block_stored", epsilon=0.6, now_ms=NOW, rng=random.Random(1))
    assert all("units" not in cell for cell in release.cells)
    with pytest.raises(UserError, match=r"given 0\.6 of its budget of 1 per week"):
        aggregate(files, "block_stored", epsilon=0.5, now_ms=NOW)
    aggregate(files[:21], "block_accessed", epsilon=0.4, now_ms=NOW)
    with pytest.raises(UserError, match="overdraw"):
        aggregate(files, "block_stored", epsilon=0.1, now_ms=NOW)

    def spent(path):
        with sqlite3.connect(path) as connection:
            return connection.execute("SELECT epoch, epsilon FROM privacy_spent").fetchall()

    assert spent(files[0]) == [(WEEK, pytest.approx(1.0))]
    assert spent(files[21]) == [(WEEK, pytest.approx(0.6))]  # a refused release is entered nowhere


@pytest.mark.parametrize("epsilon", [0, -1, 1.1, float("nan")])
def test_no_release_may_take_more_than_the_budget_of_a_week(fleet, epsilon):
    with pytest.raises(UserError, match="at most 1 per node and week"):
        aggregate(fleet, "block_stored", epsilon=epsilon, now_ms=NOW)


def test_files_that_cannot_be_written_release_nothing_with_noise(fleet, tmp_path):
    files = copies(fleet, tmp_path / "fleet")
    with sqlite3.connect(files[3], isolation_level=None) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(UserError, match="nothing is released"):
            # the rows are in the file, so reading waits for nothing; the account cannot be written
            aggregate(files, "block_stored", epsilon=0.5, now_ms=NOW)
    assert aggregate(files, "block_stored", epsilon=1.0, now_ms=NOW) is not None


def test_the_noise_has_the_scale_that_the_budget_asks_for():
    noise = _Noise(0.25, random.Random(7))
    values = np.array([noise.add(100.0) for _ in range(20_000)]) - 100
    assert np.median(values) == pytest.approx(0, abs=0.15)
    assert np.abs(values).mean() == pytest.approx(1 / 0.25, rel=0.03)  # of a Laplace distribution: its scale
    assert np.all(values % GRID == 0)
    assert MOST_EPSILON == 1


def test_one_node_changes_the_weights_by_at_most_one_in_sum(tmp_path, example):
    """What the noise is measured by: all weights together change by at most one, and so does each sum of outcomes."""
    draw = random.Random(3)
    files = []
    for node in range(41):
        events = [
            ("block_stored", example("block_stored", codec=draw.choice(["lz4", "zstd-1"]), compress_us=draw.random()))
            for _ in range(draw.randint(2, 30) if node else 400)
        ]
        events += [("block_stored", example("block_stored", codec=codec)) for codec in ("lz4", "zstd-1")]
        files.append(write(tmp_path / f"{node}.db", node, WEEK, events))

    def weights(paths):
        cells = defaultdict(float)
        for cell in aggregate(paths, "block_stored", now_ms=NOW).cells:
            cells[cell["codec"]] = cell["weight"]
        return cells

    everyone = weights(files)
    assert len(everyone) == 2
    for left_out in (0, 7, 40):
        others = weights(files[:left_out] + files[left_out + 1 :])
        assert sum(abs(everyone[codec] - others[codec]) for codec in everyone) <= 1 + 4 * GRID
