"""What a jitter buffer says to play next. Durations are ms of sound before anything makes it faster."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Play:
    """The packet whose turn it is."""

    burst: int
    seq: int
    opus: bytes
    ms: float


@dataclass(frozen=True, slots=True)
class Recover:
    """A packet is lost; `next_opus`, which comes after it, has a copy of it if the talker sends any (FEC)."""

    burst: int
    next_opus: bytes
    ms: int


@dataclass(frozen=True, slots=True)
class Conceal:
    """A packet is lost or late, and there is no copy: go on as before, fading."""

    burst: int
    ms: int


@dataclass(frozen=True, slots=True)
class Silence:
    """Nobody speaks: a pause within a burst (the talker sends nothing, DTX), or `burst` None: between bursts."""

    burst: int | None
    ms: int


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing more of this burst will come: all that came was handed out before."""

    burst: int


Slot = Play | Recover | Conceal | Silence | Ended
