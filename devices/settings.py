"""What a site can set on a device by `config`: names, units, bounds.

Unknown names are ignored; one wrong value refuses the whole.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from protocols import codec, down
from protocols.errors import ProtocolError

NAMES: Final = frozenset(
    {"volume_pct", "min_volume_pct", "wait_prompt_s", "spoken_for_s", "language", "drill", "hot_microphone_s"}
)


class Settings(Struct, frozen=True):
    """In force now; `version` of the config they came with, 0 = none yet."""

    version: int = 0
    volume_pct: Annotated[int, Meta(ge=0, le=100)] = 80
    min_volume_pct: Annotated[int, Meta(ge=0, le=100)] = 60
    wait_prompt_s: Annotated[int, Meta(ge=5, le=120)] = 15
    spoken_for_s: Annotated[int, Meta(ge=10, le=600)] = 120
    language: Annotated[str, Meta(pattern="^(zh|en)$")] = "zh"
    drill: bool = False
    hot_microphone_s: Annotated[int, Meta(ge=0, le=60)] | None = None
    """None: as the site says in its hello."""


def applied(now: Settings, config: down.Config) -> tuple[Settings, str]:
    """The new settings and "", or the old ones and what is wrong."""
    values = msgspec.structs.asdict(now)
    values.update({name: value for name, value in config.values.items() if name in NAMES})
    values["version"] = config.version
    try:
        return msgspec.convert(values, Settings), ""
    except msgspec.ValidationError as error:
        return now, str(error)


def restored(body: bytes, language: str) -> Settings:
    """Of the config kept over a reboot, or the defaults."""
    defaults = Settings(language=language)
    try:
        config = codec.decode_down("config", body)
    except ProtocolError:
        return defaults
    assert isinstance(config, down.Config)
    return applied(defaults, config)[0]
