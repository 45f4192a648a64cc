"""Credentials for all devices of a site: secrets are made here, the daemon is told only their stored form.

A device that has a file already keeps its secret; only the broker's url is renewed. A file is there only
after the daemon was told, so a run that was cut short can be repeated.
"""

import asyncio
import os
from pathlib import Path
from typing import Final

import msgspec

from devices.credentials import Credentials, CredentialsError, parse
from protocols.secret import hash_secret, new_secret
from protocols.site import Device, Site

from .api import Api

AT_ONCE: Final = 16
"""Commands on their way to the daemon; it commits them in batches."""


async def enrol(api: Api, site: Site, folder: Path, mqtt: str, *, root: str = "") -> int:
    """Writes `folder/ID.json` for every device, 0600; returns how many secrets are new. ApiError, OSError."""
    _folder(folder)
    turn = asyncio.Semaphore(AT_ONCE)
    root = root or site.root

    async def one(device: Device) -> bool:
        path = folder / f"{device.id}.json"
        known = _known(path)
        secret = new_secret() if known is None else known.secret
        made = Credentials(device.id, device.kind, [mqtt], secret, root, device.patrol)
        unsent = folder / f"{device.id}.json.new"
        _write(unsent if known is None else path, made)
        if known is None:
            async with turn:
                await api.command("secret", device=device.id, secret_hash=hash_secret(secret))
            unsent.replace(path)
        return known is None

    return sum(await asyncio.gather(*(one(device) for device in site.device)))


def _folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)


def _known(path: Path) -> Credentials | None:
    try:
        return parse(path.read_bytes(), str(path))
    except (FileNotFoundError, CredentialsError):
        return None


def _write(path: Path, credentials: Credentials) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(credentials), indent=1) + b"\n")
