"""`compression`: the codec for a block, by what every codec would cost on this link, and only where a look pays."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from augury.errors import UserError
from augury.predictors.block_statistics import SIZE
from augury.predictors.codec_costs import (
    LINK,
    PRICE,
    READS,
    SAMPLE_US,
    Floats,
    costs_of,
    outcome_array,
    table_choice,
)
from augury.predictors.codec_gates import Choices, CodecGate, agreed_costs, gate_of, gated_choice, gates_of
from augury.predictors.codec_looks import LookCheck, LookRule, looks_in_order
from augury.predictors.codec_regressors import REGRESSORS, CodecLayout, CodecRegressors, outcomes_of
from augury.predictors.contract import Metadata
from augury.predictors.distilled_tree import DistilledTree
from augury.predictors.policy import CHOICE, COST, PolicyPredictor

SPECIFICATION_FILE = "codec_choice.json"
TREE_FILE = "inline_tree.json"
ONNX_FILE = "model.onnx"
KB = 1000.0


class CodecSpecification(BaseModel):
    """Everything of a chooser but its regressors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    layout: CodecLayout
    kinds: tuple[str, ...] = Field(min_length=1, description="keys of REGRESSORS: who is asked")
    totals: tuple[tuple[float, float, float], ...] = Field(
        description="by codec: sums of bytes and of both times (us) over the training blocks: the table"
    )
    factors: tuple[tuple[tuple[float, float], ...], ...] = Field(
        description="by regressors: see codec_regressors.outcomes_of"
    )
    inline_factors: tuple[tuple[float, float], ...] = Field(description="the same for the small tree")
    gates: tuple[CodecGate, ...] = Field(min_length=1, description="by rising bandwidth")
    looks: LookRule = Field(default=LookRule(), description="how looks are paid for")
    look_us: float = Field(default=3.3, ge=0, description="mean time of a look and a decision at the training blocks")
    sample_us: float = Field(ge=0, description="time of a look at a block where it was not measured")
    decision_us: float = Field(ge=0, description="time of an inline decision after the look")


