"""The part of a pillar's agent that opens and closes its sound to the control room.

It opens at a press at once, before anybody asks, and then follows the site's word (`microphone`). What must hold: it
never stays open by a press alone for longer than UNASKED_MS; while the pillar is silent nothing of it sounds or shows
there; opened without an alarm it sounds a tone, says so, and its light is on as long as anyone can hear; while the
loudspeaker sounds the site knows it. A device without the hardware refuses the word and does nothing else.
"""

import random
from collections.abc import Iterable
from typing import ClassVar, Final

from devices.events import Action, Event, Media, MediaFitted, MediaSounds, Publish, TakeAnswer
from devices.listener import Listener
from devices.outbox import Boot, Record
from devices.player import CALL, Sound
from devices.words import Both
from protocols import codec, down, up
from protocols.envelope import Envelope

UNASKED_MS: Final = 60_000
"""Open by a press, without a word of the site."""
RESTORED_MS: Final = 1_800_000
"""Open because it was when the device went off; then it needs a new word."""
SOUNDING_EVERY_MS: Final = 5_000
"""That the loudspeaker sounds is said again so often while it does: the message may be lost."""
LISTENED_TO: Final = Both("值班室正在收听", "the control room is listening")
TONE: Final = "microphone"
LIGHT: Final = "steady"


class Intercom(Listener):
    handlers: ClassVar[dict[type, str]] = Listener.handlers | {
        MediaFitted: "_on_media_fitted",
        MediaSounds: "_on_media_sounds",
    }

    def __init__(
        self, records: Iterable[Record], boot: Boot, rng: random.Random, language: str = "zh"
    ) -> None:
        super().__init__(records, boot, rng, language)
        self._fitted = False
        self._unasked_until = 0
        self._by_site = False
        self._lit = False
        self._media = Media(open=False, quiet=False)
        self._media_sounds = False
        self._said_sounding = False
        self._by_site = bool(boot.notes.get("microphone"))

    def _start(self) -> None:
        super()._start()
        if self._by_site:
            self._at("microphone", self._now + RESTORED_MS, self._forget_site)

    def handle(self, event: Event, now_ms: int) -> list[Action]:
        """As every agent; then the microphone and what is said of the loudspeaker follow."""
        actions = super().handle(event, now_ms)
        self._follow_media()
        self._follow_sounding()
        out, self._out = self._out, []
        return [*actions, *out]

    # ------------------------------------------------------------------------------------------- hooks

    def _must_be_silent(self) -> bool:
        """Nothing may sound or show at the pillar."""
        return False

    def _show_listening(self, pattern: str) -> None:
        """The pillar's own light, while somebody listens without an alarm; "" gives it back."""

    # -------------------------------------------------------------------------------------------- open

    def _on_media_fitted(self, _: MediaFitted) -> None:
        self._fitted = True
        self.profile = "C"

    def _open_unasked(self) -> None:
        """Somebody pressed."""
        self._unasked_until = self._now + UNASKED_MS
        self._at("media", self._unasked_until, lambda: None)

    def _microphone(self, message: down.Microphone) -> None:
        if not self._fitted:
            self._failed(message.item, "refused")
            return
        self._cancel("microphone")
        self._by_site = message.open
        self._sender.note("microphone", b"1" if message.open else b"")
        self._log("microphone", open=message.open, incident=message.incident, tone=message.tone)
        if message.open:
            self._unasked_until = 0
        tells = message.open and message.tone and not message.silent and not self._must_be_silent()
        self._light_up(on=tells)
        if tells:
            text = LISTENED_TO.of(self.settings.language)
            self._sound(
                Sound(message.item, text, self.settings.language, self.settings.volume_pct, CALL, TONE)
            )
        else:
            self._rung(message.item, "presented", 0)

    def _light_up(self, *, on: bool) -> None:
        if on != self._lit:
            self._lit = on
            self._show_listening(LIGHT if on else "")

    def _forget_site(self) -> None:
        self._by_site = False
        self._sender.note("microphone", b"")

    def _follow_media(self) -> None:
        open_ = self._fitted and (self._by_site or self._now < self._unasked_until)
        wanted = Media(open=open_, quiet=open_ and self._must_be_silent())
        if wanted != self._media:
            self._media = wanted
            self._do(wanted)

    def _on_voice(self, message: down.Floor | down.Voice) -> None:
        if isinstance(message, down.WebrtcAnswer):
            self._do(TakeAnswer(message))

    def _present(self, message: down.Item, envelope: Envelope) -> None:
        if isinstance(message, down.Microphone):
            self._microphone(message)
        else:
            super()._present(message, envelope)

    # --------------------------------------------------------------------------------------- sounding

    def _on_media_sounds(self, event: MediaSounds) -> None:
        self._media_sounds = event.on

    def _follow_sounding(self) -> None:
        """A prompt, a broadcast, the control room, the talk group: whatever the loudspeaker gives."""
        sounds = self._media.open and (self._media_sounds or self._player.playing is not None)
        if sounds != self._said_sounding:
            self._said_sounding = sounds
            self._say_sounding()

    def _say_sounding(self) -> None:
        self._do(Publish("sounding", codec.encode(up.Sounding(self._said_sounding))))
        if self._said_sounding:
            self._at("sounding", self._now + SOUNDING_EVERY_MS, self._say_sounding)
        else:
            self._cancel("sounding")
