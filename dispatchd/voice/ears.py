"""Who hears what, and how: the devices that joined, their keys and carriages, and a listener for each talk group.

What must hold: a device has keys of exactly the groups that the committed state has it in; who is gone, or signed in
with other credentials since, is forgotten before anybody is told anything else; the core knows how each one listens.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Final, NamedTuple

import structlog
from msgspec import Struct

from dispatchd.core.inputs import Input, VoiceJoined
from dispatchd.core.state import State
from protocols import up, voice_keys
from protocols.down import Down, VoiceKeys, VoiceReset
from protocols.errors import ProtocolError

from .datagram import Datagrams
from .group import GroupVoice
from .keyring import Keyring, KeysExhausted
from .relay import Relay

TTL_MS: Final = 10_000
"""Of keys and resets in their envelope; a device that comes later joins anew."""

log = structlog.get_logger("voice")


class Wires(NamedTuple):
    """What the voice room is given. `post` never blocks; `settled` gives the committed state."""

    post: Callable[[Input], None]
    settled: Callable[[], AbstractAsyncContextManager[State]]
    send: Callable[[str, Down, int], None]
    send_group: Callable[[str, Down, int], None]
    publish_voice: Callable[[str, bytes], None]
    publish_voice_to: Callable[[str, bytes], None]
    now_ms: Callable[[], int]


class Ear(Struct):
    """How a device that joined listens. `told` is what the core knows, `secret` what it had signed in with."""

    carriage: str
    secret: str
    told: str = ""


class Ears:
    """`to_tell`: devices whose keys changed; tell them one by one, in the order they are in."""

    def __init__(
        self,
        wires: Wires,
        keyring: Keyring,
        relay: Relay,
        counts: Counter[str],
        addresses: Iterable[str],
    ) -> None:
        self._wires, self._keyring, self._relay, self._counts = wires, keyring, relay, counts
        self._addresses = list(addresses)[: voice_keys.MAX_ADDRESSES]
        self._ears: dict[str, Ear] = {}
        self._secrets: dict[str, str] = {}
        self._groups: dict[str, GroupVoice] = {}
        self.datagrams: Datagrams | None = None
        self.to_tell: dict[str, None] = {}

    def __contains__(self, device: str) -> bool:
        return device in self._ears

    # --- members ------------------------------------------------------------------------------------------------

    def follow(self, state: State) -> None:
        """Who is a member of what, as committed."""
        self._secrets = {d: state.site.secret[d] for d in state.site.device if d in state.site.secret}
        members: dict[str, set[str]] = defaultdict(set)
        for device in self._secrets.keys() & state.settings.keys():
            for group in state.settings[device].groups:
                members[group].add(device)
        for device in [d for d, ear in self._ears.items() if self._secrets.get(d) != ear.secret]:
            self._forget(device)
        self._tell(self._keyring.sync(members, self._wires.now_ms()))
        self._attach()

    def _forget(self, device: str) -> None:
        self._tell(self._keyring.leave(device, self._wires.now_ms()))
        self.to_tell.pop(device, None)
        if self.datagrams is not None:
            self.datagrams.forget(device)
        self._tell_core(device, self._ears.pop(device), "none")

    def _tell(self, devices: Iterable[str]) -> None:
        self.to_tell |= dict.fromkeys(devices)

    def _attach(self) -> None:
        """The relay's listeners are the groups that are there."""
        wanted = self._keyring.groups()
        for group in self._groups.keys() - wanted:
            self._relay.detach(group, self._groups.pop(group))
        for group in wanted - self._groups.keys():
            self._groups[group] = made = GroupVoice(
                group, self._keyring, self.datagrams, self.carriage_of, self._wires.publish_voice,
                self._wires.now_ms, self._counts,
            )  # fmt: skip
            self._relay.attach(group, made)
        for voice in self._groups.values():
            voice.changed()

    # --- keys ---------------------------------------------------------------------------------------------------

    def ask_to_join(self) -> None:
        """Everybody, by way of the talk groups."""
        for group in self._groups:
            self._wires.send_group(group, VoiceReset(self._keyring.start), TTL_MS)

    def join(self, device: str, said: up.VoiceJoin) -> None:
        """New keys for a device of the site."""
        if device not in self._secrets:
            self._counts["joins-dropped"] += 1
            return
        try:
            self._keyring.join(device, said.nonce, said.public, self._wires.now_ms())
        except KeysExhausted as error:
            log.error("a device cannot have voice keys", device=device, error=str(error))
            return
        if self.tell_keys(device):
            ear = self._ears[device] = Ear(said.carriage, self._secrets[device])
            self._tell_core(device, ear, said.carriage)

    def tell_keys(self, device: str) -> bool:
        """All its keys, sealed for it alone; False when it gave no point to seal to."""
        self.to_tell.pop(device, None)
        session, keys = self._keyring.session(device), self._keyring.keys(device, self._addresses)
        if session is None or keys is None:
            return False
        bound = voice_keys.context(device, session.nonce)
        try:
            public, sealed = voice_keys.seal_to(session.public, voice_keys.encode(keys), bound)
        except ProtocolError:
            self._counts["bad-joins"] += 1
            self._keyring.drop(device)
            return False
        self._wires.send(device, VoiceKeys(session.nonce, public, sealed), TTL_MS)
        return True

    # --- carriage -----------------------------------------------------------------------------------------------

    def carriage_of(self, device: str) -> str:
        """`none` also for those who do not listen now."""
        ear = self._ears.get(device)
        return "none" if ear is None or ear.told == "none" else ear.carriage

    def change(self, device: str, carriage: str) -> None:
        """As it says itself."""
        ear = self._ears.get(device)
        if ear is not None:
            ear.carriage = carriage
            self._tell_core(device, ear, carriage)

    def moved(self, device: str) -> None:
        """Its address is another, is new, or is gone."""
        ear = self._ears.get(device)
        if ear is not None and ear.told == "none" and self._has_place(device):
            self._tell_core(device, ear, ear.carriage)
        self._changed(device)

    def look(self, state: State) -> None:
        """Who is off line and sends no datagrams either hears nothing."""
        for device, ear in self._ears.items():
            live = state.live.get(device)
            there = (live is not None and live.online) or self._has_place(device)
            self._tell_core(device, ear, ear.carriage if there else "none")

    def _tell_core(self, device: str, ear: Ear, carriage: str) -> None:
        if ear.told != carriage:
            ear.told = carriage
            self._wires.post(VoiceJoined(device, carriage))
            self._changed(device)

    def _changed(self, device: str) -> None:
        for group, voice in self._groups.items():
            if self._keyring.is_member(device, group):
                voice.changed()

    def _has_place(self, device: str) -> bool:
        return self.datagrams is not None and device in self.datagrams.places
