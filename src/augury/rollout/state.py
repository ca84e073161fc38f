"""Where a rollout is: a JSON file that every process reads at once when it changes, replaced in one step."""

import fcntl
import json
import logging
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from augury.errors import UserError
from augury.parameters import Parameters
from augury.rollout.evidence import Evidence

logger = logging.getLogger(__name__)

Stage = Literal["offline", "shadow", "canary", "full"]

STOP_VARIABLE = "AUGURY_STOP"
"""Names of predictors with commas between them, or ``all``: their rules decide in every process that has it."""
MOST_MOVES = 50


class RolloutSettings(Parameters):
    """What a challenger has to show, fixed when its rollout begins."""

    shares: list[float] = Field(default=[0.01, 0.05, 0.25], description="Shares of the canary, ascending.")
    least_decisions: int = Field(default=1000, ge=1, description="Decisions of the challenger before a move.")
    least_costs: int = Field(default=1000, ge=30, description="Costs on either side before a move of the canary.")
    needs_costs: bool = Field(default=True, description="false: nobody reports what decisions cost.")
    most_failures: float = Field(
        default=0.001, ge=0, le=1, description="Share of decisions in which the rule may have to step in."
    )
    most_p99_us: float = Field(default=5000, gt=0, description="99th percentile of the decision time, microseconds.")
    margin: float = Field(
        default=0.02, ge=0, description="By which share of the champion's mean cost the challenger may cost more."
    )
    tau: float = Field(
        default=0.05, gt=0, description="Differences of cost that are expected, as shares of `cost_scale`."
    )
    cost_scale: float = Field(default=1.0, gt=0, description="What a decision costs on average, known beforehand.")
    alpha: float = Field(default=0.05, gt=0, lt=1, description="Chance that the interval ever misses the difference.")

    def model_post_init(self, context: Any) -> None:
        """Shares ascend within 0 and 1."""
        if self.shares != sorted(set(self.shares)) or not all(0 < share < 1 for share in self.shares):
            raise ValueError("shares must ascend between 0 and 1")

    @property
    def plan(self) -> list[tuple[Stage, float]]:
        """All stages with their shares, in order."""
        return [("offline", 0.0), ("shadow", 0.0), *(("canary", share) for share in self.shares), ("full", 1.0)]


class Move(BaseModel):
    """A change of stage, and what was known then."""

    model_config = ConfigDict(extra="forbid")

    at: str
    move: str
    before: str
    after: str
    reason: str
    evidence: Evidence


class RolloutState(BaseModel):
    """Where the rollout of one predictor is."""

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    predictor: str
    place: int = Field(default=0, ge=0, description="Number of the stage in the plan.")
    salt: str = Field(default_factory=lambda: secrets.token_hex(16), pattern=r"^([0-9a-f]{2}){1,64}$")
    stopped: bool = Field(default=False, description="The kill switch: the rule decides for everyone.")
    champion: str | None = Field(default=None, description="Which version decides, in words.")
    challenger: str | None = Field(default=None, description="Which version is to take its place.")
    epoch: int = Field(default=0, description="Number of moves; evidence of an earlier one does not count.")
    settings: RolloutSettings = RolloutSettings()
    evidence: Evidence = Field(default_factory=Evidence)
    history: list[Move] = Field(default_factory=list)

    @property
    def stage(self) -> Stage:
        """The stage."""
        return self._planned[0]

    @property
    def share(self) -> float:
        """Share of the units for which the challenger decides."""
        return self._planned[1]

    @property
    def words(self) -> str:
        """The stage with its share, such as ``canary 5 %``."""
        return f"{self.stage} {100 * self.share:g} %" if self.stage == "canary" else self.stage

    @property
    def _planned(self) -> tuple[Stage, float]:
        plan = self.settings.plan
        return plan[min(self.place, len(plan) - 1)]


class RolloutFile:
    """The file of a predictor's rollout."""

    def __init__(self, path: Path, predictor: str) -> None:
        """Take the path; nothing is read yet.

        Args:
            path: For example ``data/rollout/compression.json``; one that is not there is a rollout that has not begun.
            predictor: Its predictor.
        """
        self.path = Path(path)
        self.predictor = predictor
        self.stop_file = self.path.with_suffix(".stop")
        """Where a file of this name lies, the rule decides: ``touch`` is enough to switch every model off."""
        self._seen: tuple[int, int, int] | None = None
        self._state = RolloutState(predictor=predictor)
        self._text_path = str(self.path)
        self._text_stop_file = str(self.stop_file)

    def current(self) -> RolloutState:
        """The state as it is now, for decisions: read anew where the file has changed.

        A file that cannot be read changes nothing: the last state that could be stays in force.
        """
        try:
            found = os.stat(self._text_path)  # noqa: PTH116  # asked for at every decision: a Path costs more
        except OSError:
            return self._state
        seen = (found.st_mtime_ns, found.st_ino, found.st_size)
        if seen != self._seen:
            self._seen = seen
            try:
                self._state = self.read()
            except UserError as error:
                logger.warning("%s The state before it stays in force.", error)
        return self._state

    def stopped(self) -> bool:
        """Whether the kill switch is on, by state, file or environment."""
        return self.current().stopped or self.stopped_from_outside()

    def stopped_from_outside(self) -> bool:
        """Whether the kill switch is on, by file or environment."""
        if os.access(self._text_stop_file, os.F_OK):
            return True
        named = os.environ.get(STOP_VARIABLE)
        return bool(named) and not {"all", self.predictor}.isdisjoint(str(named).replace(" ", "").split(","))

    def read(self) -> RolloutState:
        """Read the file.

        Raises:
            UserError: It is damaged, or of another predictor.
        """
        try:
            state = RolloutState.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return RolloutState(predictor=self.predictor)
        except (OSError, ValidationError) as error:
            raise UserError(f"'{self.path}' is not the state of a rollout: {error}") from None
        if state.predictor != self.predictor:
            raise UserError(f"'{self.path}' is the rollout of {state.predictor}, not of {self.predictor}.")
        return state

    @contextmanager
    def changed(self, *, durable: bool = True) -> Iterator[RolloutState]:
        """Change the state; no other process changes it meanwhile, and readers see the old one or the new one.

        Args:
            durable: Whether it must outlive a power cut.

        Yields:
            The state to change; it is written at the end of the block, unless that raises.

        Raises:
            UserError: The file is damaged or cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.with_suffix(".lock").open("ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                state = self.read()
                yield state
                del state.history[:-MOST_MOVES]
                self._write(state, durable)
        except OSError as error:
            raise UserError(f"'{self.path}' cannot be written: {error.strerror or error}") from None

    def _write(self, state: RolloutState, durable: bool) -> None:
        handle, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(json.dumps(state.model_dump(mode="json"), indent=1) + "\n")
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            os.chmod(name, 0o644)  # noqa: PTH101
            os.replace(name, self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
