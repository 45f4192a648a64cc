"""What an admin does to the site: entries, whole site files, secrets, duty, configuration.

A change is checked as a whole before anything of it becomes a fact, so the registry never holds a dangling reference.
What is in use is not removed under anybody: a device's open items are marked *left*, an owner keeps his incidents until
he passes them on.
"""

from typing import Any

import msgspec

from protocols import site as site_
from protocols.rules import Override, Rules

from . import care, devices, floor, intercom, rings
from . import commands as c
from . import facts as f
from .commands import Done, Refusal
from .effects import SyncAccess
from .fold import settings_of
from .levels import commands_unit, operator_unit
from .state import Registry
from .turn import Turn

CONFIG_MAX = 100
ROOT_ONLY = "the whole site is applied by an admin of its top unit"


def as_site(registry: Registry) -> site_.Site:
    """The registry in the form of a site file."""
    lists = {name: list(getattr(registry, name).values()) for name in site_.TABLES}
    return site_.Site(
        registry.name, registry.timezone, registry.root, registry.rules, registry.overrides, **lists
    )  # fmt: skip


def set_entry(turn: Turn, by: str, asked: c.SetEntry) -> Done | Refusal:
    """One entry, if the site with it is whole."""
    if asked.table not in site_.TABLES:
        return Refusal("unknown-table", f"{asked.table!r} is none of: {', '.join(site_.TABLES)}")
    try:
        entry = msgspec.convert(asked.entry, site_.TABLES[asked.table])
    except msgspec.ValidationError as error:
        return Refusal("bad-entry", f"{asked.table} {asked.entry.get('id', '')}: {error}")
    refusal = _may_touch(turn, by, asked.table, entry)
    if refusal is not None:
        return refusal
    return _change(turn, by, {**_entries(turn), (asked.table, entry.id): entry})


def _may_touch(turn: Turn, by: str, table: str, entry: site_.Entry) -> Refusal | None:
    """Only within the admin's own subtree, both where it is and where it goes."""
    old = getattr(turn.state.site, table).get(entry.id)
    for one in (entry, old):
        unit = _unit_of(one)
        if unit is not None and unit in turn.state.site.unit and not commands_unit(turn, by, unit):
            return Refusal("unknown-target", f"{table} {entry.id} is not in your unit")
    if table == "unit" and isinstance(entry, site_.Unit) and entry.parent is None and not _is_top(turn, by):
        return Refusal("unknown-target", ROOT_ONLY)
    return None


def _unit_of(entry: Any) -> str | None:
    if isinstance(entry, site_.Unit):
        return entry.parent or entry.id
    return entry.unit if entry is not None else None


def _is_top(turn: Turn, by: str) -> bool:
    own = operator_unit(turn, by)
    units = turn.state.site.unit
    return not units or (own in units and units[own].parent is None)


def remove_entry(turn: Turn, by: str, asked: c.RemoveEntry) -> Done | Refusal:
    entry = getattr(turn.state.site, asked.table).get(asked.id) if asked.table in site_.TABLES else None
    if entry is None:
        return Refusal("unknown-target", f"there is no {asked.table} {asked.id}")
    refusal = _may_touch(turn, by, asked.table, entry)
    if refusal is not None:
        return refusal
    return _change(turn, by, {k: v for k, v in _entries(turn).items() if k != (asked.table, asked.id)})


def apply_site(turn: Turn, by: str, asked: c.ApplySite) -> Done | Refusal:
    """Make the site what the file says. Operators who are signed in with a token keep it if the file names none."""
    if not _is_top(turn, by):
        return Refusal("unknown-target", ROOT_ONLY)
    site, faults = site_.convert(asked.site)
    if site is None or faults:
        return Refusal("bad-site", "; ".join(faults[:50]))
    wanted = {(t, e.id): _keep_token(turn, e) for t in site_.TABLES for e in site_.table(site, t)}
    result = _change(turn, by, _keep_caller(turn, by, wanted, site))
    if isinstance(result, Done):
        now = turn.state.site
        new = (site.name, site.timezone, site.root, site.rules, site.override)
        if new != (now.name, now.timezone, now.root, now.rules, now.overrides):
            turn.record(f.SiteSet(*new, by))
    return result


