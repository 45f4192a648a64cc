"""No secret leaves in a log line, whoever writes it and wherever in it the secret stands."""

import io
import json
import logging

import pytest
import structlog

from dispatchd import log
from protocols.secret import hash_secret


@pytest.fixture(autouse=True)
def _as_before() -> object:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:], level = before[0], before[1]
    root.setLevel(level)


def line(
    format_: str = "json", level: str = "info"
) -> tuple[io.StringIO, structlog.typing.FilteringBoundLogger]:
    out = io.StringIO()
    log.configure(level, format_, out)
    return out, structlog.get_logger()


@pytest.mark.parametrize("format_", ["json", "console"])
def test_secrets_are_redacted_by_name_and_by_form(format_: str) -> None:
    out, logger = line(format_)
    stored = hash_secret("hush")
    logger.info(
        "signed in with Bearer abcdefgh12345",
        token="t0ken-value",
        headers={"Authorization": "Basic eHl6"},
        nested={"a": [{"secret": "deep-value"}]},
        url="mqtt://user:pass-value@host:1883",
        hash=stored,
        raw=b"bytes-value",
    )
    text = out.getvalue()
    for secret in ("abcdefgh12345", "t0ken-value", "eHl6", "deep-value", "pass-value", stored, "bytes-value"):
        assert secret not in text, secret
    assert "host:1883" in text
    assert log.REDACTED in text


def test_names_of_files_are_no_secrets() -> None:
    out, logger = line()
    logger.info("ready", admin_token_file="/x/admin.token")
    assert json.loads(out.getvalue())["admin_token_file"] == "/x/admin.token"


def test_json_lines_and_levels() -> None:
    out, logger = line(level="warning")
    logger.info("quiet")
    logger.warning("警情", n=1)
    found = json.loads(out.getvalue())
    assert (found["event"], found["level"], found["n"]) == ("警情", "warning", 1)
    assert "警情" in out.getvalue()


def test_an_exception_is_one_json_line() -> None:
    out, logger = line()
    try:
        int("boom")
    except ValueError:
        logger.exception("failed")
    (only,) = out.getvalue().splitlines()
    assert json.loads(only)["exception"][0]["exc_type"] == "ValueError"


def test_libraries_speak_in_the_same_form_and_only_when_it_matters() -> None:
    out, _ = line()
    logging.getLogger("paho").info("chatter")
    logging.getLogger("uvicorn.error").warning("token=%s", "x")
    assert "chatter" not in out.getvalue()
    assert json.loads(out.getvalue())["level"] == "warning"
