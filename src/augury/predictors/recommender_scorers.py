"""The members of a recommender: each scores all items for a user, from tables of numbers alone.

None of them needs the library that it was trained with. A user is scored by the same operations whether alone or among
others, so that a score does not depend on who else asks; only :class:`FactorScorer` multiplies several users at once.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from augury.predictors.user_histories import ALWAYS, Histories, Recency

Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int32]


RERANKED = 300
"""Items of a user that a network puts into order; the more, the nearer to its opinion of all."""

SPREAD = 128
"""Items from which the mean and the deviation of a network's scores are estimated where it does not see all."""

ITEMS_AT_ONCE = 512
"""Items whose hidden layers are computed together: they stay in the processor's cache."""


class Scorer(ABC):
    """One member: tensors, settings, and how they become scores."""

    kinds: ClassVar[tuple[str, ...]]
    kind: str

    @abstractmethod
    def scores(self, users: Codes | None, histories: Histories) -> Floats:
        """Score all items.

        Args:
            users: Codes of known users, shape ``(b,)``; None: users that training did not know, or who have done more
                since, of whom only the histories count.
            histories: What these users have turned to, one row each.

        Returns:
            Shape ``(b, items)``, finite; larger is better.
        """

    @property
    def folds_in(self) -> bool:
        """Whether it scores users by their histories alone."""
        return True

    @abstractmethod
    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Everything that was learned."""

    def settings(self) -> dict[str, Any]:
        """Everything else that :meth:`restore` needs; JSON."""
        return {}

    @classmethod
    @abstractmethod
    def restore(cls, kind: str, tensors: Mapping[str, npt.NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        """Build the member that had these tensors and settings."""


class PopularityScorer(Scorer):
    """The same for everybody: how often an item was chosen."""

    kinds = ("popularity",)

    def __init__(self, popularity: Floats) -> None:
        """Keep the scores.

        Args:
            popularity: Shape ``(items,)``.
        """
        self.kind = "popularity"
        self.popularity = popularity

    def scores(self, users: Codes | None, histories: Histories) -> Floats:
        """See :meth:`Scorer.scores`."""
        return np.repeat(self.popularity[None, :], len(histories), axis=0)

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """See :meth:`Scorer.tensors`."""
        return {"popularity": self.popularity}

    @classmethod
    def restore(cls, kind: str, tensors: Mapping[str, npt.NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        """See :meth:`Scorer.restore`."""
        return cls(tensors["popularity"])


class ItemScorer(Scorer):
    """A weight from every item of the history to every item: EASE."""

    kinds = ("ease",)

    def __init__(self, weights: Floats, recency: Recency = ALWAYS) -> None:
        """Keep the weights.

        Args:
            weights: Shape ``(items, items)``: from an item of the history (row) to a candidate (column).
            recency: How the history fades.
        """
        self.kind = "ease"
        self.weights = weights
        self.recency = recency

    def with_recency(self, recency: Recency) -> Self:
        """The same weights, for histories that fade in another way."""
        return type(self)(self.weights, recency)

    def scores(self, users: Codes | None, histories: Histories) -> Floats:
        """See :meth:`Scorer.scores`."""
        return np.asarray(histories.table(self.recency) @ self.weights, dtype=np.float32)

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """See :meth:`Scorer.tensors`."""
        return {"weights": self.weights}

    def settings(self) -> dict[str, Any]:
        """See :meth:`Scorer.settings`."""
        return vars(self.recency)

    @classmethod
    def restore(cls, kind: str, tensors: Mapping[str, npt.NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        """See :meth:`Scorer.restore`."""
        return cls(tensors["weights"], Recency(**settings))


class NeighbourScorer(Scorer):
    """The nearest neighbours of every item."""

    kinds = ("item_knn",)

    def __init__(
        self, indptr: npt.NDArray[np.int64], indices: Codes, values: Floats, recency: Recency = ALWAYS
    ) -> None:
        """Keep the sparse table of similarities.

        Args:
            indptr: Shape ``(items + 1,)``.
            indices: Candidates, sorted within the row of an item of the history.
            values: How much each speaks for the candidate.
            recency: How the history fades.
        """
        from scipy.sparse import csr_array

        self.kind = "item_knn"
        self.recency = recency
        items = len(indptr) - 1
        self.similarities = csr_array((values, indices, indptr), shape=(items, items))

    def with_recency(self, recency: Recency) -> Self:
        """The same neighbours, for histories that fade in another way."""
        table = self.similarities
        return type(self)(table.indptr, table.indices, table.data, recency)

    def scores(self, users: Codes | None, histories: Histories) -> Floats:
        """See :meth:`Scorer.scores`."""
        return np.asarray((histories.table(self.recency) @ self.similarities).toarray(), dtype=np.float32)

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """See :meth:`Scorer.tensors`."""
        table = self.similarities
        return {
            "indptr": table.indptr.astype(np.int64),
            "indices": table.indices.astype(np.int32),
            "values": table.data,
        }

    def settings(self) -> dict[str, Any]:
        """See :meth:`Scorer.settings`."""
        return vars(self.recency)

    @classmethod
    def restore(cls, kind: str, tensors: Mapping[str, npt.NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        """See :meth:`Scorer.restore`."""
        return cls(tensors["indptr"], tensors["indices"], tensors["values"], Recency(**settings))


@dataclass(frozen=True)
class LeastSquares:
    """The problem that a user's factors solve, see :func:`~...implicit_als.fit_implicit_als`."""

    unobserved_weight: float
    regularisation: float
    frequency_exponent: float = 1.0
    half_life: float | None = None
    lasting: float = 0.0

    @property
    def recency(self) -> Recency:
        """How a user's history fades, when the user's factors are solved for."""
        return Recency(self.half_life, self.lasting)


