"""Sentences to say, and the same straight through Opus with chosen packets lost: what a listener can hear at best.

espeak-ng speaks in a child process (`protocols.espeak`), once per sentence and test run.
"""

import functools
import io
import subprocess
import wave
from collections.abc import Set as AbstractSet
from random import Random
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from protocols import espeak, opus
from protocols.voice import FRAME_MS, PCM_FRAME_BYTES, RATE_HZ

SENTENCE: Final = "各巡逻组请注意,东门集结点有走失儿童,请立即报告。"
ANSWER: Final = "收到,我组正在赶往现场,大约三分钟到达。"
QUIET_MS: Final = 200
"""Before and after every sentence."""

Sound = npt.NDArray[np.int16]


@functools.cache
def spoken(text: str = SENTENCE) -> Sound:
    """The sentence, with QUIET_MS around it."""
    said = subprocess.run(
        espeak.command("zh"), input=text.encode(), capture_output=True, check=True, timeout=espeak.TIMEOUT_S
    )
    with wave.open(io.BytesIO(said.stdout)) as file:
        sound = np.frombuffer(file.readframes(file.getnframes()), dtype=np.int16)
    quiet = np.zeros(RATE_HZ * QUIET_MS // 1000, dtype=np.int16)
    whole = np.concatenate([quiet, sound, quiet])
    return np.concatenate([whole, np.zeros(-len(whole) % (PCM_FRAME_BYTES // 2), dtype=np.int16)])


def encoded(sound: Sound, **options: Any) -> list[bytes]:
    """Packets of FRAME_MS; `options` are those of protocols.opus.Encoder."""
    encoder, raw = opus.Encoder(**options), sound.tobytes()
    return [encoder.encode(raw[at : at + PCM_FRAME_BYTES]) for at in range(0, len(raw), PCM_FRAME_BYTES)]


def decoded(packets: list[bytes], lost: AbstractSet[int] = frozenset()) -> Sound:
    """With what FEC and concealment make of lost ones."""
    decoder, out = opus.Decoder(), []
    for n, packet in enumerate(packets):
        if n not in lost:
            out.append(decoder.decode(packet))
        elif n + 1 < len(packets) and n + 1 not in lost:
            out.append(decoder.recover(packets[n + 1], FRAME_MS))
        else:
            out.append(decoder.conceal(FRAME_MS))
    return np.frombuffer(b"".join(out), dtype=np.int16)


@functools.cache
def reference(text: str = SENTENCE) -> Sound:
    """What a listener hears when nothing goes wrong."""
    return decoded(encoded(spoken(text)))


def lost(count: int, share: float, seed: int) -> set[int]:
    """Which of `count` packets are lost."""
    random = Random(seed)
    return {n for n in range(count) if random.random() < share}
