"""The agent of a patrol's radio terminal: calls, answers, orders, broadcasts, the emergency key, duty.

A call vibrates and sounds until it is answered, stood down or its time is over, never below the site's minimum
volume; a silent one vibrates only. Answers are keys of their own: push-to-talk reaches only the radio. Off duty
no state carries a position; an emergency alarm always does.

A terminal with sound (`VoiceFitted`) has a `Radio` (devices/voice/radio.py): it is told of the link, the membership,
floor and key messages and the talk key, and what it wants done goes out among the agent's own actions.
"""

import random
from collections.abc import Iterable
from typing import ClassVar, Final

from devices import words
from devices.calls import CallBook, Held
from devices.events import (
    Acknowledged,
    AnswerPressed,
    BurstHeard,
    Disconnected,
    DutyKey,
    EmergencyDown,
    EmergencyUp,
    HowlHeard,
    PttPressed,
    Publish,
    SelectGroup,
    ShowText,
    StopPlaying,
    Tick,
    Vibrate,
    VoiceFitted,
    VoiceSubscribed,
)
from devices.listener import Heard, Listener
from devices.outbox import Boot, Record
from devices.player import CALL, EMERGENCY, NORMAL, Sound
from devices.sender import Pending
from devices.voice.radio import Radio
from devices.voice.radio_events import EmergencyHeld, Joined, Linked, RadioEvent, Told, Unlinked
from devices.words import Both
from protocols import codec, down, up
from protocols.envelope import Envelope
from protocols.prompts import NOT_DELIVERED_AFTER_MS, PROMPTS
from protocols.types import ANSWERS, Key

HOLD_MS: Final = 1_000
HELD_MOST_MS: Final = 60_000
"""A talk key that is held longer (or stuck) keeps no broadcast waiting any more."""
"""The emergency key acts after being held so long."""
NOTICE_MS: Final = 60_000
"""A notice (stand-down, order, emergency sent) leaves the screen after that."""
MAX_ON_SCREEN: Final = 16
"""Entries on the screen; beyond it the oldest that is no call goes."""

HOT_MICROPHONE_S: Final = down.Hello(b"12345678", 0).hot_microphone_s
"""Until the site has said how long its emergency key opens the microphone."""


