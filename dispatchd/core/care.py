"""What the citizen is told, and how the patrols are told to behave: prompts, silence, hazard, questions, lamp.

The pillar tells the truth as the store holds it: taken by an operator, a patrol coming. It says itself what only it can
know (sending, no connection). At a silent incident nothing sounds, lights or shows at the raising device.
"""

from typing import Any, Final

from protocols.prompts import PROMPTS

from . import facts as f
from . import ladder as ladders
from . import rings
from .state import RESPONDING, RINGING_KINDS, Incident, Ladder
from .turn import Turn

SILENTLY: Final = "静默接近"
OBSERVE: Final = "保持距离,观察等待"


def pillar_of(turn: Turn, incident: Incident) -> str | None:
    entry = turn.state.site.device.get(incident.device)
    return entry.id if entry is not None and entry.kind == "pillar" else None


def heir(turn: Turn, incident: Incident) -> Incident:
    """What became of it: itself, or the incident it was merged into, and so on."""
    while incident.merged_into and (into := turn.state.incidents.get(incident.merged_into)) is not None:
        incident = into
    return incident


def truth(turn: Turn, incident: Incident) -> str:
    """The prompt that is true now; "" while the pillar's own words still are."""
    now = heir(turn, incident)
    if now.ended_ms:
        return "ended" if incident.prompt else ""
    if any(r.place in RESPONDING for r in now.responders.values()):
        return "coming"
    return _taken(turn, incident) or ("delivered" if incident.prompt else "")


def refresh(turn: Turn, incident: Incident, *, again: bool = False) -> None:
    """Tell the pillar if what is true has changed (`again` also if not), and those of what was merged into it."""
    _refresh(turn, incident, again=again)
    for other in merged_from_elsewhere(turn, incident):
        _refresh(turn, other)


def merged_from_elsewhere(turn: Turn, incident: Incident) -> list[Incident]:
    """Incidents of other devices that became this one: their citizens wait for the same people."""
    return [
        other
        for other in turn.state.incidents.values()
        if other.merged_into and other.device != incident.device and heir(turn, other) is incident
    ]


def _refresh(turn: Turn, incident: Incident, *, again: bool = False) -> None:
    code = truth(turn, incident)
    also = _taken(turn, incident) if code == "coming" else ""
    same = f"{code} {also}".strip() == incident.prompt and not again
    if pillar_of(turn, incident) is None or silenced(turn, incident) or not code or same:
        return
    if not _newer_incident(turn, incident):
        prompt(turn, incident, code, also)


def after_end(turn: Turn, ended: Incident) -> None:
    """What is still open at this pillar is told again: the end of the other has put its light out."""
    for other in sorted(turn.index.open_at[ended.device]):
        refresh(turn, turn.state.incidents[other], again=True)


def silenced(turn: Turn, incident: Incident) -> bool:
    """While one incident of a device is silent nothing is heard there, whichever incident it is of."""
    return (
        incident.silent
        or heir(turn, incident).silent
        or any(turn.state.incidents[other].silent for other in turn.index.open_at[incident.device])
    )


def _taken(turn: Turn, incident: Incident) -> str:
    """民警 only if that person is police; "" while nobody owns it."""
    owner = heir(turn, incident).owner
    entry = turn.state.site.operator.get(owner or "")
    if owner is None:
        return ""
    return "police-accepted" if entry is not None and entry.police else "accepted"


def _newer_incident(turn: Turn, incident: Incident) -> bool:
    """Another open incident of this pillar has its word: a citizen's before a tamper, a real one before a drill."""
    others = [turn.state.incidents[i] for i in turn.index.open_at[incident.device]]
    return any(_word(o) > _word(incident) for o in others)


def _word(incident: Incident) -> tuple[bool, bool, int]:
    return not incident.drill, incident.kind in RINGING_KINDS, incident.opened_ms


