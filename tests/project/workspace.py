"""A copy of the project in which commands can be run without touching the repository."""

import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fork_server

REPOSITORY = Path(__file__).parents[2]
RAW = tuple(
    Path("data/01_raw") / sample
    for sample in (
        "pdf_memory/jobs.parquet",
        "query_cost/query_log.parquet",
        "food_waste/purchases.parquet",
        "taxonomy/samples.parquet",
        "taxonomy/codes.csv",
        "recommendation/interactions.parquet",
        "recommendation/items.parquet",
        "compression/blocks.parquet",
        "compression/dictionary_gains.parquet",
        "deduplication/sketches.parquet",
        "deduplication/pairs.parquet",
        "prefetch/accesses.parquet",
        "peer_selection/fetches.parquet",
        "gossip_tuning/rounds.parquet",
        "gossip_tuning/evaluated.parquet",
    )
)
"""The committed samples that `training` reads."""
KEDRO = Path(sys.executable).with_name("kedro")
SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""For Spark: a JVM that ends after a minute spends more on optimising its code than it gains."""


@dataclass(frozen=True)
class Project:
    """A project folder and a way to run `kedro` in it."""

    folder: Path

    def kedro(self, *arguments, **environment) -> subprocess.CompletedProcess[str]:
        variables = self.environment(**environment)
        if fork_server.serves(variables):
            return fork_server.run("kedro", arguments, self.folder, variables)
        return self.new_kedro(*arguments, **environment)

    def new_kedro(self, *arguments, **environment) -> subprocess.CompletedProcess[str]:
        """The same in an interpreter of its own, which costs seconds of imports."""
        return subprocess.run(
            [str(KEDRO), *arguments],
            cwd=self.folder,
            env=self.environment(**environment),
            capture_output=True,
            text=True,
        )

    def augury(self, *arguments, given: str = "") -> subprocess.CompletedProcess[str]:
        """`python -m augury`, in a fork where there can be one."""
        variables = self.environment()
        if fork_server.serves(variables):
            return fork_server.run("augury", arguments, self.folder, variables, given)
        return subprocess.run(
            [sys.executable, "-m", "augury", *arguments],
            input=given,
            cwd=self.folder,
            env=variables,
            capture_output=True,
            text=True,
        )

    def start(self, *arguments) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [str(KEDRO), *arguments],
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @staticmethod
    def environment(**more) -> dict[str, str]:
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("KEDRO_", "AWS_", "SPARK_"))
        }
        return {**inherited, "DO_NOT_TRACK": "1", "JAVA_TOOL_OPTIONS": SHORT_LIVED, **more}

    def copy(self, folder: Path, *predictors: str) -> "Project":
        """Copy the project with what it has made of some predictors, and nothing of the others."""
        others = {raw.parts[2] for raw in RAW} - set(predictors)
        return Project(shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns(*others)))

    def files(self) -> set[Path]:
        return {path.relative_to(self.folder) for path in (self.folder / "data").rglob("*") if path.is_file()}


def make_project(folder: Path) -> Project:
    """Copy what `kedro` needs; the package itself is installed in the environment."""
    shutil.copytree(REPOSITORY / "conf", folder / "conf", ignore=shutil.ignore_patterns("local"))
    (folder / "conf" / "local").mkdir()
    (folder / "src").mkdir()
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(REPOSITORY / name, folder / name)
    for raw in RAW:
        (folder / raw).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / raw, folder / raw)
    return Project(folder)


@dataclass(frozen=True)
class Bucket:
    """The bucket `lake` of an S3 server on loopback, and the environment that leads to it."""

    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AUGURY_LAKE": "s3://lake",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.endpoint,
        }

    @property
    def credentials(self) -> dict[str, Any]:
        return {"key": "test", "secret": "test", "client_kwargs": {"endpoint_url": self.endpoint}}

    def filesystem(self) -> Any:
        import s3fs

        return s3fs.S3FileSystem(**self.credentials, skip_instance_cache=True)

    def upload(self, path: Path, key: str) -> None:
        self.filesystem().put_file(str(path), f"lake/{key}")


@contextmanager
def s3_server() -> Iterator[Bucket]:
    """A server that speaks S3, with an empty bucket `lake`."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        bucket = Bucket(f"http://{host}:{port}")
        # moto keeps its buckets in the process: an earlier server's may still be there
        with urllib.request.urlopen(urllib.request.Request(f"{bucket.endpoint}/moto-api/reset", method="POST")):
            pass
        bucket.filesystem().mkdir("lake")
        yield bucket
    finally:
        server.stop()
