"""The floor participant, row by row: what has happened, in words, and where that leads and what it does."""

import itertools

import pytest

from devices import events as ev
from devices.voice.participant import TABLE, Participant, State
from protocols import codec, down, up

GROUP, ME = "g", "t-1"
STEP_MS = 10


class Walk:
    """One participant and a clock; each word is something that happens."""

    def __init__(self) -> None:
        self._refs = itertools.count(1)
        self.one = Participant(GROUP, ME, lambda: next(self._refs))
        self.now = 1_000

    def happens(self, word: str) -> str:
        """What it does, in order: publishes by kind and ref, microphone, tones."""
        self.now += STEP_MS
        self._do(word)
        return " ".join(_short(action) for action in self.one.take() if _short(action))

    def _do(self, word: str) -> None:  # noqa: C901, PLR0912 - a flat table of what each word is
        one, ref, burst = self.one, self.one.ref, self.one.burst
        match word.split(":"):
            case ["press"]:
                one.press("normal", self.now)
            case ["emergency"]:
                one.press("emergency", self.now)
            case ["wait", ms]:
                self._wait(int(ms))
            case ["let-go" | "said" | "linked" | "lost" | "gone"]:
                getattr(one, word.replace("-", "_"))(self.now)
            case ["granted", *other]:
                number = int(other[0]) if other else burst or 5
                one.told(down.FloorGranted(GROUP, ref, number, 30_000), self.now)
            case ["denied", cause]:
                one.told(down.FloorDeny(GROUP, ref, cause), self.now)
            case ["queued", at]:
                one.told(down.FloorQueuePositionInfo(GROUP, ref, int(at), 2), self.now)
            case ["revoked", grace_ms]:
                one.told(down.FloorRevoke(GROUP, burst, "too-long", int(grace_ms)), self.now)
            case ["taken"]:
                one.told(down.FloorTaken(GROUP, burst + 1, "t-2"), self.now)
            case ["idle", why]:
                one.told(down.FloorIdle(GROUP, burst, why), self.now)
            case ["stale"]:
                for message in _of_others():
                    one.told(message, self.now)
            case _:
                raise AssertionError(word)

    def _wait(self, ms: int) -> None:
        end = self.now + ms
        while (due := self.one.deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.one.tick(self.now)
        self.now = end


def _of_others() -> list[down.Floor]:
    """About requests and bursts that are not ours."""
    return [
        down.FloorDeny(GROUP, 99, "muted"),
        down.FloorQueuePositionInfo(GROUP, 99, 1, 1),
        down.FloorRevoke(GROUP, 99, "too-long"),
        down.FloorIdle(GROUP, 3),
        down.FloorTaken(GROUP, 4, "t-2"),
        down.FloorTaken(GROUP, 99, ME),
    ]


def _short(action: ev.Action) -> str:
    match action:
        case ev.Publish():
            message = codec.decode_up(action.kind, action.payload)
            assert isinstance(message, up.Floor)
            urgent = "!" if isinstance(message, up.FloorRequest) and message.priority == "emergency" else ""
            return f"{action.kind.removeprefix('floor-')}{urgent}#{message.ref}"
        case ev.StopTalking():
            return "stop" if action.last is None else "last"
        case ev.Tone():
            return f"♪{action.name}"
        case ev.TellRadio() | ev.Log():
            return ""
    return type(action).__name__.removesuffix("Talking").lower()


CASES = {
    "press": "pending-request: listen request#1",
    "press wait:3000 granted": "no-permission: release#1",
    "press emergency": "pending-request: listen request!#2",
    "press let-go": "pending-release: release#1 stop",
    "press granted": "permission: start ♪granted",
    "press granted:9": "permission: start ♪granted",
    "press lost denied:only-one-participant": "pending-request:",
    "press denied:muted": "no-permission: ♪denied stop",
    "press queued:1": "queued:",
    "press queued:0": "no-permission: ♪denied stop",
    "press wait:1000": "pending-request: request#1",
    "press wait:3000": "no-permission: request#1 request#1 release#1 ♪denied stop",
    "press linked": "pending-request: request#1",
    "press lost": "pending-request: request#1",
    "press idle:restart": "pending-request: request#1",
    "press gone": "no-permission: ♪revoked stop",
    "press queued:1 emergency": "pending-request: listen request!#2",
    "press queued:1 let-go": "pending-release: release#1 stop",
    "press queued:1 granted": "permission: start ♪granted",
    "press queued:1 granted:9": "permission: start ♪granted",
    "press queued:1 denied:muted": "no-permission: ♪denied stop",
    "press queued:1 queued:1": "queued:",
    "press queued:1 queued:0": "no-permission: ♪denied stop",
    "press queued:1 wait:10000": "queued: queue-position-request#1",
    "press queued:1 wait:40000": (
        "pending-request: queue-position-request#1 queue-position-request#1 "
        "queue-position-request#1 request#1"
    ),
    "press queued:1 linked": "pending-request: request#1",
    "press queued:1 lost": "pending-request: request#1",
    "press queued:1 idle:restart": "pending-request: request#1",
    "press queued:1 gone": "no-permission: ♪revoked stop",
    "press granted let-go": "tail: finish",
    "press granted emergency": "pending-request: last listen request!#2",
    "press granted granted": "permission:",
    "press granted granted:9": "permission: stop listen start",
    "press granted linked wait:1000": "permission: request#1",
    "press granted linked wait:3000": "permission: request#1 request#1",
    "press granted linked": "permission: request#1",
    "press granted queued:1": "queued: stop listen",
    "press granted linked denied:only-one-participant": "pending-request: stop listen ♪lost",
    "press granted denied:muted": "pending-release: last release#1 ♪denied",
    "press granted revoked:500": "revoke-grace: ♪revoked",
    "press granted taken": "no-permission: stop ♪pre-empted",
    "press granted idle:released": "no-permission: stop ♪revoked",
    "press granted idle:no-media": "no-permission: stop ♪revoked",
    "press granted lost": "pending-request: stop listen request#1 ♪lost",
    "press granted idle:restart": "pending-request: stop listen request#1 ♪lost",
    "press granted said": "pending-release: stop release#1",
    "press granted wait:35000": "pending-release: last release#1 ♪revoked",
    "press granted gone": "no-permission: stop ♪revoked",
    "press granted let-go press": "pending-request: last release#1 listen request#2",
    "press granted let-go said": "pending-release: stop release#1",
    "press granted let-go wait:500": "pending-release: last release#1",
    "press granted let-go revoked:500": "pending-release: last release#1",
    "press granted let-go denied:muted": "pending-release: last release#1",
    "press granted let-go queued:1": "pending-release: last release#1",
    "press granted let-go taken": "no-permission: stop",
    "press granted let-go idle:released": "no-permission: stop",
    "press granted let-go idle:no-media": "no-permission: stop",
    "press granted let-go lost": "no-permission: stop",
    "press granted let-go idle:restart": "no-permission: stop",
    "press granted let-go gone": "no-permission: stop ♪revoked",
    "press granted revoked:500 let-go": "pending-release: last release#1",
    "press granted revoked:500 wait:500": "pending-release: last release#1",
    "press granted revoked:500 said": "pending-release: stop release#1",
    "press granted revoked:500 taken": "no-permission: stop",
    "press granted revoked:500 idle:released": "no-permission: stop",
    "press granted revoked:500 idle:no-media": "no-permission: stop",
    "press granted revoked:500 lost": "no-permission: stop",
    "press granted revoked:500 idle:restart": "no-permission: stop",
    "press granted revoked:500 gone": "no-permission: stop",
    "press let-go press": "pending-request: listen request#2",
    "press let-go granted": "pending-release: release#1",
    "press let-go granted:9": "pending-release: release#1",
    "press let-go queued:1": "pending-release: release#1",
    "press let-go wait:1000": "pending-release: release#1",
    "press let-go wait:3000": "no-permission: release#1 release#1",
    "press let-go linked": "pending-release: release#1",
    "press let-go taken": "no-permission:",
    "press let-go idle:released": "no-permission:",
    "press let-go idle:no-media": "no-permission:",
    "press let-go denied:muted": "no-permission:",
    "press let-go queued:0": "no-permission:",
    "press let-go lost": "no-permission:",
    "press let-go idle:restart": "no-permission:",
    "press let-go gone": "no-permission:",
    "press stale": "pending-request:",
    "press granted stale": "permission:",
    "press queued:1 stale": "queued:",
    "press granted let-go stale": "tail:",
    "press granted revoked:500 stale": "revoke-grace:",
    "press granted revoked:0 wait:0": "pending-release: last release#1",
    "press let-go press granted": "permission: start ♪granted",
    "press wait:3000 press": "pending-request: listen request#2",
    "emergency wait:9000": (
        "pending-request: request!#1 request!#1 request!#1 request!#1 request!#1 request!#1 "
        "request!#1 request!#1 request!#1"
    ),
    "press linked wait:16000 denied:only-one-participant": "no-permission:",
}


@pytest.mark.parametrize(("path", "expected"), CASES.items())
def test_what_happens_leads_on_and_does_this(path: str, expected: str) -> None:
    walk = Walk()
    done = ""
    for word in path.split():
        done = walk.happens(word)
    assert f"{walk.one.state}: {done}".removesuffix(" ") == expected


def test_every_row_of_the_table_is_walked() -> None:
    """So that no row can be lost, or added, unseen."""
    walked: set[tuple[State, str]] = set()
    happen = Participant._happen

    def watch(self: Participant, what: str, now_ms: int) -> None:
        if (self.state, what) in TABLE:
            walked.add((self.state, what))
        happen(self, what, now_ms)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Participant, "_happen", watch)
        for path in CASES:
            walk = Walk()
            for word in path.split():
                walk.happens(word)
    assert set(TABLE) - walked == set()
