"""The relay of tests/sound that also knows whose datagrams are whose: one terminal's can be cut or copied."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from protocols.errors import ProtocolError
from protocols.sframe import kid_of
from tests.sound.relay import Address, Relay, Weather


class Network(Relay):
    """Terminals are told apart by the KID that they seal under."""

    def __init__(self, server: Address, up: Weather, down: Weather, seed: int) -> None:
        super().__init__(server, up, down, seed)
        self.dark: set[int] = set()
        """KIDs of those who are cut off, both ways."""
        self.also: dict[int, int] = {}
        """What the one of this KID gets, the one of that KID gets as well."""
        self._kids: dict[Address, int] = {}

    def _from_client(self, data: bytes, client: Address) -> None:
        try:
            self._kids[client] = kid_of(data)
        except ProtocolError:
            self.counts["strange"] += 1
        if self._kids.get(client) not in self.dark:
            super()._from_client(data, client)

    def _from_server(self, client: Address, link: Any, data: bytes) -> None:
        kid = self._kids.get(client, 0)
        if kid not in self.dark:
            super()._from_server(client, link, data)
        for other in [address for address, its in self._kids.items() if its == self.also.get(kid)]:
            self.counts["copied"] += 1
            assert self._front is not None
            self._front.sendto(data, other)


@asynccontextmanager
async def network(server: Address, up: Weather, down: Weather, seed: int) -> AsyncIterator[Network]:
    """In front of `server` while the context lasts."""
    made = Network(server, up, down, seed)
    async with asyncio.TaskGroup() as tasks:
        await made.open(tasks)
        try:
            yield made
        finally:
            made.close()
