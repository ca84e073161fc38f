"""Neural collaborative filtering: CPU seconds and memory beside the plain way of writing it in PyTorch, in one run.

python benchmarks/ncf_speed.py [--ratings <path>.train.rating] [--random-pairs 0] [--epochs 3]
[--plain-share 1.0] [--seeds 1] [--job-only]

Two things are measured, each in its own process: (a) the wall time, imports included, of a small job (1,000
interactions, 10 epochs, batch 256); (b) epochs of NeuMF (embedding 64, layers 128-64-32, 4 negatives, Adam) on a file
of the NCF paper's form, or else on simulated interactions, by the project's training with `batch_size: auto` and by a
`Dataset` and a `DataLoader` of batches of 256 with negatives drawn row by row; full-ranking NDCG@10 of the users' last
interactions, held out, after the same epochs; and the peak of the resident memory, with and without what importing
PyTorch takes. One thread.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

EMBEDDING, LAYERS, NEGATIVES, BATCH, SEED = 64, (128, 64, 32), 4, 256, 1  # other runs: the seeds after it
USERS_JUDGED = 10_000


def peak() -> float:
    """Peak of the resident memory so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def load(directory: Path) -> Any:
    """The training rows and held-out items that all processes share."""
    return np.load(directory / "interactions.npz")


def judge(score: Any, data: Any) -> float:
    """Full-ranking NDCG@10 of the held-out items of some users."""
    users = np.linspace(0, int(data["shape"][0]) - 1, USERS_JUDGED).astype(np.int64)
    users = np.unique(users[data["held_out"][users] >= 0])
    order = np.argsort(data["users"], kind="stable")
    starts = np.searchsorted(data["users"][order], [users, users + 1])
    total = 0.0
    for place, user in enumerate(users):
        scores = np.array(score(int(user)), dtype=np.float32)
        own = scores[data["held_out"][user]]
        scores[data["items"][order[starts[0][place] : starts[1][place]]]] = -np.inf
        rank = (scores > own).sum() + ((scores == own).sum() - 1) / 2
        total += 1 / np.log2(rank + 2) if rank < 10 else 0.0
    return total / len(users)


def run_ours(directory: Path, epochs: int, seed: int) -> dict[str, Any]:
    """The project's training."""
    import torch

    base = peak()
    from augury.checkpointing import NoCheckpoints
    from augury.pipelines.model_training.neural_collaborative_filtering import fit_network
    from augury.pipelines.model_training.recommender_models import NeuralSettings
    from augury.predictors.user_histories import Histories

    data = load(directory)
    torch.set_num_threads(1)
    shape = (int(data["shape"][0]), int(data["shape"][1]))
    settings = NeuralSettings(embedding=EMBEDDING, layers=LAYERS, negatives=NEGATIVES, epochs=epochs)
    cpu, wall = time.process_time(), time.perf_counter()
    ones = np.ones(len(data["users"]), dtype=np.float32)
    histories = Histories.from_pairs(data["users"], data["items"], ones, ones, shape)
    fitted = fit_network("neumf", histories, settings, seed, None, NoCheckpoints())
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    memory = peak()
    ndcg = judge(lambda user: fitted.scorer.scores(np.array([user]), histories)[0], data)
    return {
        "cpu_per_epoch": cpu / epochs,
        "wall_per_epoch": wall / epochs,
        "ndcg": ndcg,
        "peak": memory,
        "base": base,
        **{name: fitted.facts[name] for name in ("batch_size", "learning_rate", "precision")},
    }


