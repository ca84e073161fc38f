"""The tuner of gossip: in a state of the network the cheapest fanout and hop limit that reach everybody."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from augury.errors import InputError, UserError
from augury.predictors.contract import Metadata, validate_input
from augury.predictors.gossip_choice import Choice, choose
from augury.predictors.gossip_corrections import Corrections, CorrectionSettings, Effect, corrections_of, evidence_of
from augury.predictors.gossip_outcomes import JUDGED, action_name, outcomes_on_grid
from augury.predictors.gossip_states import OUTPUTS, PREDICTOR, SHARES, ActionGrid, GossipCost, complete_states
from augury.predictors.gossip_surface import Bound, Outcomes, Surface, monotone, observe_rounds, on_grid, theory_of
from augury.predictors.policy import CHOICE, COST, PolicyPredictor

SPECIFICATION_FILE = "specification.json"
ONNX_FILE = "model.onnx"
_STATES_AT_ONCE = 64
"""States that are thought through together: their rows fit into memory whatever the frame."""


class GossipSpecification(BaseModel):
    """Everything of the tuner but its trees."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    grid: ActionGrid
    cost: GossipCost
    copy_ms: dict[str, float] = Field(description="message class -> time to send one copy (ms)")
    members: int = Field(ge=1)
    z: float
    base: float
    clustered: float
    residual: float
    correction: CorrectionSettings = CorrectionSettings()
    known: dict[str, Effect] = Field(default_factory=dict, description="of the networks of the training")
    corrections: Corrections = Corrections()

    @property
    def bound(self) -> Bound:
        """How cautious the tuner is."""
        return Bound(self.z, self.base, self.clustered, self.residual)


