"""Parameters of the online mixture and of its gate: what training, evaluation, tuning and serving share."""

from typing import Literal

from pydantic import Field, field_validator

from augury.parameters import Parameters

Expert = Literal["ppm_1", "ppm_2", "ppm_3", "sequential", "delta", "association", "recency", "gru"]
ONLINE: tuple[Expert, ...] = ("ppm_1", "ppm_2", "ppm_3", "sequential", "delta", "association", "recency")


class MixtureSettings(Parameters):
    """The experts and how they are mixed."""

    experts: tuple[Expert, ...] = Field(
        default=ONLINE, min_length=1, description="who may propose; 'gru' is added where a GRU was trained"
    )
    ordered: Literal["auto", "yes", "no"] = Field(
        default="auto",
        description="whether neighbouring ids are neighbouring blocks; auto: unless new ids are the largest + 1, "
        "because then ids were numbered by first appearance and '+1' would tell the future",
    )
    contexts: int = Field(
        default=131_072, ge=64, le=2**26, description="contexts of each order that are remembered: the tables' memory"
    )
    vocabulary: int = Field(default=262_144, ge=16, le=2**28, description="blocks that are remembered")
    out_of_vocabulary: Literal["forget", "share"] = Field(
        default="forget",
        description="forget: a new block takes the place of the one seen longest ago; share: new blocks stay unknown, "
        "are never proposed by what was learned, and are one and the same word in contexts",
    )
    sessions: int = Field(default=64, ge=1, le=4096, description="sequences that are told apart")
    window: int = Field(default=8, ge=2, le=16, description="accesses within which blocks are associated")
    lookahead: int = Field(default=12, ge=1, le=16, description="how far ahead chains and streams are followed")
    learning_rate: float = Field(default=0.3, gt=0, le=1, description="of the first step of a set of weights")
    slowest_rate: float = Field(default=0.002, gt=0, le=1, description="what the learning rate falls to")

    @field_validator("experts")
    @classmethod
    def _must_differ(cls, value: tuple[Expert, ...]) -> tuple[Expert, ...]:
        if len(set(value)) < len(value):
            raise ValueError("an expert is named twice")
        return value


class GateSettings(Parameters):
    """When prefetching is worth it: the duel of ghost caches."""

    thresholds: tuple[float, ...] = Field(
        default=(0.03, 0.1, 0.2, 0.35, 0.5),
        min_length=1,
        max_length=8,
        description="policies: each issues proposals of a kind that was useful at least so often",
    )
    budget: int = Field(default=8, ge=1, le=24, description="most prefetches after one access")
    half_life: float = Field(default=5_000, ge=10, description="accesses after which a miss of a ghost counts half")
    margin: float = Field(
        default=0.005, ge=0, lt=1, description="share of the misses that a policy must save to be switched on"
    )
    certainty: float = Field(default=3.0, ge=0, description="standard errors by which its gain must exceed 0")
    price: float = Field(default=0.02, ge=0, description="what a fetch in vain costs, in misses")
    ghost_blocks: int = Field(default=2_048, ge=16, description="largest ghost; larger caches are sampled")

    @field_validator("thresholds")
    @classmethod
    def _must_ascend(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0 <= threshold < 1 for threshold in value) or list(value) != sorted(set(value)):
            raise ValueError("thresholds must ascend and be at least 0 and less than 1")
        return value
