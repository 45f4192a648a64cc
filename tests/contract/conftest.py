"""Starts the daemon as a process, on either broker, for a site of two pillars and two terminals.

The contract of the fixture `daemon`: `.credentials(id)`, `.kill()`, `.start()`, and the operator's hand over
HTTP: `.incidents()`, `.command(name, **fields)`. DISPATCHD="…" names another command than
`python -m dispatchd`.
"""

import itertools
import json
import os
import shlex
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.client import Contract, Device, connected

COMMAND = shlex.split(os.environ.get("DISPATCHD", "")) or [sys.executable, "-m", "dispatchd"]
READY_WITHIN_S = 30
STOP_WITHIN_S = 15
HTTP_WITHIN_S = 10
DEVICES = ("pillar-1", "pillar-2", "radio-1", "radio-2")
PILLAR_AT = (26.8900, 112.6000)
"""Both terminals say that they are within 200 m of it."""
ITEM_RETRY_MAX_S = 1
"""By the site's rules below: an item that is not reported comes again this often at least."""
QUIET_S = 2.5 * ITEM_RETRY_MAX_S
SITE = f"""
name = "contract test"

[rules]
retry_first_s = 0.5
retry_max_s = {ITEM_RETRY_MAX_S}

[[unit]]
id = "top"

[[unit]]
id = "station"
parent = "top"

[[point]]
id = "point-1"
unit = "station"
number = "001"
lat = {PILLAR_AT[0]}
lon = {PILLAR_AT[1]}

[[point]]
id = "point-2"
unit = "station"
number = "002"
lat = {PILLAR_AT[0] + 0.001}
lon = {PILLAR_AT[1]}

[[patrol]]
id = "patrol-1"
unit = "station"
force = "police"

[[patrol]]
id = "patrol-2"
unit = "station"
force = "police"

[[device]]
id = "pillar-1"
kind = "pillar"
unit = "station"
point = "point-1"

[[device]]
id = "pillar-2"
kind = "pillar"
unit = "station"
point = "point-2"

[[device]]
id = "radio-1"
kind = "terminal"
unit = "station"
patrol = "patrol-1"

[[device]]
id = "radio-2"
kind = "terminal"
unit = "station"
patrol = "patrol-2"
"""


def free_port() -> int:
    """The same over all lives of one daemon."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Daemon:
    """One `dispatchd run` after another in the same folder."""

    def __init__(self, folder: Path, broker: str) -> None:
        self.folder, self.broker = folder, broker
        self.site = folder / "site.toml"
        self.site.write_text(SITE, encoding="utf-8")
        self.config = folder / "dispatchd.toml"
        self.config.write_text(f'[broker]\nlisten = "127.0.0.1:{free_port()}"\n', encoding="utf-8")
        self.conn = itertools.count(1)
        self.ready: dict[str, Any] = {}
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Returns when it said that it is ready."""
        arguments = ["run", "--config", str(self.config), "--dir", str(self.folder), "--site", str(self.site)]
        arguments += ["--http", "127.0.0.1:0"]
        log = (self.folder / "daemon.log").open("a", encoding="utf-8")
        with log:
            self._process = subprocess.Popen(
                [*COMMAND, *arguments, "--broker", self.broker], stdout=subprocess.PIPE, stderr=log, text=True
            )
        self.ready = self._first_line(self._process)

    def _first_line(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        assert process.stdout
        too_late = threading.Timer(READY_WITHIN_S, process.kill)
        too_late.start()
        try:
            line = process.stdout.readline()
        finally:
            too_late.cancel()
        if not line.startswith("{"):
            self.kill()
            pytest.fail(f"dispatchd did not become ready: {line!r}\n{self.log()[-4000:]}")
        return dict(json.loads(line))

    def kill(self) -> None:
        """As a power cut would."""
        self._end(subprocess.Popen.kill)

    def stop(self) -> None:
        """As systemd does."""
        self._end(subprocess.Popen.terminate)

    def _end(self, how: Any) -> None:
        if not self._process:
            return
        how(self._process)
        try:
            self._process.wait(STOP_WITHIN_S)
        finally:
            self._process.kill()
            assert self._process.stdout
            self._process.stdout.close()
            self._process = None

    def log(self) -> str:
        return (self.folder / "daemon.log").read_text(encoding="utf-8")

    def enrol(self, device: str) -> None:
        subprocess.run(
            [*COMMAND, "device", "add", device, "--dir", str(self.folder)],
            check=True,
            capture_output=True,
            timeout=READY_WITHIN_S,
        )

    def credentials(self, device: str) -> dict[str, Any]:
        """The device's file; its url is the broker's of today."""
        text = (self.folder / "credentials" / f"{device}.json").read_text(encoding="utf-8")
        return {**json.loads(text), "urls": [self.ready["mqtt"]], "root": self.ready["root"]}

    # ------------------------------------------------------------------------------- operator's hand
    def incidents(self) -> dict[str, dict[str, Any]]:
        """Open ones by id, as the API shows them."""
        items = self._http("GET", "/incidents")["items"]
        return {incident["id"]: incident for incident in items if incident["open"]}

    def command(self, name: str, **fields: Any) -> dict[str, Any]:
        return self._http("POST", f"/commands/{name}", {"command": name, **fields})

    def end_all(self) -> None:
        for incident in self.incidents():
            self.command("accept", incident=incident)
            self.command("end", incident=incident, outcome="drill")

    def _http(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        token = Path(self.ready["admin_token_file"]).read_text(encoding="utf-8").strip()
        request = urllib.request.Request(
            f"{self.ready['http']}/api/v1{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"authorization": f"Bearer {token}", "content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=HTTP_WITHIN_S) as answer:
            return dict(json.load(answer))


@pytest.fixture(scope="session")
def contract() -> Contract:
    return Contract()


@pytest.fixture(scope="module", params=["amqtt", pytest.param("mosquitto", marks=pytest.mark.mosquitto)])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path_factory.mktemp(request.param), request.param)
    try:
        daemon.start()
        for device in DEVICES:
            daemon.enrol(device)
        yield daemon
    finally:
        daemon.stop()


@pytest.fixture
def daemon(running: Daemon) -> Iterator[Daemon]:
    """With no open incident, before and after."""
    running.end_all()
    yield running
    running.end_all()


@pytest.fixture
def pillar(daemon: Daemon, contract: Contract) -> Iterator[Device]:
    with connected(contract, daemon.credentials("pillar-1"), next(daemon.conn)) as device:
        yield device


@pytest.fixture
def radios(daemon: Daemon, contract: Contract) -> Iterator[tuple[Device, Device]]:
    """Two terminals, on line and near."""
    with (
        connected(contract, daemon.credentials("radio-1"), next(daemon.conn)) as one,
        connected(contract, daemon.credentials("radio-2"), next(daemon.conn)) as two,
    ):
        one.report_at(PILLAR_AT[0] + 0.0005, PILLAR_AT[1])
        two.report_at(PILLAR_AT[0] - 0.0010, PILLAR_AT[1])
        for device in (one, two):
            device.hello()  # QoS 0 state and QoS 1 hello travel in order: answered, so the position is known
        yield one, two