class CodecChooser(PolicyPredictor):
    """Regressors of every codec's outcome, the table that is their fallback, and the gates between both."""

    family: ClassVar[str] = "codec_choice"

    def __init__(
        self,
        metadata: Metadata,
        specification: CodecSpecification,
        regressors: Sequence[CodecRegressors],
        tree: DistilledTree,
        example: list[dict[str, Any]] | None = None,
    ) -> None:
        """Keep the parts.

        Args:
            metadata: Typed metadata.
            specification: Table, gates and columns.
            regressors: What codecs would make of a block, by one or more kinds of them.
            tree: The same, roughly, within a fraction of a microsecond.
            example: See :class:`Predictor`.
        """
        super().__init__(metadata, example)
        self.specification = specification
        self.regressors = tuple(regressors)
        self.tree = tree
        self._onnx: bytes | None = None
        kinds = {each.kind for each in self.regressors}
        # Matrix products round otherwise for other numbers of rows: in float32, or in float64
        self.tolerance = 1e-3 if "neural" in kinds else 1e-6 if "landmarks" in kinds else 0.0  # type: ignore[misc]

    @property
    def codecs(self) -> tuple[str, ...]:
        """Names, none first."""
        return self.specification.layout.codecs

    def opinions(self, table: pd.DataFrame) -> Floats:
        """Predict what every codec would make of blocks, by each of the regressors.

        Args:
            table: ``size`` and the statistics; further columns are ignored.

        Returns:
            Shape ``(regressors, rows, codecs, 3)``: bytes, microseconds, microseconds. Of rows without a single
            statistic: what the codecs made of the training blocks by byte.
        """
        factors = self.specification.factors
        return np.stack(
            [self._known(table, each.targets, own) for each, own in zip(self.regressors, factors, strict=True)]
        )

    def outcomes(self, table: pd.DataFrame, inline: bool = False) -> Floats:
        """Predict what every codec would make of blocks.

        Args:
            table: See :meth:`opinions`.
            inline: By the small tree; or else the mean of all regressors.

        Returns:
            Shape ``(rows, codecs, 3)``.
        """
        if inline:
            return self._known(table, self.tree.targets, self.specification.inline_factors)
        return np.asarray(self.opinions(table).mean(axis=0))

    def _known(self, table: pd.DataFrame, targets: Any, factors: Any) -> Floats:
        specification, sizes = self.specification, table[SIZE].to_numpy(np.float64)
        found = outcomes_of(targets(specification.layout.matrix(table)), sizes, np.asarray(factors))
        unknown = specification.layout.unknown_blocks(table)
        totals = np.asarray(specification.totals)
        found[unknown] = sizes[unknown, None, None] * (totals / totals[0, 0])
        return found

    def choose(self, table: pd.DataFrame, inline: bool = True) -> Choices:
        """Choose a codec for every row.

        Args:
            table: Input columns, complete: see :func:`complete`.
            inline: Whether the time of the decision counts.

        Returns:
            Positions among :attr:`codecs`, where a look at the block was needed, and what it promises to save.
        """
        link, price, reads = (table[name].to_numpy(np.float64) for name in (LINK, PRICE, READS))
        fallback = self._table(table)
        margins, sizes = gates_of(self.specification.gates, link * price, inline)
        known = ~self.specification.layout.unknown_blocks(table)
        looked = known & np.isfinite(margins) & (table[SIZE].to_numpy(np.float64) >= sizes)
        chosen, promised = fallback.copy(), np.zeros(len(table))
        if looked.any():
            rows, context = table[looked], (link[looked], price[looked], reads[looked])
            opinions = self.outcomes(rows, inline=True)[None] if inline else self.opinions(rows)
            costs = costs_of(opinions.mean(axis=0), *context)
            compared = agreed_costs(opinions, fallback[looked], *context)
            chosen[looked] = gated_choice(compared, fallback[looked], margins[looked])
            each = np.arange(len(costs))
            promised[looked] = costs[each, fallback[looked]] - costs[each, chosen[looked]]
        return Choices(chosen, looked, promised)

    def look_check(self, link: float, price: float = 1.0) -> LookCheck:
        """A running check for one link that looks go on paying; see :class:`~augury.predictors.codec_looks.LookCheck`.

        Args:
            link: MB/s.
            price: Of CPU time.

        Returns:
            One that has seen no block. Whoever stores blocks keeps it as long as their kind stays the same.
        """
        return LookCheck(
            gate_of(self.specification.gates, link * price), self.specification.looks, self.specification.look_us
        )

    def decide(self, matrix: npt.NDArray[np.float64], link: float, price: float = 1.0, reads: float = 1.0) -> Any:
        """The inline decision alone, for blocks whose statistics are known: compiled, without frames and checks.

        Args:
            matrix: Features of the blocks, see ``CodecLayout.matrix``, shape ``(rows, features)``.
            link: MB/s.
            price: Of CPU time.
            reads: Decompressions.

        Returns:
            Positions among :attr:`codecs`, int64 of shape ``(rows,)``, and what they promise to save beside the table's
            codec (us of CPU by byte, of the same shape). Where the gate is shut, the table's codec and 0.
        """
        from augury.predictors.codec_decision_kernel import decide_many

        specification, tree = self.specification, self.tree
        margin = gates_of(specification.gates, np.array([link * price]), inline=True)[0][0]
        table = int(table_choice(np.asarray(specification.totals), link, price, reads)[0])
        found, promised = np.empty(len(matrix), dtype=np.int64), np.empty(len(matrix))
        decide_many(
            matrix, tree.fill, tree.feature, tree.threshold, tree.left, tree.right, self._by_byte(),
            1.0 / link, price, reads, margin, table, found, promised,
        )  # fmt: skip
        return found, promised

    def compare_onnx(self, matrix: npt.NDArray[np.float64]) -> dict[str, Any]:
        """Compare the ONNX export of the regressors with them; see ``compare_regressors``."""
        from augury.predictors.codec_choice_onnx import compare_regressors

        return compare_regressors(self.onnx, self.regressors, matrix)

    @property
    def onnx(self) -> bytes:
        """The regressors as an ONNX graph."""
        from augury.predictors.codec_choice_onnx import export_regressors

        if self._onnx is None:
            self._onnx = export_regressors(self.regressors, len(self.specification.layout.features))
        return self._onnx

    def _by_byte(self) -> Floats:
        """What the leaves of the small tree say of a byte, shape ``(nodes, codecs, 3)``."""
        values = self.tree.values
        ones, factors = np.ones(len(values)), np.asarray(self.specification.inline_factors)
        return outcomes_of(values, ones, factors)

    def replay(self, cases: pd.DataFrame, **tables: pd.DataFrame) -> pd.DataFrame:
        """Choose for cases whose outcomes are known, and look up what that costs, the decision's own time counted.

        In every context blocks come in the order of their rows, and a :class:`LookCheck` of its own decides which are
        looked at. It hears of predictions alone, never of an outcome.

        Args:
            cases: Input columns and the measured outcomes of all codecs; ``sample_us`` where it was measured.
            **tables: None are needed.

        Returns:
            ``cost`` (kB that could have been sent meanwhile), ``choice``; and ``cost_at_leisure``,
            ``choice_at_leisure`` without the time of the decision, ``cost_table``, ``choice_table``, ``looked``.

        Raises:
            UserError: A codec of this predictor was not measured there.
        """
        rows = complete(cases, self.specification.layout)
        link, price, reads = (rows[name].to_numpy(np.float64) for name in (LINK, PRICE, READS))
        actual = costs_of(outcome_array(cases, self.codecs), link, price, reads)
        inline, leisurely, fallback = self.choose(rows), self.choose(rows, inline=False), self._table(rows)
        looked = self._looks(rows, inline)
        quick = np.where(looked, inline.codec, fallback)
        decision = np.where(looked, self._look_us(cases) + self.specification.decision_us, 0.0) * price
        each, scale, names = np.arange(len(rows)), link / KB, np.array(self.codecs, dtype=object)
        return pd.DataFrame(
            {
                COST: (actual[each, quick] + decision) * scale,
                CHOICE: names[quick],
                "cost_at_leisure": actual[each, leisurely.codec] * scale,
                "choice_at_leisure": names[leisurely.codec],
                "cost_table": actual[each, fallback] * scale,
                "choice_table": names[fallback],
                "looked": looked,
            }
        )

    def _looks(self, rows: pd.DataFrame, inline: Choices) -> npt.NDArray[np.bool_]:
        """Which blocks are looked at, where every context's blocks come in the order of their rows."""
        looked = np.zeros(len(rows), dtype=bool)
        sizes = rows[SIZE].to_numpy(np.float64)
        contexts: dict[Any, Any] = rows[inline.looked].groupby([LINK, PRICE, READS]).indices
        for (link, price, _), places in contexts.items():
            here = np.flatnonzero(inline.looked)[places]
            promised = inline.promised[here] / price
            looked[here] = looks_in_order(self.look_check(link, price), sizes[here], promised)
        return looked

    def _look_us(self, cases: pd.DataFrame) -> Floats:
        if SAMPLE_US not in cases:
            return np.full(len(cases), self.specification.sample_us)
        return cases[SAMPLE_US].fillna(self.specification.sample_us).to_numpy(np.float64)

    def _table(self, table: pd.DataFrame) -> npt.NDArray[np.intp]:
        totals = np.asarray(self.specification.totals)
        return table_choice(totals, *(table[name].to_numpy(np.float64) for name in (LINK, PRICE, READS)))

    def _predict(self, table: pd.DataFrame) -> pd.DataFrame:
        rows = complete(table, self.specification.layout)
        inline, leisurely, fallback = self.choose(rows), self.choose(rows, inline=False), self._table(rows)
        outcomes = self.outcomes(rows)
        costs = costs_of(outcomes, *(rows[name].to_numpy(np.float64) for name in (LINK, PRICE, READS)))
        each, names, sizes = np.arange(len(rows)), np.array(self.codecs, dtype=object), rows[SIZE].to_numpy(np.float64)
        return pd.DataFrame(
            {
                "codec": names[inline.codec],
                "looked": inline.looked,
                "codec_at_leisure": names[leisurely.codec],
                "codec_table": names[fallback],
                "cost_us": costs[each, leisurely.codec],
                "cost_table_us": costs[each, fallback],
                "stored_share": outcomes[each, leisurely.codec, 0] / sizes,
                "least_share": outcomes[:, 1:, 0].min(axis=1) / sizes,
            },
            index=table.index,
        )

    def _save(self, directory: Path) -> None:
        text = self.specification.model_dump_json(indent=1)
        (directory / SPECIFICATION_FILE).write_text(text + "\n", encoding="utf-8")
        for each in self.regressors:
            each.save(directory)
        tree = {name: values.tolist() for name, values in self.tree.arrays().items()}
        (directory / TREE_FILE).write_text(json.dumps(tree) + "\n", encoding="utf-8")
        (directory / ONNX_FILE).write_bytes(self.onnx)

    @classmethod
    def _load(cls, directory: Path, metadata: Metadata) -> Self:
        path = directory / SPECIFICATION_FILE
        try:
            specification = CodecSpecification.model_validate_json(path.read_text(encoding="utf-8"))
            tree = DistilledTree(**json.loads((directory / TREE_FILE).read_text(encoding="utf-8")))
        except (ValidationError, ValueError, TypeError) as error:
            raise UserError(f"'{directory}' holds no complete predictor: {error}") from None
        unknown = next((kind for kind in specification.kinds if kind not in REGRESSORS), None)
        if unknown is not None:
            raise UserError(f"'{path}' speaks of the unknown kind of regressors '{unknown}'.")
        regressors = [REGRESSORS[kind].load(directory, specification.layout) for kind in specification.kinds]
        predictor = cls(metadata, specification, regressors, tree)
        if (directory / ONNX_FILE).exists():
            predictor._onnx = (directory / ONNX_FILE).read_bytes()
        return predictor


def complete(table: pd.DataFrame, layout: CodecLayout) -> pd.DataFrame:
    """Input columns with nothing left out: an absent statistic is missing, an absent price or number of reads is 1.

    Args:
        table: What a caller knows.
        layout: The columns that the regressors read.

    Returns:
        The same rows with a plain index.

    Raises:
        UserError: ``size`` or ``link_mbps`` is absent.
    """
    for name in (SIZE, LINK):
        if name not in table:
            raise UserError(f"compression: required column missing: '{name}'.")
    nothing: Any = None
    columns: dict[str, Any] = {SIZE: table[SIZE].to_numpy(np.float64), LINK: table[LINK].to_numpy(np.float64)}
    for name in layout.numbers:
        columns[name] = pd.to_numeric(table[name]).to_numpy(np.float64) if name in table else np.nan
    for name in layout.categories:
        columns[name] = table[name].to_numpy(dtype=object) if name in table else nothing
    for name in (PRICE, READS):
        columns[name] = table[name].fillna(1.0).to_numpy(np.float64) if name in table else 1.0
    return pd.DataFrame(columns, index=range(len(table)))


__all__ = ["CodecChooser", "CodecSpecification", "complete"]
