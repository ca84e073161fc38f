"""Requests for peers as arrays: from a table with a row per candidate, or from a cube of round-trip times."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from augury.errors import UserError

PREDICTOR = "peer_selection"

CASE, CLIENT, PEER = "case", "client", "peer"
CHOSEN, PROPENSITY, LATENCY, OK, IN_FLIGHT, TIME = "chosen", "propensity", "latency_ms", "ok", "in_flight", "ts"
COLUMNS = (CASE, TIME, CLIENT, PEER, CHOSEN, PROPENSITY, LATENCY, OK, IN_FLIGHT)


class Requests(NamedTuple):
    """Requests in the order of time; a request's candidates are neighbours."""

    start: npt.NDArray[np.int64]
    """Shape ``(r + 1,)``: row of the first candidate."""
    client: npt.NDArray[np.int64]
    """Shape ``(r,)``: codes into ``clients``."""
    peer: npt.NDArray[np.int64]
    """Shape ``(rows,)``: codes into ``peers``."""
    latency: npt.NDArray[np.float64]
    """Shape ``(rows,)``: NaN where nobody asked."""
    ok: npt.NDArray[np.bool_]
    """Shape ``(rows,)``: false: the fetch failed."""
    load: npt.NDArray[np.float64]
    """Shape ``(rows,)``: requests in flight."""
    logged: npt.NDArray[np.int64]
    """Shape ``(r,)``: row that was chosen when it was logged; -1: not known."""
    propensity: npt.NDArray[np.float64]
    """Shape ``(rows,)``: with which the candidate was chosen; NaN: not known."""
    clients: tuple[str, ...]
    peers: tuple[str, ...]

    @property
    def request(self) -> npt.NDArray[np.int64]:
        """Request of each candidate, shape ``(rows,)``."""
        return np.repeat(np.arange(len(self.client)), np.diff(self.start))

    @property
    def measured(self) -> bool:
        """Whether the outcome of every candidate is known."""
        return bool(np.isfinite(self.latency).all())

    def best(self) -> npt.NDArray[np.int64]:
        """Row of the fastest candidate of each request, the first of equals."""
        return first_smallest(self.latency, self.start)

    def among(self, clients: Sequence[str], peers: Sequence[str]) -> "Requests":
        """The same requests with codes of other lists, which must hold all ids.

        Args:
            clients: Ids by code.
            peers: Ids by code.
        """
        client_map = pd.Index(clients).get_indexer(pd.Index(self.clients)).astype(np.int64)
        peer_map = pd.Index(peers).get_indexer(pd.Index(self.peers)).astype(np.int64)
        return self._replace(
            client=client_map[self.client], peer=peer_map[self.peer], clients=tuple(clients), peers=tuple(peers)
        )

    def part(self, first: int, last: int) -> "Requests":
        """The requests from ``first`` until ``last``, with the same codes."""
        rows = slice(self.start[first], self.start[last])
        logged = self.logged[first:last]
        return self._replace(
            start=self.start[first : last + 1] - self.start[first],
            client=self.client[first:last],
            peer=self.peer[rows],
            latency=self.latency[rows],
            ok=self.ok[rows],
            load=self.load[rows],
            logged=np.where(logged < 0, -1, logged - self.start[first]),
            propensity=self.propensity[rows],
        )

    def take(self, requests: npt.NDArray[np.int64]) -> "Requests":
        """Some requests, in the order in which they are given."""
        sizes = np.diff(self.start)[requests]
        start = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        rows = np.arange(start[-1]) - np.repeat(start[:-1] - self.start[requests], sizes)
        logged = self.logged[requests]
        return self._replace(
            start=start,
            client=self.client[requests],
            peer=self.peer[rows],
            latency=self.latency[rows],
            ok=self.ok[rows],
            load=self.load[rows],
            logged=np.where(logged < 0, -1, logged - self.start[requests] + start[:-1]),
            propensity=self.propensity[rows],
        )


