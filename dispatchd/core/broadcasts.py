"""广播: one word to many, and how far it came at each.

Addressees are fixed when it is sent: devices, each with its patrol. An operator reaches his own subtree only. It closes
by itself when everybody has heard (or acknowledged, where that was asked), ends when cancelled, and expires. Its sound
is a clip that devices fetch. At a pillar with an open incident a `normal` one waits for the end of it (core/ladder.py).
"""

from collections.abc import Iterator

import msgspec

from protocols import geo
from protocols.site import Device

from . import facts as f
from . import ladder as ladders
from .commands import BroadcastText, Done, Refusal, Target
from .levels import commands_unit
from .state import ACKNOWLEDGED, Broadcast, Ladder
from .turn import Turn

ADDRESSEES_MAX = 20_000
"""More in one broadcast are refused: split it by unit."""


def send(turn: Turn, operator: str, asked: BroadcastText) -> Done | Refusal:
    """Open it for everybody the target names, or say who cannot be reached by this operator."""
    chosen, unplaced, refusal = resolve(turn, operator, asked.target)
    if refusal is not None:
        return refusal
    if not chosen:
        return Refusal("nobody", "this target holds no device of your unit" + _unplaced(unplaced))
    entry = turn.state.site.operator[operator]
    rules = turn.index.rules(entry.unit)
    ttl_ms = int((asked.ttl_s or rules.broadcast_ttl_s) * 1000)
    id_ = turn.next_id("b")
    opened = f.BroadcastOpened(
        id_, operator, entry.unit, asked.text, msgspec.to_builtins(asked.target), asked.priority, asked.lang,
        turn.now + ttl_ms, asked.ack, asked.drill, addressees_of(chosen), unplaced, entry.name or operator, asked.clip,
    )  # fmt: skip
    open_(turn, opened)
    return Done({"broadcast": id_}, {"addressees": len(chosen), "unplaced": len(unplaced)})


def addressees_of(devices: list[Device]) -> list[tuple[str, str]]:
    return [(device.id, device.patrol or "") for device in devices]


def open_(turn: Turn, opened: f.BroadcastOpened) -> None:
    """On record, and out to everybody who is on line."""
    turn.record(opened)
    ladders.send_all(turn, opened.broadcast)


def _unplaced(unplaced: list[str]) -> str:
    return f"; {len(unplaced)} have no known position" if unplaced else ""


# --- whom it is for ---------------------------------------------------------------------------------------------


def resolve(turn: Turn, operator: str, target: Target) -> tuple[list[Device], list[str], Refusal | None]:
    """Devices of a target within the operator's subtree, and those of an area left out for want of a position."""
    refusal = _outside(turn, operator, target)
    if refusal is not None:
        return [], [], refusal
    own = [
        d for d in turn.state.site.device.values() if d.in_service and commands_unit(turn, operator, d.unit)
    ]
    named = set(target.devices)
    wanted = [d for d in own if d.kind == "terminal" or target.pillars or d.id in named]
    in_group = {d for g in target.talk_groups for d in turn.index.members(g)}
    chosen = {d.id: d for d in wanted if _named(turn, d, target) or d.id in in_group}
    unplaced = _area(turn, wanted, target, chosen)
    if len(chosen) > ADDRESSEES_MAX:
        return (
            [],
            [],
            Refusal("too-many", f"{len(chosen)} addressees are more than {ADDRESSEES_MAX}; split by unit"),
        )
    return list(chosen.values()), unplaced, None


def _outside(turn: Turn, operator: str, target: Target) -> Refusal | None:
    """What is named must exist within the subtree."""
    site = turn.state.site
    tables: list[tuple[str, list[str], dict[str, str]]] = [
        ("unit", target.units, {u: u for u in site.unit}),
        ("patrol", target.patrols, {p.id: p.unit for p in site.patrol.values()} if target.patrols else {}),
        ("talk group", target.talk_groups, {g.id: g.unit for g in site.talk_group.values()}),
        ("device", target.devices, {d.id: d.unit for d in site.device.values()} if target.devices else {}),
    ]
    for name, ids, units in tables:
        wrong = [i for i in ids if i not in units or not commands_unit(turn, operator, units[i])]
        if wrong:
            return Refusal("unknown-target", f"no {name} {', '.join(wrong[:5])} in your unit")
    return None


