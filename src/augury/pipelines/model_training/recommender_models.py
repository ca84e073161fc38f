"""Parameters of the recommenders: one group per kind, and the choice among them."""

from typing import Annotated, Literal

from pydantic import Field

from augury.parameters import Parameters

HalfLives = tuple[Annotated[float, Field(gt=0)] | None, ...]
Kind = Literal["popularity", "item_knn", "ease", "ials", "gmf", "mlp", "neumf"]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]

KINDS = ("popularity", "item_knn", "ease", "ials", "gmf", "mlp", "neumf")
"""In the order in which they are fitted: the cheap ones first."""

NEURAL = ("gmf", "mlp", "neumf")

RECENCY = "later interactions of a user after which half of what fades is gone; null: nothing fades"
LASTING = "share of an interaction's weight that never fades"
CANDIDATES = "candidates; validation decides"


class PopularitySettings(Parameters):
    """How often an item was chosen."""


class ItemKnnSettings(Parameters):
    """Items that the same users turn to: cosine similarity of the nearest."""

    neighbours: tuple[Count, ...] = Field(default=(50, 200), min_length=1, description=f"kept per item; {CANDIDATES}")
    shrinkage: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        default=(10.0,), min_length=1, description=f"added to the product of norms, against chance; {CANDIDATES}"
    )
    half_life: HalfLives = Field(default=(None, 2.0, 5.0, 20.0), min_length=1, description=f"{RECENCY}; {CANDIDATES}")
    lasting: tuple[Share, ...] = Field(default=(0.05,), min_length=1, description=f"{LASTING}; {CANDIDATES}")


class EaseSettings(Parameters):
    """A linear model from all items of a history to all items, with a closed solution."""

    l2: tuple[Positive, ...] = Field(
        default=(100.0, 300.0, 1000.0, 3000.0), min_length=1, description=f"regularisation; {CANDIDATES}"
    )
    half_life: HalfLives = Field(default=(None, 2.0, 5.0, 20.0), min_length=1, description=f"{RECENCY}; {CANDIDATES}")
    lasting: tuple[Share, ...] = Field(default=(0.05,), min_length=1, description=f"{LASTING}; {CANDIDATES}")
    most_items: int = Field(default=20_000, ge=1, description="more need too much memory: items x items x 4 bytes")


class IalsSettings(Parameters):
    """Factors by alternating least squares over all pairs of users and items."""

    factors: int = Field(default=64, ge=1)
    epochs: int = Field(default=12, ge=1, description="sweeps over users and items")
    unobserved_weight: tuple[Positive, ...] = Field(
        default=(0.1, 0.3, 1.0), min_length=1, description=f"of pairs that did not occur; {CANDIDATES}"
    )
    regularisation: tuple[Positive, ...] = Field(
        default=(0.003, 0.01, 0.03), min_length=1, description=f"scaled by frequency; {CANDIDATES}"
    )
    frequency_exponent: float = Field(default=1.0, ge=0, description="0: the same regularisation for all")
    half_life: HalfLives = Field(
        default=(None, 15.0), min_length=1, description=f"for the users' final factors; {RECENCY}; {CANDIDATES}"
    )
    lasting: tuple[Share, ...] = Field(default=(0.05,), min_length=1, description=f"{LASTING}; {CANDIDATES}")
    conjugate_gradient_steps: int = Field(default=3, ge=1, description="per row and sweep")
    initial_scale: float = Field(default=0.1, gt=0, description="deviation of a random factor's length")
    engine: Literal["auto", "numba", "numpy"] = Field(
        default="auto", description="auto: numba for larger data; compiling takes seconds once"
    )


class NeuralSettings(Parameters):
    """Neural collaborative filtering, after He et al. (2017)."""

    embedding: int = Field(default=64, ge=1, description="length of each embedding")
    layers: tuple[Count, ...] = Field(default=(128, 64, 32), min_length=1, description="widths of the perceptron")
    negatives: int = Field(default=4, ge=1, description="sampled per positive")
    negative_kind: Literal["uniform", "popularity"] = Field(
        default="uniform", description="popularity: in proportion to the interactions to the power 0.75"
    )
    learning_rate: float = Field(default=1e-3, gt=0, description="of Adam at a batch of 256")
    batch_size: Literal["auto"] | Count = Field(
        default="auto", description="pairs, negatives included; auto: large, with a scaled learning rate"
    )
    epochs: int = Field(default=10, ge=1)
    patience: int = Field(default=3, ge=1, description="epochs without a better validation before it stops")
    stopping_users: int = Field(default=500, ge=1, description="of validation, that decide when it stops")
    l2: float = Field(default=0.0, ge=0, description="decay of the weights per step, decoupled")
    warm_start: Literal["ials", "none"] = Field(default="none", description="where the embeddings begin")
    precision: Literal["auto", "float32", "bfloat16"] = Field(default="auto", description="of matrix products")
    device: Literal["auto", "cpu", "cuda"] = "auto"


MemberSettings = PopularitySettings | ItemKnnSettings | EaseSettings | IalsSettings | NeuralSettings


class RecommenderModel(Parameters):
    """How the recommender is trained.

    One model with the settings of every kind, so that changing ``kind`` alone is enough.
    """

    kind: Kind | Literal["blend"] = Field(
        default="blend", description="blend: several side by side, weighted by what validation says"
    )
    members: tuple[Kind, ...] = Field(
        default=("item_knn", "ease", "ials"),
        min_length=1,
        description="of the blend; one that does not help is left out",
    )
    popularity: PopularitySettings = PopularitySettings()
    item_knn: ItemKnnSettings = ItemKnnSettings()
    ease: EaseSettings = EaseSettings()
    ials: IalsSettings = IalsSettings()
    gmf: NeuralSettings = NeuralSettings()
    mlp: NeuralSettings = NeuralSettings()
    neumf: NeuralSettings = NeuralSettings()
    steps: int = Field(
        default=12, ge=1, description="of the greedy search for the blend's weights; each adds one member once more"
    )
    refit: bool = Field(default=True, description="fit again on training and validation with what was chosen")
    validation_users: int = Field(
        default=2_000, ge=1, description="users, drawn by the seed, whose validation item decides"
    )
    k: int = Field(default=10, ge=1, description="length of the lists that NDCG judges")
    sampled_weight: float = Field(
        default=0.3,
        ge=0,
        description="of the NDCG among the sampled negatives, added to that of the full ranking where settings and "
        "weights are chosen: the one looks at the first places, the other at the long tail",
    )
    content: Literal["none", "text"] = Field(
        default="none", description="text: new items are scored by the embedding of their text"
    )
    content_l2: float = Field(default=1.0, gt=0, description="ridge of the map from texts to items' factors")
    resume: bool = Field(default=True, description="go on from a checkpoint of the same training")
    use_tuned: bool = Field(default=False, description="whether to take the parameters that tuning found")

    def chosen(self) -> dict[str, MemberSettings]:
        """The settings of the kinds that are to be fitted, the cheap ones first."""
        wanted = self.members if self.kind == "blend" else (self.kind,)
        return {kind: getattr(self, kind) for kind in KINDS if kind in wanted}
