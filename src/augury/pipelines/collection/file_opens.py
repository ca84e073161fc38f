"""Record which files real programs open, as accesses of pseudonymous objects: Python's own tools and imports."""

import hashlib
import secrets
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field
from tqdm import tqdm

from augury.errors import UserError
from augury.parameters import Parameters

WORKER = Path(__file__).with_name("file_open_worker.py")
PSEUDONYM_BYTES = 12
LIBRARY, PACKAGES = "{library}", "{packages}"
"""In a program's arguments: the folders of Python's own library and of installed packages."""

WORKLOADS: dict[str, list[list[str]]] = {
    "imports": [
        ["-c", "import pandas"],
        ["-c", "import numpy, json, csv, sqlite3"],
        ["-c", "import pyarrow.parquet"],
        ["-c", "import sklearn.linear_model"],
        ["-c", "import click, pydantic, yaml"],
        ["-c", "import http.server, email.mime.text, xml.etree.ElementTree"],
    ],
    "tools": [
        ["-m", "compileall", "-q", "-f", f"{LIBRARY}/email", f"{LIBRARY}/json", f"{LIBRARY}/http"],
        ["-m", "compileall", "-q", "-f", f"{LIBRARY}/asyncio", f"{LIBRARY}/concurrent", f"{LIBRARY}/logging"],
        ["-m", "compileall", "-q", "-f", f"{PACKAGES}/click", f"{PACKAGES}/pydantic"],
        ["-m", "tabnanny", f"{LIBRARY}/multiprocessing", f"{LIBRARY}/unittest", f"{LIBRARY}/importlib"],
        ["-m", "tabnanny", f"{PACKAGES}/click", f"{PACKAGES}/pydantic"],
        ["-m", "pydoc", "json"],
        ["-m", "pydoc", "asyncio"],
        ["-m", "tokenize", f"{LIBRARY}/argparse.py"],
        ["-m", "ast", f"{LIBRARY}/dataclasses.py"],
    ],
}
"""Traces, and the programs whose runs are drawn for them."""


class AccessCollection(Parameters):
    """What is run, and how it is recorded."""

    workloads: dict[str, list[list[str]]] = Field(
        default=WORKLOADS, min_length=1, description="trace -> programs: '-m', module, arguments; or '-c', code"
    )
    runs: int = Field(default=40, ge=1, description="runs of each trace, drawn from its programs by the seed")
    parallel: int = Field(default=2, ge=1, description="programs at once, whose accesses interleave")
    block_bytes: int = Field(default=16_384, ge=512, description="size of a block of a file")
    most_blocks: int = Field(default=32, ge=1, description="blocks of a file that are recorded at most")
    timeout_s: float = Field(default=120, gt=0, description="for one program")


def record_accesses(collection: AccessCollection, seed: int) -> pd.DataFrame:
    """Run programs and record the files that they open.

    An audit hook sees that a file is opened, not which parts of it are read. What is opened by Python's import system
    and by its tools is read from the beginning to the end, so each open counts as the access of all its blocks in
    order. Paths become keyed pseudonyms; the key is drawn and thrown away.

    Args:
        collection: What to run.
        seed: Of the draw of programs.

    Returns:
        ``trace``, ``ts`` (int64 ms), ``req`` (int64, order within the trace), ``session`` and ``object`` (pseudonyms of
        24 hexadecimal digits), ``position`` (int64, block within the object), ``size`` (int64 bytes).

    Raises:
        UserError: A program fails, takes too long, or opens nothing.
    """
    generator = np.random.default_rng(seed)
    key = secrets.token_bytes(32)
    traces = []
    with tempfile.TemporaryDirectory() as folder:
        for trace, programs in collection.workloads.items():
            drawn = [programs[number] for number in generator.integers(0, len(programs), collection.runs)]
            records = [Path(folder) / f"{trace}-{number}" for number in range(len(drawn))]
            with ThreadPoolExecutor(collection.parallel) as pool:
                work = pool.map(lambda run: _run(run[0], run[1], collection, folder), zip(drawn, records, strict=True))
                list(tqdm(work, total=len(drawn), desc=trace, unit="run", mininterval=2))
            opens = pd.concat([_read(record, number) for number, record in enumerate(records)], ignore_index=True)
            traces.append(_accesses(opens, trace, key, collection))
    return pd.concat(traces, ignore_index=True)


def pseudonym(text: str, key: bytes) -> str:
    """A keyed pseudonym of 24 hexadecimal digits."""
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=PSEUDONYM_BYTES, key=key).hexdigest()


def _run(program: list[str], record: Path, collection: AccessCollection, folder: str) -> None:
    paths = sysconfig.get_paths()
    told = (part.replace(LIBRARY, paths["stdlib"]).replace(PACKAGES, paths["purelib"]) for part in program)
    # Compiled files go elsewhere: a recording must not change what is recorded
    elsewhere = ["-X", f"pycache_prefix={folder}"] if "compileall" in program else []
    command = [sys.executable, *elsewhere, str(WORKER), str(record), *told]
    named = " ".join(program)
    try:
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=collection.timeout_s)
    except subprocess.TimeoutExpired:
        raise UserError(
            f"prefetch.collection: '{named}' ran longer than {collection.timeout_s:g} s "
            "(prefetch.collection.timeout_s)."
        ) from None
    if done.returncode or not record.exists():
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise UserError(f"prefetch.collection: '{named}' failed: {words[-1] if words else done.returncode}.")


def _read(record: Path, session: int) -> pd.DataFrame:
    lines = [line.split("\t", 2) for line in record.read_text(encoding="utf-8", errors="replace").splitlines()]
    return pd.DataFrame(
        {
            "ns": [int(line[0]) for line in lines],
            "bytes": [int(line[1]) for line in lines],
            "path": [line[2] for line in lines],
            "session": session,
        }
    )


def _accesses(opens: pd.DataFrame, trace: str, key: bytes, collection: AccessCollection) -> pd.DataFrame:
    if opens.empty:
        raise UserError(f"prefetch.collection: the programs of '{trace}' open no file.")
    opens = opens.sort_values("ns", kind="stable", ignore_index=True)
    size = collection.block_bytes
    blocks = np.clip(-(-opens["bytes"] // size), 1, collection.most_blocks).to_numpy(np.int64)
    rows = np.repeat(np.arange(len(opens)), blocks)
    position = np.arange(len(rows)) - np.repeat(np.cumsum(blocks) - blocks, blocks)
    names = {path: pseudonym(path, key) for path in opens["path"].unique()}
    sessions = {number: pseudonym(f"{trace} {number}", key) for number in opens["session"].unique()}
    left = opens["bytes"].to_numpy(np.int64)[rows] - position * size
    return pd.DataFrame(
        {
            "trace": trace,
            "ts": opens["ns"].to_numpy(np.int64)[rows] // 1_000_000,
            "req": np.arange(len(rows), dtype=np.int64),
            "session": opens["session"].map(sessions).to_numpy()[rows],
            "object": opens["path"].map(names).to_numpy()[rows],
            "position": position.astype(np.int64),
            "size": np.clip(left, 0, size),
        }
    )