def _named(turn: Turn, device: Device, target: Target) -> bool:
    if (
        target.everybody
        or device.id in target.devices
        or (device.patrol in target.patrols if device.patrol else False)
    ):
        return True
    chain = turn.index.chain(device.unit)
    return any(unit in chain for unit in target.units)


def _area(turn: Turn, wanted: list[Device], target: Target, chosen: dict[str, Device]) -> list[str]:
    """Add those inside the circle or polygon; the ids of those nobody knows the place of."""
    if target.circle is None and not target.polygon:
        return []
    unplaced = []
    for device in wanted:
        if device.id in chosen:
            continue
        here = place_of(turn, device)
        if here is None:
            unplaced.append(device.id)
        elif any(_inside(here, target)):
            chosen[device.id] = device
    return unplaced


def _inside(here: geo.LatLon, target: Target) -> Iterator[bool]:
    if target.circle is not None:
        yield geo.distance_m(here, (target.circle.lat, target.circle.lon)) <= target.circle.radius_m
    yield geo.inside(here, target.polygon)


def place_of(turn: Turn, device: Device) -> geo.LatLon | None:
    """Where it stands, or where it was seen freshly."""
    if device.lat is not None and device.lon is not None:
        return device.lat, device.lon
    point = turn.state.site.point.get(device.point or "")
    if point is not None:
        return point.lat, point.lon
    live = turn.state.live.get(device.id)
    if live is None or live.position is None:
        return None
    fresh_ms = int(turn.index.rules(device.unit).position_fresh_s * 1000)
    return (live.position.lat, live.position.lon) if turn.now - live.position_ms <= fresh_ms else None


# --- its end ----------------------------------------------------------------------------------------------------


def climbed(turn: Turn, ladder: Ladder) -> None:
    """Everybody has heard, and said so if that was asked: closed."""
    broadcast = turn.state.broadcasts.get(ladder.item)
    if broadcast is None or broadcast.state != "open" or not _complete(ladder, broadcast):
        return
    if broadcast.live and not broadcast.said_ms:
        return  # he is still talking
    turn.record(f.BroadcastClosed(broadcast.broadcast, "closed", 0))


def _complete(ladder: Ladder, broadcast: Broadcast) -> bool:
    if broadcast.ack:
        return all(place.rung == ACKNOWLEDGED for place in ladder.places.values() if not place.left)
    return all(place.left for place in ladders.unheard(ladder))


def expired(turn: Turn, item: str) -> None:
    ladder, broadcast = turn.state.ladders.get(item), turn.state.broadcasts.get(item)
    if ladder is not None and ladder.expired and broadcast is not None and broadcast.state == "open":
        turn.record(f.BroadcastClosed(item, "expired", len(ladders.unheard(ladder))))


def cancel(turn: Turn, operator: str, id_: str) -> Done | Refusal:
    """Everybody it may have reached is told to present it no more."""
    broadcast = turn.state.broadcasts.get(id_)
    if broadcast is None or not commands_unit(turn, operator, broadcast.unit):
        return Refusal("unknown-broadcast", f"there is no broadcast {id_} in your unit; see `broadcasts`")
    if broadcast.state == "cancelled":
        return Refusal("cancelled", f"broadcast {id_} is cancelled already")
    ladder = turn.state.ladders[id_]
    item = turn.next_id("x")
    devices = [p.device for p in ladder.places.values() if not p.left]
    expires = max(broadcast.expires_ms, turn.now + 60_000)
    turn.record(f.BroadcastCancelled(id_, item, devices, expires, operator))
    ladders.send_all(turn, item)
    return Done({"broadcast": id_, "item": item}, {"addressees": len(devices)})
