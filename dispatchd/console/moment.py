"""One moment of the committed state: what every document needs to tell ages and places. Pure."""

from functools import cached_property

from dispatchd.core.state import RUNG_NAMES, Incident, Live, State
from protocols.site import Device, Point
from protocols.types import Position

from .documents import PositionDoc

NEVER = Live()
"""Of a device that was never heard."""


class Moment:
    """The state and the core time at which it is looked at."""

    def __init__(self, state: State, now_ms: int) -> None:
        self.state = state
        self.now_ms = now_ms

    def age(self, at_ms: int) -> int | None:
        """Milliseconds since `at_ms`; None for 0, which is never."""
        return max(0, self.now_ms - at_ms) if at_ms else None

    def ahead(self, at_ms: int) -> int:
        return max(0, at_ms - self.now_ms)

    def live_position(self, position: Position, at_ms: int) -> PositionDoc:
        """Of a device that was there at `at_ms`, the age it had when it said so already taken off."""
        return PositionDoc(position.lat, position.lon, position.accuracy_m, self.age(at_ms) or 0)

    def heard_position(self, position: Position, at_ms: int) -> PositionDoc:
        """Of an alarm heard at `at_ms`."""
        age_ms = (self.age(at_ms) or 0) + position.age_ms
        return PositionDoc(position.lat, position.lon, position.accuracy_m, age_ms)

    def place(self, incident: Incident) -> Point | None:
        return self.state.site.point.get(incident.point or "")

    @cached_property
    def terminals(self) -> dict[str, list[str]]:
        """Patrol → its terminals."""
        found: dict[str, list[str]] = {}
        for device in self.state.site.device.values():
            if device.patrol:
                found.setdefault(device.patrol, []).append(device.id)
        return found

    def position(self, entry: Device) -> PositionDoc | None:
        """Its own word first, then its entry in the site, then its rally point."""
        live = self.state.live.get(entry.id, NEVER)
        if live.position is not None:
            return self.live_position(live.position, live.position_ms)
        if entry.lat is not None and entry.lon is not None:
            return PositionDoc(entry.lat, entry.lon, source="site")
        point = self.state.site.point.get(entry.point or "")
        return None if point is None else PositionDoc(point.lat, point.lon, source="point")

    def patrol_position(self, patrol: str) -> PositionDoc | None:
        """The freshest among its terminals."""
        lives = (self.state.live.get(device, NEVER) for device in self.terminals.get(patrol, ()))
        known = [self.live_position(live.position, live.position_ms) for live in lives if live.position]
        return min(known, key=lambda position: position.age_ms or 0, default=None)

    def rung(self, item: str, device: str) -> str:
        """How far an item came at a device; "" when it is not on its ladder."""
        ladder = self.state.ladders.get(item)
        place = ladder.places.get(device) if ladder else None
        return RUNG_NAMES[place.rung] if place else ""
