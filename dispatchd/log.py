"""How the daemon speaks to ops: structlog, readable on a terminal, JSON lines elsewhere, never a secret.

One canonical line per input is the engine's. A key that names a secret, and a value that looks like one, is
redacted in every line, whoever wrote it.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from functools import lru_cache
from typing import Any, Final, TextIO

import structlog

REDACTED: Final = "[redacted]"
_SECRET_KEY: Final = re.compile(
    r"token|secret|password|passwd|authorization|cookie|private_?key", re.IGNORECASE
)
_HARMLESS: Final = frozenset({"token_file", "password_file", "admin_token_file", "secret_file"})
_SECRET_VALUE: Final = re.compile(
    r"(?i:bearer)\s+[\w.~+/=-]{8,}|\$7\$\d+\$[\w+/=]+\$[\w+/=]+|(?<=://)[^/@\s]+(?=@)"
)
MAX_DEPTH: Final = 6  # of nested values looked through; what lies deeper is left out of the line


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Processor: no token, secret or password leaves in a log line."""
    return {key: _clean(key, value, 0) for key, value in event.items()}


@lru_cache(maxsize=1024)
def _secret(key: str) -> bool:
    return _SECRET_KEY.search(key) is not None and key not in _HARMLESS


def _clean(key: str, value: Any, depth: int) -> Any:
    if value not in (None, "") and _secret(key):
        return REDACTED
    if isinstance(value, str):
        return _SECRET_VALUE.sub(REDACTED, value)
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if depth >= MAX_DEPTH:
        return "…"
    if isinstance(value, dict):
        return {k: _clean(str(k), v, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_clean("", v, depth + 1) for v in value]
    return value


def configure(level: str = "info", format_: str = "auto", stream: TextIO | None = None) -> None:
    """Call once at the start of the process; `stream` is stderr by default."""
    out = stream or sys.stderr
    console = format_ == "console" or (format_ == "auto" and out.isatty())
    rendering: list[Any] = (
        [structlog.dev.ConsoleRenderer(colors=out.isatty())]
        if console
        else [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer(ensure_ascii=False)]
    )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=not console),
        redact,
    ]
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    _libraries(out, level, [*shared, structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering])


def _libraries(out: TextIO, level: str, processors: list[Any]) -> None:
    """What uvicorn, paho and asyncio log comes out in the same form; below warning only at level debug."""
    handler = logging.StreamHandler(out)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=processors))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if level == "debug" else logging.WARNING)
