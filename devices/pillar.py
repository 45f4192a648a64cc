"""The agent of a smart alarm pillar (智能报警柱): one key, a voice, a light, a display.

Press-down acts. What it says, shows and lights is always the strongest truth known about the newest press
(devices/truth.py); more than `spoken_for_s` after the press it says nothing, only light and text change. A duress
alarm, or the owner's order, silences the pillar in everything until the site says otherwise.
"""

import random
from collections.abc import Iterable
from typing import ClassVar, Final

from devices.events import (
    CancelPressed,
    KeyDown,
    KeyUp,
    Light,
    ShowText,
    StopPlaying,
    TamperOpened,
)
from devices.intercom import Intercom
from devices.outbox import Boot, Record
from devices.player import CALL, PERIL, Sound
from devices.press import QUESTION_OPEN_MS, SECOND_PRESS_MS, STUCK_AFTER_MS, Contact, Question
from devices.sender import Pending
from devices.truth import STRENGTH, Truth
from protocols import down, up
from protocols.envelope import Envelope
from protocols.prompts import LIGHTS, NOT_DELIVERED_AFTER_MS, PROMPTS
from protocols.types import Key

ALARM_OF_KEY: Final = {"alarm": "one-key", "duress": "duress"}
QUIET_FOR_MS: Final = 1_800_000
"""After a press a notice waits for the word that it is over, but no longer than this: that word may be lost."""
SILENT_UNKNOWN: Final = b"?"
"""Silent, and the incident is not known yet."""


