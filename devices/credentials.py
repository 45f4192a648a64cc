"""The one file a device is given: who it is, where its sites are, its secret. Written by `dispatchd device add`."""

import stat
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import SplitResult, urlsplit

import msgspec
from msgspec import Meta, Struct

from protocols.topics import DEFAULT_ROOT
from protocols.types import Id

MAX_FILE_BYTES: Final = 64 * 1024
SCHEMES: Final = {"mqtt": 1883, "mqtts": 8883}


class Credentials(Struct, frozen=True):
    """`urls` in order of preference, at most three: mqtt://host:port or mqtts://host:port."""

    device: Id
    kind: str
    urls: Annotated[list[str], Meta(min_length=1, max_length=3)]
    secret: str
    root: str = DEFAULT_ROOT
    patrol: Id | None = None
    ca_file: str | None = None
    """Certificate authority of mqtts urls; the system's own if None."""


class CredentialsError(ValueError):
    """The file cannot be used; the text says why and what to do."""


def load(path: Path, kind: str) -> tuple[Credentials, list[str]]:
    """The credentials of this kind of device, and warnings to show; CredentialsError when unusable."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
            mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise CredentialsError(
            f"cannot read the credentials file {path}: {error.strerror}. Make one with `dispatchd device add ID`."
        ) from error
    credentials = parse(data, str(path))
    if credentials.kind != kind:
        raise CredentialsError(
            f"{path} is of a {credentials.kind}: run `dispatch-device {credentials.kind}`."
        )
    return credentials, _warnings(path, mode)


def parse(data: bytes, name: str = "credentials") -> Credentials:
    if len(data) > MAX_FILE_BYTES:
        raise CredentialsError(f"{name} is longer than {MAX_FILE_BYTES} bytes: it is no credentials file.")
    try:
        credentials = msgspec.json.decode(data, type=Credentials)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CredentialsError(
            f"{name} is no credentials file: {error}. Make a new one with `dispatchd device add ID`."
        ) from error
    if credentials.kind not in ("pillar", "terminal"):
        raise CredentialsError(f"{name}: kind {credentials.kind!r} is neither 'pillar' nor 'terminal'.")
    for url in credentials.urls:
        split(url)
    return credentials


def split(url: str) -> tuple[str, int, bool]:
    """Host, port and whether TLS; CredentialsError if it is no broker's url."""
    try:
        parts: SplitResult = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise CredentialsError(f"url {url!r}: {error}.") from error
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise CredentialsError(f"url {url!r} is not of the form mqtt://host:port or mqtts://host:port.")
    return parts.hostname, port or SCHEMES[parts.scheme], parts.scheme == "mqtts"


def _warnings(path: Path, mode: int) -> list[str]:
    if mode & 0o077:
        return [f"{path} can be read by others (mode {mode:04o}): run `chmod 600 {path}`."]
    return []
