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
        self._dark: set[Address] = set()
        self._also: dict[Address, Address] = {}
        self._kids: dict[Address, int] = {}

    def darken(self, kid: int) -> None:
        """He who seals under this KID now is cut off, both ways, whatever keys he gets later."""
        self._dark.add(self._address(kid))

    def lighten(self) -> None:
        """Everybody."""
        self._dark.clear()

    def copy(self, kid: int, to: int) -> None:
        """What the one gets, the other gets as well."""
        self._also[self._address(kid)] = self._address(to)

    def _address(self, kid: int) -> Address:
        return next(address for address, its in self._kids.items() if its == kid)

    def _from_client(self, data: bytes, client: Address) -> None:
        try:
            self._kids[client] = kid_of(data)
        except ProtocolError:
            self.counts["strange"] += 1
        if client not in self._dark:
            super()._from_client(data, client)

    def _from_server(self, client: Address, link: Any, data: bytes) -> None:
        if client not in self._dark:
            super()._from_server(client, link, data)
        if client in self._also:
            self.counts["copied"] += 1
            assert self._front is not None
            self._front.sendto(data, self._also[client])


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
