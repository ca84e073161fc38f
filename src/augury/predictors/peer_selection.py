"""`peer_selection`: which peer should serve a client, learned online from what the peers' answers took."""

import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, ValidationError

from augury.errors import InputError, UserError
from augury.predictors.contract import Metadata
from augury.predictors.peer_rankings import OUTPUTS, SEPARATOR, Ranking, candidates_of, greedy_propensities, loads_of
from augury.predictors.peer_requests import CASE, PREDICTOR, Requests, requests_of_table
from augury.predictors.peer_rules import learned_rows
from augury.predictors.peer_tables import (
    UNKNOWN,
    PeerSettings,
    Tables,
    copied,
    empty_tables,
    grown_tables,
    knobs,
    tables_from,
)
from augury.predictors.policy import CHOICE, COST, PolicyPredictor

TASK = "policy: peer by predicted latency"
TABLES_FILE = "tables.npz"
SELECTOR_FILE = "selector.json"
DECIMALS = 4
CANDIDATES_TABLE = "features_candidates"


class SelectorSettings(PeerSettings):
    """How peers are ranked and chosen."""

    epsilon: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="share of requests in which a candidate is drawn at random: logs without it cannot judge others",
    )
    probes: int = Field(
        default=1, ge=1, le=8, description="how many of the best are measured before one is chosen; 1: none"
    )


