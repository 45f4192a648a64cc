"""When a radio asks for voice keys, and with what. Pure, but for the randomness that it is handed.

After every connection; 0 to RESET_JITTER_MS after everybody was asked to, so that a hundred do not ask in one instant;
for keys that are not known, at most once in REJOIN_MS. What must hold: a join without an answer is repeated, and each
is made with a fresh key pair.
"""

import random
from collections.abc import Callable
from typing import Final

from devices.voice.keyring import Keyring
from protocols import up
from protocols.voice_keys import KeyPair

NONCE_BYTES: Final = 16
JOIN_FIRST_MS: Final = 1_000
JOIN_MAX_MS: Final = 15_000
"""A join without an answer is repeated, at a distance that doubles from the first to the last of these."""
REJOIN_MS: Final = 1_000
"""Between joins because of unknown keys."""
RESET_JITTER_MS: Final = 500


class Joining:
    """`due`: when the next join is to be made (ms), None = none is."""

    def __init__(self, keyring: Keyring, rng: random.Random, make_pair: Callable[[], KeyPair]) -> None:
        self.due: int | None = None
        self._keyring = keyring
        self._rng = rng
        self._make_pair = make_pair
        self._linked = False
        self._wait_ms = JOIN_FIRST_MS
        self._joined_at: int | None = None

    def linked(self, now_ms: int) -> None:
        self._linked, self._wait_ms, self.due = True, JOIN_FIRST_MS, now_ms

    def unlinked(self) -> None:
        self._linked, self.due = False, None

    def asked_to(self, now_ms: int) -> None:
        """Everybody was; who is about to join anyway has nothing to do."""
        self._plan(now_ms + self._rng.randrange(RESET_JITTER_MS + 1))

    def unknown_key(self, now_ms: int) -> bool:
        """True if it makes a join due; one under way is left to its own repeating."""
        before = self.due
        self._plan(max(now_ms, 0 if self._joined_at is None else self._joined_at + REJOIN_MS))
        return self.due != before

    def _plan(self, due: int) -> None:
        if self._linked and self.due is None:
            self._wait_ms, self.due = JOIN_FIRST_MS, due

    def answered(self) -> None:
        self.due = None

    def make(self, now_ms: int, carriage: str) -> up.VoiceJoin | None:
        """The join that is due now; the next time is set in case nobody answers."""
        if self.due is None or now_ms < self.due:
            return None
        pair, nonce = self._make_pair(), self._rng.randbytes(NONCE_BYTES)
        self._keyring.join(pair, nonce)
        self._joined_at, self.due = now_ms, now_ms + self._wait_ms
        self._wait_ms = min(2 * self._wait_ms, JOIN_MAX_MS)
        return up.VoiceJoin(nonce, pair.public, carriage)
