"""Which cluster a query goes to: zero-cost statements, templates with a known outcome, and the model for the rest.

Pure: no network, no file, and no clock but the one that is passed in.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from pydantic import Field

from augury.errors import UserError
from augury.parameters import Parameters, near_matches
from augury.predictors import query_columns as columns
from augury.predictors.query_classifier import QueryClassifier, executed_text
from augury.predictors.query_statements import writes
from augury.predictors.sql_tokens import scan_texts

logger = logging.getLogger(__name__)

Reason: TypeAlias = Literal["zero_cost", "policy", "cache", "model", "fallback", "no_query"]
Verdict: TypeAlias = Literal["heavy", "light"]
Request: TypeAlias = Mapping[str, str | None]
"""What is known of a query before it runs: the columns of ``query_columns.REQUEST``, any of them missing."""

ANYWHERE = ""
"""Catalog and schema of an outcome that was counted over all of them."""


class TemplateCacheSettings(Parameters):
    """When the outcome of earlier queries of the same template decides without the model."""

    enabled: bool = True
    entries: int = Field(default=50_000, ge=1, description="templates kept; the least recently used one leaves first")
    ttl_seconds: float = Field(default=86_400.0, gt=0, description="how long an outcome counts after it was last seen")
    heavy_runs: int = Field(default=3, ge=1, description="runs from which on a template can be called heavy")
    heavy_share: float = Field(default=0.5, gt=0, le=1, description="share of heavy runs that makes a template heavy")
    light_runs: int = Field(
        default=300,
        ge=1,
        description="runs without a heavy one that make a template light; 300: below 1 % at 95 % confidence",
    )
    preload: bool = Field(default=True, description="start with the heavy templates of the predictor's own history")


class RoutingSettings(Parameters):
    """Names of the routing groups, and which rule comes before the model."""

    large_group: str = Field(default="large", min_length=1, description="cluster for heavy queries, and when in doubt")
    small_group: str = Field(default="small", min_length=1, description="cluster for all others")
    zero_cost_group: str | None = Field(default=None, description="cluster for zero-cost statements; null: small_group")
    default_group: str = Field(default="adhoc", min_length=1, description="answer to a request without a query")
    operating_point: str | None = Field(
        default=None, description="cost_optimal, recall_98, ...; null: the one that the predictor was trained with"
    )
    writes: Literal["large", "model"] = Field(
        default="large", description="DML, DDL and procedures that are not zero-cost: always large, or ask the model"
    )
    cache: TemplateCacheSettings = TemplateCacheSettings()


@dataclass(frozen=True, slots=True)
class Decision:
    """Where a query goes, and why; ``probability`` and ``cpu_seconds`` only where the model was asked."""

    group: str
    reason: Reason
    probability: float | None = None
    cpu_seconds: float | None = None
    category: str | None = None


@dataclass(slots=True)
class _Outcomes:
    """Runs of a template in one place, and until when they count."""

    runs: float = 0.0
    heavy: float = 0.0
    expires: float = 0.0
    failure_expires: float = float("-inf")


class TemplateCache:
    """Outcomes by template, catalog and schema: bounded, least recently used first out, forgotten after a time.

    The same text can be harmless in one catalog and heavy in another, so a place of its own decides first. An outcome
    that was counted over all places can only say heavy: that is the cheap mistake.
    """

    def __init__(self, settings: TemplateCacheSettings, clock: Callable[[], float] = time.monotonic) -> None:
        """Start empty.

        Args:
            settings: Bounds and rules.
            clock: Seconds from any origin, never going back.
        """
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._outcomes: OrderedDict[tuple[str, str, str], _Outcomes] = OrderedDict()

    def __len__(self) -> int:
        return len(self._outcomes)

    def record(
        self, template: str, catalog: str | None, schema: str | None, heavy: bool, exhausted: bool = False
    ) -> None:
        """Count a query that is over.

        Args:
            template: Its template.
            catalog: Catalog of its session; with ``schema``, what unqualified tables mean.
            schema: Schema of its session.
            heavy: Whether it was heavy.
            exhausted: Whether it failed because resources did not suffice: its template is heavy from now on,
                whatever its other runs were.
        """
        self._add(_key(template, catalog, schema), 1.0, float(heavy), exhausted)

    def preload(self, outcomes: Iterable[tuple[str, float, float]]) -> None:
        """Take over runs of templates that were counted over all catalogs.

        Args:
            outcomes: Template, number of runs, number of heavy runs.
        """
        for template, runs, heavy in outcomes:
            self._add((template, ANYWHERE, ANYWHERE), runs, heavy, exhausted=False)

    def verdict(self, template: str, catalog: str | None, schema: str | None) -> Verdict | None:
        """What earlier queries of a template say; None where they do not suffice.

        Args:
            template: Template of the new query.
            catalog: Catalog of its session.
            schema: Schema of its session.
        """
        with self._lock:
            found = self._judge(_key(template, catalog, schema))
            if found is None and self._judge((template, ANYWHERE, ANYWHERE)) == "heavy":
                return "heavy"
            return found

    def _judge(self, key: tuple[str, str, str]) -> Verdict | None:
        known = self._outcomes.get(key)
        now = self._clock()
        if known is None:
            return None
        if known.expires <= now:
            del self._outcomes[key]
            return None
        self._outcomes.move_to_end(key)
        if known.failure_expires > now:
            return "heavy"
        if known.runs >= self._settings.heavy_runs and known.heavy >= self._settings.heavy_share * known.runs:
            return "heavy"
        if known.runs >= self._settings.light_runs and not known.heavy:
            return "light"
        return None

    def _add(self, key: tuple[str, str, str], runs: float, heavy: float, exhausted: bool) -> None:
        with self._lock:
            now = self._clock()
            known = self._outcomes.get(key)
            if known is None or known.expires <= now:
                known = self._outcomes[key] = _Outcomes()
            known.runs += runs
            known.heavy += heavy
            known.expires = now + self._settings.ttl_seconds
            if exhausted:
                known.failure_expires = known.expires
            self._outcomes.move_to_end(key)
            while len(self._outcomes) > self._settings.entries:
                self._outcomes.popitem(last=False)


def _key(template: str, catalog: str | None, schema: str | None) -> tuple[str, str, str]:
    # A null catalog or schema is a place of its own, not all places
    return template, (catalog or "-").lower(), (schema or "-").lower()


class RoutedPredictor(Protocol):
    """What the router needs of a trained ``query_cost``."""

    @property
    def classifier(self) -> QueryClassifier:
        """Stage 0."""

    @property
    def operating_points(self) -> Mapping[str, float]:
        """Thresholds by name."""

    def predict_one(self, request: Request) -> Mapping[str, Any]:
        """Probability, decision and CPU seconds of one query."""


class QueryRouter:
    """Routes queries; may be shared by threads."""

    def __init__(
        self,
        predictor: RoutedPredictor,
        settings: RoutingSettings,
        history: Iterable[tuple[str, float, float]] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare the stages.

        Args:
            predictor: A trained ``query_cost``.
            settings: Groups and rules.
            history: Templates with their runs and heavy runs over all catalogs:
                the predictor's ``heavy_templates()``.
            clock: For the age of cached outcomes.

        Raises:
            UserError: The predictor has no such operating point.
        """
        points = predictor.operating_points
        if settings.operating_point is not None and settings.operating_point not in points:
            raise UserError(
                f"The predictor has no operating point '{settings.operating_point}'. "
                f"{near_matches(settings.operating_point, points)}"
            )
        self.settings = settings
        self.cache = TemplateCache(settings.cache, clock)
        self._predictor = predictor
        self._threshold = None if settings.operating_point is None else points[settings.operating_point]
        if settings.cache.enabled and settings.cache.preload:
            self.cache.preload(history)

    def route(self, request: Request) -> Decision:
        """Decide about one query.

        Args:
            request: What is known of it; see ``Request``.

        Returns:
            The decision. Whatever goes wrong inside, there is one: the large group, which can run anything.
        """
        text = _sql_text(request)
        if not text.strip():
            return Decision(self.settings.default_group, "no_query")
        try:
            return self._decide(text, request)
        except Exception as error:
            # The text may hold personal data, so the log gets the kind of error and where it comes from, not the query
            logger.warning("The model could not answer (%s); the query goes to the large group.", type(error).__name__)
            logger.debug("Details", exc_info=error)
            return Decision(self.settings.large_group, "fallback")

    def learn(self, request: Request, heavy: bool, exhausted: bool = False) -> None:
        """Tell the outcome of a query that is over.

        Args:
            request: What was known of it before it ran.
            heavy: Whether it was heavy.
            exhausted: Whether it failed because resources did not suffice.
        """
        text = _sql_text(request)
        if self.settings.cache.enabled and text.strip():
            template = scan_texts([text]).templates[0]
            self.cache.record(template, request.get(columns.CATALOG), request.get(columns.SCHEMA), heavy, exhausted)

    def _decide(self, text: str, request: Request) -> Decision:
        settings = self.settings
        category = self._predictor.classifier.category(text)
        if category is not None and category in self._predictor.classifier.safe:
            return Decision(settings.zero_cost_group or settings.small_group, "zero_cost", category=category)
        if settings.writes == "large" and writes(text):
            return Decision(settings.large_group, "policy", category=category)
        if settings.cache.enabled and len(self.cache):
            template = scan_texts([text]).templates[0]
            known = self.cache.verdict(template, request.get(columns.CATALOG), request.get(columns.SCHEMA))
            if known is not None:
                group = settings.large_group if known == "heavy" else settings.small_group
                return Decision(group, "cache", category=category)
        answer = self._predictor.predict_one(request)
        probability = float(answer["probability"])
        heavy = bool(answer["is_heavy"]) if self._threshold is None else probability >= self._threshold
        if probability != probability:
            raise ValueError("the probability is not a number")
        group = settings.large_group if heavy else settings.small_group
        return Decision(group, "model", probability, float(answer["cpu_seconds"]), category)


def _sql_text(request: Request) -> str:
    return executed_text(request.get(columns.QUERY), request.get(columns.PREPARED_QUERY)) or ""
