"""Devices side by side: they howl when nothing prevents it, and do not when they are guarded."""

import numpy as np
import pytest

from devices.voice.duck import Duck
from devices.voice.howl import HowlGuard
from devices.voice.sound import SILENCE, level_dbfs, samples_of
from simulators.acoustics import Place, Room, Station, Street
from tests.devices.voice.voices import frames_of, sentence

SEEDS = [1, 2, 3]
LOUD_DB = 0.0
"""Of the terminal: heard at 1 m as loud as what it plays."""
MUTE = -100.0


def levels(street: Street, ear: str, said: list[bytes], length_s: int) -> list[float]:
    """The loudest 20 ms of each second at one microphone, where somebody speaks at first."""
    heard = [
        level_dbfs(street.step({ear: said[n]} if n < len(said) else {})[ear]) for n in range(length_s * 50)
    ]
    return [max(heard[at : at + 50]) for at in range(0, len(heard), 50)]


def side_by_side(seed: int, metres: float = 1.0, *, guard: bool = False) -> tuple[Street, Station]:
    """A pillar whose microphone is open to the talk group, and a patrol's terminal beside it."""
    room = Room({"pillar": Place(0, 0, MUTE), "radio": Place(metres, 0, LOUD_DB)}, seed)
    pillar = Station("pillar", ("radio",), guard=HowlGuard() if guard else None)
    return Street(room, [pillar, Station("radio", ())]), pillar


@pytest.mark.parametrize("seed", SEEDS)
def test_a_pillar_and_a_terminal_side_by_side_howl(seed: int) -> None:
    street, _ = side_by_side(seed)
    heard = levels(street, "pillar", frames_of(sentence(6, seed=seed, peak=3_000)), 8)
    print(f"\nseed {seed}, no guard: {[round(level) for level in heard]} dBFS")
    assert min(heard[2:]) > -2, "overdriven for ever, long after the last word"


@pytest.mark.parametrize("seed", SEEDS)
def test_the_guard_ends_the_howl_and_says_so(seed: int) -> None:
    street, pillar = side_by_side(seed, guard=True)
    heard = levels(street, "pillar", frames_of(sentence(6, seed=seed, peak=3_000)), 10)
    print(f"\nseed {seed}, guard: {[round(level) for level in heard]} dBFS, {pillar.howls}")
    assert pillar.howls
    assert max(heard[3:]) < -30
    assert 900 < pillar.howls[0].tone_hz < 1_800, "the loudspeaker's resonance"


def test_half_a_minute_of_it_is_bearable() -> None:
    """What was taken is given back and may howl again, soft and short."""
    street, pillar = side_by_side(2, guard=True)
    heard = levels(street, "pillar", [], 30)
    assert max(heard[3:]) < -10
    assert sum(level > -30 for level in heard) <= 2 * len(pillar.howls)


@pytest.mark.parametrize("seed", SEEDS)
def test_far_apart_nothing_howls_and_nothing_is_muted(seed: int) -> None:
    street, pillar = side_by_side(seed, metres=20.0, guard=True)
    heard = levels(street, "pillar", frames_of(sentence(6, seed=seed, peak=3_000)), 5)
    assert heard[-1] < -50
    assert pillar.howls == []


def intercom(seed: int, *, ducked: bool) -> Street:
    """A pillar and a desk far from each other, both open both ways, each hearing its own loudspeaker."""
    room = Room({"pillar": Place(0, 0, -22.0), "desk": Place(25, 0, -22.0)}, seed)
    pillar = Station("pillar", ("desk",), duck=Duck() if ducked else None)
    return Street(room, [pillar, Station("desk", ("pillar",))])


@pytest.mark.parametrize("seed", SEEDS)
def test_an_intercom_echoes_itself_to_death(seed: int) -> None:
    heard = levels(intercom(seed, ducked=False), "pillar", frames_of(sentence(6, seed=seed, peak=3_000)), 8)
    assert min(heard[3:]) > -10


@pytest.mark.parametrize("seed", SEEDS)
def test_half_duplex_ends_the_echo(seed: int) -> None:
    heard = levels(intercom(seed, ducked=True), "pillar", frames_of(sentence(6, seed=seed, peak=3_000)), 8)
    assert max(heard[2:]) < -25


def test_sound_takes_its_time_and_gets_softer_with_distance() -> None:
    places = {"near": Place(0, 0), "far": Place(10, 0, MUTE), "further": Place(20, 0, MUTE)}
    room = Room(places, seed=1)
    click = np.zeros(320)
    click[0] = 20_000
    heard: dict[str, bytes] = dict.fromkeys(places, b"")
    for n in range(10):
        step = room.step({"near": click.astype("<i2").tobytes() if n == 0 else SILENCE}, {})
        heard = {name: heard[name] + step[name] for name in places}
    far, further = (np.abs(samples_of(heard[name]).astype(int)) for name in ("far", "further"))
    assert int(np.argmax(far)) == pytest.approx(10 / 343 * 16_000, abs=2)
    assert int(np.argmax(further)) == pytest.approx(20 / 343 * 16_000, abs=2)
    assert far.max() == pytest.approx(2_000, rel=0.1)
    assert further.max() == pytest.approx(1_000, rel=0.15)


def test_a_room_is_the_same_by_its_seed() -> None:
    def first(seed: int) -> bytes:
        return Room({"a": Place(0, 0)}, seed).step({"a": frames_of(sentence(1))[2]}, {})["a"]

    assert first(4) == first(4) != first(5)