def first_smallest(values: npt.NDArray[np.float64], start: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Row of the smallest value of each request, the first of equals; missing values come last.

    Args:
        values: Shape ``(rows,)``.
        start: Shape ``(r + 1,)``.
    """
    if len(start) < 2:
        return np.zeros(0, dtype=np.int64)
    filled = np.where(np.isnan(values), np.inf, values)
    least = np.minimum.reduceat(filled, start[:-1])
    rows = np.arange(len(values))
    is_least = filled == np.repeat(least, np.diff(start))
    return np.minimum.reduceat(np.where(is_least, rows, len(values)), start[:-1]).astype(np.int64)


def requests_of_table(table: pd.DataFrame) -> Requests:
    """Read a table with one row per candidate.

    Args:
        table: The columns of :data:`COLUMNS`; a request's rows are neighbours and share ``case`` and ``client``;
            requests in the order of time. ``latency_ms`` is missing where nobody asked.

    Returns:
        The requests.
    """
    case = table[CASE].to_numpy()
    change = np.flatnonzero(np.concatenate([[True], case[1:] != case[:-1]])) if len(case) else np.zeros(0, dtype=int)
    start = np.append(change, len(case)).astype(np.int64)
    client, clients = pd.factorize(table[CLIENT].astype(str), sort=True)
    peer, peers = pd.factorize(table[PEER].astype(str), sort=True)
    chosen = table[CHOSEN].to_numpy(dtype=np.float64) == 1
    rows = np.flatnonzero(chosen)
    logged = np.full(len(change), -1, dtype=np.int64)
    logged[np.searchsorted(start, rows, side="right") - 1] = rows
    return Requests(
        start=start,
        client=client[change].astype(np.int64),
        peer=peer.astype(np.int64),
        # Arrays of their own: for a column that is a view of a table, the loops would be compiled once more
        latency=table[LATENCY].to_numpy(dtype=np.float64, copy=True),
        ok=table[OK].to_numpy(dtype=np.float64) != 0,
        load=np.nan_to_num(table[IN_FLIGHT].to_numpy(dtype=np.float64)),
        logged=logged,
        propensity=table[PROPENSITY].to_numpy(dtype=np.float64, copy=True),
        clients=tuple(clients),
        peers=tuple(peers),
    )


def requests_of_cube(cube: npt.ArrayLike, candidates: int = 5, seed: int = 0, per_round: int = 1) -> Requests:
    """Draw requests of every round and client from measured round-trip times: each candidate's outcome is known.

    Args:
        cube: Shape ``(rounds, clients, peers)`` or ``(clients, peers)``, in any unit. What is not a finite number above
            0 was not measured. A square cube is taken for one set of nodes that are clients and peers both; none is
            its own candidate.
        candidates: How many peers a request may choose among; a client with fewer measured ones asks nothing.
        seed: Of the order of clients within a round and of the candidates.
        per_round: Requests per round and client.

    Returns:
        The requests, in the order of rounds.

    Raises:
        UserError: The cube has another shape, or no request can be drawn from it.
    """
    times = np.asarray(cube, dtype=np.float64)
    if times.ndim == 2:
        times = times[None]
    if times.ndim != 3 or candidates < 2:
        raise UserError(
            f"A cube of round-trip times has the shape (rounds, clients, peers) and at least two candidates; it has "
            f"{times.shape} and {candidates}."
        )
    rounds, clients, peers = times.shape
    usable = np.isfinite(times) & (times > 0)
    if clients == peers:
        usable &= ~np.eye(clients, dtype=bool)
    random = np.random.default_rng(seed)
    parts = []
    for number in np.repeat(np.arange(rounds), per_round):
        order = random.permutation(clients)
        # The smallest of uniform numbers are a uniform draw without replacement
        key = np.where(usable[number][order], random.random((clients, peers)), np.inf)
        kept = usable[number][order].sum(axis=1) >= candidates
        drawn = np.argpartition(key, min(candidates, peers - 1), axis=1)[:, :candidates][kept]
        drawn = np.take_along_axis(drawn, np.argsort(np.take_along_axis(key[kept], drawn, 1), axis=1), 1)
        parts.append((order[kept], drawn, times[number][order[kept][:, None], drawn]))
    client = np.concatenate([part[0] for part in parts])
    if not len(client):
        raise UserError(
            f"No client of the cube has {candidates} measured peers in a round, so no request can be drawn. Lower the "
            "number of candidates."
        )
    rows = len(client) * candidates
    # A square cube is about one set of nodes: the same names say so
    names = tuple(f"n{number:05d}" for number in range(max(clients, peers)))
    square = clients == peers
    return Requests(
        start=np.arange(0, rows + 1, candidates, dtype=np.int64),
        client=client.astype(np.int64),
        peer=np.concatenate([part[1] for part in parts]).ravel().astype(np.int64),
        latency=np.concatenate([part[2] for part in parts]).ravel(),
        ok=np.ones(rows, dtype=bool),
        load=np.zeros(rows),
        logged=np.full(len(client), -1, dtype=np.int64),
        propensity=np.full(rows, np.nan),
        clients=names[:clients],
        peers=names[:peers] if square else tuple(f"p{number:05d}" for number in range(peers)),
    )
