"""Talks to the running daemon as an operator: finds it through DIR/daemon.json, signs in with a token
file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import msgspec
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import connect

from dispatchd.config import ADMIN_TOKEN_FILE, READY_FILE, ConfigError, Ready, read_secret

from . import errors
from .errors import CliError

TIMEOUT_S: Final = 15.0  # for one answer; a command waits for its commit
MAX_FEED_BYTES: Final = 64 * 1024 * 1024  # of one feed message: the snapshot of a large site
_CODES: Final = {
    401: errors.NOT_ALLOWED,
    403: errors.NOT_ALLOWED,
    429: errors.NOT_ALLOWED,
    503: errors.UNREACHABLE,
    507: errors.DISK_FULL,
}


def read_ready(directory: Path) -> Ready:
    """What the daemon wrote when it was ready. CliError when none has."""
    path = directory / READY_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Ready)
    except OSError:
        raise CliError(
            f"No daemon has been ready in {directory} (no {READY_FILE}). Start one with: "
            f"dispatchd run --dir {directory}; or name another with --dir or --url.",
            errors.UNREACHABLE,
        ) from None
    except msgspec.DecodeError as error:
        raise CliError(f"{path} is not readable ({error}). Start the daemon anew.", errors.BAD_FILE) from None


class Client:
    """One operator's connection. Every method raises CliError with a sentence."""

    def __init__(self, url: str, token: str, *, transport: httpx.BaseTransport | None = None) -> None:
        self.url = url.rstrip("/")
        self._token = token
        headers = {"authorization": f"Bearer {token}"}
        self._http = httpx.Client(
            base_url=self.url, headers=headers, timeout=TIMEOUT_S, transport=transport, trust_env=False
        )

    def get(self, path: str) -> Any:
        return self._call("GET", path, None)

    def command(self, name: str, fields: dict[str, Any]) -> dict[str, Any]:
        """The answer `Done` as a dict with ids, counts and note where there are any."""
        found = self._call("POST", f"/commands/{name}", fields)
        return dict(found)

    def _call(self, method: str, path: str, fields: dict[str, Any] | None) -> Any:
        try:
            response = self._http.request(method, "/api/v1" + path, json=fields)
        except httpx.TransportError as error:
            raise CliError(
                f"The daemon does not answer at {self.url} ({error}). Is it running? See its log.",
                errors.UNREACHABLE,
            ) from None
        if response.status_code >= 400:
            raise refused(response.status_code, response.content)
        return response.json()

    @contextmanager
    def feed(self) -> Iterator[Iterator[dict[str, Any]]]:
        """The live feed's messages, the snapshot first, until the daemon closes it."""
        parts = urlsplit(self.url)
        headers = {"Authorization": f"Bearer {self._token}"}
        try:
            with connect(
                f"ws://{parts.netloc}/api/v1/feed",
                additional_headers=headers,
                max_size=MAX_FEED_BYTES,
                proxy=None,
            ) as socket:
                yield (msgspec.json.decode(message) for message in socket)
        except InvalidStatus as error:
            raise refused(error.response.status_code, error.response.body or b"") from None
        except ConnectionClosed as error:
            reason = error.rcvd.reason if error.rcvd else "the connection broke"
            raise CliError(f"The daemon closed the feed: {reason}.", errors.UNREACHABLE) from None
        except (OSError, WebSocketException) as error:
            raise CliError(
                f"The daemon does not answer at {self.url} ({error}).", errors.UNREACHABLE
            ) from None


def refused(status: int, body: bytes) -> CliError:
    """The daemon's own sentence, with its code and the field it is about."""
    try:
        problem = msgspec.json.decode(body)
        field = f" (field {problem['field']})" if problem.get("field") else ""
        why = f"{problem['why']}{field} [{problem['code']}]"
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        why = f"Something that is no dispatchd answered with HTTP {status}. Check --url and --dir."
    return CliError(why, _CODES.get(status, errors.REFUSED))


def open_client(directory: Path, url: str | None, token_file: Path | None) -> Client:
    """Of the common flags: --url and --token-file over what --dir says."""
    ready = None if url else read_ready(directory)
    path = token_file or directory / ADMIN_TOKEN_FILE
    try:
        token = read_secret(path)
    except ConfigError as error:
        raise CliError(
            f"{error} Name the file that holds your token with --token-file.", errors.NOT_ALLOWED
        ) from None
    if not token.isascii():
        raise CliError(f"{path} holds no token: tokens are plain letters and digits.", errors.NOT_ALLOWED)
    return Client(url or (ready.http if ready else ""), token)
