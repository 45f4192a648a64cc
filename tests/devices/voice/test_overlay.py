"""What sounds at once from one loudspeaker, and what steps back."""

import numpy as np

from devices.player import EMERGENCY, NORMAL
from devices.voice.overlay import DUCKED, MAX_QUEUED, SIGNALS, Overlay, signal
from devices.voice.radio_events import Heard
from devices.voice.sound import pcm_of, samples_of
from protocols.voice import LAST, PCM_FRAME_BYTES, Frame
from simulators.voice import encoded
from tests.devices.voice.voices import tone

RADIO_HZ, LAID_HZ = 440.0, 2_000.0


def played(overlay: Overlay, ms: int, start_ms: float = 0.0) -> tuple[np.ndarray, list[int]]:
    pieces, ended = [], []
    for n in range(ms // 20):
        piece = overlay.read(start_ms + n * 20)
        if piece is not None:
            assert len(piece[0]) == PCM_FRAME_BYTES
            pieces.append(piece[0])
            ended += piece[1]
    return samples_of(b"".join(pieces)).astype(float), ended


def talks(overlay: Overlay, ms: int, priority: str = "normal", volume_pct: int = 100) -> None:
    packets = encoded(pcm_of(tone(RADIO_HZ, ms / 1000)))
    for seq, opus in enumerate(packets):
        frame = Frame(7, seq, seq * 960, opus, LAST if seq == len(packets) - 1 else 0)
        overlay.note(Heard("g", frame, "t-2", priority, 0, volume_pct))
        overlay.hear(frame, 0.0)


def strength(sound: np.ndarray, tone_hz: float) -> float:
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(sound.size)))
    at = round(tone_hz * sound.size / 16_000)
    return float(spectrum[at - 3 : at + 4].max() / sound.size)


def laid(rank: int, *, priority: str = "normal", volume_pct: int = 100) -> tuple[float, float]:
    """How strong radio and laid sound are when both sound."""
    overlay = Overlay()
    talks(overlay, 1_000, priority, volume_pct)
    overlay.lay(pcm_of(tone(LAID_HZ, 2.0)), 100, rank)
    sound, _ = played(overlay, 800)
    middle = sound[6_000:11_000]
    return strength(middle, RADIO_HZ), strength(middle, LAID_HZ)


def test_a_broadcast_and_the_radio_sound_together() -> None:
    radio, other = laid(NORMAL)
    assert radio > 0.5 * other


def test_the_radio_steps_back_behind_an_emergency_and_comes_through_with_one() -> None:
    before, _ = laid(NORMAL)
    ducked, _ = laid(EMERGENCY)
    assert 0.8 * DUCKED < ducked / before < 1.2 * DUCKED
    _, loud = laid(NORMAL)
    _, soft = laid(NORMAL, priority="emergency")
    assert 0.8 * DUCKED < soft / loud < 1.2 * DUCKED


def test_a_silent_group_is_soft() -> None:
    before, _ = laid(NORMAL)
    soft, _ = laid(NORMAL, volume_pct=30)
    assert 0.25 < soft / before < 0.35


def test_each_end_is_reported_once_and_in_order() -> None:
    overlay = Overlay()
    first = overlay.lay(signal("denied"), 100)
    second = overlay.lay(b"", 100)
    _, ended = played(overlay, 2_000)
    assert ended == [first, second]
    assert overlay.idle
    assert overlay.read(5_000.0) is None


def test_what_is_taken_off_is_silent_and_reports_nothing() -> None:
    overlay = Overlay()
    number = overlay.lay(pcm_of(tone(LAID_HZ, 5.0)), 100)
    assert number is not None
    played(overlay, 100)
    overlay.take_off(number)
    sound, ended = played(overlay, 1_000)
    assert sound.size == 0
    assert ended == []


def test_more_than_it_can_hold_is_not_taken() -> None:
    overlay = Overlay()
    taken = [overlay.lay(signal("granted"), 100) for _ in range(MAX_QUEUED + 2)]
    assert taken[-2:] == [None, None]


def test_every_signal_is_short_and_has_soft_edges() -> None:
    for name in SIGNALS:
        sound = samples_of(signal(name)).astype(float)
        assert 0 < sound.size <= 16_000 * 0.7, name
        assert abs(sound[0]) < 200, name
        assert abs(sound[-1]) < 200, name
