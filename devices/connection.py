"""Whether a device is connected, in words for the person beside it: told when it changes, never twice. Pure.

- `refused` is the broker's word on name and secret: it stands until a broker takes us or this one fails otherwise, so
  a second path that is only down does not hide it.
- Attempts that fail one like the other are one standing, whatever each says of why.
"""

from typing import Any, Final, Literal

from devices.words import Both

State = Literal["connected", "not-connected", "refused"]

BAD_CREDENTIALS: Final = frozenset((4, 5, 134, 135))
"""CONNACK codes of MQTT 3.1.1 and 5: bad user name or password, not authorized."""


class Standing:
    """Of one device; every method returns the log line `connection` if something has changed, else None."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._told: State | None = None
        self._failures: dict[str, State] = {}

    def connected(self, url: str) -> dict[str, Any] | None:
        self._failures.clear()
        return self._now("connected", url, Both(f"已连接:{url}", f"connected to {url}"))

    def broken(self, url: str, why: str, *, refused: bool) -> dict[str, Any] | None:
        """An attempt failed, or a connection ended. At most one failure is kept of each of the three urls."""
        self._failures[url] = "refused" if refused else "not-connected"
        if "refused" in self._failures.values():
            return self._now("refused", url, _refused(self._device, url), why)
        text = Both(f"未连接,正在重试:{url}({why})", f"not connected, trying again: {url} ({why})")
        return self._now("not-connected", url, text, why)

    def _now(self, state: State, url: str, text: Both, why: str = "") -> dict[str, Any] | None:
        if state == self._told:
            return None
        self._told = state
        return {
            "ev": "connection",
            "state": state,
            "url": url,
            "why": why,
            "text": text.zh,
            "text_en": text.en,
        }


def _refused(device: str, url: str) -> Both:
    return Both(
        f"连接被拒绝:密钥不对,或设备未登记({url})。请在站点运行 dispatchd device add {device},"
        "用新的凭证文件替换现有文件,再重新启动本设备。",
        f"refused: wrong secret, or unknown device ({url}). On the site run `dispatchd device add {device}`, "
        "put the new credentials file in place of this one, and start the device again.",
    )
