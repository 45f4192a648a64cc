"""Who takes part: devices with credentials files, and where the site says they stand. Reads files only.

Files are `ID.json` as `dispatchd device add ID` writes them. A pillar of no rally point stands at its
own position; a terminal whose patrol the site does not know is carried by a volunteer.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devices.credentials import Credentials, CredentialsError, parse
from protocols import site as site_

from .streets import Streets

DEFAULT_FORCE: Final = "volunteer"


class RosterError(ValueError):
    """The devices cannot take part; the text says what to do."""


@dataclass(frozen=True)
class Roster:
    """`terminals`: with the force that carries each. `pillars`: with the junction where each stands."""

    terminals: list[tuple[Credentials, str]]
    pillars: list[tuple[Credentials, int]]


@dataclass(frozen=True)
class Wanted:
    """How many of each, and which part of them (shard i of n) this process runs."""

    terminals: int
    pillars: int
    shard: tuple[int, int] = (0, 1)


def read_site(path: Path) -> site_.Site:
    try:
        return site_.load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RosterError(
            f"cannot read the site file {path}: {error.strerror}. Name one with --site."
        ) from error
    except ValueError as error:
        raise RosterError(f"{path} is no site file:\n{error}") from error


def read(directory: Path, site: site_.Site, streets: Streets, wanted: Wanted) -> Roster:
    """The first so many of each kind by id; RosterError when there are fewer."""
    found = _credentials(directory)
    forces: dict[str, str] = {patrol.id: patrol.force for patrol in site.patrol}
    patrol_of = {device.id: device.patrol for device in site.device}
    terminals = [
        (one, forces.get(one.patrol or patrol_of.get(one.device) or "", DEFAULT_FORCE))
        for one in _chosen(found, "terminal", wanted.terminals, wanted.shard, directory)
    ]
    places = pillar_junctions(site, streets)
    pillars = [
        (one, places.get(one.device, 0))
        for one in _chosen(found, "pillar", wanted.pillars, wanted.shard, directory)
    ]
    return Roster(terminals, pillars)


def pillar_junctions(site: site_.Site, streets: Streets) -> dict[str, int]:
    """Where each pillar of the site stands."""
    points = {point.id: (point.lat, point.lon) for point in site.point}
    places = {}
    for device in site.device:
        if device.kind == "pillar" and device.lat is not None and device.lon is not None:
            places[device.id] = streets.nearest((device.lat, device.lon))
        elif device.kind == "pillar" and device.point is not None:
            places[device.id] = streets.nearest(points[device.point])
    return places


def _credentials(directory: Path) -> list[Credentials]:
    try:
        return [parse(path.read_bytes(), str(path)) for path in sorted(directory.glob("*.json"))]
    except CredentialsError as error:
        raise RosterError(str(error)) from error


def _chosen(
    found: list[Credentials], kind: str, count: int, shard: tuple[int, int], directory: Path
) -> list[Credentials]:
    of_kind = [one for one in found if one.kind == kind]
    if len(of_kind) < count:
        raise RosterError(
            f"{directory} holds credentials of {len(of_kind)} {kind}s, {count} are wanted. "
            f"Ask for fewer (--{kind}s), name another folder (--credentials), "
            "or let --http and --token-file make them."
        )
    index, parts = shard
    return of_kind[:count][index::parts]