class PillarAgent(Intercom):
    role: ClassVar[str] = "pillar"
    handlers: ClassVar[dict[type, str]] = Intercom.handlers | {
        KeyDown: "_on_key_down",
        KeyUp: "_on_key_up",
        CancelPressed: "_on_cancel",
        TamperOpened: "_on_tamper",
    }

    def __init__(
        self, records: Iterable[Record], boot: Boot, rng: random.Random, language: str = "zh"
    ) -> None:
        super().__init__(records, boot, rng, language)
        self._contacts = {name: Contact() for name in ALARM_OF_KEY}
        self._truth = Truth()
        self._question: Question | None = None
        self._light = "off"
        self._police_lamp = "off"
        self._told = 0
        self._silent = boot.notes.get("silent", b"")
        self._silent_since = (0, 0)
        self._duress: Key | None = None

    @property
    def truth(self) -> str:
        """The code of what the citizen is told now, "" when there is nothing."""
        return self._truth.code

    @property
    def silent(self) -> bool:
        return bool(self._silent)

    def _start(self) -> None:
        super()._start()
        for pending in self._sender.pending.values():
            if pending.record.kind == "alarm" and pending.message.kind == "one-key":
                self._truth.press(pending.record.key, pending.born_ms)
        if self._truth.newest is not None:
            self._show("sending")
            self._at("not-delivered", self._now + NOT_DELIVERED_AFTER_MS, self._not_delivered)

    # --------------------------------------------------------------------------------------------- keys

    def _on_key_down(self, event: KeyDown) -> None:
        contact = self._contacts.get(event.key)
        if contact is None or not contact.closed(self._now):
            return
        self._at("stuck " + event.key, self._now + STUCK_AFTER_MS, lambda: self._stuck(event.key))
        if event.key == "duress":
            self._duress_pressed()
        elif self._question is not None:
            self._answer_pressed(self._question)
        else:
            self._pressed()

    def _on_key_up(self, event: KeyUp) -> None:
        contact = self._contacts.get(event.key)
        if contact is not None:
            contact.opened(self._now)

    def _stuck(self, name: str) -> None:
        if self._contacts[name].stuck(self._now):
            self._alarm("stuck", detail=f"{name} key held for {STUCK_AFTER_MS // 1000} s")

    def _pressed(self) -> None:
        self._log("pressed", key_name="alarm")
        self._drop_prompts()
        key = self._sender.stamp()
        self._truth.press(key, self._now)
        self._show("sending")
        self._say("sending")
        self._at("not-delivered", self._now + NOT_DELIVERED_AFTER_MS, self._not_delivered)
        self._at("quiet", self._now + QUIET_FOR_MS, self._play_next)
        self._at("hush", self._now + self.settings.spoken_for_s * 1000, self._hush)
        self._alarm("one-key", key=key)
        self._open_unasked()

    def _duress_pressed(self) -> None:
        """Nothing here may change: no word, no light, no text; the owner hears what is said."""
        self._be_silent(SILENT_UNKNOWN)
        self._duress = self._alarm("duress")
        self._open_unasked()

    def _on_cancel(self, _: CancelPressed) -> None:
        alarm = self._truth.last
        key = self._send("cancel", lambda key: up.Cancel(key, alarm))
        self._log("cancelled", key=key, alarm=alarm)

    def _on_tamper(self, event: TamperOpened) -> None:
        self._alarm("tamper", detail=event.detail)

    # ------------------------------------------------------------------------------------ what is told

    def _show(self, code: str, text: str = "", text_en: str = "", light: str = "") -> None:
        if self._silent:
            return
        prompt = PROMPTS.get(code)
        if prompt is not None:
            text, text_en, light = text or prompt.zh, text_en or prompt.en, prompt.light
        self._set_light(light if light in LIGHTS else self._light)
        self._do(ShowText(text, text_en))

    def _must_be_silent(self) -> bool:
        return bool(self._silent)

    def _show_listening(self, pattern: str) -> None:
        """Back to the light of the truth, if any is told now."""
        if not self._silent:
            prompt = PROMPTS.get(self._truth.code)
            self._set_light(pattern or (prompt.light if prompt else "off"))

    def _set_light(self, pattern: str) -> None:
        if pattern != self._light:
            self._light = pattern
            self._do(Light(pattern))

    def _say(self, code: str, item: str = "", text: str = "", text_en: str = "") -> bool:
        """Into the line to be spoken, if anything may be said; the next word is due after that."""
        if not self._may_speak():
            return False
        prompt = PROMPTS.get(code)
        if prompt is not None:
            text, text_en = text or prompt.zh, text_en or prompt.en
        english = self.settings.language == "en"
        self._told += 1
        self._sound(
            Sound(
                item or f"local-{self._told}",
                (text_en if english else text) or text or text_en,
                self.settings.language,
                self.settings.volume_pct,
                CALL,
                code=code,
            )
        )
        self._at("wait", self._now + self.settings.wait_prompt_s * 1000, self._wait)
        return True

    def _may_speak(self) -> bool:
        pressed = self._truth.pressed_at
        in_time = pressed is not None and self._now < pressed + self.settings.spoken_for_s * 1000
        return in_time and not self._silent

    def _hush(self) -> None:
        self._drop_prompts()
        self._play_next()

    def _drop_prompts(self) -> None:
        """Stop what is being told, the waiting too; light and text have shown it."""
        for sound in self._player.remove_prompts():
            self._rung(sound.item, "presented", 0)
        playing = self._player.playing
        if playing is not None and playing.code:
            self._player.playing = None
            self._cancel("player")
            self._do(StopPlaying(playing.item))
            self._rung(playing.item, "presented", 0)

    def _least_rank(self) -> int:
        """While a citizen waits for help no notice is played, and while he is spoken to nothing but that."""
        if self._may_speak():
            return CALL
        return PERIL if self._waits_for_help() and not self._silent else super()._least_rank()

    def _waits_for_help(self) -> bool:
        """An alarm of this pillar is open as far as it knows; the daemon knows better, and sends no notice."""
        pressed = self._truth.pressed_at
        if pressed is None:
            return self._truth.newest is not None
        return bool(self._truth.code) and self._now < pressed + QUIET_FOR_MS

    def _not_delivered(self) -> None:
        if self._truth.not_delivered():
            self._log("not-delivered", key=self._truth.newest)
            self._show("not-delivered")
            self._say("not-delivered")

    def _wait(self) -> None:
        """Every 15 s: still not delivered, or please wait. Not while somebody talks; light and text stay."""
        if self._media_sounds:
            self._at("wait", self._now + self.settings.wait_prompt_s * 1000, self._wait)
        elif self._truth.code == "not-delivered":
            self._say("not-delivered")
        elif STRENGTH[self._truth.code] > 0 and self._question is None:
            self._say("wait")
        elif self._truth.code:
            self._at("wait", self._now + self.settings.wait_prompt_s * 1000, self._wait)

    def _may_not_play(self, sound: Sound) -> str | None:
        if self._silent:
            return "refused"
        if sound.code and (not self._may_speak() or STRENGTH.get(sound.code, 9) < STRENGTH[self._truth.code]):
            return "too-late"
        return super()._may_not_play(sound)

    def _not_played(self, sound: Sound, reason: str) -> None:
        """A prompt that came too late to be spoken was shown by light and text all the same."""
        if reason == "too-late":
            self._rung(sound.item, "presented", 0)
        else:
            super()._not_played(sound, reason)

    def _receipt_came(self, pending: Pending, receipted: down.Receipted) -> None:
        key = receipted.key
        if pending.message.key == self._duress:
            self._duress = None
            if receipted.incident is not None:
                self._be_silent(receipted.incident.encode())
        if receipted.outcome == "refused":
            if key == self._truth.newest:
                self._not_delivered()
                self._truth.newest = None
        elif self._truth.receipt(key, receipted.incident):
            self._show(self._truth.code)
            self._say(self._truth.code)

    # -------------------------------------------------------------------------------------------- items

    def _present(self, message: down.Item, envelope: Envelope) -> None:
        match message:
            case down.Prompt():
                self._prompt(message)
            case down.Lamp():
                self._lamp(message)
            case down.Order():
                self._order(message)
            case _:
                super()._present(message, envelope)

    def _prompt(self, message: down.Prompt) -> None:
        if message.code == "silent":
            self._be_silent(message.incident.encode())
            self._rung(message.item, "presented", 0)
        elif message.code == "ended":
            self._ended(message)
        elif self._silent and not self._leaves_silence(message):
            self._failed(message.item, "refused")
        elif message.code == "question":
            self._ask(message)
        elif message.code in STRENGTH:
            self._told_by_site(message)
        else:
            self._other_prompt(message)

    def _leaves_silence(self, message: down.Prompt) -> bool:
        """A truth that the site tells of this incident after it knew of the silence: the owner has left it."""
        if (
            message.code not in STRENGTH
            or self._newest <= self._silent_since
            or not self._is_silenced_by(message.incident)
        ):
            return False
        self._end_silence()
        return True

    def _is_silenced_by(self, incident: str) -> bool:
        return self._duress is None and self._silent in (SILENT_UNKNOWN, incident.encode())

    def _told_by_site(self, message: down.Prompt) -> None:
        if self._truth.prompt(message.code, message.incident, self._newest):
            self._show(message.code, message.text, message.text_en)
            self._speak_item(message)
        else:
            self._failed(message.item, "refused")

    def _other_prompt(self, message: down.Prompt) -> None:
        """`wait`, or a word of a later version: said, and shown if it brings its own text; no truth changes."""
        if message.code not in PROMPTS and (message.text or message.text_en):
            self._show(message.code, message.text, message.text_en, message.light)
        self._speak_item(message)

    def _speak_item(self, message: down.Prompt) -> None:
        spoken = not self._is_over(message.until) and self._say(
            message.code, message.item, message.text, message.text_en
        )
        if not spoken:
            self._rung(message.item, "presented", 0)

    def _ended(self, message: down.Prompt) -> None:
        if self._is_silenced_by(message.incident):
            self._end_silence()
        if self._truth.ended(message.incident):
            self._close_question()
            self._cancel("wait", "hush", "not-delivered")
            self._show("ended")
        self._rung(message.item, "presented", 0)
        self._play_next()

    def _order(self, message: down.Order) -> None:
        """The owner's one key for silence, and out of it again (which he has confirmed)."""
        if message.order == "silent":
            self._be_silent(message.incident.encode())
        elif message.order == "sound" and self._is_silenced_by(message.incident):
            self._end_silence()
        self._rung(message.item, "presented", 0)

    def _be_silent(self, incident: bytes) -> None:
        """What plays ends now; lights and text stay as they are, so that nothing gives the alarm away."""
        self._silent_since = self._newest
        if incident != self._silent:
            self._silent = incident
            self._sender.note("silent", incident)
        self._close_question()
        playing, self._player.playing = self._player.playing, None
        if playing is not None:
            self._do(StopPlaying(playing.item))
            self._cancel("player")
            self._not_played(playing, "refused")
        self._play_next()

    def _end_silence(self) -> None:
        self._silent = b""
        self._sender.note("silent", b"")
        self._log("sounding-again")
        if self._truth.code:
            self._show(self._truth.code)

    def _lamp(self, message: down.Lamp) -> None:
        if self._silent:
            self._failed(message.item, "refused")
            return
        self._set_police_lamp(message.pattern)
        self._cancel("police lamp")
        site = self.site_now()
        if message.until and site is not None:
            due = self._now + max(0, message.until - site)
            self._at("police lamp", due, lambda: self._set_police_lamp("off"))
        self._rung(message.item, "presented", 0)

    def _set_police_lamp(self, pattern: str) -> None:
        if pattern != self._police_lamp and not self._silent:
            self._police_lamp = pattern
            self._do(Light(pattern, "police"))

    def _broadcast(self, message: down.Broadcast) -> None:
        """Spoken to the street, unless the pillar is silent."""
        if self._silent:
            self._failed(message.item, "refused")
            return
        super()._broadcast(message)

    # ----------------------------------------------------------------------------------------- question

    def _ask(self, message: down.Prompt) -> None:
        if message.question is None:
            self._failed(message.item, "refused")
            return
        site = self.site_now()
        open_ms = message.until - site if message.until and site is not None else QUESTION_OPEN_MS
        if open_ms <= 0:
            self._failed(message.item, "expired")
            return
        self._question = Question(message.question, message.item)
        self._at("question", self._now + open_ms, self._question_over)
        self._show("question", message.text, message.text_en)
        self._speak_item(message)

    def _answer_pressed(self, question: Question) -> None:
        self._log("pressed", key_name="alarm", question=question.id)
        if question.pressed(self._now):
            self._reply(question, yes=True)
        else:
            self._at("question", self._now + SECOND_PRESS_MS + 1, lambda: self._reply(question, yes=False))

    def _reply(self, question: Question, *, yes: bool) -> None:
        key = self._send("reply", lambda key: up.Reply(key, question.id, yes))
        self._log("replied", key=key, question=question.id, yes=yes)
        self._rung(question.item, "acknowledged")
        self._question_over()

    def _question_over(self) -> None:
        """Back to the truth in light and text."""
        if self._question is not None:
            self._close_question()
            self._show(self._truth.code or "ended")

    def _close_question(self) -> None:
        self._question = None
        self._cancel("question")
