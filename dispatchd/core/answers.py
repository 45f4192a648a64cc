"""A patrol's word on a call: the transition table of a responder, and what each change sets off.

A patrol is in one place of an incident: called → accepted → en-route → on-scene → done, or declined, stood-down, lost.
Answers may come twice, late or out of order. A double (same key) changes nothing; within one boot an older word than
the last counts no more; a stood-down patrol stays so (a human may call it again); a lost one that answers is back.
"""

from typing import Final

from protocols import up

from . import care, rings
from . import facts as f
from . import ladder as ladders
from .fold import key_text
from .ladder import FAR_MS
from .state import RESPONDING, Incident, Responder
from .turn import Turn

_FORWARD: Final = {
    "accept": "accepted",
    "decline": "declined",
    "en-route": "en-route",
    "on-scene": "on-scene",
    "done": "done",
}
TRANSITIONS: Final[dict[str, dict[str, str]]] = {
    "called": _FORWARD,
    "accepted": {k: v for k, v in _FORWARD.items() if k != "accept"},
    "en-route": {k: v for k, v in _FORWARD.items() if k in ("decline", "on-scene", "done")},
    "on-scene": {k: v for k, v in _FORWARD.items() if k in ("decline", "done")},
    "declined": {k: v for k, v in _FORWARD.items() if k not in ("decline", "done")},
    "lost": {k: v for k, v in _FORWARD.items() if k != "decline"},
    "done": {"on-scene": "on-scene"},
    "stood-down": {},
}
"""place → answer → new place; what is not here does not count."""
UPDATE_MAX: Final = 20
"""A call with more addressees than this is not sent again to those still called when somebody accepts."""


def said_answer(turn: Turn, device: str, said: up.Answer) -> None:
    """Receipted in every case; refused if it was never this device's to give."""
    refused = _refusal(turn, device, said)
    if not refused:
        incident = _meant(turn, said)
        assert incident is not None
        responder = incident.responders[said.patrol]
        if key_text(said.key) not in responder.keys:
            _answered(turn, incident, responder, device, said)
    turn.receipt(device, said.key, refused=refused)


def _meant(turn: Turn, said: up.Answer) -> Incident | None:
    """The incident of the call, or the one it was merged into if the patrol went along."""
    call = turn.state.calls.get(said.call)
    incident = turn.state.incidents.get(call.incident) if call else None
    while incident is not None and _went_along(incident, said.patrol):
        incident = turn.state.incidents.get(incident.merged_into or "")
    return incident


def _went_along(incident: Incident, patrol: str) -> bool:
    responder = incident.responders.get(patrol)
    return incident.merged_into is not None and responder is not None and responder.why == "merged"


def _refusal(turn: Turn, device: str, said: up.Answer) -> str:
    incident = _meant(turn, said)
    entry = turn.state.site.device.get(device)
    if incident is None:
        return "unknown-call"
    if entry is None or entry.patrol != said.patrol:
        return "not-your-patrol"
    return "" if said.patrol in incident.responders else "not-called"


def _answered(turn: Turn, incident: Incident, responder: Responder, device: str, said: up.Answer) -> None:
    before = responder.place
    place, why = _transition(incident, responder, said)
    age = None if said.age_ms is None else min(said.age_ms, FAR_MS)
    ladders.answered(turn, said.call, device, age)
    turn.record(
        f.Answered(
            incident.incident, said.call, said.patrol, device, said.key, said.answer, place or before,
            counted=not why, why=why, age_ms=age,
        )
    )  # fmt: skip
    if not why and place != before:
        _moved(turn, incident, responder, before)


def _transition(incident: Incident, responder: Responder, said: up.Answer) -> tuple[str, str]:
    """The new place, or why the answer does not count."""
    if incident.ended_ms:
        return "", "ended"
    if any(_older(said, key) for key in responder.keys):
        return "", "out-of-order"
    place = TRANSITIONS[responder.place].get(said.answer, "")
    return place, "" if place else responder.place


def _older(said: up.Answer, key: str) -> bool:
    boot, _, seq = key.rpartition("/")
    return boot == said.key.boot and said.key.seq < int(seq)


def _moved(turn: Turn, incident: Incident, responder: Responder, before: str) -> None:
    if responder.place in RESPONDING and before not in RESPONDING:
        _leaves_others(turn, incident, responder.patrol)
    if before in RESPONDING and responder.place == "declined":
        rings.refill(turn, incident, f"declined {responder.patrol}")
    else:
        rings.settle(turn, incident)
    care.refresh(turn, incident)
    if (responder.place in RESPONDING) != (before in RESPONDING):
        tell_others(turn, incident, responder.patrol)


def _leaves_others(turn: Turn, incident: Incident, patrol: str) -> None:
    """Who accepts here is not coming anywhere else; a real incident is not left for a drill by accident of keys."""
    for other in turn.index.open_incidents():
        there = other.responders.get(patrol)
        if other is not incident and there is not None and there.place in rings.BUSY:
            rings.lose(turn, other, patrol, "elsewhere")
            care.refresh(turn, other)


def tell_others(turn: Turn, incident: Incident, patrol: str = "") -> None:
    """Who else accepted is part of the call; its new revision is sent once."""
    for id_ in incident.calls:
        ladder = turn.state.ladders.get(id_)
        if ladder is None or ladders.over(turn, ladder):
            continue
        for place in ladder.places.values():
            other = incident.responders.get(place.patrol or "")
            if other is None or other.patrol == patrol or other.call != id_ or place.left:
                continue
            small = len(ladder.places) <= UPDATE_MAX
            if (other.place in RESPONDING or (other.place == "called" and small)) and ladders.online(
                turn, place.device
            ):
                turn.send(
                    place.device, ladders.message(turn, ladder, place), max(1, ladder.expires_ms - turn.now)
                )
