"""From settings to a voice room: the socket it listens at, and the lines to engine and link.

What must hold: the room is made before the engine decides anything, so that no floor is missed; what it says before
there is a link goes nowhere, for everybody is asked to join when the link stands.
"""

import contextlib
from contextlib import AbstractContextManager
from socket import socket

from dispatchd.config import Voice
from dispatchd.console.replay import site_zone
from dispatchd.core.effects import Send, SendGroup
from dispatchd.engine import Engine
from dispatchd.links.mqtt import MqttLink
from protocols.down import Down

from .about import about_of
from .datagram import bind
from .ears import Wires
from .recorder import Recorder
from .recordings import Recordings
from .room import VoiceRoom


class VoiceError(RuntimeError):
    """Voice cannot start; the text says why and what to do."""


class Lines:
    """To the broker, as soon as `link` is set."""

    link: MqttLink | None = None

    def send(self, device: str, message: Down, ttl_ms: int) -> None:
        if self.link is not None:
            self.link.perform([Send(device, message, ttl_ms)])

    def send_group(self, group: str, message: Down, ttl_ms: int) -> None:
        if self.link is not None:
            self.link.perform([SendGroup(group, message, ttl_ms)])

    def publish(self, group: str, sealed: bytes) -> None:
        if self.link is not None:
            self.link.publish_voice(group, sealed)

    def publish_to(self, device: str, sealed: bytes) -> None:
        if self.link is not None:
            self.link.publish_voice_to(device, sealed)


def datagrams(voice: Voice) -> AbstractContextManager[socket | None]:
    """The bound socket, None when there is to be none; VoiceError."""
    if not (voice.enabled and voice.udp):
        return contextlib.nullcontext()
    host, _, port = voice.udp.rpartition(":")
    try:
        return bind(host.strip("[]"), int(port))
    except OSError as error:
        raise VoiceError(
            f"voice.udp {voice.udp} cannot be had: {error.strerror}. "
            f"Give another port, or an address that this machine has."
        ) from error


def room(voice: Voice, engine: Engine, lines: Lines, start: int, sock: socket | None) -> VoiceRoom | None:
    """None when voice is not enabled. Its counts are the engine's health from now on."""
    if not voice.enabled:
        return None
    wires = Wires(
        engine.post, engine.settled, lines.send, lines.send_group, lines.publish, lines.publish_to,
        engine.clock.now_ms,
    )  # fmt: skip
    bound = "" if sock is None else f"{voice.udp.rpartition(':')[0]}:{sock.getsockname()[1]}"
    made = VoiceRoom(wires, start, sock, voice.advertise or ((bound,) if bound else ()))
    made.address = bound
    engine.health.voice = made.counts
    return made


def recorder(voice: VoiceRoom, engine: Engine, kept: Recordings, start: int) -> Recorder:
    """Listening at the relay from now on; its `run` writes."""
    made = Recorder(
        kept, start, engine.post, lambda grant: about_of(engine.unsettled, grant),
        lambda: site_zone(engine.unsettled.site.timezone),
    )  # fmt: skip
    voice.relay.taps.append(made)
    return made
