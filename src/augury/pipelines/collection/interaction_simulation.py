"""Simulate a shop's users and items: who met which item, when, and how far it went.

Months pass one after the other. In each, a user takes new items one by one, each with a chance proportional to
``exp(utility)`` among those that are on sale and that the user has not met (a Plackett-Luce draw). Utility is how well
an item fits the user's taste for categories, which drifts from one taste to another, and for styles, plus how popular
the item is. Categories and most styles can be read in an item's description; some of an item's character cannot.
"""

import datetime
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from augury.parameters import Parameters
from augury.pipelines.collection.interaction_catalogue import BESIDE, NOUNS, PHRASES, STYLES
from augury.predictors import interaction_values as iv

KINDS = ("view", "click", "cart", "purchase")
DEEPER = (0.55, 0.45, 0.6)
"""Chance of an average item that a view leads to a click, a click to the cart, and the cart to a purchase."""
RATINGS = (0.5, 1.0, 2.0, 3.0)
"""Mean implicit rating of each kind."""

MONTH_DAYS = 30
HIDDEN = 2
"""Traits of an item that no description tells."""
_DAY_S = 86_400


class InteractionSimulation(Parameters):
    """The shop to simulate."""

    users: int = Field(default=1_500, ge=2, le=1_000_000, description="number of users")
    items: int = Field(default=1_000, ge=20, le=100_000, description="number of items")
    months: int = Field(default=12, ge=2, le=120, description="months of 30 days")
    start: datetime.date = Field(default=datetime.date(2025, 1, 1), description="first day")
    least_items: int = Field(default=15, ge=3, description="least number of different items of a user")
    mean_items: float = Field(default=34.0, gt=3, description="mean number of different items of a user")
    popularity: float = Field(
        default=2.2, ge=0, le=5, description="power by which chances fall with an item's rank, as in Zipf's law"
    )
    taste: float = Field(default=9.0, ge=0, description="how much the categories matter to a user")
    style: float = Field(default=6.5, ge=0, description="how much the styles and hidden traits matter")
    drift: float = Field(default=0.35, ge=0, le=1, description="how far the taste moves to another one over the months")
    born_later: float = Field(default=0.2, ge=0, lt=1, description="share of the items that come on sale later")
    revisits: float = Field(default=0.08, ge=0, le=1, description="share of the items that a user meets once more")

    @model_validator(mode="after")
    def _must_fit(self) -> "InteractionSimulation":
        if self.mean_items < self.least_items:
            raise ValueError(f"mean_items ({self.mean_items:g}) must be at least least_items ({self.least_items})")
        if self.least_items > self.items * (1 - self.born_later) / 2:
            raise ValueError(f"least_items ({self.least_items}) must be at most half of the items that are on sale")
        return self


@dataclass(frozen=True)
class _Shop:
    """Users and items with their traits.

    Attributes:
        mixture: Share of each category in an item, ``(items, categories)``.
        traits: Styles, then hidden traits of an item, ``(items, traits)``.
        noun: Number of the noun within the item's main category, ``(items,)``.
        appeal: What popularity adds to the utility, ``(items,)``.
        born: First month on sale, ``(items,)``.
        before: Taste for categories in the first month, ``(users, categories)``.
        after: Where it drifts to.
        wishes: Taste for traits, ``(users, traits)``.
        counts: Different items of each user, ``(users,)``.
    """

    mixture: np.ndarray
    traits: np.ndarray
    noun: np.ndarray
    appeal: np.ndarray
    born: np.ndarray
    before: np.ndarray
    after: np.ndarray
    wishes: np.ndarray
    counts: np.ndarray


@dataclass(frozen=True)
class _Choices:
    """Items that users met for the first time, in the order in which they did; arrays of shape ``(choices,)``.

    Attributes:
        user: Code.
        item: Code.
        month: Number of the month.
        fit: Utility without popularity, of mean 0 and standard deviation 1 over the choices.
    """

    user: np.ndarray
    item: np.ndarray
    month: np.ndarray
    fit: np.ndarray


