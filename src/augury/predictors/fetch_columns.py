"""Columns of the raw table of ``peer_selection``: one row per candidate, as in the event ``peer_fetch``."""

DATASET = "peer_selection.fetches"

TS = "ts"
REQUEST = "request"
CLIENT = "client"
PEER = "peer"
CHOSEN = "chosen"
PROPENSITY = "propensity"
RTT = "rtt_ms"
OK = "ok"
IN_FLIGHT = "in_flight"
ORIGIN = "policy"

REQUIRED = (REQUEST, CLIENT, PEER, RTT)
IDS = (REQUEST, CLIENT, PEER)
NUMBERS = (TS, CHOSEN, PROPENSITY, RTT, OK, IN_FLIGHT)
COLUMNS = (*IDS, *NUMBERS, ORIGIN)

TRAIN, TEST = "train", "test"
SPLIT = "split"
LOGGED, MEASURED = "logged", "measured"
"""Kinds of tables: the chosen candidate's outcome alone is known, or every candidate's."""
