"""`deduplication`: which stored blocks a new one resembles, and against which one it is stored as a difference."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from augury.errors import UserError
from augury.predictors import sketched_block_columns as sb
from augury.predictors.block_index import BlockIndex, IndexSettings, Match, digest_of
from augury.predictors.contract import ColumnSpec, Metadata
from augury.predictors.delta_replay import DeltaRules, Stored, outcomes_of, replay_deltas, twins_of
from augury.predictors.policy import CHOICE, COST, PolicyPredictor
from augury.predictors.shingle_sketches import Cells, SketchRecipe, decode, encode, sketch_blocks, thinned

INDEX_FOLDER = "index"
SPECIFICATION_FILE = "deduplication.json"
TRIED_TOGETHER = 32
"""Similar blocks that a replay looks at before it gives up finding one that may be referred to."""

INPUTS = (
    ColumnSpec(name=sb.BLOCK, dtype="string", required=False, nullable=True, description="name; never its own match"),
    ColumnSpec(name=sb.SKETCH, dtype="string", description="of the block's content, made with the predictor's recipe"),
    ColumnSpec(
        name=sb.DIGEST, dtype="string", required=False, nullable=True, description="keyed, of 24 hexadecimal characters"
    ),
)
OUTPUTS = (
    ColumnSpec(name=sb.REFERENCE, dtype="string", nullable=True, description="the most similar block in the index"),
    ColumnSpec(name="similarity", dtype="number", minimum=0, description="estimated; 0 where there is none"),
    ColumnSpec(name="identical", dtype="boolean", description="whether it is the same block"),
    ColumnSpec(name="try_delta", dtype="boolean", description="whether a difference to it is worth computing"),
    ColumnSpec(name="candidates", dtype="integer", minimum=0, description="sketches that were compared"),
)


class IndexSpecification(BaseModel):
    """What the files of the index mean."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    collected: SketchRecipe = Field(description="of the sketches in a frame")
    delta: DeltaRules


