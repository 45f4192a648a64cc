"""Talks to the running daemon as an operator: finds it through DIR/daemon.json, signs in with a token
file."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import urlsplit

import httpx
import msgspec
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from dispatchd.config import ADMIN_TOKEN_FILE, READY_FILE, ConfigError, Ready, read_secret

from . import errors
from .errors import CliError
from .zh import refusal

TIMEOUT_S: Final = 30.0  # for one answer; a command waits for its commit, a broadcast for its sound
UPLOAD_TIMEOUT_S: Final = 90.0
MAX_FEED_BYTES: Final = 64 * 1024 * 1024  # of one feed message: the snapshot of a large site
PING_S: Final = 5.0  # between pings of the feed; one unanswered for so long means that the link is lost
CLOSE_S: Final = 1.0  # to say goodbye to a daemon that may be gone
REVOKED: Final = 4401  # close code of a feed whose token is no longer valid
RESTARTS: Final = 1012  # close code of a feed whose daemon stops
UNAUTHORIZED: Final = 401
_CODES: Final = {
    401: errors.NOT_ALLOWED,
    403: errors.NOT_ALLOWED,
    429: errors.NOT_ALLOWED,
    503: errors.UNREACHABLE,
    507: errors.DISK_FULL,
}


def in_words(lang: str, zh: str, en: str) -> str:
    return zh if lang == "zh" else en


def read_ready(directory: Path, lang: str = "en") -> Ready:
    """What the daemon wrote when it was ready. CliError when none has, or when it may not be read."""
    path = directory / READY_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Ready)
    except PermissionError:
        raise CliError(_no_rights(path, lang), errors.NOT_ALLOWED) from None
    except OSError as error:
        zh = (
            f"{directory} 里没有就绪的守护进程({READY_FILE}:{error.strerror})。启动:dispatchd run --dir {directory};"
            "或用 --dir、--url 指明另一个。"
        )
        en = (
            f"No daemon has been ready in {directory} ({READY_FILE}: {error.strerror}). Start one with: "
            f"dispatchd run --dir {directory}; or name another with --dir or --url."
        )
        raise CliError(in_words(lang, zh, en), errors.UNREACHABLE) from None
    except msgspec.DecodeError as error:
        zh, en = (
            f"{path} 读不懂({error})。请重启守护进程。",
            f"{path} is not readable ({error}). Start the daemon anew.",
        )
        raise CliError(in_words(lang, zh, en), errors.BAD_FILE) from None


def _no_rights(path: Path, lang: str) -> str:
    return in_words(
        lang,
        f"您无权读取 {path}。请以守护进程的用户运行,或向管理员要令牌,再用 --url 和 --token-file。",
        f"You may not read {path}. Run this as the daemon's user; or get a token of your own from an admin and give "
        "--url and --token-file.",
    )


class Client:
    """One operator's connection. Every method raises CliError with a sentence. `source`: where the token is from."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        source: str = "",
        lang: str = "en",
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self._token, self._source, self._lang = token, source, lang
        headers = {"authorization": f"Bearer {token}"}
        self._http = httpx.Client(
            base_url=self.url, headers=headers, timeout=TIMEOUT_S, transport=transport, trust_env=False
        )

    def close(self) -> None:
        self._http.close()

    def get(self, path: str) -> Any:
        return self._call("GET", path, None)

    def command(self, name: str, fields: dict[str, Any]) -> dict[str, Any]:
        """The answer `Done` as a dict with ids, counts and note where there are any."""
        found = self._call("POST", f"/commands/{name}", fields)
        return dict(found)

    def upload(self, path: str, raw: bytes) -> Any:
        """POST of a file's bytes; making sense of a long one takes the daemon a while."""
        return self._call("POST", path, None, content=raw, timeout=UPLOAD_TIMEOUT_S)

    def _call(self, method: str, path: str, fields: dict[str, Any] | None, **other: Any) -> Any:
        try:
            response = self._http.request(method, "/api/v1" + path, json=fields, **other)
        except httpx.TransportError as error:
            raise self._silent(str(error) or type(error).__name__) from None
        if response.status_code >= 400:
            raise self._refused(response.status_code, response.content)
        return response.json()

    def download(self, path: str, out: Path | None) -> int:
        """The bytes of an answer into a new file at `out` (None: stdout), whole or not at all; gives how many."""
        try:
            with self._http.stream("GET", "/api/v1" + path) as response:
                if response.status_code >= 400:
                    raise self._refused(response.status_code, response.read())
                if out is None:
                    return _pour(response, sys.stdout.buffer)
                beside = out.with_name(out.name + ".new")
                try:
                    with os.fdopen(
                        os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb"
                    ) as file:
                        size = _pour(response, file)
                    beside.replace(out)
                finally:
                    beside.unlink(missing_ok=True)
                return size
        except httpx.TransportError as error:
            raise self._silent(str(error) or type(error).__name__) from None

    @contextmanager
    def feed(self, tick_s: float | None = None) -> Iterator[Iterator[dict[str, Any] | None]]:
        """The live feed's messages, the snapshot first, until it ends, which is a CliError; None each `tick_s`
        without one."""
        url, headers = self.socket("/feed")
        try:
            with connect(
                url,
                additional_headers=headers,
                max_size=MAX_FEED_BYTES,
                ping_interval=PING_S,
                ping_timeout=PING_S,
                close_timeout=CLOSE_S,
                proxy=None,
            ) as socket:
                yield _messages(socket, tick_s)
        except (InvalidStatus, ConnectionClosed, OSError, WebSocketException) as error:
            raise self.explained(error) from None

    def socket(self, path: str) -> tuple[str, dict[str, str]]:
        """Address and headers of a WebSocket of the API."""
        headers = {"Authorization": f"Bearer {self._token}"}
        return f"ws://{urlsplit(self.url).netloc}/api/v1{path}", headers

    def explained(self, error: Exception) -> CliError:
        """What ended a WebSocket, as a sentence."""
        if isinstance(error, InvalidStatus):
            return self._refused(error.response.status_code, error.response.body or b"")
        if isinstance(error, ConnectionClosed):
            return self._ended(error)
        return self._silent(str(error) or type(error).__name__)

    def _ended(self, error: ConnectionClosed) -> CliError:
        """Of a feed. 4401: the token is no longer valid."""
        said = error.rcvd.reason if error.rcvd else ""
        if error.rcvd and error.rcvd.code == RESTARTS:
            said = said or in_words(self._lang, "守护进程正在停止", "it is stopping")
        code = errors.NOT_ALLOWED if error.rcvd and error.rcvd.code == REVOKED else errors.UNREACHABLE
        zh = f"守护进程关闭了实时连接:{said or '没有说明原因,可能已停止'}。"
        en = f"The daemon closed the feed: {said or 'it gave no reason; perhaps it has stopped'}."
        if error.rcvd is None:
            zh, en = (
                f"与 {self.url} 的连接断了,守护进程没有回应。",
                f"The connection to {self.url} broke; the daemon does not answer.",
            )
        return CliError(in_words(self._lang, zh, en).replace("..", "."), code)

    def _silent(self, why: str) -> CliError:
        zh = f"守护进程没有应答:{self.url}({why})。它在运行吗?看它的日志。"
        en = f"The daemon does not answer at {self.url} ({why}). Is it running? See its log."
        return CliError(in_words(self._lang, zh, en), errors.UNREACHABLE)

    def _refused(self, status: int, body: bytes) -> CliError:
        return refused(status, body, self._lang, self._source)


