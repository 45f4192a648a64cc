"""The voice keys of a device: what opens what it hears and seals what it says. Pure.

- Keys come whole: what a new list does not name is forgotten, but the former epoch of a group opens until the new one
  is heard, at most FORMER_MS.
- A key that comes again (same KID, same bytes) keeps its counter and its replay window: a sealer is never made twice.
- KIDs begin with the number of the daemon's start, so a KID of another start is known to be stale, not forged.
"""

from typing import Final

from msgspec import Struct

from protocols import sframe, voice_keys
from protocols.down import VoiceKeys
from protocols.errors import ProtocolError
from protocols.sframe import Opener, Sealer
from protocols.voice_keys import KeyPair, Keys

FORMER_MS: Final = 2_000
"""A former epoch opens no longer than that after the new list came."""
DOWN: Final = ""
"""In place of a group: the device's own down key."""


class _Known(Struct):
    group: str
    key: bytes
    opener: Opener
    until_ms: int | None = None


class Keyring:
    def __init__(self, device: str) -> None:
        self._device = device
        self._pair: KeyPair | None = None
        self._nonce = b""
        self._up: tuple[int, bytes] | None = None
        self._sealer: Sealer | None = None
        self._known: dict[int, _Known] = {}
        self.start = 0

    @property
    def ready(self) -> bool:
        return self._sealer is not None

    def join(self, pair: KeyPair, nonce: bytes) -> None:
        """Only keys sealed to this pair and nonce count from now on; what is known goes on opening."""
        self._pair, self._nonce = pair, nonce

    def forget(self) -> None:
        """The daemon's voice has started anew: nothing of before can be said."""
        self._sealer = self._up = None

    def take(self, message: VoiceKeys, now_ms: int) -> Keys:
        """The new list, in force. ProtocolError: `stale` (of another join), `bad-key`, `bad-keys`, `forged`."""
        if self._pair is None or message.nonce != self._nonce:
            raise ProtocolError("stale", "voice keys of another join")
        plain = voice_keys.open_sealed(
            self._pair, message.public, message.sealed, voice_keys.context(self._device, message.nonce)
        )
        keys = voice_keys.decode(plain)
        self._use(keys, now_ms)
        return keys

    def _use(self, keys: Keys, now_ms: int) -> None:
        self.start = keys.start
        if keys.up is not None and self._up != (keys.up.kid, keys.up.key):
            self._up = keys.up.kid, keys.up.key
            self._sealer = Sealer(keys.up.kid, keys.up.key)
        named = {one.kid: (one.group, one.key) for one in keys.groups}
        if keys.down is not None:
            named[keys.down.kid] = DOWN, keys.down.key
        groups = {group for group, _ in named.values()}
        kept = {kid: old for kid, old in self._known.items() if kid not in named and old.group in groups}
        for old in kept.values():
            old.until_ms = min(old.until_ms or now_ms + FORMER_MS, now_ms + FORMER_MS)
        self._known = kept | {kid: self._same_or_new(kid, *what) for kid, what in named.items()}

    def _same_or_new(self, kid: int, group: str, key: bytes) -> _Known:
        old = self._known.get(kid)
        if old is not None and (old.group, old.key) == (group, key):
            old.until_ms = None
            return old
        return _Known(group, key, Opener(kid, key))

    def seal(self, plain: bytes) -> bytes | None:
        """None while there is no key."""
        return None if self._sealer is None else self._sealer.seal(plain)

    def open(self, sealed: bytes, now_ms: int) -> tuple[str, bytes]:
        """The group (or DOWN) whose key opened it, and what was sealed.

        ProtocolError `stale-kid`, `unknown-kid`, `oversize` and the `sframe-…` codes of protocols.sframe.
        """
        kid = sframe.kid_of(sealed)
        known = self._known.get(kid)
        if known is None:
            raise ProtocolError(*self._not_known(kid))
        if known.until_ms is not None and now_ms > known.until_ms:
            del self._known[kid]
            raise ProtocolError("stale-kid", "sealed under a former epoch")
        plain = known.opener.open(sealed)
        if known.until_ms is None and len(self._known) > 1:
            self._drop_former(known.group)
        return known.group, plain

    def _not_known(self, kid: int) -> tuple[str, str]:
        if kid >> 16 == self.start & 0xFFFF:
            return "unknown-kid", f"key {kid:#x} was never given to this device"
        return "unknown-start", f"key {kid:#x} is of another start of the daemon"

    def _drop_former(self, group: str) -> None:
        """The new epoch is heard: the one before is done with."""
        for kid in [
            kid for kid, one in self._known.items() if one.group == group and one.until_ms is not None
        ]:
            del self._known[kid]