class NearDuplicateIndex(PolicyPredictor):
    """An index of blocks, with the rules by which a block is stored as a difference to another."""

    family: ClassVar[str] = "near_duplicate_index"

    def __init__(
        self,
        metadata: Metadata,
        index: BlockIndex,
        collected: SketchRecipe,
        delta: DeltaRules,
        example: list[dict[str, Any]] | None = None,
    ) -> None:
        """Keep the index.

        Args:
            metadata: Typed metadata.
            index: The blocks that can be found.
            collected: Recipe of the sketches in frames; that of the index keeps as many of their cells, or fewer.
            delta: When a block is stored as a difference.
            example: See :class:`~augury.predictors.contract.Predictor`.
        """
        super().__init__(metadata, example)
        self.index = index
        self.collected = collected
        self.delta = delta

    @property
    def settings(self) -> IndexSettings:
        """How blocks are sketched and found."""
        return self.index.settings

    def build(self, names: Sequence[str], blocks: Sequence[bytes]) -> "NearDuplicateIndex":
        """The same predictor over other blocks.

        Args:
            names: Theirs.
            blocks: Their contents, the oldest first.
        """
        index = BlockIndex.build(zip(names, blocks, strict=True), self.settings)
        return NearDuplicateIndex(self.metadata, index, self.collected, self.delta, self.example)

    def add(self, names: Sequence[str], blocks: Sequence[bytes]) -> None:
        """Add blocks; see :meth:`~augury.predictors.block_index.BlockIndex.add`."""
        self.index.add(names, blocks)

    def find_similar(self, block: bytes, top_k: int = 10) -> list[Match]:
        """Find similar blocks; see :meth:`~augury.predictors.block_index.BlockIndex.find_similar`."""
        return self.index.find_similar(block, top_k)

    def describe(self, names: Sequence[str], blocks: Sequence[bytes]) -> pd.DataFrame:
        """A frame for :meth:`predict`.

        Args:
            names: Of blocks.
            blocks: Their contents.

        Returns:
            ``block``, ``sketch``, ``digest``: local data, from which content can be guessed.
        """
        key = self.collected.key
        return pd.DataFrame(
            {
                sb.BLOCK: list(names),
                sb.SKETCH: encode(sketch_blocks(blocks, self.collected)),
                sb.DIGEST: [digest_of(block, key) for block in blocks],
            }
        )

    def replay(self, cases: pd.DataFrame, **tables: pd.DataFrame) -> pd.DataFrame:
        """Store blocks one after another in an empty index; see :meth:`replay_stored`.

        Args:
            cases: Blocks in the order of time: ``block``, ``sketch``, ``digest``, ``plain_bytes``.
            **tables: ``features_pairs``: what deltas between them take.

        Returns:
            ``cost``: bytes that each block takes; ``choice``: ``whole``, ``delta`` or ``identical``.

        Raises:
            UserError: There are no pairs.
        """
        if "features_pairs" not in tables:
            raise UserError("deduplication: a replay needs the table 'features_pairs' of measured deltas.")
        stored = self.replay_stored(cases, tables["features_pairs"])
        return pd.DataFrame({COST: stored.bytes, CHOICE: stored.choices}, index=cases.index)

    def replay_stored(self, cases: pd.DataFrame, pairs: pd.DataFrame) -> Stored:
        """Store blocks one after another: each is looked up among those before it that are stored whole.

        Args:
            cases: See :meth:`replay`.
            pairs: See :func:`~augury.predictors.delta_replay.outcomes_of`.
        """
        cells = self._cells(cases)
        index = BlockIndex(self.settings)
        places: list[int] = []

        def candidates(place: int) -> Iterator[int]:
            found = index.search(cells[place : place + 1], TRIED_TOGETHER, self.delta.least_similarity)
            return (places[row] for row in found.rows[0].tolist() if row >= 0)

        def keep(place: int) -> None:
            index.add_sketches([str(place)], cells[place : place + 1], [None])
            places.append(place)

        return replay_deltas(
            cases[sb.PLAIN_BYTES].tolist(),
            twins_of(cases[sb.DIGEST].tolist()),
            candidates,
            outcomes_of(cases, pairs),
            self.delta,
            keep,
        )

    def _cells(self, table: pd.DataFrame) -> Cells:
        recipe = self.settings.sketch
        cells = decode(table[sb.SKETCH].tolist(), self.collected.cells)
        return thinned(cells, recipe.cells, recipe.least_sampling)

    def _predict(self, table: pd.DataFrame) -> pd.DataFrame:
        least = min(self.settings.threshold, self.delta.least_similarity)
        # One more, because a block may find itself
        lists, candidates = self.index.matches(self._cells(table), table[sb.DIGEST].tolist(), 2, least)
        best = [
            next((match for match in found if match.block != name), None)
            for name, found in zip(table[sb.BLOCK], lists, strict=True)
        ]
        similarity = np.array([0.0 if match is None else match.similarity for match in best])
        identical = np.array([match is not None and match.identical for match in best], dtype=bool)
        there: npt.NDArray[np.bool_] = np.array([match is not None for match in best], dtype=bool)
        return pd.DataFrame(
            {
                sb.REFERENCE: pd.Series([match and match.block for match in best], index=table.index, dtype=object),
                "similarity": similarity,
                "identical": identical,
                "try_delta": there & ~identical & (similarity >= self.delta.least_similarity),
                "candidates": candidates,
            },
            index=table.index,
        )

    def _save(self, directory: Path) -> None:
        specification = IndexSpecification(collected=self.collected, delta=self.delta)
        text = specification.model_dump_json(indent=1)
        (directory / SPECIFICATION_FILE).write_text(text + "\n", encoding="utf-8")
        self.index.save(directory / INDEX_FOLDER)

    @classmethod
    def _load(cls, directory: Path, metadata: Metadata) -> Self:
        path = directory / SPECIFICATION_FILE
        try:
            specification = IndexSpecification.model_validate_json(path.read_text(encoding="utf-8"))
        except (ValidationError, ValueError) as error:
            raise UserError(f"'{path}' is damaged: {error}") from None
        index = BlockIndex.load(directory / INDEX_FOLDER)
        return cls(metadata, index, specification.collected, specification.delta)