def _pour(response: httpx.Response, file: BinaryIO) -> int:
    return sum(file.write(part) for part in response.iter_bytes())


def _messages(socket: Connection, tick_s: float | None) -> Iterator[dict[str, Any] | None]:
    while True:
        try:
            message = socket.recv(timeout=tick_s)
        except TimeoutError:
            yield None
        else:
            yield msgspec.json.decode(message)


def refused(status: int, body: bytes, lang: str = "en", source: str = "") -> CliError:
    """The daemon's own sentence, with its code and the field it is about; at 401 also where the token is from."""
    try:
        problem = msgspec.json.decode(body)
        field = f" (field {problem['field']})" if problem.get("field") else ""
        code, why = problem["code"], problem["why"]
        why = f"{refusal(code, why) if lang == 'zh' else why}{field} [{code}]"
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        why = in_words(
            lang,
            f"应答的不是 dispatchd(HTTP {status})。核对 --url 和 --dir。",
            f"Something that is no dispatchd answered with HTTP {status}. Check --url and --dir.",
        )
    if status == UNAUTHORIZED and source:
        why += in_words(lang, f" 令牌来自 {source}。", f" The token was read from {source}.")
    return CliError(why, _CODES.get(status, errors.REFUSED))


def open_client(directory: Path, url: str | None, token_file: Path | None, lang: str = "en") -> Client:
    """Of the common flags: --url and --token-file over what --dir says."""
    ready = None if url else read_ready(directory, lang)
    path = token_file or directory / ADMIN_TOKEN_FILE
    token = _token(path, lang)
    return Client(url or (ready.http if ready else ""), token, source=str(path), lang=lang)


def _token(path: Path, lang: str) -> str:
    """CliError when the file cannot be read or holds no token."""
    try:
        token = read_secret(path)
    except ConfigError as error:
        en = f"{error} Name the file that holds your token with --token-file."
        zh = f"读不到令牌文件 {path}。用 --token-file 指明您的令牌文件。({error})"
        raise CliError(in_words(lang, zh, en), errors.NOT_ALLOWED) from None
    if not token.isascii():
        en = f"{path} holds no token: tokens are plain letters and digits."
        zh = f"{path} 里不是令牌:令牌只有字母和数字。"
        raise CliError(in_words(lang, zh, en), errors.NOT_ALLOWED)
    return token
