"""`recommendation`: the best items for a user, whoever the user is and whatever is asked to be left out."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from augury.errors import InputError, UserError
from augury.metrics.top_k import top_items
from augury.predictors.content_map import ContentMap
from augury.predictors.contract import ColumnSpec, Metadata, Predictor
from augury.predictors.recommender_onnx import PairGraph, compare_graph
from augury.predictors.recommender_scorers import SCORERS, FactorScorer, Mixture, Scorer
from augury.predictors.tensor_files import read_tensors, write_tensors
from augury.predictors.user_histories import Histories

SPECIFICATION_FILE = "recommender.json"
MEMBERS_FILE = "members.safetensors"
HISTORIES_FILE = "histories.safetensors"
CONTENT_FILE = "content.safetensors"
USERS_FILE = "users.json"
ITEMS_FILE = "items.json"

SEPARATOR = ";"
DEFAULT_K = 10
DECIMALS = 5
USERS_AT_ONCE = 512

INPUTS = (
    ColumnSpec(name="user_id", dtype="string", nullable=True, description="missing or unknown: a new user"),
    ColumnSpec(
        name="history",
        dtype="string",
        required=False,
        nullable=True,
        description=f"further items that the user has turned to, the oldest first, joined by '{SEPARATOR}'",
    ),
    ColumnSpec(
        name="k",
        dtype="integer",
        required=False,
        nullable=True,
        minimum=1,
        description=f"length of the list; {DEFAULT_K} where it is missing",
    ),
)
OUTPUTS = (
    ColumnSpec(name="items", dtype="string", description=f"ids, the best first, joined by '{SEPARATOR}'"),
    ColumnSpec(name="scores", dtype="string", description="their scores, comparable within a row only"),
    ColumnSpec(name="known_user", dtype="boolean", description="whether training knew the user"),
    ColumnSpec(name="n_items", dtype="integer", description="length of the list", minimum=0),
)

Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int32]
Recommendations = list[tuple[str, float]]


class MemberSpecification(BaseModel):
    """One member of the mixture."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    weight: float = Field(gt=0)
    settings: dict[str, Any]


