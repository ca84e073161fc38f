"""How `peer_selection` is judged beside what every policy is judged by."""

from pydantic import Field

from augury.parameters import Parameters


class PeerJudgement(Parameters):
    """Probes, periods, calibration and off-policy estimates."""

    probes: tuple[int, ...] = Field(default=(1, 2, 3), min_length=1, description="Numbers of probes that are compared.")
    transfer: float = Field(default=10.0, gt=0, description="Round trips of a fetch; a probe adds one before it.")
    blocks: int = Field(default=6, ge=2, description="Periods of the whole time that are judged by themselves.")
    bins: int = Field(default=10, ge=2, description="Groups of predictions whose outcomes are compared with them.")
    clip: float | None = Field(default=None, gt=0, description="Largest weight of off-policy estimates; null: none.")
    folds: int = Field(default=5, ge=2, description="Folds of the model of off-policy estimates.")
    draws: int = Field(
        default=5, ge=1, description="Logs that are drawn where every outcome is known, to compare estimates with it."
    )
    timed_requests: int = Field(default=300, ge=1, description="Requests whose decision is timed one by one.")
    bootstrap_replicates: int = Field(default=1000, ge=0, description="Resamples of clients per interval; 0: none.")
    confidence: float = Field(default=0.95, gt=0, lt=1, description="Coverage of every interval.")