class TerminalAgent(Listener):
    role: ClassVar[str] = "terminal"
    handlers: ClassVar[dict[type, str]] = Listener.handlers | {
        AnswerPressed: "_on_answer",
        Acknowledged: "_on_acknowledged",
        EmergencyDown: "_on_emergency_down",
        EmergencyUp: "_on_emergency_up",
        DutyKey: "_on_duty_key",
        PttPressed: "_on_ptt",
        SelectGroup: "_on_radio",
        VoiceSubscribed: "_on_radio",
        BurstHeard: "_on_burst_heard",
        HowlHeard: "_on_howl",
        VoiceFitted: "_on_voice_fitted",
    }

    def __init__(
        self, records: Iterable[Record], boot: Boot, rng: random.Random, language: str = "zh"
    ) -> None:
        super().__init__(records, boot, rng, language)
        self.on_duty = self.membership.on_duty
        self.book = CallBook()
        self._screen: dict[str, Both] = {}
        self._emergency: Key | None = None
        self._told_orders: dict[str, str] = {}
        self.radio: Radio | None = None
        self._hot_s = HOT_MICROPHONE_S
        self._live: dict[str, str] = {}
        """Talk group → item of the broadcast that is spoken live in it, until a burst was heard."""

    # --------------------------------------------------------------------------------------------- keys

    def _on_answer(self, event: AnswerPressed) -> None:
        held = self.book.meant(event.answer, event.call)
        if held is None or event.answer not in ANSWERS:
            self._log("no-call", answer=event.answer, call=event.call)
            self._notice("answer", words.NO_CALL)
        elif not held.changes(event.answer):
            self._log("unchanged", answer=event.answer, call=held.message.call, before=held.answer)
            self._notice("answer", words.unchanged(held.message, held.answer))
        else:
            self._answer(held, event.answer)

    def _answer(self, held: Held, answer: str) -> None:
        held.answer = answer
        call = held.message
        key = self._send("answer", lambda key: up.Answer(key, call.call, call.patrol, answer))
        self._log("answered", key=key, call=call.call, incident=call.incident, answer=answer)
        self._rung(call.item, "acknowledged")
        self._silence(call.item)
        if answer == "done":
            self.book.held.pop(call.call, None)
        self._screen.pop("notice answer", None)
        self._show_call(held)
        self._rearm()

    def _on_acknowledged(self, event: Acknowledged) -> None:
        for heard in list(self._broadcasts.values()):
            if self._waits_for_ack(heard, event.item):
                self._rung(heard.message.item, "acknowledged")
                self._take_off("broadcast " + heard.message.broadcast)
                return
        self._clear_notices()

    def _waits_for_ack(self, heard: Heard, item: str | None) -> bool:
        """Without a named item only one that was presented here, be it by text."""
        seen = self._inbox.get(heard.message.item)
        if seen is None or seen.rung == "acknowledged" or heard.message.broadcast in self._cancelled:
            return False
        if item is not None:
            return item in (*heard.items, heard.message.broadcast)
        return seen.rung == "presented" or seen.reason in ("muted", "player-failed")

    def _on_emergency_down(self, _: EmergencyDown) -> None:
        if "emergency" not in self._timers:
            self._at("emergency", self._now + HOLD_MS, self._emergency_held)

    def _on_emergency_up(self, _: EmergencyUp) -> None:
        self._cancel("emergency")

    def _emergency_held(self) -> None:
        self._do(Vibrate(400))
        self._notice("emergency", _prompt("sending"))
        self._emergency = self._alarm("emergency", position=self._position())
        self._at("not-delivered", self._now + NOT_DELIVERED_AFTER_MS, self._not_delivered)
        own_s = self.settings.hot_microphone_s
        self._radio(EmergencyHeld((self._hot_s if own_s is None else own_s) * 1000))

    def _on_hello(self, message: down.Hello, envelope: Envelope) -> None:
        super()._on_hello(message, envelope)
        self._hot_s = message.hot_microphone_s

    def _not_delivered(self) -> None:
        if self._emergency is not None:
            self._notice("emergency", _prompt("not-delivered"))
            self._do(Vibrate(400))
            self._at("not-delivered", self._now + self.settings.wait_prompt_s * 1000, self._not_delivered)

    def _receipt_came(self, pending: Pending, receipted: down.Receipted) -> None:
        if receipted.key == self._emergency and receipted.outcome != "refused":
            self._emergency = None
            self._cancel("not-delivered")
            self._do(Vibrate(400))
            self._notice("emergency", _prompt("delivered"))

    def _on_duty_key(self, event: DutyKey) -> None:
        self.on_duty = (not self.on_duty) if event.on is None else event.on
        on = self.on_duty
        key = self._send("duty", lambda key: up.Duty(key, on))
        self._log("duty", key=key, on=on)
        self._notice("duty", words.ON_DUTY if on else words.OFF_DUTY)

    def _membership_came(self, message: down.Membership) -> None:
        """The site's word on duty counts, except over a key pressed here that it has not heard yet."""
        if not any(isinstance(p.message, up.Duty) for p in self._sender.pending.values()):
            self.on_duty = message.on_duty
        self._radio(Joined(tuple(message.talk)))

    def _tells_position(self) -> bool:
        return self.on_duty

    def _on_ptt(self, event: PttPressed) -> None:
        """Talking is the talk group's business; it never answers a call. What is being read aloud waits for its end."""
        self._log("ptt", down=event.down)
        self._radio(event)
        if event.down:
            self._hold_what_plays()
        else:
            self._talked()

    def _hold_what_plays(self) -> None:
        """The loudspeaker would close the microphone; an emergency or a call is worth that."""
        playing = self._player.playing
        if playing is not None and playing.rank < EMERGENCY:
            self._cancel("player")
            self._do(StopPlaying(playing.item))
            self._player.put_back()
        self._at("talked", self._now + HELD_MOST_MS, self._talked)

    def _talked(self) -> None:
        self._cancel("talked")
        self._play_next()

    # -------------------------------------------------------------------------------------------- radio

    def _on_voice_fitted(self, event: VoiceFitted) -> None:
        self.profile = "C"
        self.radio = Radio(event.device, self._rng)
        self._radio(Joined(tuple(self.membership.talk)))

    def _on_radio(self, event: SelectGroup | VoiceSubscribed) -> None:
        self._radio(event)

    def _on_burst_heard(self, event: BurstHeard) -> None:
        """Presented, too, is the live broadcast that came as this burst."""
        self._log("burst-heard", group=event.group, burst=event.burst)
        item = self._live.pop(event.group, None)
        if item is not None and not self._hardware.muted:
            self._rung(item, "presented", self._volume_pct())

    def _on_howl(self, event: HowlHeard) -> None:
        group = None if self.radio is None else self.radio.selected or None
        self._log("howling", muted_ms=event.muted_ms, group=group)
        self._do(Publish("howling", codec.encode(up.Howling(event.muted_ms, group))))

    def _on_voice(self, message: down.Floor | down.Voice) -> None:
        self._radio(Told(message))

    def _hello_answered(self) -> None:
        self._radio(Linked())

    def _on_disconnected(self, event: Disconnected) -> None:
        super()._on_disconnected(event)
        self._radio(Unlinked())

    def _on_tick(self, event: Tick) -> None:
        self._radio(event)

    def _radio(self, event: RadioEvent) -> None:
        """Its actions are ours; its next time is one of our timers."""
        if self.radio is None:
            return
        self._out.extend(self.radio.handle(event, self._now))
        due = self.radio.deadline()
        if due is None:
            self._cancel("radio")
        else:
            self._at("radio", max(due, self._now + 1), lambda: self._radio(Tick()))

    # -------------------------------------------------------------------------------------------- items

    def _present(self, message: down.Item, envelope: Envelope) -> None:
        order = (envelope.gen, envelope.n)
        match message:
            case down.Call():
                self._on_call(message, order)
            case down.StandDown():
                self._on_stand_down(message, order)
            case down.Order():
                self._on_order(message, order)
            case down.Alert():
                self._announce(message.item, words.alert(message), silent=False)
            case _:
                super()._present(message, envelope)

    def _changed_item(self, message: down.Item, envelope: Envelope) -> None:
        if isinstance(message, down.Call):
            held = self.book.renew(message, (envelope.gen, envelope.n))
            if held is not None:
                self._show_call(held)

    def _on_call(self, message: down.Call, order: tuple[int, int]) -> None:
        known = message.call in self.book.held
        held, gone = self.book.add(message, order, self._now)
        for other in gone:
            self._drop_call(other)
        if held is None:
            self._failed(message.item, "refused")
            return
        self._log(
            "called", item=message.item, call=message.call, incident=message.incident, patrol=message.patrol
        )
        self._show_call(held)
        if known and held.answer:
            self._rung(message.item, "acknowledged")
        else:
            self._ring(held, speak=True)
            self._rearm()

    def _drop_call(self, held: Held) -> None:
        """Neither heard nor seen any more."""
        self._silence(held.message.item)
        self._take_off("call " + held.message.call)

    def _show_call(self, held: Held) -> None:
        """Declined and done ones leave the screen."""
        entry = "call " + held.message.call
        if held.answer in ("decline", "done"):
            self._screen.pop(entry, None)
            self._redraw()
        else:
            self._show(entry, words.call(held.message))

    def _ring(self, held: Held, *, speak: bool) -> None:
        """Vibration, and tone (with the words the first time) unless silent; what blocks the sound is reported."""
        call = held.message
        self._do(Vibrate())
        if call.silent:
            self._rung(call.item, "presented", 0)
        elif not self._player.holds(call.item) and not self._drowned(call):
            text = words.call(call).of(self.settings.language) if speak else ""
            volume_pct = max(self._volume_pct(), call.min_volume_pct, self.settings.min_volume_pct)
            self._sound(Sound(call.item, text, self.settings.language, volume_pct, CALL, "call"))

    def _drowned(self, call: down.Call) -> bool:
        """A reminder does not interrupt the words of another call or of an emergency."""
        playing = self._player.playing
        return playing is not None and playing.rank >= EMERGENCY and self._presented(call.item)

    def _presented(self, item: str) -> bool:
        seen = self._inbox.get(item)
        return seen is not None and seen.rung != "delivered"

    def _rearm(self) -> None:
        due = self.book.due()
        if due is None:
            self._cancel("ring")
            self._play_next()
        else:
            self._at("ring", due, self._remind)

    def _remind(self) -> None:
        for held in list(self.book.held.values()):
            if not held.answer and held.next_ring <= min(self._now, held.rings_until):
                held.next_ring = self._now + held.message.remind_every_s * 1000
                self._ring(held, speak=not self._presented(held.message.item))
        self._rearm()

    def _least_rank(self) -> int:
        """While a call rings, or its user talks, what is not urgent waits."""
        return EMERGENCY if {"ring", "talked"} & self._timers.keys() else NORMAL

    def _on_stand_down(self, message: down.StandDown, order: tuple[int, int]) -> None:
        held, counts = self.book.end(message.incident, order)
        if not counts:
            self._failed(message.item, "refused")
            return
        silent = message.silent
        if held is not None:
            silent = silent or held.message.silent
            self._drop_call(held)
        self._clear_orders(message.incident)
        self._log(
            "stood-down",
            item=message.item,
            call=message.call,
            incident=message.incident,
            reason=message.reason,
        )
        self._announce(message.item, words.stand_down(message), silent=silent)
        self._rearm()

    def _on_order(self, message: down.Order, order: tuple[int, int]) -> None:
        changed = self.book.order(message, order)
        silent = message.silent or message.order == "silent" or any(h.message.silent for h in changed)
        for held in changed:
            self._show_call(held)
            if held.message.silent:
                self._silence(held.message.item)
        self._log("ordered", item=message.item, incident=message.incident, order=message.order)
        self._announce(message.item, words.order(message), silent=silent)
        self._told_orders[message.item] = message.incident
        if len(self._told_orders) > MAX_ON_SCREEN:
            del self._told_orders[next(iter(self._told_orders))]

    def _clear_orders(self, incident: str) -> None:
        """An order on an incident that is over for us is neither heard nor seen any more."""
        for item in [item for item, of in self._told_orders.items() if of == incident]:
            del self._told_orders[item]
            self._silence(item)
            self._screen.pop("notice " + item, None)

    def _announce(self, item: str, text: Both, *, silent: bool) -> None:
        """Text, vibration and, unless silent, the words."""
        self._notice(item, text)
        self._do(Vibrate())
        if silent:
            self._rung(item, "presented", 0)
        else:
            volume_pct = max(self._volume_pct(), self.settings.min_volume_pct)
            language = self.settings.language
            self._sound(Sound(item, text.of(language), language, volume_pct, CALL, "notice"))

    def _broadcast(self, message: down.Broadcast) -> None:
        self._show("broadcast " + message.broadcast, words.broadcast(message))
        self._do(Vibrate())
        if message.live is not None and self.radio is not None:
            self._live[message.live] = message.item
            if len(self._live) > MAX_ON_SCREEN:
                del self._live[next(iter(self._live))]
        else:
            super()._broadcast(message)

    def _withdraw(self, heard: Heard) -> None:
        super()._withdraw(heard)
        self._take_off("broadcast " + heard.message.broadcast)

    # ------------------------------------------------------------------------------------------- screen

    def _notice(self, name: str, text: Both) -> None:
        self._show("notice " + name, text)
        self._at("notice", self._now + NOTICE_MS, self._clear_notices)

    def _clear_notices(self) -> None:
        for entry in [entry for entry in self._screen if entry.startswith("notice ")]:
            del self._screen[entry]
        self._told_orders.clear()
        self._cancel("notice")
        self._redraw()

    def _show(self, entry: str, text: Both) -> None:
        self._screen[entry] = text
        if len(self._screen) > MAX_ON_SCREEN:
            others = (name for name in self._screen if not name.startswith("call "))
            del self._screen[next(others, next(iter(self._screen)))]
        self._redraw()

    def _take_off(self, entry: str) -> None:
        if self._screen.pop(entry, None) is not None:
            self._redraw()

    def _redraw(self) -> None:
        """Calls first, of several which one the keys answer, then the rest; newest last."""
        calls = [text for name, text in self._screen.items() if name.startswith("call ")]
        rest = [text for name, text in self._screen.items() if not name.startswith("call ")]
        lines = calls + (self._keys_answer() if len(calls) > 1 else []) + rest
        self._do(ShowText("\n".join(text.zh for text in lines), "\n".join(text.en for text in lines)))

    def _keys_answer(self) -> list[Both]:
        meant, others = self.book.meant("accept"), self.book.meant("en-route")
        if meant is None:
            return []
        return [words.answer_keys(meant.message, None if others is None else others.message)]


def _prompt(code: str) -> Both:
    return Both(PROMPTS[code].zh, PROMPTS[code].en)