class RecommenderSpecification(BaseModel):
    """What the tables of numbers mean."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    members: tuple[MemberSpecification, ...] = Field(min_length=1)
    encoder: str | None = Field(default=None, description="of new items' texts; null: there is no map from texts")


class Recommender(Predictor):
    """Weighted members over the histories of all users that training knew.

    Of items with equal scores, the one with the smaller code comes first; scores are compared unrounded.
    """

    family: ClassVar[str] = "top_k_recommender"

    def __init__(
        self,
        metadata: Metadata,
        mixture: Mixture,
        histories: Histories,
        popularity: Floats,
        user_ids: Sequence[str],
        item_ids: Sequence[str],
        content: ContentMap | None = None,
        graphs: Mapping[str, bytes] | None = None,
        example: list[dict[str, Any]] | None = None,
    ) -> None:
        """Keep the members and what they know.

        Args:
            metadata: Typed metadata.
            mixture: The members and their weights.
            histories: What every user has turned to, in training and validation.
            popularity: What new users without a history are shown, shape ``(items,)``.
            user_ids: By code.
            item_ids: By code.
            content: Map from texts to the factors of items.
            graphs: Kind -> ONNX of the members that score a pair by itself; None: export them.
            example: See :class:`Predictor`.
        """
        super().__init__(metadata, example)
        self.mixture = mixture
        self.histories = histories
        self.popularity = popularity
        self.user_ids = np.array(user_ids, dtype=object)
        self.item_ids = np.array(item_ids, dtype=object)
        self.user_index: dict[str, int] = {name: code for code, name in enumerate(user_ids)}
        self.item_index: dict[str, int] = {name: code for code, name in enumerate(item_ids)}
        self.content = content
        self._graphs: dict[str, bytes] | None = None if graphs is None else dict(graphs)
        self._new_items: Floats | None = None

    @property
    def seen(self) -> Any:
        """What every user has turned to, as a ``scipy.sparse.csr_array`` of shape ``(users, items)``."""
        table = self.histories.table()
        table.resize((len(self.histories), len(self.item_ids)))
        return table

    @property
    def graphs(self) -> dict[str, bytes]:
        """ONNX of the members that score a pair of a user and an item by itself, by kind."""
        if self._graphs is None:
            found = {member.kind: PairGraph.of(member) for member in self.mixture.members}
            self._graphs = {kind: graph for kind, graph in found.items() if graph is not None}
        return self._graphs

    def score_users(self, users: npt.NDArray[np.int32]) -> Floats:
        """Score all items for some known users.

        Args:
            users: Codes, shape ``(b,)``.

        Returns:
            Shape ``(b, items)``, finite; larger is better, comparable within a row only.
        """
        codes = np.asarray(users, dtype=np.int32)
        return self._with_new_items(codes, self.histories.take(codes))

    def recommend(
        self,
        user_ids: Sequence[str | None],
        k: int = DEFAULT_K,
        allow: Collection[str] | None = None,
        deny: Collection[str] = (),
        filter_seen: bool = True,
    ) -> list[Recommendations]:
        """Recommend items.

        Args:
            user_ids: Users; one that training did not know is shown what is popular.
            k: Length of each list, at least 1.
            allow: The only items to choose among; None: all. Unknown ones are ignored.
            deny: Items to leave out. Unknown ones are ignored.
            filter_seen: Whether to leave out what a user has already turned to.

        Returns:
            Per user, pairs of item and score, the best first; fewer than ``k`` where there are fewer candidates.

        Raises:
            InputError: ``k`` is less than 1.
        """
        _check_k(k)
        barred = self._barred(allow, deny)
        return [self._list(*self._scores_of(user_id, ()), k, barred, filter_seen) for user_id in user_ids]

    def fold_in(
        self,
        item_ids: Sequence[str],
        k: int = DEFAULT_K,
        allow: Collection[str] | None = None,
        deny: Collection[str] = (),
    ) -> Recommendations:
        """Recommend items to a user whom training did not know.

        Args:
            item_ids: What the user has turned to, the oldest first; unknown items are ignored.
            k: Length of the list.
            allow: See :meth:`recommend`.
            deny: See :meth:`recommend`.

        Returns:
            Pairs of item and score. Members that cannot take in new users do not count; if none can, or no item is
            known, the most popular items.
        """
        _check_k(k)
        return self._list(*self._scores_of(None, item_ids), k, self._barred(allow, deny), True)

    def top_places(self, k: int = DEFAULT_K) -> Iterator[tuple[slice, Codes, Floats]]:
        """Items for all known users, in blocks.

        Args:
            k: Length of each list.

        Yields:
            The users of a block; codes of items, shape ``(b, k)``, -1 where there are fewer; and their scores.
        """
        _check_k(k)
        seen = self.seen
        for start in range(0, len(self.histories), USERS_AT_ONCE):
            block = slice(start, min(start + USERS_AT_ONCE, len(self.histories)))
            scores = self.score_users(np.arange(block.start, block.stop, dtype=np.int32))
            top = top_items(scores, k, seen[block])
            yield block, top, np.take_along_axis(scores, np.maximum(top, 0).astype(np.int64), axis=1)

    def recommend_all(self, k: int = DEFAULT_K) -> pd.DataFrame:
        """Recommend items to all known users, leaving out what each has already turned to.

        Args:
            k: Length of each list.

        Returns:
            ``user_id``, ``rank`` (from 1), ``item_id``, ``score``; users in the order of their codes.
        """
        parts = []
        for block, top, scores in self.top_places(k):
            row, place = np.nonzero(top >= 0)
            parts.append(
                pd.DataFrame(
                    {
                        "user_id": self.user_ids[block][row],
                        "rank": place.astype(np.int64) + 1,
                        "item_id": self.item_ids[top[row, place]],
                        "score": scores[row, place].astype(np.float64),
                    }
                )
            )
        columns = {"user_id": "object", "rank": "int64", "item_id": "object", "score": "float64"}
        empty = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in columns.items()})
        return pd.concat(parts, ignore_index=True) if parts else empty

    def with_items(self, texts: Mapping[str, str]) -> "Recommender":
        """A recommender that knows further items by their texts.

        The text's embedding is mapped to factors of items. Of a new item, only the member with factors has an opinion;
        it is brought to the scale of the known items.

        Args:
            texts: Id -> text of items that training did not know.

        Returns:
            A recommender that recommends them too.

        Raises:
            UserError: There is no map from texts (``model.content: none``), or an item is known already.
        """
        if self.content is None:
            raise UserError(
                "This recommender has no map from texts to items. Train it with recommendation.model.content=text, on "
                "items that have a 'text'."
            )
        known = [name for name in texts if name in self.item_index]
        if known:
            raise UserError(f"Items that are new must not be known already; {known[0]!r} is.")
        vectors = self.content.vectors(list(texts.values()))
        if self._new_items is not None:
            vectors = np.concatenate([self._new_items, vectors])
        other = Recommender(
            self.metadata, self.mixture, self.histories, self.popularity, self.user_ids.tolist(),
            [*self.item_ids, *texts], self.content, self._graphs, self.example,
        )  # fmt: skip
        other._new_items = vectors
        return other

    def compare_onnx(self, users: Codes, items: Codes) -> dict[str, Any]:
        """Compare the exported graphs with the members.

        Args:
            users: Codes, shape ``(pairs,)``.
            items: Codes of known items, shape ``(pairs,)``.

        Returns:
            ``rows``; and by kind of member the largest difference of a score, ``max_difference``, relative to the
            largest score. Kinds that need a whole history have no graph.
        """
        found = {}
        for member in self.mixture.members:
            if member.kind in self.graphs:
                found[member.kind] = compare_graph(self.graphs[member.kind], member, self.histories, users, items)
        return {
            "rows": len(users),
            "max_difference": max(found.values(), default=0.0),
            "members": found,
        }

    def _predict(self, table: pd.DataFrame) -> pd.DataFrame:
        sizes = table["k"].fillna(DEFAULT_K).astype(np.int64)
        rows = []
        for user_id, history, k in zip(table["user_id"], table["history"], sizes, strict=True):
            told = [] if history is None else [name.strip() for name in history.split(SEPARATOR)]
            found = self._list(*self._scores_of(user_id, told), int(k), None, True)
            rows.append(
                (
                    SEPARATOR.join(name for name, _ in found),
                    SEPARATOR.join(f"{round(score, DECIMALS) + 0.0:.{DECIMALS}f}" for _, score in found),
                    user_id in self.user_index,
                    len(found),
                )
            )
        return pd.DataFrame(rows, columns=[column.name for column in OUTPUTS], index=table.index)

    def _scores_of(self, user_id: str | None, told: Sequence[str]) -> tuple[Floats, Codes]:
        """Scores of all items for one user, and what the user has turned to."""
        user = None if user_id is None else self.user_index.get(user_id)
        known = len(self.popularity)
        codes = [code for name in told if (code := self.item_index.get(name, known)) < known]
        own = None if user is None else self.histories.take(np.array([user]))
        more = bool(codes) and (own is None or not np.isin(codes, own.indices).all())
        if more and self.mixture.folds_in:
            history = Histories.of_list(codes, known) if own is None else own.extended(codes)
            return self._with_new_items(None, history)[0], history.indices
        if own is not None and len(own.indices):
            seen = np.union1d(own.indices, np.array(codes, dtype=np.int32)).astype(np.int32)
            return self._with_new_items(np.array([user], dtype=np.int32), own)[0], seen
        scores = self.popularity
        if self._new_items is not None:
            scores = np.concatenate([scores, np.zeros(len(self._new_items), dtype=np.float32)])
        return scores, np.array(sorted(set(codes)), dtype=np.int32)

    def _with_new_items(self, users: Codes | None, histories: Histories) -> Floats:
        scores = self.mixture.scores(users, histories)
        if self._new_items is None:
            return scores
        member = factor_member(self.mixture)
        factors = member.fold_in(histories) if users is None else member.users[users]
        known, new = factors @ member.items.T, factors @ self._new_items.T
        deviation = known.std(axis=1, keepdims=True)
        placed = (new - known.mean(axis=1, keepdims=True)) / np.where(deviation > 0, deviation, 1)
        placed = placed * scores.std(axis=1, keepdims=True) + scores.mean(axis=1, keepdims=True)
        return np.concatenate([scores, placed.astype(np.float32)], axis=1)

    def _barred(self, allow: Collection[str] | None, deny: Collection[str]) -> npt.NDArray[np.bool_] | None:
        """Which items must not be shown; None: all may."""
        if allow is None and not deny:
            return None
        barred = np.full(len(self.item_ids), allow is not None)
        barred[[self.item_index[name] for name in allow or () if name in self.item_index]] = False
        barred[[self.item_index[name] for name in deny if name in self.item_index]] = True
        return barred

    def _list(
        self, scores: Floats, seen: Codes, k: int, barred: npt.NDArray[np.bool_] | None, filter_seen: bool
    ) -> Recommendations:
        candidates = scores.copy()
        if filter_seen:
            candidates[seen] = -np.inf
        if barred is not None:
            candidates[barred] = -np.inf
        taken = min(k, len(candidates))
        if not taken:
            return []
        least = np.partition(candidates, len(candidates) - taken)[len(candidates) - taken]
        # Ascending codes and a stable sort: of equal scores, the smaller code comes first
        chosen = np.flatnonzero(candidates >= least)
        chosen = chosen[np.argsort(-candidates[chosen], kind="stable")][:taken]
        chosen = chosen[candidates[chosen] > -np.inf]
        return list(zip(self.item_ids[chosen].tolist(), candidates[chosen].tolist(), strict=True))

    def _save(self, directory: Path) -> None:
        specification = RecommenderSpecification(
            members=tuple(
                MemberSpecification(kind=member.kind, weight=weight, settings=member.settings())
                for member, weight in zip(self.mixture.members, self.mixture.weights, strict=True)
            ),
            encoder=None if self.content is None else self.content.encoder,
        )
        known = self.item_ids[: len(self.popularity)]  # new items are the caller's
        texts = {
            SPECIFICATION_FILE: specification.model_dump_json(indent=1),
            USERS_FILE: json.dumps(self.user_ids.tolist(), ensure_ascii=False),
            ITEMS_FILE: json.dumps(known.tolist(), ensure_ascii=False),
        }
        for name, text in texts.items():
            (directory / name).write_text(text + "\n", encoding="utf-8")
        members = {
            f"{member.kind}.{name}": value
            for member in self.mixture.members
            for name, value in member.tensors().items()
        }
        histories: dict[str, npt.NDArray[Any]] = {
            "indptr": self.histories.indptr,
            "indices": self.histories.indices,
            "weights": self.histories.weights,
            "ages": self.histories.ages,
            "popularity": self.popularity,
        }
        files: dict[str, Mapping[str, npt.NDArray[Any]]] = {MEMBERS_FILE: members, HISTORIES_FILE: histories}
        if self.content is not None:
            files[CONTENT_FILE] = {"weights": self.content.weights}
        for name, tensors in files.items():
            write_tensors(directory / name, tensors)
        for kind, graph in self.graphs.items():
            (directory / f"{kind}.onnx").write_bytes(graph)

    @classmethod
    def _load(cls, directory: Path, metadata: Metadata) -> Self:
        name = SPECIFICATION_FILE
        try:
            specification = RecommenderSpecification.model_validate_json((directory / name).read_text(encoding="utf-8"))
            ids = {}
            for name in (USERS_FILE, ITEMS_FILE):
                ids[name] = json.loads((directory / name).read_text(encoding="utf-8"))
        except ValueError as error:  # of JSON, of UTF-8, of pydantic
            raise UserError(f"'{directory / name}' is damaged: {error}") from None
        members_of = read_tensors(directory / MEMBERS_FILE)
        tables = read_tensors(directory / HISTORIES_FILE, ("indptr", "indices", "weights", "ages", "popularity"))
        content = None
        if specification.encoder is not None:
            tensors = read_tensors(directory / CONTENT_FILE, ("weights",))
            content = ContentMap(specification.encoder, tensors["weights"])
        members: list[Scorer] = []
        for member in specification.members:
            if member.kind not in SCORERS:
                raise UserError(f"'{directory}' holds a member of the kind '{member.kind}', unknown to this version.")
            prefix = f"{member.kind}."
            own = {name.removeprefix(prefix): value for name, value in members_of.items() if name.startswith(prefix)}
            members.append(SCORERS[member.kind].restore(member.kind, own, member.settings))
        popularity = tables.pop("popularity")
        graphs = {}
        for kind in (member.kind for member in members):
            if PairGraph.exports(kind):
                graphs[kind] = (directory / f"{kind}.onnx").read_bytes()
        return cls(
            metadata,
            Mixture(members, [member.weight for member in specification.members]),
            Histories(**tables, items=len(popularity)),
            popularity,
            ids[USERS_FILE],
            ids[ITEMS_FILE],
            content,
            graphs,
        )


def factor_member(mixture: Mixture) -> FactorScorer:
    """The member with factors of items.

    Raises:
        UserError: There is none.
    """
    for member in mixture.members:
        if isinstance(member, FactorScorer):
            return member
    raise UserError("New items are scored by their factors; the recommender has no member 'ials' that has any.")


def _check_k(k: int) -> None:
    if k < 1:
        raise InputError(f"recommendation: 'k' must be at least 1, not {k}.")