def prompt(turn: Turn, incident: Incident, code: str, also: str = "", **more: Any) -> None:
    """Send one prompt; it takes the place of the one before."""
    text, english, light = PROMPTS[code]
    if also:
        text, english = f"{PROMPTS[also].zh},{text}", f"{PROMPTS[also].en}. {english}"
    rules = turn.rules(incident)
    until = incident.last_press_ms + int(rules.spoken_for_s * 1000)
    fields = {"text": text, "text_en": english, "light": light, "until": max(until, 0), **more}
    item, old = turn.next_id("p"), incident.prompt_item
    expires = turn.now + int(rules.item_ttl_s * 1000)
    if old:
        ladders.supersede(turn, old, item)
    turn.record(f.PromptSet(incident.incident, item, incident.device, code, fields, expires, also))
    ladders.send_all(turn, item)


def hush(turn: Turn, incident: Incident) -> None:
    """The incident has become silent: the pillar stops at once, and nobody there may notice why."""
    if pillar_of(turn, incident) is None:
        return
    before = told(turn, incident.device)
    prompt(turn, incident, "silent")
    for ladder in before:
        ladders.supersede(turn, ladder.item, incident.prompt_item)


def told(turn: Turn, device: str) -> list[Ladder]:
    """What was said to the people at this pillar and may still be repeated."""
    return [
        ladder
        for ladder in turn.state.ladders.values()
        if ladder.kind in ladders.TELLING and device in ladder.places and not ladders.over(turn, ladder)
    ]


def order(turn: Turn, incident: Incident, kind: str, patrols: set[str], by: str, text: str = "") -> None:
    """An order to the terminals of these patrols, on the ladder like a call."""
    devices = rings.devices_of(turn, incident, patrols)
    if not devices:
        return
    item = turn.next_id("o")
    expires = turn.now + int(turn.rules(incident).item_ttl_s * 1000)
    turn.record(f.OrderGiven(incident.incident, item, kind, text, sorted(patrols), devices, expires, by))
    ladders.send_all(turn, item)


def busy_patrols(turn: Turn, incident: Incident, force: str = "") -> set[str]:
    """Called or responding; of one force only, if given."""
    forces = turn.state.site.patrol
    names = {r.patrol for r in incident.responders.values() if r.place in rings.BUSY}
    return {p for p in names if not force or (p in forces and forces[p].force == force)}


def set_silent(turn: Turn, incident: Incident, on: bool, by: str) -> None:
    turn.record(f.SilentSet(incident.incident, on, by))
    if on:
        for one in (incident, *merged_from_elsewhere(turn, incident)):
            hush(turn, one)
        order(turn, incident, "silent", busy_patrols(turn, incident), by, SILENTLY)
    else:
        order(turn, incident, "sound", busy_patrols(turn, incident), by)
        refresh(turn, incident)


def set_hazard(turn: Turn, incident: Incident, on: bool, by: str) -> None:
    """Weapon, violence, fire: volunteers keep their distance."""
    turn.record(f.HazardSet(incident.incident, on, by))
    text = OBSERVE if on else ""
    order(turn, incident, "observe" if on else "respond", busy_patrols(turn, incident, "volunteer"), by, text)


def ask(turn: Turn, incident: Incident, text: str, text_en: str, by: str) -> str:
    """A yes/no question at the pillar; the id of the question."""
    question = turn.next_id("q")
    until = turn.now + int(turn.rules(incident).question_s * 1000)
    turn.record(f.Asked(incident.incident, question, text, by, until))
    spoken = {
        "text": f"{text} {PROMPTS['question'].zh}",
        "text_en": f"{text_en or text} {PROMPTS['question'].en}",
    }
    prompt(turn, incident, "question", question=question, **spoken, until=until)
    turn.index.arm(until, "question", incident.incident)
    return question


def restore(turn: Turn, incident: Incident) -> None:
    """After a question the pillar shows again what is true."""
    if incident.prompt == "question":
        refresh(turn, incident)


def question_due(turn: Turn, id_: str) -> None:
    """Timer: the question is over, answered or not."""
    incident = turn.state.incidents.get(id_)
    question = incident.question if incident else None
    if incident is None or incident.ended_ms or question is None or incident.prompt != "question":
        return
    if question.until_ms > turn.now:
        turn.index.arm(question.until_ms, "question", id_)
    else:
        restore(turn, incident)
