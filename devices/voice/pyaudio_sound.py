"""The machine's own microphone and loudspeaker, by PyAudio (PortAudio): the extra `audio`.

PortAudio's calls block, so each open microphone or loudspeaker has one thread of its own, between which and the loop
there is a short ring. The loop is never waited for by the hardware: what does not fit is dropped and counted, what is
missing is silence and counted. A device that is pulled out raises SoundFailed where it is read or written.
"""

import asyncio
import ctypes
import threading
from abc import ABC, abstractmethod
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from devices.voice.sound import FRAME_SAMPLES, LEAD_MS, SILENCE, Microphone, SoundFailed, Speaker
from protocols.voice import FRAME_MS, PCM_FRAME_BYTES, RATE_HZ

RING_FRAMES: Final = 25
"""500 ms of the microphone that nobody has read; beyond it the oldest goes, counted as an overrun."""
BUFFER_SAMPLES: Final = 480
"""Of the hardware's buffers: 30 ms, twice."""
UNDERRUN_MS: Final = 200
"""Sound that stops and goes on within this time was wanted without a break."""
JOIN_S: Final = 2.0
"""A thread that the hardware holds for longer is left behind; it ends with the process."""

_portaudio = threading.Lock()
"""Opening and closing are not safe in two threads at once."""
_HANDLER = ctypes.CFUNCTYPE(
    None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p
)
_ignore = _HANDLER(lambda *_: None)


@dataclass(frozen=True)
class SoundDevice:
    """As PortAudio names it; `microphone` and `speaker`: what it can be."""

    index: int
    name: str
    microphone: bool
    speaker: bool


def list_devices() -> list[SoundDevice]:
    """What `pyaudio:NAME_OR_INDEX` can mean; blocks for a moment. SoundFailed without PyAudio."""
    with _portaudio:
        return _listed()


def _listed() -> list[SoundDevice]:
    audio = _pyaudio().PyAudio()
    try:
        infos = [audio.get_device_info_by_index(index) for index in range(audio.get_device_count())]
    finally:
        audio.terminate()
    return [
        SoundDevice(info["index"], info["name"], info["maxInputChannels"] > 0, info["maxOutputChannels"] > 0)
        for info in infos
    ]


def find_device(wanted: str, devices: list[SoundDevice], *, microphone: bool) -> int:
    """Its index by number, whole name or part of the name; SoundFailed when there is none, or more than one."""
    fits = [device for device in devices if (device.microphone if microphone else device.speaker)]
    found = (
        [device for device in fits if str(device.index) == wanted or device.name == wanted]
        or [device for device in fits if wanted.lower() in device.name.lower()]
    )  # fmt: skip
    kind = "microphone" if microphone else "loudspeaker"
    if len(found) == 1:
        return found[0].index
    names = ", ".join(f"{device.index} {device.name!r}" for device in found or fits) or "none"
    problem = f"More than one {kind} is called {wanted!r}" if found else f"There is no {kind} {wanted!r}"
    raise SoundFailed(f"{problem}; choose among: {names}.")


def _pyaudio() -> Any:
    try:
        import pyaudio
    except ImportError as error:
        raise SoundFailed(
            f"PyAudio cannot be used ({error}). Install it with `pip install 'dispatchd[audio]'`, on Debian after "
            "`apt-get install portaudio19-dev`; or choose file:PATH.wav, tone:440, silence, null."
        ) from None
    _hush()
    return pyaudio


def _hush() -> None:
    """ALSA and JACK print a page about every device that a machine does not have."""
    setters = (
        ("libasound.so.2", "snd_lib_error_set_handler"),
        ("libjack.so.0", "jack_set_error_function"),
        ("libjack.so.0", "jack_set_info_function"),
    )
    for library, setter in setters:
        with suppress(OSError, AttributeError):  # not on this machine: then it prints nothing either
            getattr(ctypes.CDLL(library), setter)(_ignore)