def _keep_token(turn: Turn, entry: site_.Entry) -> site_.Entry:
    old = turn.state.site.operator.get(entry.id)
    if isinstance(entry, site_.Operator) and not entry.token_hash and old is not None:
        return msgspec.structs.replace(entry, token_hash=old.token_hash)
    return entry


def _keep_caller(
    turn: Turn, by: str, wanted: dict[tuple[str, str], Any], site: site_.Site
) -> dict[tuple[str, str], Any]:
    """Nobody locks himself out: who applies a site stays its operator, in the top unit if his own is gone."""
    caller = turn.state.site.operator.get(by)
    if caller is None or ("operator", by) in wanted:
        return wanted
    units = {u.id for u in site.unit}
    top = next((u.id for u in site.unit if u.parent is None), caller.unit)
    unit = caller.unit if caller.unit in units else top
    return {**wanted, ("operator", by): msgspec.structs.replace(caller, unit=unit)}


# --- the change -------------------------------------------------------------------------------------------------


def _entries(turn: Turn) -> dict[tuple[str, str], Any]:
    return {(t, id_): e for t in site_.TABLES for id_, e in getattr(turn.state.site, t).items()}


def _change(turn: Turn, by: str, wanted: dict[tuple[str, str], Any]) -> Done | Refusal:
    """From what is to what is wanted: check, then sets in the order of the tables, then removals in reverse."""
    faults = site_.check(_site_of(turn, wanted))
    if faults:
        return Refusal("bad-site", "; ".join(faults[:50]))
    have = _entries(turn)
    sets = [k for k in wanted if have.get(k) != wanted[k]]
    gone = [k for k in have if k not in wanted]
    for table, id_ in sorted(sets, key=lambda k: list(site_.TABLES).index(k[0])):
        turn.record(f.EntrySet(table, id_, msgspec.to_builtins(wanted[table, id_]), by))
    for table, id_ in sorted(gone, key=lambda k: list(site_.TABLES).index(k[0]), reverse=True):
        _removed(turn, table, id_, by)
    if sets or gone:
        _after_change(turn)
    return Done(counts={"set": len(sets), "removed": len(gone)})


def _site_of(turn: Turn, wanted: dict[tuple[str, str], Any]) -> site_.Site:
    lists: dict[str, list[Any]] = {
        t: [e for (table, _), e in wanted.items() if table == t] for t in site_.TABLES
    }
    now = turn.state.site
    units = {u.id for u in lists["unit"]}
    overrides = [o for o in now.overrides if o.unit is None or o.unit in units]
    return site_.Site(now.name, now.timezone, now.root, now.rules, overrides, **lists)


def _removed(turn: Turn, table: str, id_: str, by: str) -> None:
    if table == "device":
        for ladder in list(turn.state.ladders.values()):
            place = ladder.places.get(id_)
            if place is not None and not place.left:
                turn.record(f.AddresseeLeft(ladder.about, ladder.item, id_))
    if table == "patrol":
        rings.off_duty(turn, id_)
    turn.record(f.EntryRemoved(table, id_, by))


def _after_change(turn: Turn) -> None:
    """Whoever is affected is told; a pillar that is back in the site too; the broker's list is written anew."""
    for device in list(turn.state.site.device):
        devices.refresh_membership(turn, device)
    for incident in turn.index.open_incidents():
        care.refresh(turn, incident)
    floor.expel(turn)
    intercom.follow_site(turn)
    turn.do(SyncAccess())


# --- one thing at a time ----------------------------------------------------------------------------------------


def set_secret(turn: Turn, by: str, asked: c.SetSecret) -> Done | Refusal:
    entry = turn.state.site.device.get(asked.device)
    if entry is None or not commands_unit(turn, by, entry.unit):
        return _no_device(asked.device)
    turn.record(f.SecretSet(asked.device, asked.secret_hash, by))
    turn.do(SyncAccess())
    return Done({"device": asked.device})


