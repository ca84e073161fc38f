"""Keyed pseudonyms: within a week the same identifier gives the same pseudonym, after it nobody can link the two.

The hash of content must not be written down: whoever has a copy of a file could look up whether a node stores it. The
hash is therefore keyed with a secret of the node, and the key of a week is made from the key of the week before, which
is then overwritten. Who steals the secret file learns the key of the current week and later ones, never an earlier one.
"""

import contextlib
import hashlib
import json
import os
import re
import secrets
import stat
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from augury.errors import UserError
from augury.telemetry.file_lock import locked
from augury.telemetry.name_columns import ID_DIGITS

EPOCH_MS = 7 * 86_400_000
KEY_BYTES = 32
MAX_STEPS = 520
"""Weeks that a key is carried forward. After ten years, or if the clock was set back, a new one is drawn."""

_HEX_KEY = re.compile(rf"[0-9a-f]{{{2 * KEY_BYTES}}}")


def epoch_of(ts_ms: int) -> int:
    """Number of the week that a time lies in.

    Args:
        ts_ms: Milliseconds since 1970.

    Returns:
        Weeks since 1970.

    Examples:
        >>> epoch_of(0), epoch_of(7 * 24 * 3600 * 1000)
        (0, 1)
    """
    return ts_ms // EPOCH_MS


def default_secret_path() -> Path:
    """Where the secret of this node lies unless the application says otherwise.

    Returns:
        A file in the user's folder of states (``XDG_STATE_HOME``), away from any database.
    """
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "augury" / "node.secret"


@dataclass(frozen=True)
class _Held:
    """What the file holds: the key of one week, and the random name of the node."""

    epoch: int
    key: bytes
    node: str

    def advanced(self, epoch: int) -> "_Held":
        """The key of a later week."""
        steps = epoch - self.epoch
        if not 0 <= steps <= MAX_STEPS:
            return _Held(epoch, secrets.token_bytes(KEY_BYTES), self.node)
        key = self.key
        for _ in range(steps):
            key = hashlib.blake2b(b"next", key=key, digest_size=KEY_BYTES, person=b"augury-epoch").digest()
        return _Held(epoch, key, self.node)


class NodeSecret:
    """The secret of a node in a file that only its owner can read; safe for many threads and processes."""

    def __init__(self, path: Path | str | None = None, epoch: int | None = None) -> None:
        """Read the secret, or draw one if there is none.

        Args:
            path: The file; None: :func:`default_secret_path`.
            epoch: Week to begin with; None: the current one.

        Raises:
            UserError: The file can be read by others, is damaged, or cannot be made.
        """
        self.path = Path(path) if path is not None else default_secret_path()
        self._lock = threading.Lock()
        start = epoch_of(time.time_ns() // 1_000_000) if epoch is None else epoch
        try:
            self._held = self._stored(start)
        except OSError as error:
            raise UserError(
                f"The secret of this node cannot be kept in {self.path} ({error.strerror}). Name another file with "
                "secret_path=; only its owner needs access to it."
            ) from None
        self._hashers: dict[str, hashlib.blake2b] = {}

    @property
    def node(self) -> str:
        """Random name of the node, which no exported table contains; it tells how many nodes a cell stands for."""
        return self._held.node

    @property
    def epoch(self) -> int:
        """The week whose key is in use."""
        return self._held.epoch

    def after_fork(self) -> None:
        """Make it usable in a child process: another thread of the parent may have held the lock."""
        self._lock = threading.Lock()

    def rotate(self, epoch: int) -> None:
        """Go on to the key of a week; nothing happens within a week, or if that week is over.

        Args:
            epoch: Week of the events that come next.
        """
        # One week back is an event that waited in the queue at midnight; further back the clock was wrong
        if epoch == self._held.epoch or epoch == self._held.epoch - 1:
            return
        with self._lock:
            # A disk that is full must not keep the old key in use: the rotation holds in memory at least
            advanced = self._held.advanced(epoch)
            with contextlib.suppress(OSError, UserError):
                advanced = self._stored(epoch)
            self._held, self._hashers = advanced, {}

    def pseudonym(self, kind: str, identifier: bytes) -> bytes:
        """Hash an identifier with the key of the week.

        Args:
            kind: Identifiers of different kinds never have the same pseudonym.
            identifier: The application's own identifier.

        Returns:
            12 bytes, which are shown as 24 hexadecimal digits.
        """
        hasher = self.hasher(kind).copy()
        hasher.update(identifier)
        return hasher.digest()

    def hasher(self, kind: str) -> "hashlib.blake2b":
        """The keyed hash of the week for a kind of identifiers, to be copied.

        Args:
            kind: Kind of identifiers.

        Returns:
            A hash that nothing was put into yet.
        """
        hashers = self._hashers
        if kind not in hashers:
            hashers[kind] = hashlib.blake2b(key=self._held.key, digest_size=ID_DIGITS // 2, person=kind.encode()[:16])
        return hashers[kind]

    def _stored(self, epoch: int) -> _Held:
        """Read the file, make it if there is none, and bring it to a week; one process at a time."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(self.path.with_name(self.path.name + ".lock")):
            held = self._read() if self.path.exists() else None
            if held is None:
                wanted = _Held(epoch, secrets.token_bytes(KEY_BYTES), secrets.token_hex(12))
            elif held.epoch in (epoch, epoch + 1):
                return held
            else:
                wanted = held.advanced(epoch)
            self._write(wanted)
            return wanted

    def _read(self) -> _Held:
        mode = stat.S_IMODE(self.path.stat().st_mode)
        if os.name == "posix" and mode & 0o077:
            raise UserError(
                f"{self.path} holds the secret of this node, but others can read it (mode {mode:04o}). "
                f"Mend it: chmod 600 {self.path}"
            )
        try:
            content = json.loads(self.path.read_bytes())
            epoch, key, node = content["epoch"], content["key"], content["node"]
            valid = type(epoch) is int and bool(_HEX_KEY.fullmatch(key)) and bool(re.fullmatch("[0-9a-f]{24}", node))
        except (ValueError, TypeError, KeyError):
            valid = False
        if not valid:
            raise UserError(
                f"{self.path} should hold the secret of this node, but it is damaged. Delete it to begin with a new "
                "one: earlier pseudonyms then cannot be continued."
            )
        return _Held(epoch, bytes.fromhex(key), node)

    def _write(self, held: _Held) -> None:
        """Replace the file in one step, never readable by others."""
        beside = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        content = json.dumps({"epoch": held.epoch, "key": held.key.hex(), "node": held.node})
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self.path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise
