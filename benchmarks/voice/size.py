"""How large the voice benchmark is played; tests play it tiny."""

from typing import Final, NamedTuple


class Size(NamedTuple):
    """`frames` of one word; `web` listeners by WebRTC, as many as the daemon has sessions for and two cores carry."""

    listeners: int = 100
    groups: int = 10
    frames: int = 250
    web: int = 50
    presses: int = 100
    entries: int = 20
    words: int = 3


FULL: Final = Size()