def _no_device(id_: str) -> Refusal:
    return Refusal("unknown-device", f"there is no device {id_} in your unit; add it to the site first")


def set_duty(turn: Turn, by: str, asked: c.SetDuty) -> Done | Refusal:
    entry = turn.state.site.patrol.get(asked.patrol)
    if entry is None or not commands_unit(turn, by, entry.unit):
        return Refusal("unknown-patrol", f"there is no patrol {asked.patrol} in your unit")
    duty(turn, asked.patrol, asked.on, by)
    return Done({"patrol": asked.patrol})


def duty(turn: Turn, patrol: str, on: bool, by: str) -> None:
    if turn.state.site.patrol[patrol].on_duty != on:
        turn.record(f.DutySet(patrol, on, by))
        devices.patrol_changed(turn, patrol)
        if not on:
            rings.off_duty(turn, patrol)


def set_duty_level(turn: Turn, by: str, asked: c.SetDutyLevel) -> Done | Refusal:
    unit = turn.state.site.unit.get(asked.unit)
    if unit is None or not commands_unit(turn, by, asked.unit):
        return Refusal("unknown-target", f"there is no unit {asked.unit} below yours")
    entry = msgspec.structs.replace(unit, duty_level=asked.duty_level)
    turn.record(f.EntrySet("unit", asked.unit, msgspec.to_builtins(entry), by))
    return Done({"unit": asked.unit})


def confirm_device(turn: Turn, by: str, asked: c.ConfirmDevice) -> Done | Refusal:
    entry = turn.state.site.device.get(asked.device)
    if entry is None or not commands_unit(turn, by, entry.unit):
        return _no_device(asked.device)
    new = msgspec.structs.replace(entry, in_service=asked.in_service)
    turn.record(f.EntrySet("device", asked.device, msgspec.to_builtins(new), by))
    return Done({"device": asked.device})


def set_config(turn: Turn, by: str, asked: c.SetConfig) -> Done | Refusal:
    entry = turn.state.site.device.get(asked.device)
    if entry is None or not commands_unit(turn, by, entry.unit):
        return _no_device(asked.device)
    if len(asked.values) > CONFIG_MAX:
        return Refusal("too-many", f"a device takes at most {CONFIG_MAX} settings")
    version = settings_of(turn.state, asked.device).config_version + 1
    turn.record(f.ConfigSet(asked.device, version, asked.values, by))
    return Done({"device": asked.device}, {"version": version})


def clear_fault(turn: Turn, by: str, asked: c.ClearFault) -> Done | Refusal:
    fault = turn.state.faults.get(asked.fault)
    entry = turn.state.site.device.get(fault.device) if fault else None
    if fault is None or entry is None or not commands_unit(turn, by, entry.unit):
        return Refusal(
            "unknown-fault", f"there is no fault {asked.fault} on the maintenance list of your unit"
        )
    turn.record(f.FaultCleared(fault.device, asked.fault, by))
    return Done()


ADMIN = "admin"


def bootstrap(turn: Turn, admin_hash: str) -> None:
    """A site without units gets a top, so that there is somebody an alarm can go to, and an admin to fill it."""
    units = turn.state.site.unit
    if not units:
        top = site_.Unit(id="top", name="分局", name_en="Sub-bureau")
        turn.record(f.SiteSet("", "Asia/Shanghai", "dispatch/v1", Rules(), list[Override](), "first start"))
        turn.record(f.EntrySet("unit", "top", msgspec.to_builtins(top), "first start"))
    admin = turn.state.site.operator.get(ADMIN)
    if admin_hash and (admin is None or admin.token_hash != admin_hash):
        unit = next(u.id for u in units.values() if u.parent is None)
        entry = site_.Operator(
            id=ADMIN, name="管理员", name_en="Admin", unit=unit, role="admin", token_hash=admin_hash
        )
        turn.record(f.EntrySet("operator", ADMIN, msgspec.to_builtins(entry), "admin.token"))
