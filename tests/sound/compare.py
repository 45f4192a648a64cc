"""How much of a spoken sentence a listener heard, against a reference that went straight through the codec.

Both become pictures of sound (log energy of BANDS mel bands every HOP_MS). They are laid upon each other as a whole
(delay) and then frame by frame, since a jitter buffer may stretch or cut pauses: a path that may stray DRIFT_MS from
the common delay and pays for every step. What is judged is only where the reference speaks.

    report = compare(reference, heard)          # int16 or float, 16 kHz, one channel
    assert not report.faults(loss=0.05), report

`LIMITS` are calibrated (tests/sound/test_compare.py): direct encode-decode with that loss passes on every seed tried; a
muted half, a clipped first or last syllable, another sentence and the wrong speed fail.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

RATE_HZ: Final = 16_000
HOP_MS: Final = 10
WINDOW_MS: Final = 20
BANDS: Final = 24
LOWEST_HZ: Final = 100.0
HIGHEST_HZ: Final = 7000.0
FLOOR_DB: Final = 50.0
"""Below the loud frames of its own recording; what is quieter counts as this quiet."""
LOUD: Final = 90
"""Percentile of the speech that counts as loud: one crack in the sound must not make the rest quieter."""
SPOKEN_DB: Final = 30.0
"""The reference speaks where it is at most this much below its loudest frame."""
DRIFT_MS: Final = 120
"""What a jitter buffer may have stretched or cut at any moment, against the sentence's common delay."""
STEP_COST: Final = 1.0
"""Of the path: one HOP_MS of stretching costs as much as one frame that is not alike at all."""
ALIKE: Final = 0.6
"""A frame with this likeness was heard."""
GONE_DB: Final = 15.0
"""A frame is missing that is so much quieter than the reference."""
DROPOUT_MS: Final = 60
"""A hole is missing frames for at least this long: what concealment does not cover."""
SYLLABLE_MS: Final = 160
"""Of the first and of the last speech that must be there."""
SYLLABLE_SHARE: Final = 0.5
"""So much of it."""
SPEED_MAX: Final = 0.02
STRETCH_MS: Final = 80
"""Stretching beyond this share of the sentence, and by more than this in all, is the wrong speed."""
SEGMENT_MS: Final = 20
SNR_DB: Final = (-10.0, 35.0)
"""Of one segment: beyond this nothing is heard of it."""

Sound = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Limits(NamedTuple):
    """What a report must reach at one rate of loss; `dropouts` at most so many."""

    correlation: float
    alike: float
    dropouts: int


LIMITS: Final = {0.0: Limits(0.96, 0.93, 0), 0.05: Limits(0.93, 0.88, 1), 0.10: Limits(0.90, 0.82, 2)}


class Report(NamedTuple):
    """What was heard. `correlation` of the pictures (1 = the same), `alike` the share of spoken frames that were heard,
    `dropouts` the number of holes, `delay_ms` of the heard sound against the reference, from the first sample of each.

    `speed` is the steady stretching (0.1 = 10 % slower), `drift_ms` the delay of the end against that of the beginning,
    `snr_db` the mean segmental SNR (of no use when time was stretched).
    """

    correlation: float
    alike: float
    present_first: bool
    present_last: bool
    dropouts: int
    delay_ms: float
    speed: float
    drift_ms: float
    snr_db: float

    def faults(self, loss: float = 0.0) -> list[str]:
        """What is wrong, for the smallest rate of LIMITS that is at least `loss`; empty when all is well."""
        limits = LIMITS[min(rate for rate in LIMITS if rate >= loss)]
        return list(self._faults(limits))

    def _faults(self, limits: Limits) -> Iterator[str]:
        if self.correlation < limits.correlation:
            yield f"correlation {self.correlation:.3f} < {limits.correlation}"
        if self.alike < limits.alike:
            yield f"only {self.alike:.0%} of the speech heard, {limits.alike:.0%} wanted"
        if self.dropouts > limits.dropouts:
            yield f"{self.dropouts} dropouts, at most {limits.dropouts}"
        if not self.present_first:
            yield "the first syllable is missing"
        if not self.present_last:
            yield "the last syllable is missing"
        if abs(self.speed) > SPEED_MAX and abs(self.drift_ms) > STRETCH_MS:
            yield f"wrong speed: {self.speed:+.1%}"