class PeerSelector(PolicyPredictor):
    """Posterior latencies of pairs of clients and peers, a low-rank prior among them.

    :meth:`predict` depends on what it is asked alone; :meth:`update` learns.
    """

    family: ClassVar[str] = "peer_selector"

    def __init__(
        self,
        metadata: Metadata,
        settings: SelectorSettings,
        tables: Tables | None = None,
        clients: Sequence[str] = (UNKNOWN,),
        peers: Sequence[str] = (UNKNOWN,),
        example: list[dict[str, Any]] | None = None,
    ) -> None:
        """Keep what is known.

        Args:
            metadata: Typed metadata; its seed is that of new factors and of random draws.
            settings: Settings.
            tables: What is known of the clients and peers; None: nothing yet.
            clients: Ids by code; the first is :data:`~augury.predictors.peer_tables.UNKNOWN`.
            peers: Ids by code, as well.
            example: See :class:`~augury.predictors.contract.Predictor`.
        """
        super().__init__(metadata, example)
        self.settings = settings
        self.clients, self.peers = list(clients), list(peers)
        self.tables = tables or grown_tables(empty_tables(settings), self.clients, self.peers, settings, metadata.seed)
        self._index_ids()
        self._random = np.random.default_rng(metadata.seed)

    @property
    def settings(self) -> SelectorSettings:
        """Settings; whatever replaces them counts from the next request on."""
        return self._settings

    @settings.setter
    def settings(self, settings: SelectorSettings) -> None:
        self._settings = settings
        # Put together once, as this takes as long as a third of a decision
        self._knobs = knobs(settings)

    # --- one request at a time ---

    def select(
        self,
        client: str | None,
        candidates: Sequence[str],
        context: Mapping[str, Any] | None = None,
        random: np.random.Generator | None = None,
    ) -> Ranking:
        """Rank the candidates of one request.

        Args:
            client: Who asks; None or unknown: a new one.
            candidates: Ids of peers, each once; unknown ones get what their client usually sees.
            context: ``in_flight``: mapping of peers to requests that they are serving now; others serve none.
            random: Of the random draws; None: the selector's own.

        Returns:
            The ranking. Log its candidates and propensities with what came of it: without them no other policy can be
            judged by the log.

        Raises:
            InputError: There is no candidate, or one twice.
        """
        ranking = self.rank(client, candidates, context)
        draw = random or self._random
        if not self.settings.epsilon or draw.random() >= self.settings.epsilon:
            return ranking
        drawn = int(draw.integers(len(ranking.peers)))
        places = [drawn, *(place for place in range(len(ranking.peers)) if place != drawn)]
        return Ranking(
            [ranking.peers[place] for place in places],
            [ranking.latencies_ms[place] for place in places],
            [ranking.propensities[place] for place in places],
            [ranking.peers[drawn]],
        )

    def rank(self, client: str | None, candidates: Sequence[str], context: Mapping[str, Any] | None = None) -> Ranking:
        """:meth:`select` without a random draw: the candidates by what is known.

        Raises:
            InputError: There is no candidate, or one twice.
        """
        in_flight = (context or {}).get("in_flight") or {}
        loads = [float(in_flight.get(peer, 0)) for peer in candidates]
        order, means = self._ranked(client, candidates, loads)
        peers = [candidates[place] for place in order]
        propensities = greedy_propensities(len(order), self.settings.epsilon).tolist()
        return Ranking(peers, np.exp(means[order]).tolist(), propensities, peers[: self.settings.probes])

    def update(self, peer: str, context: Mapping[str, Any], reward: float | None) -> None:
        """Learn from the answer to one request, or of one probe.

        Args:
            peer: Who was asked.
            context: ``client``: who asked; ``ok``: false if the fetch failed or timed out; ``in_flight``: requests that
                the peer was serving when it was asked.
            reward: ``-log(latency in ms)``; of a failure, of the time until it was given up, or None.

        Raises:
            InputError: There is no client, or a success without a finite reward.
        """
        from augury.predictors.peer_kernel import learn

        client, ok = context.get("client"), bool(context.get("ok", True))
        if not client or not peer:
            raise InputError(f"{PREDICTOR}: an update needs a peer and context['client'], not {peer!r} and {client!r}.")
        known = reward is not None and math.isfinite(reward)
        if ok and not known:
            raise InputError(
                f"{PREDICTOR}: the reward of an answer is -log(latency in ms), a finite number, not {reward!r}. A "
                "failure has context['ok'] = False."
            )
        latency = math.exp(-reward) if known and reward is not None else math.nan
        self.know([str(client)], [peer])
        learn(
            self.tables,
            self._knobs,
            self.settings.load,
            self.client_index[str(client)],
            self.peer_index[peer],
            latency,
            ok,
            float(context.get("in_flight", 0)),
        )

    def know(self, clients: Sequence[str], peers: Sequence[str]) -> None:
        """Make room for clients and peers; known ones stay what they are."""
        new_clients = list(dict.fromkeys(name for name in clients if name not in self.client_index))
        new_peers = list(dict.fromkeys(name for name in peers if name not in self.peer_index))
        if new_clients or new_peers:
            self.clients += new_clients
            self.peers += new_peers
            self.tables = grown_tables(self.tables, self.clients, self.peers, self.settings, self.metadata.seed)
            self._index_ids()

    # --- many requests ---

    def learn_requests(
        self, requests: Requests, probes: int | None = None
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Decide request after request and learn from each, as a client would live through them.

        Args:
            requests: In the order of time. Where every outcome is known, the answers to one's own choices are learned
                from and nothing else; otherwise those of the logged ones.
            probes: How many of the best are measured before one is chosen; None: as in the settings.

        Returns:
            The chosen row of each request, shape ``(r,)``, without random draws; and the predicted log latency of each
            candidate at its time, shape ``(rows,)``.
        """
        from augury.predictors.peer_kernel import replay

        self.know(requests.clients, requests.peers)
        own = requests.among(self.clients, self.peers)
        chosen = np.zeros(len(own.client), dtype=np.int64)
        predicted = np.zeros(len(own.peer))
        replay(
            self.tables, self._knobs, self.settings.load, own.start, own.client, own.peer, own.latency, own.ok,
            own.load, learned_rows(own), probes or self.settings.probes, chosen, predicted,
        )  # fmt: skip
        return chosen, predicted

    def rank_requests(self, requests: Requests) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Score the candidates of many requests without learning from any.

        Returns:
            Scores, the smallest of a request being its best, and predicted log latencies; shape ``(rows,)`` each.
        """
        from augury.predictors.peer_kernel import rank_all

        client = np.array([self.client_index.get(name, 0) for name in requests.clients], dtype=np.int64)
        peer = np.array([self.peer_index.get(name, 0) for name in requests.peers], dtype=np.int64)
        scores, means = np.empty(len(requests.peer)), np.empty(len(requests.peer))
        rank_all(
            self.tables, self._knobs, client[requests.client[requests.request]], peer[requests.peer],
            requests.load, scores, means,
        )  # fmt: skip
        return scores, means

    def replay(self, cases: pd.DataFrame, **tables: pd.DataFrame) -> pd.DataFrame:
        """Decide the cases one after another, learning on the way; the selector itself stays as it is.

        Args:
            cases: ``case``: one row per request, in the order of time.
            **tables: ``features_candidates``: the candidates of the cases with their outcomes, see
                :func:`~augury.predictors.peer_requests.requests_of_table`.

        Returns:
            ``cost`` (the latency of the chosen peer in ms) and ``choice``.

        Raises:
            UserError: The candidates' table is missing, is of other cases, or lacks outcomes.
        """
        if CANDIDATES_TABLE not in tables:
            raise UserError(f"{PREDICTOR}: a replay needs the table '{CANDIDATES_TABLE}' of the cases' candidates.")
        table = tables[CANDIDATES_TABLE]
        if table[CASE].drop_duplicates().tolist() != cases[CASE].tolist():
            raise UserError(f"{PREDICTOR}.{CANDIDATES_TABLE}: column '{CASE}' must name the cases in their order.")
        requests = requests_of_table(table)
        if not requests.measured:
            raise UserError(
                f"{PREDICTOR}.{CANDIDATES_TABLE}: column 'latency_ms' is missing in "
                f"{int(np.isnan(requests.latency).sum()):,} of {len(requests.latency):,} rows, so the cost of other "
                "choices is not known. See report_off_policy for what such logs can tell."
            )
        chosen, _ = self.duplicate().learn_requests(requests)
        names = np.array(requests.peers, dtype=object)[requests.peer[chosen]]
        return pd.DataFrame({COST: requests.latency[chosen], CHOICE: names}, index=cases.index)

    def duplicate(self) -> "PeerSelector":
        """A selector of its own that knows the same."""
        return PeerSelector(
            self.metadata, self.settings, copied(self.tables), self.clients, self.peers, list(self.example)
        )

    # --- the contract ---

    def _index_ids(self) -> None:
        self.client_index = {name: code for code, name in enumerate(self.clients)}
        self.peer_index = {name: code for code, name in enumerate(self.peers)}

    def _ranked(
        self, client: str | None, candidates: Sequence[str], loads: Sequence[float]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Places of the candidates, best first, and their predicted log latencies in the order given."""
        from augury.predictors.peer_kernel import rank

        if not len(candidates) or len(set(candidates)) < len(candidates):
            raise InputError(
                f"{PREDICTOR}: column 'candidates' must name at least one peer and none twice, not "
                f"{SEPARATOR.join(candidates)!r}."
            )
        codes = np.array([self.peer_index.get(name, 0) for name in candidates], dtype=np.int64)
        scores, means = np.empty(len(codes)), np.empty(len(codes))
        code = self.client_index.get(client or UNKNOWN, 0)
        rank(self.tables, self._knobs, code, codes, np.asarray(loads, dtype=np.float64), scores, means)
        return np.argsort(scores, kind="stable"), means

    def _predict(self, table: pd.DataFrame) -> pd.DataFrame:
        rows = []
        for client, text, loads in zip(table["client"], table["candidates"], table["in_flight"], strict=True):
            candidates = candidates_of(text)
            order, means = self._ranked(client, candidates, loads_of(loads, len(candidates)))
            latencies = np.exp(np.minimum(means[order], 700.0))
            propensities = greedy_propensities(len(order), self.settings.epsilon)
            rows.append(
                (
                    candidates[order[0]],
                    float(latencies[0]),
                    SEPARATOR.join(candidates[place] for place in order),
                    SEPARATOR.join(f"{value:.{DECIMALS}f}" for value in latencies),
                    SEPARATOR.join(f"{value:.{DECIMALS}f}" for value in propensities),
                    client is not None and client in self.client_index and client != UNKNOWN,
                )
            )
        return pd.DataFrame(rows, columns=[column.name for column in OUTPUTS], index=table.index)

    def _save(self, directory: Path) -> None:
        np.savez_compressed(directory / TABLES_FILE, **self.tables._asdict())
        said = {"settings": self.settings.model_dump(mode="json"), "clients": self.clients, "peers": self.peers}
        (directory / SELECTOR_FILE).write_text(json.dumps(said, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def _load(cls, directory: Path, metadata: Metadata) -> Self:
        name = SELECTOR_FILE
        try:
            said = json.loads((directory / name).read_text(encoding="utf-8"))
            settings = SelectorSettings.model_validate(said["settings"])
            clients, peers = list(said["clients"]), list(said["peers"])
            name = TABLES_FILE
            with np.load(directory / name, allow_pickle=False) as arrays:
                tables = tables_from(arrays)
            if tables.weight.shape != (len(clients), len(peers)):
                raise ValueError(
                    f"tables of shape {tables.weight.shape} for {len(clients)} clients, {len(peers)} peers"
                )
        except FileNotFoundError:
            raise
        except (ValidationError, ValueError, KeyError, TypeError, zipfile.BadZipFile, EOFError, OSError) as error:
            raise UserError(f"'{directory / name}' is damaged: {error}") from None
        return cls(metadata, settings, tables, clients, peers)
