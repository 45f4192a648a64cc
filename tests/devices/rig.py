"""A test bench for one pure agent: virtual time, a memory outbox, a site that seals and reads messages.

Nothing here replaces code of ours: the agent, outbox, codec and envelope are the real ones; the bench is the
network, the loudspeaker and the clock.
"""

import random
from dataclasses import dataclass, field
from typing import Any

from devices import events as ev
from devices.agent import Agent
from devices.outbox import Forgotten, MemoryOutbox
from devices.pillar import PillarAgent
from devices.terminal import TerminalAgent
from protocols import codec, down, up
from protocols.envelope import seal
from protocols.types import Key

SITE_MS = 1_800_000_000_000
PLAY_MS = 1_000


@dataclass
class Bench:
    """`speaker`: plays | fails | mute (never says a word)."""

    kind: type[Agent]
    language: str = "zh"
    speaker: str = "plays"
    receipts: bool = True
    now: int = 1_000
    boots: int = 1
    n: int = 0
    gen: int = 1
    done: list[tuple[int, ev.Action]] = field(default_factory=list)
    site_ahead: int = SITE_MS
    playing: tuple[int, str] | None = None
    answers: list[down.Hello] = field(default_factory=list)
    under_way: set[Key] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.outbox = MemoryOutbox("boot-1", clock="clock-1")
        self.agent: Any = self._agent()
        self.do(ev.Tick())

    def _agent(self) -> Any:
        return self.kind.restore(
            self.outbox.records, self.outbox.boot, rng=random.Random(7), language=self.language
        )

    # ---------------------------------------------------------------------------------------- driving

    def do(self, event: ev.Event) -> list[ev.Action]:
        """One event now; its actions performed, then what came of them."""
        actions: list[ev.Action] = self.agent.handle(event, self.now)
        for action in actions:
            self._perform(action)
        while self.answers:
            message = self.answers.pop()
            self.down(message)
        return actions

    def _perform(self, action: ev.Action) -> None:
        self.done.append((self.now, action))
        match action:
            case ev.Persist():
                self.outbox.append([action.entry])
            case ev.Forget():
                self.outbox.append([Forgotten(action.key)])
            case ev.Play():
                assert self.playing is None, "two sounds at a time"
                self.playing = (self.now + PLAY_MS, action.item)
            case ev.StopPlaying() if self.playing is not None and self.playing[1] == action.item:
                self.playing = None
            case ev.Publish() if hasattr(message := codec.decode_up(action.kind, action.payload), "key"):
                self.under_way.add(message.key)
            case ev.Publish() if action.kind == "hello" and self.receipts:
                self.answers.append(self._answer_to(action))

    def _answer_to(self, action: ev.Publish) -> down.Hello:
        hello = codec.decode_up("hello", action.payload)
        assert isinstance(hello, up.Hello)
        return down.Hello(hello.nonce, self.site_now)

    @property
    def site_now(self) -> int:
        return self.now + self.site_ahead

    def run(self, for_ms: int) -> None:
        """Time passes: ticks at every deadline, sounds come to their end."""
        end = self.now + for_ms
        while True:
            deadline = self.agent.deadline()
            dues = [at for at in (deadline, self._sound_end()) if at is not None and at <= end]
            if not dues:
                break
            self.now = max(self.now, min(dues))
            if self._sound_end() is not None and self._sound_end() <= self.now:  # type: ignore[operator]
                self._sound_over()
            else:
                self.do(ev.Tick())
        self.now = end

    def _sound_end(self) -> int | None:
        return self.playing[0] if self.playing is not None and self.speaker != "mute" else None

    def _sound_over(self) -> None:
        assert self.playing is not None
        item, self.playing = self.playing[1], None
        self.do(ev.Played(item) if self.speaker == "plays" else ev.PlayerFailed(item, "no sound card"))

    def connect(self, conn: int | None = None) -> None:
        self.do(ev.Connected(conn or self.outbox.next_conn()))

    def down(self, message: Any, *, ttl_ms: int = 0, group: str | None = None, n: int | None = None) -> None:
        """The site says this, numbered and sealed."""
        self.n += 1
        kind = codec.DOWN_KIND[type(message)]
        number = self.n if n is None else n
        data = seal(self.gen, number, ttl_ms, self.site_now, codec.encode(message))
        self.do(ev.Received(kind, data, group))

    def receipt(self, *keys: Any, incident: str | None = None, outcome: str = "committed") -> None:
        self.down(down.Receipt([down.Receipted(key, outcome, incident) for key in keys]))

    def receipt_all(self, incident: str = "i-1") -> None:
        """For everything that was sent and has none."""
        keys = [record.key for record in self.agent.outstanding if record.key in self.under_way]
        if keys:
            self.receipt(*keys, incident=incident)

    def press(self, hold_ms: int = 120, key: str = "alarm") -> None:
        self.do(ev.KeyDown(key))
        self.run(hold_ms)
        self.do(ev.KeyUp(key))

    def reboot(self, *, clock: str = "clock-2") -> None:
        """Power gone and back: only the outbox lives on."""
        self.boots += 1
        self.playing = None
        self.outbox.reboot(f"boot-{self.boots}", clock=clock)
        self.agent = self._agent()
        self.do(ev.Tick())

    # ------------------------------------------------------------------------------------------ asking

    def sent(self, kind: str) -> list[Any]:
        publishes = [a for _, a in self.done if isinstance(a, ev.Publish)]
        return [codec.decode_up(kind, publish.payload) for publish in publishes if publish.kind == kind]

    def unique(self, kind: str) -> list[Any]:
        """Sent messages, repetitions apart."""
        first: dict[Any, Any] = {}
        for message in self.sent(kind):
            first.setdefault(message.key, message)
        return list(first.values())

    def rungs(self, item: str) -> list[tuple[str, str | None]]:
        return [(rung.rung, rung.reason) for rung in self.unique("rung") if rung.item == item]

    def sounding(self) -> bool:
        return self.playing is not None

    def said(self) -> list[str]:
        return [a.text for _, a in self.done if isinstance(a, ev.Play) and a.text]

    def plays(self) -> list[tuple[int, ev.Play]]:
        return [(at, a) for at, a in self.done if isinstance(a, ev.Play)]

    def light(self) -> str:
        lights = [a.pattern for _, a in self.done if isinstance(a, ev.Light) and a.lamp == "prompt"]
        return lights[-1] if lights else "off"

    def text(self) -> str:
        texts = [a.text for _, a in self.done if isinstance(a, ev.ShowText)]
        return texts[-1] if texts else ""

    def times(self, kind: type[Any]) -> list[int]:
        return [at for at, action in self.done if isinstance(action, kind)]

    def logged(self, name: str) -> list[dict[str, Any]]:
        return [a.fields for _, a in self.done if isinstance(a, ev.Log) and a.fields["ev"] == name]

    def forget_past(self) -> None:
        self.done.clear()


def pillar(**options: Any) -> Bench:
    """Connected, hello answered."""
    bench = Bench(PillarAgent, **options)
    bench.connect()
    return bench


def terminal(**options: Any) -> Bench:
    """Connected, hello answered, on duty for patrol pa-1."""
    bench = Bench(TerminalAgent, **options)
    bench.connect()
    if bench.receipts:
        bench.down(down.Membership(1, "pa-1", on_duty=True, groups=["tg-1"]))
        bench.receipt_all()
    return bench