def compare(reference: Sound, heard: Sound) -> Report:
    """Raises ValueError when the reference holds no speech; a silent `heard` is a report like any other."""
    told, laid = _lay(reference, heard)
    spoken, path, got = laid.spoken, laid.path, laid.got
    alike = (_likeness(told, got) >= ALIKE) & ~_gone(told, got)
    first, last = _ends(spoken)
    return Report(
        correlation=_correlation(told[spoken], got[spoken]),
        alike=float(alike[spoken].mean()),
        present_first=bool(alike[first].mean() >= SYLLABLE_SHARE),
        present_last=bool(alike[last].mean() >= SYLLABLE_SHARE),
        dropouts=_holes(_gone(told, got) & spoken),
        delay_ms=laid.late * 1000 / RATE_HZ,
        speed=_speed(path, spoken),
        drift_ms=float(path[last].mean() - path[first].mean()) * HOP_MS,
        snr_db=_segmental_snr_db(reference, _slice(heard, laid.late, len(heard)), path, spoken),
    )


def lateness_ms(reference: Sound, heard: Sound) -> Floats:
    """How late each HOP_MS of speech was heard, from the first sample of each sound; ValueError as `compare`."""
    _, laid = _lay(reference, heard)
    return np.asarray(laid.path[laid.spoken] * HOP_MS + laid.late * 1000 / RATE_HZ, dtype=np.float64)


class _Laid(NamedTuple):
    """`late` samples in common, `path` frames more for each frame of the reference; `got`: what was heard there."""

    spoken: npt.NDArray[np.bool_]
    late: int
    path: Ints
    got: Floats


def _lay(reference: Sound, heard: Sound) -> tuple[Floats, _Laid]:
    """The reference's picture, and what was heard laid upon it."""
    told = _picture(reference)
    spoken = _spoken(reference, len(told))
    if not spoken.any():
        raise ValueError("the reference holds no speech")
    late = _late_samples(reference, heard, _common_shift(told, _picture(heard)))
    got = _picture(_slice(heard, late, max(len(heard) - late, len(reference))))
    path = _path(told, got)
    return told, _Laid(spoken, late, path, _at(got, np.arange(len(told)) + path))


# --- pictures of sound ------------------------------------------------------------------------------------------


def _picture(sound: Sound) -> Floats:
    """(frames, BANDS) of dB: 0 is the loudest band of a loud frame, -FLOOR_DB the quietest."""
    hop, size = RATE_HZ * HOP_MS // 1000, RATE_HZ * WINDOW_MS // 1000
    padded = np.concatenate([sound.astype(np.float64), np.zeros(max(size, 2 * hop))])
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    power = np.abs(np.fft.rfft(frames * np.hanning(size), n=512, axis=1)) ** 2
    mel: Floats = power @ _filters(512)
    scaled: Floats = 10 * np.log10(np.maximum(mel / _loud(mel.max(axis=1)), 10 ** (-FLOOR_DB / 10)))
    return scaled


def _loud(frames: Floats) -> float:
    """Power of a loud frame among those that are not silence."""
    return max(float(np.percentile(frames[frames >= frames.max() * 10 ** (-SPOKEN_DB / 10)], LOUD)), 1e-9)


def _filters(size: int) -> Floats:
    """Triangles, evenly spaced in mel."""
    edges = _hertz(np.linspace(_mel(LOWEST_HZ), _mel(HIGHEST_HZ), BANDS + 2))
    bins = np.arange(size // 2 + 1)[:, None] * RATE_HZ / size
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.maximum(0.0, np.minimum(rising, falling))


def _mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))


def _hertz(mel: Floats) -> Floats:
    return np.asarray(700 * (10 ** (mel / 2595) - 1), dtype=np.float64)


def _spoken(sound: Sound, frames: int) -> npt.NDArray[np.bool_]:
    """Which frames are speech."""
    hop = RATE_HZ * HOP_MS // 1000
    padded = np.concatenate([sound.astype(np.float64), np.zeros(2 * hop)])
    energy = np.array([np.mean(padded[n * hop : (n + 2) * hop] ** 2) for n in range(frames)])
    return np.asarray(energy > max(float(energy.max()), 1.0) * 10 ** (-SPOKEN_DB / 10))


def _at(picture: Floats, where: Ints) -> Floats:
    """Rows of a picture; outside of it is silence."""
    rows = np.full((len(where), BANDS), -FLOOR_DB)
    inside = (where >= 0) & (where < len(picture))
    rows[inside] = picture[where[inside]]
    return rows


# --- laying one upon the other ----------------------------------------------------------------------------------


def _common_shift(told: Floats, got: Floats) -> int:
    """Frames by which the whole is late, by cross-correlation of all bands."""
    size = 1 << (len(told) + len(got)).bit_length()
    one, other = (np.fft.rfft(x + FLOOR_DB - (x + FLOOR_DB).mean(axis=0), size, axis=0) for x in (told, got))
    found = np.fft.irfft((np.conj(one) * other).sum(axis=1), size)
    best = int(np.argmax(found))
    return best - size if best > size // 2 else best


