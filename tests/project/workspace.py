"""A copy of the project in which commands can be run without touching the repository."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
KEDRO = Path(sys.executable).with_name("kedro")


@dataclass(frozen=True)
class Project:
    """A project folder and a way to run `kedro` in it."""

    folder: Path

    def kedro(self, *arguments, **environment) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(KEDRO), *arguments],
            cwd=self.folder,
            env=self.environment(**environment),
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
        return {**inherited, "DO_NOT_TRACK": "1", **more}

    def files(self) -> set[Path]:
        return {path.relative_to(self.folder) for path in (self.folder / "data").rglob("*") if path.is_file()}


def make_project(folder: Path) -> Project:
    """Copy what `kedro` needs; the package itself is installed in the environment."""
    shutil.copytree(REPOSITORY / "conf", folder / "conf", ignore=shutil.ignore_patterns("local"))
    (folder / "conf" / "local").mkdir()
    (folder / "src").mkdir()
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(REPOSITORY / name, folder / name)
    raw = Path("data/01_raw/pdf_memory/jobs.parquet")
    (folder / raw).parent.mkdir(parents=True)
    shutil.copy(REPOSITORY / raw, folder / raw)
    return Project(folder)
