"""The standing of a device's connection: one line when it changes."""

from devices.connection import Standing

A, B = "mqtt://a:1883", "mqtt://b:1883"


def state(line: object) -> object:
    return line["state"] if isinstance(line, dict) else None


def test_one_line_for_each_change_and_none_between() -> None:
    standing = Standing("p-1")
    told = [
        standing.broken(A, "no route", refused=False),
        standing.broken(A, "connection refused", refused=False),
        standing.connected(A),
        standing.connected(A),
        standing.broken(A, "gone", refused=False),
        standing.broken(A, "not authorised", refused=True),
        standing.broken(A, "not authorised", refused=True),
        standing.connected(A),
    ]
    assert [state(line) for line in told] == [
        "not-connected", None, "connected", None, "not-connected", "refused", None, "connected",
    ]  # fmt: skip


def test_a_second_path_that_is_only_down_does_not_hide_a_wrong_secret() -> None:
    standing = Standing("p-1")
    first = standing.broken(A, "not authorised", refused=True)
    assert first is not None
    assert A in first["text"]
    assert "dispatchd device add p-1" in first["text_en"]
    for _ in range(3):
        assert standing.broken(B, "no route", refused=False) is None
        assert standing.broken(A, "not authorised", refused=True) is None
    assert state(standing.connected(B)) == "connected"
    assert state(standing.broken(B, "gone", refused=False)) == "not-connected"
