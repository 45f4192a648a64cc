"""GET /metrics: Prometheus' text form. Counts only, no ids and no names; every metric is described in
docs/api.md."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from dispatchd import __version__
from dispatchd.core.state import State

from . import heard
from .ports import Health

if TYPE_CHECKING:
    from .feed import Feeds


class Requests:
    """Answered HTTP requests by route and status. Bounded: routes come from the table, statuses from the
    code."""

    def __init__(self) -> None:
        self.of: dict[tuple[str, int], int] = {}

    def count(self, path: str, status: int) -> None:
        self.of[path, status] = self.of.get((path, status), 0) + 1


class Metric(NamedTuple):
    kind: str
    help: str


METRICS: Final = {
    "dispatchd_info": Metric("gauge", "always 1; the label is the version"),
    "dispatchd_store_ok": Metric("gauge", "1 while the store takes writes"),
    "dispatchd_link_up": Metric("gauge", "1 while connected to the broker"),
    "dispatchd_queue_inputs": Metric("gauge", "inputs that wait for the engine"),
    "dispatchd_inputs_total": Metric("counter", "inputs decided since the start"),
    "dispatchd_batches_total": Metric("counter", "batches committed since the start"),
    "dispatchd_refolds_total": Metric("counter", "times the state was thrown away after a failed commit"),
    "dispatchd_states_dropped_total": Metric("counter", "states of devices that found the queue full"),
    "dispatchd_posts_dropped_total": Metric("counter", "words of the voice room that found the queue full"),
    "dispatchd_voice_total": Metric(
        "counter",
        "voice frames and datagrams by what became of them: heard, sent, datagrams, pongs; dropped by reason",
    ),
    "dispatchd_messages_total": Metric(
        "counter",
        "MQTT messages by what became of them: up, up_not_stored, malformed_REASON; down, down_dropped",
    ),
    "dispatchd_journal_seq": Metric("gauge", "newest journal row that the state includes"),
    "dispatchd_devices": Metric("gauge", "devices of the site by kind and presence"),
    "dispatchd_incidents_open": Metric("gauge", "open incidents, drills apart"),
    "dispatchd_incidents_unowned": Metric("gauge", "open incidents without an owner, drills apart"),
    "dispatchd_broadcasts_open": Metric("gauge", "broadcasts not closed, cancelled or expired"),
    "dispatchd_not_heard": Metric("gauge", "addressees of open broadcasts below presented"),
    "dispatchd_tasks_open": Metric("gauge", "tasks that wait for a human"),
    "dispatchd_faults": Metric("gauge", "entries of the maintenance list"),
    "dispatchd_feeds": Metric("gauge", "connected live feeds"),
    "dispatchd_feeds_dropped_total": Metric("counter", "feeds closed because their client did not read"),
    "dispatchd_http_requests_total": Metric("counter", "answered requests by path and status"),
}

Sample = tuple[str, str, float]
"""Metric, labels, value."""


def text(health: Health, state: State, requests: Requests, feeds: "Feeds") -> str:
    samples = [*_engine(health, state), *_site(state), *_console(requests, feeds)]
    lines: list[str] = []
    for name, metric in METRICS.items():
        lines += [f"# HELP {name} {metric.help}", f"# TYPE {name} {metric.kind}"]
        lines += [f"{name}{labels} {value:g}" for found, labels, value in samples if found == name]
    return "\n".join(lines) + "\n"


def _engine(health: Health, state: State) -> Iterator[Sample]:
    yield "dispatchd_info", f'{{version="{__version__}"}}', 1
    yield "dispatchd_store_ok", "", health.store_ok
    yield "dispatchd_link_up", "", health.link_up
    yield "dispatchd_queue_inputs", "", health.queue
    yield "dispatchd_inputs_total", "", health.inputs
    yield "dispatchd_batches_total", "", health.batches
    yield "dispatchd_refolds_total", "", health.refolds
    yield "dispatchd_states_dropped_total", "", health.states_dropped
    yield "dispatchd_posts_dropped_total", "", health.posts_dropped
    for what in sorted({"heard", "sent", *health.voice}):
        yield "dispatchd_voice_total", f'{{what="{what}"}}', health.voice.get(what, 0)
    for what in sorted({"up", "down", *health.messages}):
        yield "dispatchd_messages_total", f'{{what="{what}"}}', health.messages.get(what, 0)
    yield "dispatchd_journal_seq", "", state.seq


def _site(state: State) -> Iterator[Sample]:
    devices: dict[tuple[str, str], int] = {}
    for device in state.site.device.values():
        live = state.live.get(device.id)
        key = device.kind, "yes" if live is not None and live.online else "no"
        devices[key] = devices.get(key, 0) + 1
    for (kind, online), n in sorted(devices.items()):
        yield "dispatchd_devices", f'{{kind="{kind}",online="{online}"}}', n
    incidents = [i for i in state.incidents.values() if not i.ended_ms and not i.drill]
    yield "dispatchd_incidents_open", "", len(incidents)
    yield "dispatchd_incidents_unowned", "", sum(i.owner is None for i in incidents)
    waiting = [b.broadcast for b in state.broadcasts.values() if b.state == "open"]
    yield "dispatchd_broadcasts_open", "", len(waiting)
    yield "dispatchd_not_heard", "", sum(_not_heard(state, id_) for id_ in waiting)
    yield "dispatchd_tasks_open", "", sum(not task.done_ms for task in state.tasks.values())
    yield "dispatchd_faults", "", len(state.faults)


def _not_heard(state: State, broadcast: str) -> int:
    ladder = state.ladders.get(broadcast)
    return len(heard.not_heard(state, ladder)) if ladder else 0


def _console(requests: Requests, feeds: "Feeds") -> Iterator[Sample]:
    yield "dispatchd_feeds", "", feeds.connected
    yield "dispatchd_feeds_dropped_total", "", feeds.dropped
    for (path, status), n in sorted(requests.of.items()):
        yield "dispatchd_http_requests_total", f'{{path="{path}",status="{status}"}}', n
