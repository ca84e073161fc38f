"""`prefetch`: which blocks are read next, and which of them are worth fetching ahead."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from augury.errors import InputError, UserError
from augury.predictors.access_blocks import BlockNames, block_of
from augury.predictors.access_engine import GatedCache, OnlineMixture
from augury.predictors.access_lookup import propose_next
from augury.predictors.access_state import State
from augury.predictors.cache_state import MISSES
from augury.predictors.contract import ColumnSpec, Metadata
from augury.predictors.gru_proposals import GruProposals
from augury.predictors.policy import PolicyPredictor
from augury.predictors.prefetch_replay import Replayed, Trace, case_values, replay, settings_of, traces_of
from augury.predictors.prefetch_settings import GateSettings, MixtureSettings

TASK = "policy: prefetching by an online mixture behind a ghost-cache gate"
STATE_FILE = "state.npz"
OBJECTS_FILE = "objects.json"
NETWORK_FILE = "gru.safetensors"
ACCESSES = "features_accesses"
DEFAULT_K = 5
LIST_SEPARATOR = " "
DECIMALS = 4

_BLOCK = "a whole number, or an object's name, ':' and a position"
INPUTS = (
    ColumnSpec(name="block", dtype="string", description=f"the last access: {_BLOCK}"),
    ColumnSpec(name="before", dtype="string", required=False, nullable=True, description="the access before it"),
    ColumnSpec(name="earlier", dtype="string", required=False, nullable=True, description="the access before that"),
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
    ColumnSpec(name="next", dtype="string", description="the likeliest next blocks, the best first, between spaces"),
    ColumnSpec(name="chances", dtype="string", description="their probabilities"),
    ColumnSpec(name="n_next", dtype="integer", description="length of the list", minimum=0),
    ColumnSpec(name="known", dtype="boolean", description="whether anything follows from the accesses"),
)


class Prefetcher(PolicyPredictor):
    """An online mixture with the settings that training chose, and what it had learned by the end of training."""

    family: ClassVar[str] = "access_predictor"

    def __init__(
        self,
        metadata: Metadata,
        mixture: OnlineMixture,
        gate: GateSettings,
        objects: Sequence[str] = (),
        network: GruProposals | None = None,
        example: list[dict[str, Any]] | None = None,
    ) -> None:
        """Put the parts together.

        Args:
            metadata: Typed metadata; ``parameters`` has the settings of the mixture and of the gate.
            mixture: What was learned.
            gate: When prefetching is worth it.
            objects: Names of objects, so that suggestions can name them.
            network: A GRU that is one of the experts.
            example: See :class:`~augury.predictors.contract.Predictor`.
        """
        super().__init__(metadata, example)
        self.mixture = mixture
        self.gate = gate
        self.names = BlockNames(objects)
        self.network = network

    def replay(self, cases: pd.DataFrame, **tables: pd.DataFrame) -> pd.DataFrame:
        """Replay windows of traces; each trace from its beginning, with nothing learned before.

        Args:
            cases: ``trace``, ``start``, ``stop`` (places of the window's accesses), ``capacity`` (blocks of the cache),
                ``delay`` (accesses until a prefetch arrives).
            **tables: ``features_accesses``: ``trace``, ``place``, ``session``, ``block``, ``span``.

        Returns:
            ``cost``: misses in the window.

        Raises:
            UserError: The accesses of a trace are not there.
        """
        if ACCESSES not in tables:
            raise UserError(f"The policy '{self.family}' needs the table '{ACCESSES}' to be replayed.")
        costs = pd.Series(0.0, index=range(len(cases)))
        rows = cases.reset_index(drop=True)
        found = {trace.name: trace for trace in traces_of(tables[ACCESSES])}
        for name, own in rows.groupby("trace", sort=True):
            if name not in found:
                raise UserError(f"The policy '{self.family}': no access of trace '{name}' is in '{ACCESSES}'.")
            replayed = self.replay_trace(found[str(name)], own)
            totals = {setting: history[:, 0] for setting, history in replayed.totals.items()}
            costs.loc[own.index] = case_values(own, totals, MISSES)
        return pd.DataFrame({"cost": costs.to_numpy()})

    def replay_trace(self, trace: Trace, cases: pd.DataFrame) -> Replayed:
        """Replay one trace through the caches that its cases ask for."""
        external = None if self.network is None else self.network.propose
        return replay(trace, settings_of(cases), self.mixture.settings, self.gate, external)

    def online(self, capacity: int, delay: int = 1) -> "OnlinePrefetcher":
        """Go on from what training had learned, in a process that serves.

        Args:
            capacity: Blocks that the cache holds.
            delay: Accesses until a prefetch arrives.
        """
        copy = State(*(array.copy() for array in self.mixture.state))
        return OnlinePrefetcher(OnlineMixture(self.mixture.settings, copy), self.gate, capacity, delay, self.network)

    def _predict(self, table: pd.DataFrame) -> pd.DataFrame:
        sizes = table["k"].fillna(DEFAULT_K).astype(np.int64)
        rows = []
        for *texts, k in zip(table["block"], table["before"], table["earlier"], sizes, strict=True):
            words: list[int] = []
            for text in texts:
                if text is None:
                    break
                words.append(block_of(text))
            found = propose_next(self.mixture.state, self.mixture.rules, words, int(k))
            rows.append(
                (
                    LIST_SEPARATOR.join(self.names.text(block) for block, _ in found),
                    LIST_SEPARATOR.join(f"{chance:.{DECIMALS}f}" for _, chance in found),
                    len(found),
                    any(block not in words for block, _ in found),
                )
            )
        return pd.DataFrame(rows, columns=[column.name for column in OUTPUTS], index=table.index)

    def _save(self, directory: Path) -> None:
        with (directory / STATE_FILE).open("wb") as file:
            np.savez_compressed(file, **self.mixture.state._asdict())
        (directory / OBJECTS_FILE).write_text(json.dumps(self.names.objects) + "\n", encoding="utf-8")
        if self.network is not None:
            self.network.save(directory / NETWORK_FILE)

    @classmethod
    def _load(cls, directory: Path, metadata: Metadata) -> Self:
        mixture = MixtureSettings.model_validate(metadata.parameters["mixture"])
        gate = GateSettings.model_validate(metadata.parameters["gate"])
        try:
            with np.load(directory / STATE_FILE, allow_pickle=False) as file:
                state = State(**{name: file[name] for name in State._fields})
            objects = json.loads((directory / OBJECTS_FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise
        except Exception as error:  # zipfile, zlib and NumPy each have their own
            raise UserError(f"'{directory}' holds a damaged predictor: {error}") from None
        network = None
        if "gru" in mixture.experts:
            network = GruProposals.read(directory / NETWORK_FILE)
        return cls(metadata, OnlineMixture(mixture, state), gate, objects, network)


class OnlinePrefetcher:
    """What an application asks at each access: learns, suggests, and says what to fetch ahead."""

    def __init__(
        self,
        mixture: OnlineMixture,
        gate: GateSettings | None = None,
        capacity: int = 1024,
        delay: int = 1,
        network: GruProposals | None = None,
    ) -> None:
        """Begin, or go on from what the mixture has learned.

        Args:
            mixture: Is changed by what is observed.
            gate: When prefetching is worth it.
            capacity: Blocks that the application's cache holds, at least 1.
            delay: Accesses until a prefetch arrives.
            network: A GRU that is one of the experts.
        """
        if capacity < 1 or delay < 1:
            raise InputError(f"prefetch: capacity and delay must be at least 1, not {capacity} and {delay}.")
        self.mixture = mixture
        self.cache = GatedCache(capacity, delay, gate or GateSettings(), beside_plain=False)
        self._network = None if network is None else network.online()
        self._session = 0

    def observe(self, block: int, session: int = 0, span: int = 1) -> list[int]:
        """Take an access.

        Args:
            block: What was read.
            session: Who read it, as a number; a session's accesses form a sequence.
            span: How many blocks the request covered.

        Returns:
            What to fetch now: nothing while the gate is closed.
        """
        self._session = session
        blocks: npt.NDArray[Any] = np.array([block], np.int64)
        external = None if self._network is None else self._network.step(block, session)[None, :]
        observed = self.mixture.observe(blocks, np.array([session]), np.array([span]), external)
        _, wanted = self.cache.serve(blocks, observed)
        return [int(number) for number in wanted]

    def suggest(self, k: int = DEFAULT_K, session: int | None = None) -> list[tuple[int, float]]:
        """The likeliest next blocks and their probabilities, whether the gate is open or not.

        Args:
            k: How many, at least 1.
            session: Whose next access; None: of the session that was observed last.
        """
        if k < 1:
            raise InputError(f"prefetch: 'k' must be at least 1, not {k}.")
        return self.mixture.next_blocks(self._session if session is None else session, k)

    @property
    def is_on(self) -> bool:
        """Whether prefetching is worth it at the moment."""
        return self.cache.policy > 0
