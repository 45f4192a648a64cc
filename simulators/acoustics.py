"""Sound in the air: devices that stand near each other hear each other's loudspeakers. Seeded, in blocks of 20 ms.

A path from a loudspeaker to a microphone is its distance (delay and loss), a few reflections, and the resonance of a
small loudspeaker in its case, which is what makes a loop whistle at one frequency. There is no real time in it:
`Street.step` is 20 ms.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from devices.voice.capture import Capture
from devices.voice.duck import Duck
from devices.voice.howl import Howl, HowlGuard
from devices.voice.playout import Playout
from devices.voice.sound import FRAME_SAMPLES, SILENCE, pcm_of, samples_of
from protocols.opus import Encoder
from protocols.voice import FRAME_MS, RATE_HZ, Frame

SOUND_M_S: Final = 343.0
NEAREST_M: Final = 0.1
"""Nearer than that is not louder."""
REFLECTIONS: Final = 5
TAIL_SAMPLES: Final = RATE_HZ // 10
"""Of a path, beyond the direct sound's delay: 100 ms."""
RESONANCE_S: Final = 0.01
NOISE_DBFS: Final = -70.0

Block = NDArray[np.float64]


@dataclass(frozen=True)
class Place:
    """Where a device stands, metres, and how loud its loudspeaker is at 1 m for what its microphone makes of it."""

    x: float
    y: float
    gain_db: float = 0.0


class Room:
    """Who hears whom how."""

    def __init__(self, places: Mapping[str, Place], seed: int = 1) -> None:
        self._rng = random.Random(seed)
        self._noise = np.random.default_rng(seed)
        self._names = list(places)
        self._paths = {
            (mouth, ear): self._path(places[mouth], places[ear]) for mouth in places for ear in places
        }
        longest = max(path.size for path in self._paths.values())
        self._played = {name: np.zeros(longest + FRAME_SAMPLES) for name in places}

    def _path(self, mouth: Place, ear: Place) -> Block:
        """The impulse response."""
        metres = max(NEAREST_M, float(np.hypot(mouth.x - ear.x, mouth.y - ear.y)))
        direct = round(metres / SOUND_M_S * RATE_HZ)
        path = np.zeros(direct + TAIL_SAMPLES)
        path[direct] = 1 / metres
        for _ in range(REFLECTIONS):
            further = self._rng.uniform(1.0, 12.0)
            at = direct + round(further / SOUND_M_S * RATE_HZ)
            path[at] += self._rng.uniform(-0.5, 0.5) / (metres + further)
        return self._resonant(path) * 10 ** (mouth.gain_db / 20)

    def _resonant(self, path: Block) -> Block:
        time_s = np.arange(TAIL_SAMPLES // 2) / RATE_HZ
        ring = np.sin(2 * np.pi * self._rng.uniform(900, 1_800) * time_s) * np.exp(-time_s / RESONANCE_S)
        return np.convolve(path, np.concatenate([[1.0], 0.05 * ring[1:]]))[: path.size]

    def step(self, played: Mapping[str, bytes], said: Mapping[str, bytes]) -> dict[str, bytes]:
        """20 ms: what loudspeakers play and what people say into each microphone; what the microphones hear."""
        for name in self._names:
            block = samples_of(played.get(name, SILENCE))
            self._played[name] = np.concatenate([self._played[name][FRAME_SAMPLES:], block])
        return {ear: pcm_of(self._heard(ear, said.get(ear, SILENCE))) for ear in self._names}

    def _heard(self, ear: str, said: bytes) -> Block:
        heard = samples_of(said) + self._noise.normal(0, 32_768 * 10 ** (NOISE_DBFS / 20), FRAME_SAMPLES)
        for mouth in self._names:
            path = self._paths[mouth, ear]
            recent = self._played[mouth][-(path.size + FRAME_SAMPLES - 1) :]
            heard = heard + np.convolve(recent, path, mode="valid")
        return heard


@dataclass
class Station:
    """A device with an open microphone, as far as its sound goes: what it hears it sends, what it is sent it plays."""

    name: str
    sends_to: tuple[str, ...]
    guard: HowlGuard | None = None
    duck: Duck | None = None
    howls: list[Howl] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._playouts: dict[str, Playout] = {}
        self._capture = Capture(encoder=lambda: Encoder(dtx=False))
        self._capture.grant(1, hot=True)

    def play(self, now_ms: float) -> bytes:
        """20 ms for its loudspeaker, everybody who sends to it mixed."""
        pieces = [piece for playout in self._playouts.values() if (piece := playout.read(now_ms))]
        mixed = pcm_of(sum((samples_of(pcm).astype(float) for pcm, _ in pieces), np.zeros(FRAME_SAMPLES)))
        if self.duck is not None:
            self.duck.played(mixed)
        return mixed

    def hear(self, pcm: bytes) -> list[Frame]:
        """20 ms of its microphone."""
        if self.duck is not None:
            pcm = self.duck.hear(pcm)
        if self.guard is not None:
            pcm, howl = self.guard.push(pcm)
            self.howls += [howl] if howl else []
        return self._capture.push(pcm)

    def take(self, sender: str, frame: Frame, now_ms: float) -> None:
        self._playouts.setdefault(sender, Playout()).hear(frame, now_ms)


class Street:
    """Stations in a room, and a network of `delay_ms` between them."""

    def __init__(self, room: Room, stations: list[Station], *, delay_ms: int = 60) -> None:
        self.now_ms = 0
        self._room = room
        self._stations = {station.name: station for station in stations}
        self._delay_ms = delay_ms
        self._on_the_way: list[tuple[int, str, str, Frame]] = []

    def step(self, said: Mapping[str, bytes]) -> dict[str, bytes]:
        """20 ms; `said`: by people, into each microphone. What each microphone heard."""
        self._deliver()
        played = {name: station.play(self.now_ms) for name, station in self._stations.items()}
        heard = self._room.step(played, said)
        for name, station in self._stations.items():
            for frame in station.hear(heard[name]):
                due_ms = self.now_ms + self._delay_ms
                self._on_the_way += [(due_ms, name, other, frame) for other in station.sends_to]
        self.now_ms += FRAME_MS
        return heard

    def _deliver(self) -> None:
        due = [one for one in self._on_the_way if one[0] <= self.now_ms]
        self._on_the_way = [one for one in self._on_the_way if one[0] > self.now_ms]
        for _, sender, receiver, frame in due:
            self._stations[receiver].take(sender, frame, self.now_ms)