def create_synthetic_interactions(collection: InteractionSimulation, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Simulate interactions.

    Args:
        collection: The shop.
        seed: Of everything.

    Returns:
        - Interactions, ascending in time: ``user_id`` (``user_1`` and up), ``item_id`` (``item_1`` and up),
          ``timestamp`` (``datetime64[ms]``, whole seconds), ``interaction_type`` (view, click, cart or purchase;
          what goes further than a view began with one), ``implicit_rating`` (0.5 to 5, in halves), ``origin``
          (simulated).
        - Items, in the order of their numbers: ``item_id``, ``text`` (one or two English sentences), ``category``.
    """
    shop = _draw_shop(collection, seed)
    choices = _draw_choices(shop, collection, seed)
    return _events(choices, collection, seed), _describe(shop, seed)


def oracle_scores(collection: InteractionSimulation, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True utilities at the end: the best possible ranking of the next new item, which no model can beat on average.

    Args:
        collection: The shop, as for :func:`create_synthetic_interactions`.
        seed: The same.

    Returns:
        Utilities in the month of each user's last new item, float64, shape ``(users, items)``, -inf for items that were
        not on sale yet; the ``user_id`` of each row and the ``item_id`` of each column.
    """
    shop = _draw_shop(collection, seed)
    choices = _draw_choices(shop, collection, seed)
    last = np.zeros(collection.users, dtype=np.int64)
    np.maximum.at(last, choices.user, choices.month)
    scores = np.empty((collection.users, collection.items))
    for month in np.unique(last):
        rows = last == month
        fit = _fit(shop, collection, int(month))[rows]
        scores[rows] = np.where(shop.born <= month, fit + shop.appeal, -np.inf)
    return scores, _names("user_", collection.users), _names("item_", collection.items)


# --- users and items ---


def _draw_shop(collection: InteractionSimulation, seed: int) -> _Shop:
    random = np.random.default_rng([seed, 1])
    users, items, categories = collection.users, collection.items, len(NOUNS)
    main = random.permutation(np.arange(items) % categories)
    other = (main + random.integers(1, categories, items)) % categories
    leaning = np.where(random.random(items) < 0.4, random.uniform(0.15, 0.4, items), 0.0)
    mixture = np.zeros((items, categories))
    mixture[np.arange(items), main] = 1.0 - leaning
    mixture[np.arange(items), other] += leaning
    nouns = np.array([len(words) for words in NOUNS.values()])
    # Nouns have a style of their own, from which items differ
    usual = random.standard_normal((categories, int(nouns.max()), len(STYLES)))
    noun = random.integers(0, nouns[main])
    styles = 0.6 * usual[main, noun] + 0.8 * random.standard_normal((items, len(STYLES)))
    traits = np.hstack([styles, random.standard_normal((items, HIDDEN))]) / np.sqrt(len(STYLES) + HIDDEN)
    appeal = -collection.popularity * np.log1p(random.permutation(items).astype(np.float64))
    later = random.random(items) < collection.born_later
    born = np.where(later, random.integers(1, collection.months, items), 0)
    extra = random.exponential(collection.mean_items - collection.least_items, users)
    most = int(items * (1 - collection.born_later) / 2)
    counts = np.minimum(collection.least_items + np.rint(extra).astype(np.int64), most)
    return _Shop(
        mixture,
        traits,
        noun,
        appeal,
        born,
        _tastes(random, users, categories),
        _tastes(random, users, categories),
        random.standard_normal((users, len(STYLES) + HIDDEN)),
        counts,
    )


def _tastes(random: np.random.Generator, users: int, categories: int) -> np.ndarray:
    """A few categories that each user likes; of mean 0 and standard deviation 1 over the categories."""
    tastes = random.gamma(0.35, size=(users, categories)) ** 0.5
    centred = tastes - tastes.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(centred.std(axis=1, keepdims=True), 1e-9))


def _fit(shop: _Shop, collection: InteractionSimulation, month: int) -> np.ndarray:
    """Utilities without popularity, ``(users, items)``."""
    moved = collection.drift * month / (collection.months - 1)
    taste = (1.0 - moved) * shop.before + moved * shop.after
    return np.asarray(collection.taste / 2 * taste @ shop.mixture.T + collection.style * shop.wishes @ shop.traits.T)


def _draw_choices(shop: _Shop, collection: InteractionSimulation, seed: int) -> _Choices:
    """A Plackett-Luce draw without repetition is a sort by utility plus Gumbel noise (Yellott 1977)."""
    random = np.random.default_rng([seed, 2])
    per_month = random.multinomial(shop.counts, np.full(collection.months, 1 / collection.months))
    met = np.zeros((collection.users, collection.items), dtype=bool)
    found = []
    for month in range(collection.months):
        counts = per_month[:, month]
        fit = _fit(shop, collection, month)
        keys = fit + shop.appeal + random.gumbel(size=fit.shape)
        keys[met | (shop.born > month)] = -np.inf
        most = int(counts.max())
        best = np.argpartition(-keys, min(most, collection.items - 1), axis=1)[:, :most]
        best = np.take_along_axis(best, np.argsort(-np.take_along_axis(keys, best, axis=1), axis=1), axis=1)
        user, place = np.nonzero(np.arange(most) < counts[:, None])
        item = best[user, place]
        met[user, item] = True
        found.append((user, item, np.full(len(user), month), fit[user, item]))
    user, item, month_of, fit_of = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(user, kind="stable")
    fit_of = (fit_of - fit_of.mean()) / max(float(fit_of.std()), 1e-9)
    return _Choices(user[order], item[order], month_of[order], fit_of[order])


# --- events in time ---