class _Stream(ABC):
    """One direction of one device, its thread, and the way back into the loop."""

    def __init__(self, device: str, *, microphone: bool) -> None:
        self.counts: Counter[str] = Counter()
        self.latency_s = 0.0
        self.failed: SoundFailed | None = None
        self._device = device
        self._microphone = microphone
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        self._audio: Any = None
        self._stream: Any = None

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._open)
        self._thread = threading.Thread(target=self._run, name="voice-sound", daemon=True)
        self._thread.start()

    def _open(self) -> None:
        with _portaudio:
            pyaudio = _pyaudio()
            index = None
            if self._device:
                index = find_device(self._device, _listed(), microphone=self._microphone)
            self._audio = pyaudio.PyAudio()
            side = "input" if self._microphone else "output"
            chosen: dict[str, Any] = {side: True, f"{side}_device_index": index}
            try:
                self._stream = self._audio.open(
                    RATE_HZ, 1, pyaudio.paInt16, frames_per_buffer=BUFFER_SAMPLES, **chosen
                )
            except OSError as error:
                self._audio.terminate()
                raise SoundFailed(self._sentence(error)) from None
            self.latency_s = float(getattr(self._stream, f"get_{side}_latency")())

    def _sentence(self, error: OSError) -> str:
        kind = "microphone" if self._microphone else "loudspeaker"
        return (
            f"The {kind} {self._device or 'of the system'} cannot be used: {error.args[-1]}. Is it plugged in and "
            f"free, and does it take 16 kHz? `default` or `pulse` convert by themselves."
        )

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._move()
        except OSError as error:
            self.failed = SoundFailed(self._sentence(error))
            self._tell()
        finally:
            with _portaudio, suppress(OSError):  # of a device that is gone there is nothing to close
                self._stream.close()
                self._audio.terminate()

    @abstractmethod
    def _move(self) -> None:
        """20 ms; in the thread, blocks as long as they last."""

    def _tell(self) -> None:
        """From the thread: the ring has changed."""
        assert self._loop is not None
        with suppress(RuntimeError):  # the loop has ended before we were closed
            self._loop.call_soon_threadsafe(self._changed.set)

    async def changed(self) -> None:
        """The ring may have changed since the last look at it. SoundFailed when the device is gone."""
        if self.failed is None:
            await self._changed.wait()
            self._changed.clear()
        if self.failed is not None:
            raise self.failed

    async def stop(self) -> None:
        self._closing.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.to_thread(thread.join, JOIN_S)


class _Input(_Stream):
    def __init__(self, device: str) -> None:
        super().__init__(device, microphone=True)
        self.ring: deque[bytes] = deque()

    def _move(self) -> None:
        piece = self._stream.read(FRAME_SAMPLES, exception_on_overflow=False)
        if len(self.ring) >= RING_FRAMES:
            self.counts["overrun"] += 1
            with suppress(IndexError):  # the loop was quicker
                self.ring.popleft()
        self.ring.append(piece)
        self._tell()


class _Output(_Stream):
    def __init__(self, device: str) -> None:
        super().__init__(device, microphone=False)
        self.ring: deque[bytes] = deque()
        self._silent_ms = UNDERRUN_MS

    def _move(self) -> None:
        try:
            piece = self.ring.popleft()
        except IndexError:
            self._silent_ms += FRAME_MS
            self._stream.write(SILENCE)
            return
        if 0 < self._silent_ms < UNDERRUN_MS:
            self.counts["underrun"] += 1
        self._silent_ms = 0
        self._stream.write(piece)
        self._tell()


class PyAudioMicrophone(Microphone):
    """`device` as for `find_device`; "" = the system's default. `counts`: overrun, per 20 ms."""

    def __init__(self, device: str = "") -> None:
        self._input = _Input(device)
        self.counts = self._input.counts

    async def open(self) -> None:
        await self._input.start()

    async def read(self) -> bytes:
        while not self._input.ring:
            await self._input.changed()
        return self._input.ring.popleft()

    async def close(self) -> None:
        await self._input.stop()


class PyAudioSpeaker(Speaker):
    """`device` as for `find_device`; "" = the system's default. `counts`: underrun, each a gap within sound."""

    def __init__(self, device: str = "") -> None:
        self._output = _Output(device)
        self.counts = self._output.counts
        self._part = b""

    async def open(self) -> None:
        await self._output.start()
        self.lead_ms = LEAD_MS + FRAME_MS + round(self._output.latency_s * 1000)

    async def write(self, pcm: bytes) -> None:
        self._part += pcm
        while len(self._part) >= PCM_FRAME_BYTES:
            self._output.ring.append(self._part[:PCM_FRAME_BYTES])
            self._part = self._part[PCM_FRAME_BYTES:]
        await self._until(LEAD_MS // FRAME_MS)

    async def _until(self, most: int) -> None:
        while len(self._output.ring) > most:
            await self._output.changed()

    async def drained(self) -> None:
        """The ring, then what the hardware has taken and not yet played."""
        if self._part:
            await self.write(SILENCE[len(self._part) :])
        await self._until(0)
        await asyncio.sleep(FRAME_MS / 1000 + self._output.latency_s)

    async def close(self) -> None:
        await self._output.stop()