class FactorScorer(Scorer):
    """Dot products of factors of users and items: implicit ALS."""

    kinds = ("ials",)

    def __init__(self, users: Floats, items: Floats, problem: LeastSquares) -> None:
        """Keep the factors.

        Args:
            users: Shape ``(users, factors)``.
            items: Shape ``(items, factors)``.
            problem: What the users' factors solve, given the items'.
        """
        self.kind = "ials"
        self.users = users
        self.items = items
        self.problem = problem
        wide = items.astype(np.float64)
        self._gram = problem.unobserved_weight * (wide.T @ wide)

    def scores(self, users: Codes | None, histories: Histories) -> Floats:
        """See :meth:`Scorer.scores`."""
        factors = self.fold_in(histories) if users is None else self.users[users]
        if len(factors) == 1:
            return (self.items @ factors[0])[None, :]
        return factors @ self.items.T

    def fold_in(self, histories: Histories) -> Floats:
        """Solve for the factors of users by their histories.

        Args:
            histories: One row per user.

        Returns:
            Shape ``(b, factors)``.
        """
        problem, items = self.problem, len(self.items)
        found = np.zeros((len(histories), self.items.shape[1]), dtype=np.float32)
        table = histories.table(problem.recency)
        for row in range(len(histories)):
            part = slice(table.indptr[row], table.indptr[row + 1])
            chosen = self.items[table.indices[part]].astype(np.float64)
            weighted = chosen * table.data[part, None]
            penalty = problem.regularisation * (
                (len(chosen) + problem.unobserved_weight * items) ** problem.frequency_exponent
            )
            left = self._gram + weighted.T @ chosen
            left[np.diag_indices_from(left)] += penalty
            found[row] = np.linalg.solve(left, weighted.sum(axis=0))
        return found

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """See :meth:`Scorer.tensors`."""
        return {"users": self.users, "items": self.items}

    def settings(self) -> dict[str, Any]:
        """See :meth:`Scorer.settings`."""
        return dict(vars(self.problem))

    @classmethod
    def restore(cls, kind: str, tensors: Mapping[str, npt.NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        """See :meth:`Scorer.restore`."""
        return cls(tensors["users"], tensors["items"], LeastSquares(**settings))


class NeuralScorer(Scorer):
    """The network of neural collaborative filtering, without the library that trained it.

    The first layer of the perceptron is split, ``W [u; i] = Wu u + Wi i``, and its item side computed once.
    """

    kinds = ("neumf", "gmf", "mlp")

    def __init__(self, kind: str, tensors: Mapping[str, npt.NDArray[Any]]) -> None:
        """Keep the tables and layers.

        Args:
            kind: ``neumf``, ``gmf`` or ``mlp``.
            tensors: ``gmf_users`` and ``gmf_items`` of shape ``(n, embedding)`` and ``gmf_output`` of shape
                ``(embedding,)``; ``mlp_users``, ``mlp_items``, ``layer_0_user`` and ``layer_0_item`` of shape
                ``(width, embedding)``, ``layer_<n>`` of shape ``(width, width before)``, ``bias_<n>`` and
                ``mlp_output``; and ``bias`` of shape ``(1,)``.
        """
        self.kind = kind
        self._tensors = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
        self.depth = sum(name.startswith("bias_") for name in tensors)
        if "gmf_items" in tensors:
            self._factors = self._tensors["gmf_items"] * self._tensors["gmf_output"]
        if self.depth:
            self._item_side = self._tensors["mlp_items"] @ self._tensors["layer_0_item"].T + self._tensors["bias_0"]

    @property
    def folds_in(self) -> bool:
        """See :attr:`Scorer.folds_in`: a user whom training did not know has no embedding."""
        return False

    def scores(self, users: Codes | None, histories: Histories) -> Floats:
        """See :meth:`Scorer.scores`."""
        if users is None:
            raise ValueError(f"A member of kind '{self.kind}' cannot score users that training did not know.")
        return np.stack([self.scores_of(int(user)) for user in users])

    def scores_of(self, user: int, items: Codes | None = None) -> Floats:
        """Scores of some items for one user.

        Args:
            user: Code of a user that training knew.
            items: Codes of items, shape ``(n,)``; None: all.

        Returns:
            Logits, shape ``(n,)``.
        """
        found = np.full(len(self.item_table if items is None else items), self._tensors["bias"][0], dtype=np.float32)
        if "gmf_items" in self._tensors:
            factors = self._factors if items is None else self._factors[items]
            found += factors @ self._tensors["gmf_users"][user]
        if self.depth:
            own = self._tensors["layer_0_user"] @ self._tensors["mlp_users"][user]
            for start in range(0, len(found), ITEMS_AT_ONCE):
                part = slice(start, start + ITEMS_AT_ONCE)
                hidden = self._item_side[part if items is None else items[part]] + own
                np.maximum(hidden, 0, out=hidden)
                for depth in range(1, self.depth):
                    hidden = hidden @ self._tensors[f"layer_{depth}"].T
                    hidden += self._tensors[f"bias_{depth}"]
                    np.maximum(hidden, 0, out=hidden)
                found[part] += hidden @ self._tensors["mlp_output"]
        return found

    @property
    def item_table(self) -> Floats:
        """The embeddings of the items that the kind has: those of the factorisation, or else of the perceptron."""
        return self._tensors["gmf_items" if "gmf_items" in self._tensors else "mlp_items"]

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """See :meth:`Scorer.tensors`."""
        return dict(self._tensors)

    @classmethod
    def restore(cls, kind: str, tensors: Mapping[str, npt.NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        """See :meth:`Scorer.restore`."""
        return cls(kind, tensors)


SCORERS: dict[str, type[Scorer]] = {
    kind: scorer
    for scorer in (PopularityScorer, ItemScorer, NeighbourScorer, FactorScorer, NeuralScorer)
    for kind in scorer.kinds
}
"""Kind -> class; a file names a kind, never a class."""


class Mixture:
    """Weighted members, each of whose scores are first brought to mean 0 and deviation 1 over the items.

    A network costs a hundred times what a linear member does. Among many items it only puts the best of the other
    members into a better order (retrieval and re-ranking); items behind them keep the order of the others.
    """

    def __init__(self, members: Sequence[Scorer], weights: Sequence[float], reranked: int = RERANKED) -> None:
        """Keep them.

        Args:
            members: At least one.
            weights: Positive, one per member.
            reranked: How many items of a user networks look at, where there are cheaper members and more than twice as
                many items.
        """
        self.members = tuple(members)
        self.weights = tuple(float(weight) for weight in weights)
        self._reranked = reranked

    @property
    def folds_in(self) -> bool:
        """Whether any member scores users by their histories alone."""
        return any(member.folds_in for member in self.members)

    def scores(self, users: Codes | None, histories: Histories) -> Floats:
        """See :meth:`Scorer.scores`; members that cannot score unknown users are left out for them."""
        if len(self.members) == 1:
            return self.members[0].scores(users, histories)
        weighted = [
            (member, np.float32(weight))
            for member, weight in zip(self.members, self.weights, strict=True)
            if users is not None or member.folds_in
        ]
        if not weighted:
            raise ValueError("No member can score users that training did not know.")
        many = histories.items > 2 * self._reranked and users is not None
        late = [(member, weight) for member, weight in weighted if many and isinstance(member, NeuralScorer)]
        if len(late) == len(weighted):
            late = []
        total: Floats | None = None
        for member, weight in weighted:
            if any(member is network for network, _ in late):
                continue
            part = standardised(member.scores(users, histories))
            part *= weight
            total = part if total is None else np.add(total, part, out=total)
        assert total is not None
        for network, weight in late:
            assert users is not None
            self._rerank(total, network, weight, users)
        return total

    def _rerank(self, total: Floats, member: NeuralScorer, weight: np.float32, users: Codes) -> None:
        """Add a network's part to the best items of each user, in place, and its smallest part to all others."""
        items = total.shape[1]
        # Mean and deviation over all items, as for every member, from evenly spread ones
        spread = np.linspace(0, items - 1, min(items, SPREAD)).round().astype(np.int32)
        for row, user in enumerate(users):
            best = np.argpartition(-total[row], self._reranked)[: self._reranked].astype(np.int32)
            found = member.scores_of(int(user), np.concatenate([best, spread]))
            own, others = found[: self._reranked], found[self._reranked :]
            deviation = others.std()
            part = (own - others.mean()) / (deviation if deviation > 0 else np.float32(1)) * weight
            lowest = part.min()
            total[row] += lowest
            total[row, best] += part - lowest


def standardised(scores: Floats) -> Floats:
    """Bring every row to mean 0 and deviation 1; a row of equal scores becomes zeros.

    Args:
        scores: Shape ``(b, items)``; overwritten.

    Returns:
        The same array.
    """
    scores -= scores.mean(axis=1, keepdims=True)
    # One dot product per row: the sums of a row must not depend on how many there are
    squares = np.array([row @ row for row in scores], dtype=np.float32) / np.float32(max(scores.shape[1], 1))
    deviation = np.sqrt(squares)[:, None]
    scores /= np.where(deviation > 0, deviation, np.float32(1))
    return scores