class GossipTuner(PolicyPredictor):
    """A response surface, a hard floor of the coverage, and corrections by telemetry."""

    family: ClassVar[str] = "gossip_tuner"

    def __init__(
        self,
        metadata: Metadata,
        specification: GossipSpecification,
        trees: Mapping[str, str],
        onnx: bytes | None = None,
        example: list[dict[str, Any]] | None = None,
    ) -> None:
        """Assemble a tuner.

        Args:
            metadata: Typed metadata.
            specification: Actions, cost, caution.
            trees: See :class:`~augury.predictors.gossip_surface.Surface`.
            onnx: The surface as one graph.
            example: A few states.
        """
        super().__init__(metadata, example)
        self.specification = specification
        self.surface = Surface(trees, specification.members)
        self.onnx = onnx

    def outcomes(self, states: pd.DataFrame) -> Outcomes:
        """What is expected of every action.

        Args:
            states: A frame as for :meth:`predict`; a column ``network`` lets its corrections apply.

        Returns:
            Outcomes of shape (states, actions), coverage monotone.
        """
        parts = [self._outcomes(part) for part in _parts(self._validated(states))]
        return Outcomes(*(np.concatenate(found) for found in zip(*parts, strict=True)))

    def choose(self, states: pd.DataFrame) -> Choice:
        """Choose an action for every state; see :func:`~augury.predictors.gossip_choice.choose`."""
        specification = self.specification
        parts = [
            choose(self._outcomes(part), specification.grid, specification.cost)
            for part in _parts(self._validated(states))
        ]
        return Choice(*(np.concatenate(found) for found in zip(*parts, strict=True)))

    def corrected(self, rounds: pd.DataFrame, now_ms: int | None = None) -> "GossipTuner":
        """A tuner that has learned from observed rounds as well.

        Args:
            rounds: ``ts``, ``network``, the state, ``fanout``, ``ttl``, ``coverage``; those of actions that cannot be
                chosen do not count.
            now_ms: When, in milliseconds since 1970; None: at the last round.

        Returns:
            A new tuner. What it was corrected by earlier is replaced, what training said of a network is not: rounds
            are weighed against it.
        """
        grid, own = self.specification.grid, self.specification
        known = rounds["fanout"].isin(grid.fanouts) & rounds["ttl"].isin(grid.ttls) & rounds["coverage"].notna()
        rounds = rounds[known]
        found = Corrections(networks=own.known)
        if len(rounds):
            states = self._validated(rounds)
            taken = theory_of(states, rounds["fanout"].to_numpy(), rounds["ttl"].to_numpy(), own.copy_ms)
            observed = observe_rounds(rounds, taken)
            evidence = evidence_of(observed, self.surface.spread(taken), own.bound.differences(taken))
            found = corrections_of(rounds, evidence, own.correction, own.known, now_ms)
        specification = own.model_copy(update={"corrections": found})
        return type(self)(self.metadata, specification, self.surface.trees, self.onnx, self.example)

    def replay(self, cases: pd.DataFrame, **tables: pd.DataFrame) -> pd.DataFrame:
        """See :class:`~augury.predictors.policy.PolicyPredictor`.

        Args:
            cases: ``case`` and the state.
            **tables: ``features_outcomes``: what came of every action in every case: ``case``, ``seeds``, ``fanout``,
                ``ttl``, ``coverage``, ``messages_per_node``, ``p95_ms``.

        Returns:
            ``cost`` and ``choice`` (fanout/ttl), beside them ``coverage``, ``messages_per_node``, ``p95_ms`` that came
            of it.
        """
        grid = self.specification.grid
        chosen = grid.pairs[self.choose(cases).action]
        known = outcomes_on_grid(tables["features_outcomes"], cases["case"], grid, JUDGED)
        taken = np.arange(len(cases)), grid.place(chosen[:, 0], chosen[:, 1])
        coverage, messages, delay = (known[..., place][taken] for place in range(3))
        return pd.DataFrame(
            {
                COST: self.specification.cost.of(coverage, messages, delay),
                CHOICE: [action_name(*pair) for pair in chosen],
                "coverage": coverage,
                "messages_per_node": messages,
                "p95_ms": delay,
            },
            index=cases.index,
        )

    def _validated(self, table: pd.DataFrame) -> pd.DataFrame:
        states = complete_states(validate_input(table, self.metadata))
        if "network" in table:
            states["network"] = table["network"].to_numpy()
        return states

    def _outcomes(self, states: pd.DataFrame) -> Outcomes:
        own = self.specification
        theory = on_grid(states, own.grid, own.copy_ms)
        effect, doubt = own.corrections.of(states.get("network"), len(states))
        found = self.surface.outcomes(theory, len(own.grid.pairs), own.bound, effect, doubt)
        return found._replace(miss=monotone(found.miss, own.grid), miss_upper=monotone(found.miss_upper, own.grid))

    def _predict(self, table: pd.DataFrame) -> pd.DataFrame:
        for name in SHARES:
            high = table[name] >= 1
            if high.any():
                raise InputError(
                    f"{PREDICTOR}: column '{name}' must be below 1: {int(high.sum())} of {len(table)} rows break this, "
                    f"for example {table.loc[high, name].iloc[0]}."
                )
        found = self.choose(table)
        pairs = self.specification.grid.pairs[found.action]
        columns = {
            "fanout": pairs[:, 0],
            "ttl": pairs[:, 1],
            "coverage": found.coverage,
            "coverage_lower": found.coverage_lower,
            "holds_floor": found.coverage_lower >= self.specification.cost.floor,
            "messages_per_node": found.messages,
            "p95_ms": found.p95_ms,
            "cost": found.cost,
        }
        return pd.DataFrame({column.name: columns[column.name] for column in OUTPUTS}, index=table.index)

    def _save(self, directory: Path) -> None:
        text = self.specification.model_dump_json(indent=1)
        (directory / SPECIFICATION_FILE).write_text(text + "\n", encoding="utf-8")
        for name, trees in self.surface.trees.items():
            (directory / f"{name}.txt").write_text(trees, encoding="utf-8")
        if self.onnx is not None:
            (directory / ONNX_FILE).write_bytes(self.onnx)

    @classmethod
    def _load(cls, directory: Path, metadata: Metadata) -> Self:
        path = directory / SPECIFICATION_FILE
        try:
            specification = GossipSpecification.model_validate(json.loads(path.read_text(encoding="utf-8")))
        except ValueError as error:  # of JSON, of UTF-8, of pydantic
            raise UserError(f"'{path}' is damaged: {error}") from None
        names = [f"miss_{number}" for number in range(specification.members)] + ["messages", "delay"]
        trees = {name: (directory / f"{name}.txt").read_text(encoding="utf-8") for name in names}
        onnx = directory / ONNX_FILE
        return cls(metadata, specification, trees, onnx.read_bytes() if onnx.exists() else None)


def _parts(states: pd.DataFrame) -> list[pd.DataFrame]:
    return [states.iloc[start : start + _STATES_AT_ONCE] for start in range(0, len(states), _STATES_AT_ONCE)]
