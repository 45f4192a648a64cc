"""Between the radio (pure), the sound of the device, and the two carriages: performs, translates, decides nothing.

Everything runs on the loop's thread and returns at once. A frame takes the short way, past the agent's queue: in by
`Radio.heard` to the hardware, out from the hardware by `Radio.say`; the agent gets a Tick when that has set off
something to decide.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from devices.events import (
    CatchingUp,
    Event,
    FinishTalking,
    HeardOut,
    Listen,
    SendDatagram,
    StartTalking,
    StopTalking,
    TellRadio,
    Tick,
    Tone,
    UseAddresses,
    VoiceAction,
)
from devices.hardware import VoiceHardware
from devices.voice.carriage import Datagrams
from devices.voice.radio import Radio

LogLine = Callable[[dict[str, Any]], None]


class VoiceClient:
    """Of one device. `radio` gives the agent's (None until it is fitted), `publish` sends `up/voice` at QoS 0."""

    def __init__(
        self,
        radio: Callable[[], Radio | None],
        hardware: VoiceHardware,
        feed: Callable[[Event], None],
        publish: Callable[[bytes], None],
        log: LogLine,
        now_ms: Callable[[], int],
    ) -> None:
        self._radio = radio
        self._hardware = hardware
        self._feed = feed
        self._publish = publish
        self._now_ms = now_ms
        self.datagrams = Datagrams(self._datagram, lambda fields: log({**fields, "t_ms": now_ms()}))

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.datagrams.run(), name="datagrams")
            tasks.create_task(self._hardware.run(self._feed), name="sound")

    def perform(self, action: VoiceAction) -> None:  # noqa: C901 - a flat table of what each action does
        hardware = self._hardware
        match action:
            case Listen():
                hardware.listen()
            case StartTalking():
                hardware.talk(action.burst, self._say)
            case FinishTalking():
                hardware.finish()
            case StopTalking():
                hardware.stop()
                self._send(action.last)
            case Tone():
                hardware.tone(action.name)
            case TellRadio():
                hardware.tell(action.what, action.text, action.text_en)
            case HeardOut():
                hardware.over(action.group, action.burst)
            case CatchingUp():
                hardware.catching_up(action.burst)
            case UseAddresses():
                self.datagrams.use(action.addresses)
            case SendDatagram():
                self.datagrams.send(action.sealed, action.to)

    # ------------------------------------------------------------------------------------------- in

    def payload(self, sealed: bytes) -> None:
        """What came by MQTT."""
        self._heard(sealed, None)

    def _datagram(self, sealed: bytes, by: int) -> None:
        self._heard(sealed, by)

    def _heard(self, sealed: bytes, by: int | None) -> None:
        radio = self._radio()
        if radio is None:
            return
        waited = radio.pending
        heard = radio.heard(sealed, self._now_ms(), by=by)
        if heard is not None:
            self._hardware.hear(heard)
        if radio.pending and not waited:
            self._feed(Tick())

    # ------------------------------------------------------------------------------------------- out

    def _say(self, opus: bytes, ts: int, last: bool) -> None:
        radio = self._radio()
        if radio is None:
            return
        self._send(radio.say(opus, ts, last=last))
        if last:
            self._feed(Tick())

    def _send(self, sealed: bytes | None) -> None:
        """By the carriage in force."""
        radio = self._radio()
        if sealed is None or radio is None:
            return
        if radio.carriage == "mqtt":
            self._publish(sealed)
        else:
            self.datagrams.send(sealed, radio.route.to)
