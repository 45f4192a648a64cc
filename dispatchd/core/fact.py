"""What every fact is: a frozen struct, its version, an id to find it by, and whether anybody waits for the disk."""

from typing import ClassVar

from msgspec import Struct


class Fact(Struct, frozen=True, omit_defaults=True):
    """`ABOUT` names the field by which the journal finds the row again."""

    V: ClassVar[int] = 1
    ABOUT: ClassVar[str] = ""
    WAITED: ClassVar[bool] = True


class _Incident(Fact, frozen=True):
    ABOUT: ClassVar[str] = "incident"


class _Device(Fact, frozen=True):
    ABOUT: ClassVar[str] = "device"


class _Ladder(Fact, frozen=True):
    ABOUT: ClassVar[str] = "about"


class _Broadcast(Fact, frozen=True):
    ABOUT: ClassVar[str] = "broadcast"
