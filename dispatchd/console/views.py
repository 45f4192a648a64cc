"""The committed state as documents: pure, one method per entity. Every age counts from `now_ms`, the core's
time.

A `View` is made inside `settled()` and thrown away with it. Documents do not depend on who looks; who may
look is the business of walls.py.
"""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, Final

import msgspec

from dispatchd import __version__
from dispatchd.core.state import RESPONDING, Live, State
from protocols.site import TABLES, Device, Operator, Site

from . import heard, talk
from .documents import (
    BroadcastDoc,
    DeviceDoc,
    FaultDoc,
    GroupDoc,
    HealthDoc,
    IncidentDoc,
    LadderCounts,
    MeDoc,
    PatrolDoc,
    PositionDoc,
    TaskDoc,
    UnitDoc,
    VerifyDoc,
)
from .incident_view import incident_doc
from .moment import NEVER, Moment
from .ports import Health
from .walls import WALLS, Scope


class View(Moment):
    """Documents of one state at one moment."""

    @cached_property
    def engaged(self) -> dict[str, str]:
        """Patrol → the open incident it has accepted."""
        return {
            responder.patrol: incident.incident
            for incident in self.state.incidents.values()
            if not incident.ended_ms
            for responder in incident.responders.values()
            if responder.place in RESPONDING
        }

    @cached_property
    def faults_of(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for fault in self.state.faults.values():
            found[fault.device] = found.get(fault.device, 0) + 1
        return found

    @property
    def dead_ms(self) -> float:
        return self.state.site.rules.presence_dead_s * 1000

    # --- fleet ---

    def device(self, id_: str) -> DeviceDoc | None:
        entry = self.state.site.device.get(id_)
        return None if entry is None else self._device(entry, self.state.live.get(id_, NEVER))

    def _device(self, entry: Device, live: Live) -> DeviceDoc:
        position = self.position(entry)
        return DeviceDoc(
            id=entry.id,
            name=entry.name,
            name_en=entry.name_en,
            kind=entry.kind,
            unit=entry.unit,
            point=entry.point,
            patrol=entry.patrol,
            profile=entry.profile,
            in_service=entry.in_service,
            on_duty=self._on_duty(entry),
            online=live.online,
            heard_age_ms=self.age(live.heard_ms),
            changed_age_ms=self.age(live.changed_ms),
            position=position,
            battery_pct=live.battery_pct,
            signal_pct=live.signal_pct,
            volume_pct=live.volume_pct,
            muted=live.muted,
            talk_muted=entry.id in self.state.muted,
            carriage=live.carriage if live.online else "",
            intercom=talk.intercom_doc(self, self.state.intercoms.get(entry.id)),
            firmware=live.firmware,
            engaged=self.engaged.get(entry.patrol or ""),
            verify=self._verify(entry.id),
            faults=self.faults_of.get(entry.id, 0),
            stale=self._stale(live.online, self.age(live.heard_ms), position),
        )

    def _on_duty(self, entry: Device) -> bool:
        patrol = self.state.site.patrol.get(entry.patrol or "")
        return entry.kind == "pillar" or (patrol is not None and patrol.on_duty)

    def _verify(self, device: str) -> VerifyDoc | None:
        verify = self.state.verify.get(device)
        if verify is None or verify.until_ms <= self.now_ms:
            return None
        return VerifyDoc(self.ahead(verify.until_ms), verify.reason, verify.by)

    def _stale(self, online: bool, heard_age_ms: int | None, position: PositionDoc | None) -> list[str]:
        """Names of what is older than the silence after which a device counts as dead."""
        silent = heard_age_ms is None or heard_age_ms > self.dead_ms
        old = position is not None and position.age_ms is not None and position.age_ms > self.dead_ms
        flags = {"presence": not online, "position": old, "status": silent or not online}
        return [name for name, on in flags.items() if on]

    # --- patrols and units ---

    def patrol(self, id_: str) -> PatrolDoc | None:
        entry = self.state.site.patrol.get(id_)
        if entry is None:
            return None
        terminals = self.terminals.get(id_, [])
        lives = [self.state.live.get(device, NEVER) for device in terminals]
        online = any(live.online for live in lives)
        heard_age_ms = self.age(max((live.heard_ms for live in lives), default=0))
        position = self.patrol_position(id_)
        return PatrolDoc(
            id=id_,
            name=entry.name,
            name_en=entry.name_en,
            unit=entry.unit,
            force=entry.force,
            on_duty=entry.on_duty,
            standby=entry.standby,
            engaged=self.engaged.get(id_),
            terminals=terminals,
            online=online,
            heard_age_ms=heard_age_ms,
            position=position,
            stale=self._stale(online, heard_age_ms, position),
        )

    def unit(self, id_: str) -> UnitDoc | None:
        entry = self.state.site.unit.get(id_)
        if entry is None:
            return None
        return UnitDoc(
            id=id_,
            name=entry.name,
            name_en=entry.name_en,
            parent=entry.parent,
            level=entry.level,
            duty_level=entry.duty_level,
            phone=entry.phone,
            duty_leaders=entry.duty_leaders,
            counts=self.unit_counts[id_],
        )

    @cached_property
    def unit_counts(self) -> dict[str, dict[str, int]]:
        """Unit → what it and everything below it has."""
        totals = {unit: dict.fromkeys(COUNTS, 0) for unit in self.state.site.unit}
        for unit, name in self._countable():
            for at in self.upwards(unit):
                totals[at][name] += 1
        return totals

    def upwards(self, unit: str) -> list[str]:
        """The unit and its superiors, nearest first; an unknown one has none."""
        path: list[str] = []
        at: str | None = unit
        while at in self.state.site.unit and at not in path:
            path.append(at)
            at = self.state.site.unit[at].parent
        return path

    def _countable(self) -> Iterator[tuple[str, str]]:
        for device in self.state.site.device.values():
            yield device.unit, f"{device.kind}s"
            if self.state.live.get(device.id, NEVER).online:
                yield device.unit, f"{device.kind}s_online"
        for patrol in self.state.site.patrol.values():
            if patrol.on_duty:
                yield patrol.unit, "patrols_on_duty"
                yield patrol.unit, "patrols_engaged" if patrol.id in self.engaged else "patrols_free"
        for incident in self.state.incidents.values():
            if not incident.ended_ms:
                yield incident.unit, "incidents_open"
                if incident.owner is None:
                    yield incident.unit, "incidents_unowned"

    # --- incidents and broadcasts ---

    def incident(self, id_: str) -> IncidentDoc | None:
        found = self.state.incidents.get(id_)
        return None if found is None else incident_doc(self, found)

    def broadcast(self, id_: str) -> BroadcastDoc | None:
        found = self.state.broadcasts.get(id_)
        if found is None:
            return None
        ladder = self.state.ladders.get(id_)
        return BroadcastDoc(
            id=id_,
            by=found.by,
            unit=found.unit,
            text=found.text,
            priority=found.priority,
            lang=found.lang,
            ack=found.ack,
            drill=found.drill,
            state=found.state,
            target=found.target,
            opened_ms=found.opened_ms,
            age_ms=self.age(found.opened_ms) or 0,
            expires_in_ms=self.ahead(found.expires_ms),
            ladder=heard.counts(ladder) if ladder else LadderCounts(),
            patrols=heard.by_patrol(ladder) if ladder else [],
            not_heard=heard.not_heard(self.state, ladder) if ladder else [],
            clip=found.clip.clip if found.clip else "",
            clip_ms=found.clip.ms if found.clip else 0,
        )

    def task(self, id_: str) -> TaskDoc | None:
        found = self.state.tasks.get(id_)
        if found is None:
            return None
        return TaskDoc(
            id=id_,
            about=found.about,
            item=found.item,
            unit=found.unit,
            text=found.text,
            devices=found.devices,
            age_ms=self.age(found.opened_ms) or 0,
            done=bool(found.done_ms),
            by=found.by,
        )

    def fault(self, id_: str) -> FaultDoc | None:
        found = self.state.faults.get(id_)
        if found is None:
            return None
        entry = self.state.site.device.get(found.device)
        return FaultDoc(
            id=id_,
            device=found.device,
            device_name=entry.name if entry else "",
            unit=entry.unit if entry else "",
            kind=found.kind,
            detail=found.detail,
            age_ms=self.age(found.since_ms) or 0,
            count=found.count,
        )

    def group(self, id_: str) -> GroupDoc | None:
        return talk.group_doc(self, id_)

    def me(self, operator: Operator, scope: Scope) -> MeDoc:
        session = self.state.sessions.get(operator.id)
        still_open = [incident for incident in self.state.incidents.values() if not incident.ended_ms]
        return MeDoc(
            id=operator.id,
            name=operator.name,
            unit=operator.unit,
            role=operator.role,
            police=operator.police,
            units=sorted(scope.units),
            connections=session.connections if session else 0,
            owns=[incident.incident for incident in still_open if incident.owner == operator.id],
            offered=[incident.incident for incident in still_open if incident.relief == operator.id],
            reliefs=sorted(by for by, to in self.state.reliefs.items() if to == operator.id),
        )

    # --- by table ---

    def one(self, table: str, id_: str) -> "Doc | None":
        """The document of one entry; None when there is no such entry."""
        return MAKERS[table](self, id_)

    def ids(self, table: str) -> list[str]:
        return list(SOURCES[table](self.state))

    def all_of(self, table: str, scope: Scope) -> "list[Doc]":
        """Every document of a table that `scope` may see; incidents in the order an operator works them."""
        wall = WALLS[table]
        docs = [doc for id_ in self.ids(table) if wall(scope, id_) and (doc := self.one(table, id_))]
        if table == "incidents":
            docs.sort(key=lambda doc: getattr(doc, "order", []))
        return docs


Doc = DeviceDoc | PatrolDoc | UnitDoc | IncidentDoc | BroadcastDoc | TaskDoc | FaultDoc | GroupDoc
COUNTS = (
    "pillars",
    "pillars_online",
    "terminals",
    "terminals_online",
    "patrols_on_duty",
    "patrols_engaged",
    "patrols_free",
    "incidents_open",
    "incidents_unowned",
)
MAKERS: dict[str, Callable[[View, str], Doc | None]] = {
    "fleet": View.device,
    "units": View.unit,
    "patrols": View.patrol,
    "incidents": View.incident,
    "broadcasts": View.broadcast,
    "tasks": View.task,
    "faults": View.fault,
    "groups": View.group,
}
SOURCES: dict[str, Callable[[State], dict[str, Any]]] = {
    "fleet": lambda state: state.site.device,
    "units": lambda state: state.site.unit,
    "patrols": lambda state: state.site.patrol,
    "incidents": lambda state: state.incidents,
    "broadcasts": lambda state: state.broadcasts,
    "tasks": lambda state: state.tasks,
    "faults": lambda state: state.faults,
    "groups": lambda state: talk.directory(state).ids(),
}
"""Table → where the state keeps it. The same names are the API's paths and the feed's tables."""


def site_doc(state: State, scope: Scope) -> Site:
    """The site file that this operator's part of the site would be; without token hashes and secrets."""
    site = state.site
    may = {
        "unit": scope.unit,
        "point": scope.point,
        "patrol": scope.patrol,
        "device": scope.device,
        "talk_group": scope.talk_group,
        "operator": scope.operator_,
        "schedule": scope.schedule,
    }
    tables: dict[str, Any] = {
        name: [entry for id_, entry in getattr(site, name).items() if may[name](id_)] for name in TABLES
    }
    tables["operator"] = [msgspec.structs.replace(entry, token_hash="") for entry in tables["operator"]]
    return Site(
        name=site.name,
        timezone=site.timezone,
        root=site.root,
        rules=site.rules,
        override=[o for o in site.overrides if o.unit is None or scope.unit(o.unit)],
        **tables,
    )


HANGS: Final = (
    "A commit does not come back from the disk: look at the disk (dmesg, iostat). Nothing is receipted."
)


def health_doc(health: Health | None, state: State | None) -> HealthDoc:
    """How the daemon is; without `health` it is starting, without `state` a commit hangs."""
    if health is None or state is None:
        why = HANGS if health is not None else "The daemon is starting."
        return HealthDoc(id="health", version=__version__, ready=False, why=[why])
    now_ms = health.now_ms
    return HealthDoc(
        id="health",
        version=__version__,
        ready=health.store_ok and health.link_up,
        why=list(_ailments(health, state)),
        now_ms=now_ms,
        store_ok=health.store_ok,
        store_age_ms=_since(now_ms, health.store_since_ms),
        link_up=health.link_up,
        link_age_ms=_since(now_ms, health.link_since_ms),
        queue=health.queue,
        inputs=health.inputs,
        batches=health.batches,
        refolds=health.refolds,
        seq=state.seq,
        gen=state.gen,
        start=state.start,
        recordings_fault=state.recordings_fault,
    )


def _ailments(health: Health, state: State) -> Iterator[str]:
    if not health.store_ok:
        yield health.store_why or "The store takes no writes: look at the disk and the daemon's log."
    if not health.link_up:
        yield "No connection to the broker: no device is heard. Check that the broker runs and broker.url is right."
    if state.recordings_fault:
        yield f"Sound goes on, but nothing is recorded: {state.recordings_fault}"


def _since(now_ms: int, since_ms: int) -> int | None:
    return max(0, now_ms - since_ms) if since_ms else None
