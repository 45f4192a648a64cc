"""Who is there: hello, state, presence, duty, configuration and membership of devices.

A device is on line while something was heard of it within `presence_dead_s`; a will is believed at once, a birth never.
What a device says of itself (position, battery) is volatile and carries its age.
"""

from typing import Final

from protocols import down, up
from protocols.site import Device
from protocols.types import Key

from . import facts as f
from . import ladder as ladders
from .effects import SyncAccess
from .fold import key_text, settings_of
from .state import Live
from .turn import Turn

HELLO_TTL_MS: Final = 30_000
SETTINGS_TTL_MS: Final = 0
SETTINGS_RETRY_MAX_MS: Final = 300_000
SCAN_INCIDENT, SCAN_ALL, SCAN_OPENED, SCAN_UNIT = 90, 80, 70, 60
"""Which of several talk groups a terminal plays first: the higher."""
KEEP_MS: Final = up.KEEP_RECEIPTED_DAYS * 86_400_000


def heard(turn: Turn, device: str) -> Live:
    """Anything at all came from it."""
    live = turn.state.live.get(device)
    if live is None or not live.online:
        conn, boot = (live.conn, live.boot) if live else (0, "")
        turn.record(f.DeviceOnline(device, conn, boot))
        live = turn.state.live[device]
        ladders.resend(turn, device)
        if device in turn.state.settings:
            send_settings(turn, device)
    live.heard_ms = turn.now
    return live


def said_hello(turn: Turn, device: str, said: up.Hello) -> None:
    """Answer with the site's time, then with everything this device has not got."""
    live = turn.state.live.get(device)
    rebooted = live is not None and live.boot != said.boot
    if live is None or not live.online or live.conn != said.conn or live.boot != said.boot:
        turn.record(f.DeviceOnline(device, said.conn, said.boot, said.firmware))
    turn.state.live[device].heard_ms = turn.now
    since = max(0, turn.now - KEEP_MS) if said.gen < turn.state.gen and said.gen > 0 else None
    count = len(ladders.pending(turn, device))
    entry = turn.state.site.device.get(device)
    hot_s = turn.index.rules(entry.unit if entry else "").hot_microphone_s
    turn.send(device, down.Hello(said.nonce, turn.now, count, since, up.STATE_EVERY_S, hot_s), HELLO_TTL_MS)
    _settings_at_hello(turn, device, said)
    ladders.resend(turn, device)
    if rebooted:
        _microphone_again(turn, device)


def _microphone_again(turn: Turn, device: str) -> None:
    """What it was told before it rebooted it has forgotten, though it had reported it."""
    intercom = turn.state.intercoms.get(device)
    if intercom is not None:
        word = down.Microphone(
            f"v-{intercom.burst}",
            True,
            intercom.incident or None,
            intercom.tone,
            intercom.silent,
            intercom.drill,
        )
        turn.send(device, word, HELLO_TTL_MS)


def _settings_at_hello(turn: Turn, device: str, said: up.Hello) -> None:
    """Membership lives in the device's memory only; configuration is kept there and sent when it differs."""
    settings = settings_of(turn.state, device)
    settings.tries = 0
    refresh_membership(turn, device)
    if settings.membership_version:
        settings.membership_applied = 0
    if settings.config_version != said.config:
        settings.config_applied = 0
    send_settings(turn, device)


def said_state(turn: Turn, device: str, said: up.State) -> None:
    live = heard(turn, device)
    if said.position is not None:
        live.position, live.position_ms = said.position, turn.now - min(said.position.age_ms, ladders.FAR_MS)
    elif not _on_duty(turn, device):
        live.position = None
    live.battery_pct, live.signal_pct, live.volume_pct = said.battery_pct, said.signal_pct, said.volume_pct
    live.muted, live.firmware = said.muted, said.firmware or live.firmware


def _on_duty(turn: Turn, device: str) -> bool:
    entry = turn.state.site.device.get(device)
    patrol = turn.state.site.patrol.get(entry.patrol or "") if entry else None
    return patrol is None or patrol.on_duty


def presence_seen(turn: Turn, device: str, seen: up.Presence) -> None:
    """A will of the present (or a newer) connection: gone at once. Births and old wills say nothing."""
    live = turn.state.live.get(device)
    if seen.online or live is None or not live.online or seen.conn < live.conn:
        return
    turn.record(f.DeviceOffline(device, "will", turn.now - live.heard_ms))


def presence_due(turn: Turn, device: str) -> None:
    """Timer: silent for too long?"""
    live = turn.state.live.get(device)
    if live is None:
        return
    if not live.online:
        live.watching = False
        return
    entry = turn.state.site.device.get(device)
    dead_ms = int(turn.index.rules(entry.unit if entry else "").presence_dead_s * 1000)
    due = live.heard_ms + dead_ms
    if due > turn.now:
        turn.index.arm(due, "presence", device)
        return
    live.watching = False
    turn.record(f.DeviceOffline(device, "silent", turn.now - live.heard_ms))


