"""Networks that gossip is played in: simulated ones, real maps and measured matrices of round-trip times."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from augury.errors import UserError

MS_PER_KM = 0.01
"""Round trip in glass: 2 km of way per km, at 200 km per millisecond."""

LEAST_RTT_MS = 0.05
FEWEST_PEERS = 2
Floats = npt.NDArray[np.float64]


class Network(NamedTuple):
    """Who knows whom, and how far away they are."""

    name: str
    neighbours: npt.NDArray[np.int32]
    """(peers, links)"""
    delays_ms: npt.NDArray[np.float32]
    """(peers, links): one way."""
    loss_factors: npt.NDArray[np.float32]
    """(peers, links): mean 1."""
    degrees: npt.NDArray[np.int32]
    """(peers,): how many of the links count."""
    rtt_p50_ms: float
    """Of the links, which is what a peer can measure."""
    rtt_p95_ms: float

    @property
    def peers(self) -> int:
        """How many there are."""
        return len(self.neighbours)


def connect(name: str, peers: int, rtt_ms: Any, links: int, loss_spread: float, seed: int) -> Network:
    """Let every peer know some others, drawn at random.

    Args:
        name: What the network is called.
        peers: How many.
        rtt_ms: Function of two arrays of peers' numbers of one shape -> round-trip times of that shape (ms).
        links: Others that a peer knows at the most.
        loss_spread: The loss of a link is its round's mean times a factor that is uniform in 1 +- this.
        seed: Seed.

    Returns:
        The network. Round-trip times that are missing count as the median of the others; none is below 0.05 ms.

    Raises:
        UserError: There are fewer than two peers.
    """
    if peers < FEWEST_PEERS:
        raise UserError(f"Network '{name}' has {peers} peer(s) that can reach one another; gossip needs at least 2.")
    random = np.random.default_rng(seed)
    degree = min(links, peers - 1)
    rows = np.arange(peers)[:, None]
    if degree == peers - 1:
        others = np.broadcast_to(np.arange(degree), (peers, degree))
    elif degree * 4 > peers:
        others = np.argsort(random.random((peers, peers - 1), dtype=np.float32), axis=1)[:, :degree]
    else:
        others = _few_of_many(random, peers, degree)
    neighbours = others + (others >= rows)  # everybody but oneself
    rtt = np.asarray(rtt_ms(np.broadcast_to(rows, neighbours.shape), neighbours), dtype=np.float64)
    known = np.isfinite(rtt)
    rtt = np.maximum(np.where(known, rtt, np.median(rtt[known]) if known.any() else 1.0), LEAST_RTT_MS)
    factors = 1 + loss_spread * (2 * random.random(rtt.shape) - 1)
    p50, p95 = np.quantile(rtt, [0.5, 0.95])
    return Network(
        name,
        np.ascontiguousarray(neighbours, dtype=np.int32),
        (rtt / 2).astype(np.float32),
        factors.astype(np.float32),
        np.full(peers, degree, dtype=np.int32),
        float(p50),
        float(p95),
    )


def _few_of_many(random: np.random.Generator, peers: int, degree: int) -> npt.NDArray[np.int64]:
    """Draw distinct numbers below ``peers - 1`` for each peer; those drawn twice are drawn again."""
    drawn = random.integers(0, peers - 1, (peers, degree))
    while True:
        drawn.sort(axis=1)
        again = np.zeros(drawn.shape, dtype=bool)
        again[:, 1:] = drawn[:, 1:] == drawn[:, :-1]
        if not again.any():
            return drawn
        drawn[again] = random.integers(0, peers - 1, int(again.sum()))


def simulated_wide(name: str, peers: int, links: int, loss_spread: float, seed: int) -> Network:
    """Peers in regions of the world behind access lines of their own, as in PlanetLab's measurements.

    A round trip takes the way through glass, times a detour, and both access lines.
    """
    random = np.random.default_rng(seed)
    regions = int(random.integers(1, 9))
    share = random.dirichlet(np.full(regions, 1.5))
    centres = np.column_stack([random.uniform(-40, 60, regions), random.uniform(-180, 180, regions)])
    region = random.choice(regions, peers, p=share)
    spread = random.uniform(1, 8)
    places = centres[region] + random.normal(0, spread, (peers, 2))
    access = random.lognormal(np.log(random.uniform(1, 8)), 0.9, peers)
    detour = random.uniform(1.3, 2.2)

    def rtt(first: Any, second: Any) -> Floats:
        noise = np.random.default_rng([seed, 1]).lognormal(0, 0.25, first.shape)
        way = great_circle_km(places[first], places[second]) * MS_PER_KM * detour * noise
        return np.asarray(way + access[first] + access[second])

    return connect(name, peers, rtt, links, loss_spread, seed + 1)


def simulated_map(name: str, peers: int, links: int, loss_spread: float, seed: int) -> Network:
    """Routers of one operator on a plane, each linked to near ones; round trips follow the shortest way."""
    from scipy.spatial import Delaunay, QhullError

    random = np.random.default_rng(seed)
    size = np.exp(random.uniform(np.log(200), np.log(6_000)))
    places = random.random((peers, 2)) * size
    try:
        corners = Delaunay(places).simplices
        pairs = np.vstack([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [0, 2]]])
    except (QhullError, ValueError):  # too few for a triangle
        pairs = np.column_stack([np.arange(peers - 1), np.arange(1, peers)])
    pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    km = np.linalg.norm(places[pairs[:, 0]] - places[pairs[:, 1]], axis=1)
    # Real maps are sparse: the shortest links that connect all, and a few more
    tree = _spanning_tree(pairs, km, peers)
    kept = tree | (random.random(len(km)) < random.uniform(0.05, 0.5))
    edges = pd.DataFrame({"u": pairs[kept, 0], "v": pairs[kept, 1], "rtt_prop_ms": km[kept] * MS_PER_KM})
    return network_of_map(name, edges, links, loss_spread, seed + 1)


def network_of_map(name: str, edges: pd.DataFrame, links: int, loss_spread: float, seed: int) -> Network:
    """Let the nodes of a network's map gossip; round trips follow the shortest way along its edges.

    Args:
        name: What the network is called.
        edges: ``u``, ``v`` (node names of any kind) and ``rtt_prop_ms`` (NaN where unknown: the median of the map's
            known edges, or 1 ms where none is known). Loops do not count; of parallel edges the shortest does.
        links: See :func:`connect`.
        loss_spread: See :func:`connect`.
        seed: See :func:`connect`.

    Returns:
        The network of the map's largest connected part.

    Raises:
        UserError: A column is missing, or fewer than two nodes are connected.
    """
    missing = sorted({"u", "v", "rtt_prop_ms"} - set(edges.columns))
    if missing:
        raise UserError(f"Network map '{name}': required column missing: {', '.join(missing)}.")
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components, dijkstra

    codes, names = pd.factorize(pd.concat([edges["u"], edges["v"]], ignore_index=True))
    first, second = codes[: len(edges)], codes[len(edges) :]
    rtt = pd.to_numeric(edges["rtt_prop_ms"], errors="coerce").to_numpy(dtype=np.float64)
    known = np.isfinite(rtt) & (rtt >= 0)
    rtt = np.maximum(np.where(known, rtt, np.median(rtt[known]) if known.any() else 1.0), LEAST_RTT_MS / 10)
    usable = (first != second) & (first >= 0) & (second >= 0)
    table = pd.DataFrame({"u": np.minimum(first, second), "v": np.maximum(first, second), "rtt": rtt})[usable]
    table = table.groupby(["u", "v"], as_index=False)["rtt"].min()
    graph = csr_matrix((table["rtt"], (table["u"], table["v"])), shape=(len(names), len(names)))
    _, part = connected_components(graph, directed=False)
    members = np.flatnonzero(part == np.bincount(part).argmax()) if len(names) else np.array([], dtype=int)
    graph = graph[members][:, members]

    def rtt_between(sources: Any, targets: Any) -> Floats:
        found = np.empty(targets.shape)
        for start in range(0, len(members), 512):  # not all pairs at once: thousands of nodes would fill the memory
            rows = np.arange(start, min(start + 512, len(members)))
            distance = dijkstra(graph, directed=False, indices=rows)
            found[rows] = np.take_along_axis(distance, targets[rows], axis=1)
        return found

    return connect(name, len(members), rtt_between, links, loss_spread, seed)


def network_of_matrix(name: str, rtt_ms: Floats, links: int, loss_spread: float, seed: int) -> Network:
    """Let the rows of a measured matrix gossip.

    Args:
        name: What the network is called.
        rtt_ms: (peers, others): milliseconds, NaN where unknown. In a square one rows and columns are the same peers.
            Of another shape, two peers' round trip is estimated by their nearest common other: the shortest way over it.
        links: See :func:`connect`.
        loss_spread: See :func:`connect`.
        seed: See :func:`connect`.

    Returns:
        The network, without peers of which nothing is known.

    Raises:
        UserError: The table is not two-dimensional, or fewer than two of its rows have times.
    """
    matrix = np.asarray(rtt_ms, dtype=np.float64)
    if matrix.ndim != 2:
        raise UserError(f"Matrix '{name}' must be two-dimensional, it has the shape {matrix.shape}.")
    matrix = np.where(np.isfinite(matrix) & (matrix >= 0), matrix, np.nan)
    square = matrix.shape[0] == matrix.shape[1]
    if square:
        np.fill_diagonal(matrix, np.nan)
        matrix = np.where(np.isnan(matrix), matrix.T, matrix)
    members = np.flatnonzero(~np.isnan(matrix).all(axis=1)) if matrix.size else np.array([], dtype=int)
    own = matrix[members]

    def rtt_between(sources: Any, targets: Any) -> Floats:
        if square:
            return np.asarray(own[:, members][sources, targets])
        ways = np.where(np.isnan(own), np.inf, own)
        found = np.empty(targets.shape)
        for row in range(len(members)):
            found[row] = (ways[row] + ways[targets[row]]).min(axis=1)
        return found

    return connect(name, len(members), rtt_between, links, loss_spread, seed)


def networks_of_maps(edges: pd.DataFrame, links: int, loss_spread: float, seed: int) -> Iterator[Network]:
    """Networks of a table of maps, column ``net``; those without two connected nodes are left out."""
    for number, (name, rows) in enumerate(edges.groupby("net", sort=True)):
        try:
            yield network_of_map(str(name), rows, links, loss_spread, seed + number)
        except UserError:
            if missing := {"u", "v", "rtt_prop_ms"} - set(rows.columns):
                raise UserError(f"Network maps: required column missing: {', '.join(sorted(missing))}.") from None


def great_circle_km(first: Floats, second: Floats) -> Floats:
    """Distance of places (latitude, longitude in degrees; last axis) on the Earth."""
    one, other = np.radians(first), np.radians(second)
    half = np.sin((one[..., 0] - other[..., 0]) / 2) ** 2
    half = half + np.cos(one[..., 0]) * np.cos(other[..., 0]) * np.sin((one[..., 1] - other[..., 1]) / 2) ** 2
    return np.asarray(2 * 6_371 * np.arcsin(np.sqrt(np.clip(half, 0, 1))))


def _spanning_tree(pairs: npt.NDArray[Any], km: Floats, peers: int) -> npt.NDArray[np.bool_]:
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import minimum_spanning_tree

    graph = csr_matrix((np.maximum(km, 1e-6), (pairs[:, 0], pairs[:, 1])), shape=(peers, peers))
    tree = minimum_spanning_tree(graph).tocoo()
    chosen = set(zip(tree.row.tolist(), tree.col.tolist(), strict=True))
    return np.array([(first, second) in chosen for first, second in pairs.tolist()])