def _path(told: Floats, got: Floats) -> Ints:
    """For every frame of the reference by how many frames it is late: the cheapest way (Viterbi)."""
    offsets = np.arange(-DRIFT_MS // HOP_MS, DRIFT_MS // HOP_MS + 1)
    rows = np.arange(len(told))
    likeness = [_likeness(told, _at(got, rows + offset)) for offset in offsets]
    cost = 1 - np.clip(np.stack(likeness, axis=1), 0, 1)
    steps = STEP_COST * np.abs(offsets[:, None] - offsets[None, :])
    total, came = cost[0], np.zeros(cost.shape, dtype=np.int64)
    for n in range(1, len(told)):
        ways = total[:, None] + steps
        came[n] = ways.argmin(axis=0)
        total = ways.min(axis=0) + cost[n]
    chosen = np.empty(len(told), dtype=np.int64)
    chosen[-1] = total.argmin()
    for n in range(len(told) - 1, 0, -1):
        chosen[n - 1] = came[n][chosen[n]]
    return np.asarray(offsets[chosen])


def _likeness(told: Floats, got: Floats) -> Floats:
    """Frame by frame, 1 = the same, 0 or less = another sound: mean difference of the bands, levels included."""
    away = np.abs(told - got).mean(axis=1)
    return np.asarray(1 - away / 10.0)


def _gone(told: Floats, got: Floats) -> npt.NDArray[np.bool_]:
    """Frames whose loudest bands are missing."""
    return np.asarray(told.max(axis=1) - got.max(axis=1) > GONE_DB)


# --- judging ----------------------------------------------------------------------------------------------------


def _correlation(told: Floats, got: Floats) -> float:
    """Over all frames and bands, each band against its own mean: the tilt that all speech shares counts for nothing."""
    one, other = told - told.mean(axis=0), got - got.mean(axis=0)
    size = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / size if size else 0.0


def _ends(spoken: npt.NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """The frames of the first and of the last SYLLABLE_MS of speech."""
    where = np.flatnonzero(spoken)
    count = SYLLABLE_MS // HOP_MS
    return where[:count], where[-count:]


def _holes(missing: npt.NDArray[np.bool_]) -> int:
    """Runs of at least DROPOUT_MS."""
    edges = np.diff(np.concatenate([[0], missing.astype(np.int8), [0]]))
    runs = np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)
    return int((runs >= DROPOUT_MS // HOP_MS).sum())


def _speed(path: Ints, spoken: npt.NDArray[np.bool_]) -> float:
    """Slope of the path where there is speech."""
    where = np.flatnonzero(spoken)
    return float(np.polyfit(where, path[where], 1)[0]) if len(where) > 1 else 0.0


def _late_samples(reference: Sound, heard: Sound, shift: int) -> int:
    """The common delay to the sample, looked for around the coarse one; that one if nothing fits."""
    hop = RATE_HZ * HOP_MS // 1000
    near = np.arange((shift - 2) * hop, (shift + 2) * hop)
    size = 1 << (len(reference) + len(heard)).bit_length()
    one, other = np.fft.rfft(reference, size), np.fft.rfft(heard, size)
    scores = np.fft.irfft(np.conj(one) * other, size)[near % size]
    best = int(np.argmax(scores))
    return int(near[best]) if scores[best] > 0 else shift * hop


def _slice(sound: Sound, start: int, size: int) -> Floats:
    """As much of it as there is, the rest silence."""
    piece = np.zeros(size)
    begin, end = max(start, 0), min(start + size, len(sound))
    if end > begin:
        piece[begin - start : end - start] = sound[begin:end]
    return piece


def _segmental_snr_db(reference: Sound, heard: Sound, path: Ints, spoken: npt.NDArray[np.bool_]) -> float:
    """Mean over spoken segments, each laid where it fits best within two frames of the path."""
    hop, size = RATE_HZ * HOP_MS // 1000, RATE_HZ * SEGMENT_MS // 1000
    values = []
    for n in np.flatnonzero(spoken)[::2]:
        told = _slice(reference, int(n) * hop, size)
        around = _slice(heard, (int(n + path[n]) - 2) * hop, size + 4 * hop)
        fits = np.correlate(around, told, "valid")
        rest = told - around[fits.argmax() :][:size]
        ratio = float((told**2).sum()) / max(float((rest**2).sum()), 1e-9)
        values.append(min(max(10 * np.log10(max(ratio, 1e-9)), SNR_DB[0]), SNR_DB[1]))
    return float(np.mean(values))
