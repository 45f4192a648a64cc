"""A network between a talker and a listener, by seed: delay, jitter, loss, doubles; and a listener's clock."""

import random
from collections.abc import Iterable
from dataclasses import dataclass

from devices.voice.jitter import JitterBuffer
from devices.voice.slots import Ended, Slot
from protocols.voice import LAST, Frame

TICKS_20_MS = 960


@dataclass(frozen=True)
class Network:
    """Each frame is delayed by `delay_ms` and up to `jitter_ms` more, by itself: neighbours change places."""

    seed: int = 1
    delay_ms: float = 50.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    doubles: float = 0.0

    def carry(self, sent: Iterable[tuple[float, Frame]]) -> list[tuple[float, Frame]]:
        """(when it was sent, frame) → (when it comes, frame), in order of coming."""
        rng = random.Random(self.seed)
        came: list[tuple[float, Frame]] = []
        for at_ms, frame in sent:
            if rng.random() >= self.loss:
                copies = 1 + (rng.random() < self.doubles)
                came += [
                    (at_ms + self.delay_ms + rng.uniform(0, self.jitter_ms), frame) for _ in range(copies)
                ]
        return sorted(came, key=lambda one: one[0])


def opus_of(burst: int, seq: int) -> bytes:
    """Stands for a packet, tells which."""
    return f"{burst}:{seq}".encode()


def spoken(
    count: int, burst: int = 1, at_ms: float = 0.0, first: int = 0, ms: int = 20, last: bool = True
) -> list[tuple[float, Frame]]:
    """Frames of a talker who does not pause, each sent when it is said; numbers from `first` on."""
    return [
        (
            at_ms + (n - first) * ms,
            Frame(burst, n, n * ms * 48, opus_of(burst, n), LAST if last and n == first + count - 1 else 0),
        )
        for n in range(first, first + count)
    ]


def buffer(ms: int = 20) -> JitterBuffer:
    """Whose packets are all of `ms`."""
    return JitterBuffer(lambda opus: ms * 48)


def listen(
    jitter: JitterBuffer, came: list[tuple[float, Frame]], until_ms: float, from_ms: float = 0.0
) -> list[tuple[float, Slot]]:
    """What a player that takes 20 ms every 20 ms is given, and when; longer packets last longer."""
    slots: list[tuple[float, Slot]] = []
    now_ms, waiting, have_ms = from_ms, list(came), 0.0
    while now_ms < until_ms:
        while waiting and waiting[0][0] <= now_ms:
            jitter.put(waiting[0][1], waiting.pop(0)[0])
        while have_ms < 20:
            slot = jitter.take(now_ms)
            slots.append((now_ms, slot))
            if not isinstance(slot, Ended):
                have_ms += slot.ms / jitter.speed(now_ms)
        have_ms -= 20
        now_ms += 20
    return slots