# --- duty -------------------------------------------------------------------------------------------------------


def said_duty(turn: Turn, device: str, said: up.Duty) -> None:
    """The patrol clocks in or out with its terminal. Older words than the last are receipted and change nothing."""
    entry = turn.state.site.device.get(device)
    if entry is None or entry.patrol is None:
        turn.receipt(device, said.key, refused="no-patrol")
        return
    if _newer(settings_of(turn.state, device).duty_keys, said.key):
        turn.record(f.DutySet(entry.patrol, said.on, device, said.key, device))
        patrol_changed(turn, entry.patrol)
    turn.receipt(device, said.key)


def _newer(known: list[str], key: Key) -> bool:
    """Not a double, and within a boot not older than the last."""
    if not known or key_text(key) in known:
        return not known
    boot, _, seq = known[-1].rpartition("/")
    return boot != key.boot or key.seq > int(seq)


def patrol_changed(turn: Turn, patrol: str) -> None:
    for device in turn.index.tree.terminals.get(patrol, ()):
        refresh_membership(turn, device)


# --- configuration and membership -------------------------------------------------------------------------------


def refresh_membership(turn: Turn, device: str) -> bool:
    """Record what patrol, duty and groups this device should have, if that is new."""
    entry = turn.state.site.device.get(device)
    if entry is None:
        return False
    wanted = (entry.patrol, _duty_of(turn, entry), turn.index.groups_of(device))
    settings = settings_of(turn.state, device)
    if settings.membership_version and wanted == (settings.patrol, settings.on_duty, settings.groups):
        return False
    if settings.groups != wanted[2]:
        turn.do(SyncAccess())
    turn.record(f.MembershipSet(device, settings.membership_version + 1, *wanted))
    return True


def _duty_of(turn: Turn, entry: Device) -> bool:
    patrol = turn.state.site.patrol.get(entry.patrol or "")
    return patrol.on_duty if patrol else True


def settings_due(turn: Turn, device: str) -> None:
    """Timer; a fact that changed the settings armed it at once, a try armed the next."""
    settings = turn.state.settings.get(device)
    if settings is not None and settings.next_ms <= turn.now:
        send_settings(turn, device)


def send_settings(turn: Turn, device: str) -> None:
    """What this device has not applied, and again at doubling distances while it is on line."""
    settings = settings_of(turn.state, device)
    membership = settings.membership_applied != settings.membership_version
    config = bool(settings.config_version) and settings.config_applied != settings.config_version
    if not (membership or config) or not ladders.online(turn, device):
        return
    settings.tries += 1
    if membership:
        turn.send(device, _membership(turn, device), SETTINGS_TTL_MS)
    if config:
        turn.send(device, down.Config(settings.config_version, settings.config), SETTINGS_TTL_MS)
    wait_ms = min(SETTINGS_RETRY_MAX_MS, 2000 * 2 ** min(settings.tries, 16))
    settings.next_ms = turn.now + wait_ms
    turn.index.arm(settings.next_ms, "settings", device)


def _membership(turn: Turn, device: str) -> down.Membership:
    s = settings_of(turn.state, device)
    return down.Membership(s.membership_version, s.patrol, s.on_duty, s.groups, _talk(turn, s.groups))


def _talk(turn: Turn, groups: list[str]) -> list[down.TalkGroup]:
    """The same groups as a radio needs them: what is heard first stands first."""
    return sorted((_talk_group(turn, g) for g in groups), key=lambda one: (-one.scan, one.group))


def _talk_group(turn: Turn, group: str) -> down.TalkGroup:
    """An incident first, then the channel of all, then what operators opened, then the smaller units."""
    talk = turn.state.talk.get(group)
    if talk is not None and talk.incident:
        silent = turn.state.incidents[talk.incident].silent
        return down.TalkGroup(group, talk.name, SCAN_INCIDENT, True, talk.incident, silent)
    entry = turn.index.tree.talk.get(group)
    if entry is None:
        return down.TalkGroup(group, talk.name if talk else "", SCAN_OPENED)
    depth = len(turn.index.chain(entry.unit))
    return down.TalkGroup(group, entry.name, SCAN_ALL if depth == 1 and entry.units else SCAN_UNIT - depth)


def said_applied(turn: Turn, device: str, said: up.Applied) -> None:
    settings = settings_of(turn.state, device)
    membership = said.what == "membership"
    known = settings.membership_applied if membership else settings.config_applied
    wanted = settings.membership_version if membership else settings.config_version
    if said.version == wanted and said.version != known:
        turn.record(f.Applied(device, said.what, said.version, said.ok, said.error))
    turn.receipt(device, said.key)
