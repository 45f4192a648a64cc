"""Site, secrets, duty, configuration and membership."""

from typing import Final

import msgspec

from dispatchd.core import facts as f
from dispatchd.core.index import Index
from dispatchd.core.state import Ran, State, Verify
from protocols import site as site_

from .table import folds, key_text, settings_of

BURSTS_LOST_MAX: Final = 1_000
"""Bursts granted before a kill -9 whose facts had not reached the disk: nobody waits for those. Their numbers are
passed over, for a listener drops what he takes for a double of what he heard."""


@folds(f.Started)
def _started(state: State, index: Index, fact: f.Started, now: int) -> None:
    state.start, state.gen = fact.start, fact.gen
    state.burst += BURSTS_LOST_MAX if fact.start > 1 else 0
    for live in state.live.values():
        live.heard_ms = now if live.online else live.heard_ms
    for session in state.sessions.values():
        session.connections, session.seen_ms = 0, now


@folds(f.StoreFailed)
def _store_failed(state: State, index: Index, fact: f.StoreFailed, now: int) -> None:
    """For the record only."""


@folds(f.SiteSet)
def _site_set(state: State, index: Index, fact: f.SiteSet, now: int) -> None:
    site = state.site
    site.name, site.timezone, site.root = fact.name, fact.timezone, fact.root
    site.rules, site.overrides = fact.rules, fact.overrides
    _site_grew(state, index)


def _site_grew(state: State, index: Index) -> None:
    state.site.version += 1
    index.site_changed()


@folds(f.EntrySet)
def _entry_set(state: State, index: Index, fact: f.EntrySet, now: int) -> None:
    table: dict[str, site_.Entry] = getattr(state.site, fact.table)
    table[fact.id] = msgspec.convert(fact.entry, site_.TABLES[fact.table])
    if fact.table == "schedule":
        state.schedules[fact.id] = Ran(now, state.schedules.get(fact.id, Ran(0)).occurrence)
    _site_grew(state, index)


@folds(f.EntryRemoved)
def _entry_removed(state: State, index: Index, fact: f.EntryRemoved, now: int) -> None:
    getattr(state.site, fact.table).pop(fact.id, None)
    if fact.table == "device":
        for gone in (state.site.secret, state.live, state.settings, state.verify):
            gone.pop(fact.id, None)
        index.pending.pop(fact.id, None)
    if fact.table == "operator":
        state.sessions.pop(fact.id, None)
        state.reliefs.pop(fact.id, None)
    if fact.table == "schedule":
        state.schedules.pop(fact.id, None)
    _site_grew(state, index)


@folds(f.SecretSet)
def _secret_set(state: State, index: Index, fact: f.SecretSet, now: int) -> None:
    state.site.secret[fact.device] = fact.secret_hash


DUTY_KEYS_MAX = 16
"""Words on duty of one device that are known by key, so that an old double of another boot changes nothing."""


@folds(f.DutySet)
def _duty_set(state: State, index: Index, fact: f.DutySet, now: int) -> None:
    if (patrol := state.site.patrol.get(fact.patrol)) is not None:
        state.site.patrol[fact.patrol] = msgspec.structs.replace(patrol, on_duty=fact.on)
    if fact.key is not None:
        settings = settings_of(state, fact.device)
        settings.duty_keys = [*settings.duty_keys, key_text(fact.key)][-DUTY_KEYS_MAX:]


@folds(f.ConfigSet)
def _config_set(state: State, index: Index, fact: f.ConfigSet, now: int) -> None:
    settings = settings_of(state, fact.device)
    settings.config, settings.config_version, settings.tries = dict(fact.values), fact.version, 0
    settings.next_ms = 0
    index.arm(now, "settings", fact.device)


@folds(f.MembershipSet)
def _membership_set(state: State, index: Index, fact: f.MembershipSet, now: int) -> None:
    settings = settings_of(state, fact.device)
    settings.membership_version, settings.patrol = fact.version, fact.patrol
    settings.on_duty, settings.groups, settings.tries = fact.on_duty, list(fact.groups), 0
    settings.next_ms = 0
    index.arm(now, "settings", fact.device)


@folds(f.Applied)
def _applied(state: State, index: Index, fact: f.Applied, now: int) -> None:
    settings = settings_of(state, fact.device)
    if fact.what == "membership":
        settings.membership_applied = fact.version
    else:
        settings.config_applied, settings.config_error = fact.version, fact.error


@folds(f.VerifySet)
def _verify_set(state: State, index: Index, fact: f.VerifySet, now: int) -> None:
    if fact.until_ms <= now:
        state.verify.pop(fact.device, None)
        return
    state.verify[fact.device] = Verify(fact.device, fact.until_ms, fact.reason, fact.by)
    index.arm(fact.until_ms, "verify", fact.device)
