"""The intercom in the voice room: what the core decided about pillars' sound becomes channels, and sessions hear them.

`@up/{pillar}` carries the pillar to those in `hears` and to the recording, `@back/{pillar}` him who talks back.
What must hold: while its incident is silent nothing is sent to a pillar; while its own speaker sounds, its talk group
does not hear it (its owner and the recording do); everything follows the last committed state, told once or often.
"""

from typing import Final

from dispatchd.core.state import Intercom, State

from .relay import Relay
from .webrtc import Session, Sessions

SOUNDING_MS: Final = 15_000
"""A pillar that says its speaker sounds is believed so long; it repeats itself every 5 s while that is so."""
MAX_PILLARS: Final = 10_000
"""Pillars whose speaker may be sounding; beyond it the one that said so first is forgotten."""


def up_channel(pillar: str) -> str:
    return f"@up/{pillar}"


def back_channel(pillar: str) -> str:
    return f"@back/{pillar}"


class Intercoms:
    """Give it the committed state whenever SyncVoice comes, and what pillars say about their speaker."""

    def __init__(self, relay: Relay, sessions: Sessions) -> None:
        self._relay = relay
        self._sessions = sessions
        self._open: dict[str, Intercom] = {}
        sessions.on_answer.append(self._answered)
        sessions.on_end.append(self._ended)

    def sync(self, state: State) -> None:
        """Open, change and close what the state says; sessions hear what is theirs."""
        for device in [device for device in self._open if device not in state.intercoms]:
            del self._open[device]
            self._relay.close(up_channel(device))
            self._relay.close(back_channel(device))
        for device, intercom in state.intercoms.items():
            self._follow(device, intercom)
        for session in self._sessions.all():
            self._tune(session)

    def _follow(self, device: str, intercom: Intercom) -> None:
        self._open[device] = Intercom(
            device, intercom.incident, intercom.burst, intercom.opened_ms, list(intercom.hears),
            intercom.patched, intercom.silent,
        )  # fmt: skip
        self._relay.open(up_channel(device), intercom.burst, device, intercom.incident)
        if intercom.back and not intercom.silent:
            self._relay.open(back_channel(device), intercom.back_burst, intercom.back, intercom.incident)
        else:
            self._relay.close(back_channel(device))

    def _tune(self, session: Session) -> None:
        if session.is_pillar:
            session.tuner.ask(self._heard_at(session.talker))
        else:
            operator = session.talker.removeprefix("@")
            session.tuner.put_in(up_channel(d) for d, i in self._open.items() if operator in i.hears)
        self._sessions.retune(session)

    def _heard_at(self, pillar: str) -> list[str]:
        """What sounds at a pillar: its owner, and the incident's group when that is patched in."""
        intercom = self._open.get(pillar)
        if intercom is None or intercom.silent:
            return []
        group = f"inc-{intercom.incident}" if intercom.patched and intercom.incident else ""
        return [back_channel(pillar), group]

    def sounding(self, pillar: str, on: bool, now_ms: int) -> None:
        """The pillar's own speaker sounds, or is quiet again (`up.Sounding`)."""
        hushed = self._relay.hushed
        hushed.pop(pillar, None)
        if on:
            if len(hushed) >= MAX_PILLARS:
                del hushed[next(iter(hushed))]
            hushed[pillar] = now_ms + SOUNDING_MS

    def _answered(self, session: Session) -> None:
        self._tune(session)

    def _ended(self, session: Session) -> None:
        if session.is_pillar and not self._sessions.of(session.talker):
            self._relay.hushed.pop(session.talker, None)
