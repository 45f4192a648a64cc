"""Where the console listens: this machine only, and a taken port is told in a sentence."""

import pytest

from dispatchd.console.server import ListenError, listen, parse_address, url


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:80", ("::1", 80)),
        (":8080", ("127.0.0.1", 8080)),
        ("127.9.9.9:1", ("127.9.9.9", 1)),
    ],
)
def test_loopback_is_served(text: str, wanted: tuple[str, int]) -> None:
    assert parse_address(text) == wanted


@pytest.mark.parametrize("text", ["0.0.0.0:80", "10.1.2.3:80", "[::]:80", "dispatch.example:80", "*:80"])
def test_anything_else_is_refused_with_the_way_out(text: str) -> None:
    with pytest.raises(ListenError, match=r"this machine only.*ssh -L"):
        parse_address(text)


@pytest.mark.parametrize("text", ["127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", ""])
def test_what_is_no_address_is_told(text: str) -> None:
    with pytest.raises(ListenError, match="HOST:PORT"):
        parse_address(text)


def test_a_taken_port_names_it() -> None:
    with listen("127.0.0.1", 0) as bound:
        bound.listen()
        port = bound.getsockname()[1]
        assert url(bound) == f"http://127.0.0.1:{port}"
        with pytest.raises(ListenError, match=str(port)):
            listen("127.0.0.1", port)