def run_plain(directory: Path, epochs: int, share: float, seed: int) -> dict[str, Any]:
    """The way it is written everywhere: a dataset of rows, a loader, and a loop."""
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, Dataset

    base = peak()
    data = load(directory)
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    n_users, n_items = (int(size) for size in data["shape"])

    class Ratings(Dataset):
        def __init__(self) -> None:
            self.positives = [[int(u), int(i)] for u, i in zip(data["users"], data["items"], strict=True)]
            self.known = {(u, i) for u, i in self.positives}
            self.rows: list[list[int]] = []
            self.labels: list[int] = []

        def draw_negatives(self) -> None:
            negatives = []
            for user, _ in self.positives:
                for _ in range(NEGATIVES):
                    item = np.random.randint(n_items)
                    while (user, item) in self.known:
                        item = np.random.randint(n_items)
                    negatives.append([user, item])
            self.rows = self.positives + negatives
            self.labels = [1] * len(self.positives) + [0] * len(negatives)

        def __len__(self) -> int:
            return len(self.positives) * (1 + NEGATIVES)

        def __getitem__(self, row: int) -> tuple[int, int, int]:
            return self.rows[row][0], self.rows[row][1], self.labels[row]

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gmf_user, self.mlp_user = (nn.Embedding(n_users, EMBEDDING) for _ in range(2))
            self.gmf_item, self.mlp_item = (nn.Embedding(n_items, EMBEDDING) for _ in range(2))
            modules: list[nn.Module] = []
            for before, width in zip((2 * EMBEDDING, *LAYERS[:-1]), LAYERS, strict=True):
                modules += [nn.Linear(before, width), nn.ReLU()]
            self.mlp = nn.Sequential(*modules)
            self.output = nn.Linear(EMBEDDING + LAYERS[-1], 1)
            for table in (self.gmf_user, self.mlp_user, self.gmf_item, self.mlp_item):
                nn.init.normal_(table.weight, std=0.01)
            for module in self.mlp:
                if isinstance(module, nn.Linear):
                    nn.init.xavier_uniform_(module.weight)
            nn.init.kaiming_uniform_(self.output.weight, a=1, nonlinearity="sigmoid")

        def forward(self, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
            gmf = self.gmf_user(user) * self.gmf_item(item)
            mlp = self.mlp(torch.cat([self.mlp_user(user), self.mlp_item(item)], dim=-1))
            return self.output(torch.cat([gmf, mlp], dim=-1)).view(-1)

    np.random.seed(seed)
    dataset = Ratings()
    loader = DataLoader(dataset, batch_size=BATCH, shuffle=True, num_workers=0)
    network, loss_of = Network(), nn.BCEWithLogitsLoss()
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    cpu, wall, done = time.process_time(), time.perf_counter(), 0.0
    for _ in range(epochs):
        dataset.draw_negatives()
        drawn = time.process_time()
        for step, (user, item, label) in enumerate(loader):
            if step >= share * len(loader):
                break
            optimiser.zero_grad()
            loss_of(network(user, item), label.float()).backward()
            optimiser.step()
        # Negatives are drawn for a whole epoch; the steps are extrapolated where only a share of them was made
        done += drawn - cpu + (time.process_time() - drawn) / share
        cpu = time.process_time()
    wall = (time.perf_counter() - wall) / share
    memory = peak()
    everything = torch.arange(n_items)
    with torch.inference_mode():
        ndcg = judge(lambda user: network(torch.full((n_items,), user), everything).numpy(), data)
    return {"cpu_per_epoch": done / epochs, "wall_per_epoch": wall / epochs, "ndcg": ndcg, "peak": memory, "base": base}


def run_job() -> dict[str, Any]:
    """A small job as a whole: 1,000 interactions, 10 epochs, batch 256, validated after each epoch."""
    import pandas as pd

    from augury.checkpointing import NoCheckpoints
    from augury.pipelines.model_training.collaborative_filtering import train_recommender
    from augury.pipelines.model_training.recommender_models import RecommenderModel

    random = np.random.default_rng(SEED)
    items = np.concatenate([random.choice(200, 10, replace=False) for _ in range(100)])
    matrix = pd.DataFrame(
        {
            "user": np.repeat(np.arange(100), 10),
            "item": items,
            "weight": 1.0,
            "timestamp": np.tile(np.arange(10), 100),
            "split": np.tile([*["train"] * 8, "validation", "test"], 100),
        }
    )
    settings = {"batch_size": BATCH, "epochs": 10, "patience": 10, "embedding": EMBEDDING, "layers": LAYERS}
    _, _, account = train_recommender(
        matrix,
        pd.DataFrame({"user": [], "split": [], "item": [], "negatives": []}),
        pd.DataFrame({"user": range(100), "user_id": [f"u{user}" for user in range(100)]}),
        pd.DataFrame({"item": range(200), "item_id": [f"i{item}" for item in range(200)]}),
        {},
        {},
        RecommenderModel.model_validate({"kind": "neumf", "neumf": settings, "refit": False}),
        SEED,
        NoCheckpoints(),
        {"git_commit": None, "created_at": "", "versions": {}},
    )
    return {"epochs": account["epochs"]}


def prepare(ratings: Path | None, random_pairs: int, directory: Path) -> dict[str, int]:
    """Write the interactions that both trainings read; a user's last one is held out."""
    import pandas as pd

    if random_pairs:
        random = np.random.default_rng(SEED)
        users, items = (random.power(0.5, random_pairs) * size for size in (6_040, 3_706))
        table = pd.DataFrame({"user": users.astype(int), "item": items.astype(int), "time": np.arange(random_pairs)})
        table = table.drop_duplicates(["user", "item"])
    elif ratings is not None:
        table = pd.read_csv(ratings, sep="\t", header=None, names=["user", "item", "rating", "time"])
    else:
        from augury.pipelines.collection.interaction_simulation import (
            InteractionSimulation,
            create_synthetic_interactions,
        )

        raw, _ = create_synthetic_interactions(InteractionSimulation(), SEED)
        raw = raw.drop_duplicates(["user_id", "item_id"])
        table = pd.DataFrame(
            {
                "user": pd.factorize(raw["user_id"])[0],
                "item": pd.factorize(raw["item_id"])[0],
                "time": pd.to_datetime(raw["timestamp"]).astype("int64"),
            }
        )
    table = table.sort_values(["user", "time"], kind="stable")
    last = ~table["user"].duplicated(keep="last")
    shape = int(table["user"].max()) + 1, int(table["item"].max()) + 1
    held_out = np.full(shape[0], -1)
    held_out[table["user"][last]] = table["item"][last]
    rows = table[~last]
    np.savez(
        directory / "interactions.npz",
        users=rows["user"].to_numpy(np.int32),
        items=rows["item"].to_numpy(np.int32),
        held_out=held_out,
        shape=np.array(shape),
    )
    return {"users": shape[0], "items": shape[1], "interactions": len(rows)}


def apart(*arguments: str) -> tuple[dict[str, Any], float]:
    """Run this file in a process of its own; its answer, and its wall time."""
    started = time.perf_counter()
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(
        [sys.executable, __file__, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True,
        env=environment,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1]), time.perf_counter() - started


def main() -> None:
    """Run all processes and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ratings", type=Path, help="a file of user, item, rating, time, separated by tabs")
    parser.add_argument("--random-pairs", type=int, default=0, help="pairs without any pattern, of 6,040 x 3,706")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--plain-share", type=float, default=1.0, help="of an epoch's steps; below 1 no NDCG")
    parser.add_argument("--job-only", action="store_true")
    parser.add_argument("--seeds", type=int, default=1, help="how often both are trained; NDCG is noisy")
    parser.add_argument("--seed", type=int, default=SEED, help=argparse.SUPPRESS)
    parser.add_argument("--run", choices=["ours", "plain", "job"], help=argparse.SUPPRESS)
    parser.add_argument("--directory", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run == "job":
        print(json.dumps(run_job()))
    elif options.run == "ours":
        print(json.dumps(run_ours(options.directory, options.epochs, options.seed)))
    elif options.run == "plain":
        print(json.dumps(run_plain(options.directory, options.epochs, options.plain_share, options.seed)))
    else:
        _, wall = apart("--run", "job")
        print(f"1,000 interactions, 10 epochs, batch 256, imports included: {wall:.1f} s of wall time")
        if options.job_only:
            return
        with tempfile.TemporaryDirectory() as directory:
            print(prepare(options.ratings, options.random_pairs, Path(directory)))
            common = ["--directory", directory, "--epochs", str(options.epochs)]
            share = str(options.plain_share)
            pairs = [
                (
                    apart("--run", "ours", *common, "--seed", str(seed))[0],
                    apart("--run", "plain", *common, "--seed", str(seed), "--plain-share", share)[0],
                )
                for seed in range(SEED, SEED + options.seeds)
            ]
        for pair in pairs:
            for name, found in zip(("ours", "plain"), pair, strict=True):
                print(
                    name, {key: round(value, 4) if isinstance(value, float) else value for key, value in found.items()}
                )
        mean = {
            key: np.mean([[one[key] for one in pair] for pair in pairs], axis=0)
            for key in ("cpu_per_epoch", "peak", "base")
        }
        cpu, peaks, beyond = mean["cpu_per_epoch"], mean["peak"], mean["peak"] - mean["base"]
        print(f"CPU per epoch: {cpu[1] / cpu[0]:.1f} times less")
        print(f"peak memory: {peaks[0] / peaks[1]:.2f} of the plain one's")
        print(f"peak memory beyond the import of PyTorch: {beyond[0] / beyond[1]:.2f} of the plain one's")
        if options.plain_share >= 1:
            gains = np.array([ours["ndcg"] - plain["ndcg"] for ours, plain in pairs])
            ours, plain = (np.mean([pair[side]["ndcg"] for pair in pairs]) for side in range(2))
            print(
                f"NDCG@10 after {options.epochs} epochs: {ours:.4f}, plain {plain:.4f}; "
                f"differences {gains.round(4).tolist()}"
            )


if __name__ == "__main__":
    main()
