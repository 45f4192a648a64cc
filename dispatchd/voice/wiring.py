"""From settings to a voice room: the socket it listens at, and the lines to engine and link.

What must hold: the room is made before the engine decides anything, so that no floor is missed; what it says before
there is a link goes nowhere, for everybody is asked to join when the link stands.
"""

import contextlib
import socket as sockets
from contextlib import AbstractContextManager
from socket import socket

from dispatchd.clock import site_zone
from dispatchd.config import Voice
from dispatchd.core.effects import Send, SendGroup
from dispatchd.engine import Engine
from dispatchd.links.mqtt import MqttLink
from protocols.down import Down

from .about import about_of
from .datagram import bind
from .ears import Wires
from .ice import PortRange, parse_ports
from .intercom import Intercoms
from .pillars import Pillars
from .recorder import Recorder
from .recordings import Recordings
from .room import VoiceRoom
from .webrtc import Sessions


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


def webrtc(voice: Voice, hung_in: VoiceRoom, engine: Engine, lines: Lines) -> tuple[Sessions, Pillars]:
    """Sessions of pillars and operators, and the intercom between them; both are to be run. VoiceError."""
    bound = voice.udp.rpartition(":")[0].strip("[]") or "127.0.0.1"
    told = voice.advertise[0].rpartition(":")[0].strip("[]") if voice.advertise else ""
    ports = PortRange(bound, parse_ports(voice.webrtc_ports), _ip_of(told) if told else "")
    sessions = Sessions(hung_in.relay, ports, engine.clock.now_ms)
    pillars = Pillars(sessions, engine.settled, lines.send)
    intercoms = Intercoms(hung_in.relay, sessions)
    hung_in.webrtc, hung_in.sounding = pillars, intercoms.sounding
    hung_in.syncs.append(intercoms.sync)
    return sessions, pillars


def _ip_of(host: str) -> str:
    """Peers of WebRTC are told an address, not a name."""
    try:
        return str(sockets.getaddrinfo(host, None)[0][4][0])
    except OSError as error:
        raise VoiceError(
            f"voice.advertise: the address of {host} is not known here: {error.strerror}. Write its IP address."
        ) from error
