"""The radio carries bytes, loses a device and finds it again; who is behind a connection is read from its CONNECT."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from simulators.radio import Radio, client_id


def connect(device: str) -> bytes:
    """An MQTT 3.1.1 CONNECT."""
    name = device.encode()
    body = b"\x00\x04MQTT\x04\x02\x00\x05" + len(name).to_bytes(2, "big") + name
    return bytes([0x10, len(body)]) + body


@asynccontextmanager
async def echo() -> AsyncIterator[tuple[str, int]]:
    """A server that says everything back."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()


async def dial(radio: Radio, device: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", radio.port)
    writer.write(connect(device))
    return reader, writer


async def test_what_goes_in_comes_out() -> None:
    async with echo() as (host, port), Radio(host, port) as radio:
        reader, writer = await dial(radio, "t-001")
        assert await reader.readexactly(len(connect("t-001"))) == connect("t-001")
        writer.write(b"x" * 100_000)
        assert await reader.readexactly(100_000) == b"x" * 100_000
        writer.close()
        assert await reader.read() == b""


async def test_a_lost_device_hears_nothing_and_is_told_nothing_until_it_is_found() -> None:
    async with echo() as (host, port), Radio(host, port) as radio:
        reader, writer = await dial(radio, "t-001")
        other, other_writer = await dial(radio, "t-002")
        await reader.readexactly(len(connect("t-001")))
        await other.readexactly(len(connect("t-002")))
        radio.lose("t-001")
        writer.write(b"hidden")
        other_writer.write(b"heard")
        assert await other.readexactly(5) == b"heard"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.3)
        radio.find("t-001")
        assert await asyncio.wait_for(reader.readexactly(6), 5) == b"hidden"
        for one in (writer, other_writer):
            one.close()


async def test_a_dropped_device_is_cut_at_both_ends() -> None:
    async with echo() as (host, port), Radio(host, port) as radio:
        reader, writer = await dial(radio, "t-001")
        await reader.readexactly(len(connect("t-001")))
        radio.drop("t-001")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), 5)
        writer.close()


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n", b"\x10\xff\xff\xff\xff\xff", b"\x10\xff\xff\x7f", b"\x30\x00"]
)
async def test_what_is_no_connect_is_closed(data: bytes) -> None:
    async with echo() as (host, port), Radio(host, port) as radio:
        reader, writer = await asyncio.open_connection("127.0.0.1", radio.port)
        writer.write(data)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), 5)
        writer.close()


async def test_without_a_broker_the_device_is_closed() -> None:
    async with echo() as (host, port):
        pass
    async with Radio(host, port) as radio:
        reader, writer = await dial(radio, "t-001")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), 5)
        writer.close()


@pytest.mark.parametrize("device", ["t", "t-001", "x" * 32])
def test_the_name_is_read(device: str) -> None:
    assert client_id(connect(device)) == device