def _events(choices: _Choices, collection: InteractionSimulation, seed: int) -> pd.DataFrame:
    random = np.random.default_rng([seed, 3])
    began = _times(choices, random)
    depth = _depths(choices.fit, random)
    again = np.flatnonzero(random.random(len(began)) < collection.revisits)
    later = began[again] + random.integers(1, 60, len(again)) * _DAY_S + random.integers(0, 7_200, len(again))
    within = later < collection.months * MONTH_DAYS * _DAY_S
    again, later = again[within], later[within]
    source = np.concatenate([np.arange(len(began)), again])
    starts = np.concatenate([began, later])
    depths = np.concatenate([depth, random.integers(0, len(KINDS), len(again))])
    # A choice becomes one event per step that it went
    steps = depths + 1
    choice = np.repeat(np.arange(len(source)), steps)
    kind = np.arange(len(choice)) - np.repeat(np.cumsum(steps) - steps, steps)
    shown = (kind == 0) | (kind == depths[choice]) | (random.random(len(choice)) < 0.1)
    choice, kind = choice[shown], kind[shown]
    seconds = starts[choice] + kind * 40 + random.integers(0, 40, len(choice))
    rating = np.array(RATINGS)[kind] + 0.5 * choices.fit[source[choice]] + 0.5 * random.standard_normal(len(choice))
    user, item = choices.user[source[choice]], choices.item[source[choice]]
    order = np.lexsort([kind, item, user, seconds])
    first = np.datetime64(collection.start, "s")
    return pd.DataFrame(
        {
            iv.USER_ID: _names("user_", collection.users)[user[order]],
            iv.ITEM_ID: _names("item_", collection.items)[item[order]],
            iv.TIMESTAMP: (first + seconds[order].astype("timedelta64[s]")).astype("datetime64[ms]"),
            iv.INTERACTION_TYPE: np.array(KINDS, dtype=object)[kind[order]],
            # Halves, so that the last bits of a product do not matter
            iv.IMPLICIT_RATING: np.clip(np.rint(2 * rating[order]), 1, 10) / 2,
            iv.ORIGIN: "simulated",
        }
    )


def _times(choices: _Choices, random: np.random.Generator) -> np.ndarray:
    """Seconds at which choices begin: ascending within a user, in sessions of a few minutes' steps in the evening."""
    n = len(choices.user)
    new_month = np.ones(n, dtype=bool)
    new_month[1:] = (np.diff(choices.user) != 0) | (np.diff(choices.month) != 0)
    group = np.cumsum(new_month) - 1
    starts_session = new_month | (random.random(n) < 0.3)
    # Days are drawn for all choices and sorted within a user's month; a session has the day of its first choice
    day = random.integers(0, MONTH_DAYS, n)
    day = day[np.lexsort([day, group])]
    first = np.maximum.accumulate(np.where(starts_session, np.arange(n), 0))
    hour = random.integers(8 * 3_600, 21 * 3_600, n)[first]
    pause = random.integers(40, 400, n)
    within = np.cumsum(pause) - np.cumsum(pause)[first]
    seconds = (choices.month * MONTH_DAYS + day[first]) * _DAY_S + hour + within
    # Two sessions of one day may have come in the wrong order: the choices keep theirs
    return np.sort(seconds + choices.user * 10**10) - choices.user * 10**10


def _depths(fit: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """How far each choice went: 0 for a mere view."""
    depth = np.zeros(len(fit), dtype=np.int64)
    for step, chance in enumerate(DEEPER):
        score = np.log(chance / (1 - chance)) + 0.8 * fit
        depth[(depth == step) & (random.random(len(fit)) < 1 / (1 + np.exp(-score)))] = step + 1
    return depth


# --- texts ---


def _describe(shop: _Shop, seed: int) -> pd.DataFrame:
    random = np.random.default_rng([seed, 4])
    categories = list(NOUNS)
    rows = []
    for item, (mixture, styles) in enumerate(zip(shop.mixture, shop.traits[:, : len(STYLES)], strict=True)):
        by_share = np.argsort(-mixture, kind="stable")
        category = categories[int(by_share[0])]
        strongest = np.argsort(-np.abs(styles), kind="stable")[:2]
        style = " and ".join(STYLES[place][int(styles[place] > 0)] for place in strongest)
        words = {"style": style, "Style": style.capitalize(), "category": category}
        text = PHRASES[random.integers(len(PHRASES))].format(noun=NOUNS[category][int(shop.noun[item])], **words)
        text = text.replace("A a", "An a").replace(": a a", ": an a")
        if mixture[by_share[1]] > 0:
            text += BESIDE[random.integers(len(BESIDE))].format(other=categories[int(by_share[1])])
        rows.append((text, category))
    texts = pd.DataFrame(rows, columns=[iv.TEXT, iv.CATEGORY])
    texts.insert(0, iv.ITEM_ID, _names("item_", len(texts)))
    return texts


def _names(prefix: str, count: int) -> np.ndarray:
    return np.array([f"{prefix}{number}" for number in range(1, count + 1)], dtype=object)
