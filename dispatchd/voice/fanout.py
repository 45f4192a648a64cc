"""One datagram to many addresses, in one system call where the system has it (Linux: sendmmsg).

What must hold: sending never waits. What the kernel does not take at once is dropped and counted, for sound that comes
late is worthless; an address that cannot be reached costs the others nothing.
"""

import contextlib
import ctypes
import errno
import socket
import struct
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from protocols.voice import MAX_SEALED_BYTES

Address = tuple[Any, ...]
"""As the socket module has it: (host, port), for IPv6 (host, port, flow, scope)."""
AT_ONCE: Final = 1024
"""Messages of one sendmmsg (the kernel's UIO_MAXIOV)."""
FULL: Final = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.ENOMEM})
"""The kernel's buffers are full: the rest of this datagram's copies is dropped."""


class LoopFan:
    """A sendto for each address; where there is no sendmmsg."""

    def __init__(self, sock: socket.socket, counts: Counter[str]) -> None:
        self._sock, self._counts = sock, counts
        self._addresses: list[Address] = []

    def __len__(self) -> int:
        return len(self._addresses)

    def aim(self, addresses: Sequence[Address]) -> None:
        """From now on to these."""
        self._addresses = list(addresses)

    def send(self, sealed: bytes) -> None:
        """To all of them; what fails is counted as `send-full` or `send-failed`."""
        failed = 0
        for n, address in enumerate(self._addresses):
            try:
                self._sock.sendto(sealed, address)
            except OSError as error:
                if error.errno in FULL:
                    self._counts["send-full"] += len(self._addresses) - n
                    failed += len(self._addresses) - n
                    break
                self._counts["send-failed"] += 1
                failed += 1
        self._counts["datagrams"] += len(self._addresses) - failed


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("len", ctypes.c_size_t))


class _Msghdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p), ("namelen", ctypes.c_uint32),
        ("iov", ctypes.c_void_p), ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )  # fmt: skip


class _Mmsghdr(ctypes.Structure):
    _fields_ = (("hdr", _Msghdr), ("len", ctypes.c_uint))


_MMSGHDR_BYTES: Final = ctypes.sizeof(_Mmsghdr)


class BatchFan:
    """One sendmmsg for all. Its arrays are made when the addresses change; a frame is only copied in."""

    def __init__(self, sock: socket.socket, counts: Counter[str]) -> None:
        self._sock, self._counts = sock, counts
        self._call = _sendmmsg()
        self._buffer = bytearray(MAX_SEALED_BYTES)
        self._pin = ctypes.c_char.from_buffer(self._buffer)  # it stays where it is
        self._iovec = _Iovec(ctypes.addressof(self._pin), 0)
        self.aim(())

    def __len__(self) -> int:
        return self._count

    def aim(self, addresses: Sequence[Address]) -> None:
        """From now on to these."""
        self._count = len(addresses)
        names = [_sockaddr(self._sock.family, address) for address in addresses]
        self._names = ctypes.create_string_buffer(b"".join(names))  # side by side, for the processor's cache
        self._messages = (_Mmsghdr * self._count)()
        self._first, at = ctypes.addressof(self._messages), ctypes.addressof(self._names)
        for message, name in zip(self._messages, names, strict=True):
            message.hdr.name, message.hdr.namelen = at, len(name)
            message.hdr.iov, message.hdr.iovlen = ctypes.addressof(self._iovec), 1
            at += len(name)

    def send(self, sealed: bytes) -> None:
        """To all of them; what fails is counted as `send-full` or `send-failed`."""
        self._iovec.len = size = len(sealed)
        self._buffer[:size] = sealed
        fd, done, failed = self._sock.fileno(), 0, 0
        while done < self._count:
            first = self._first + done * _MMSGHDR_BYTES
            sent = self._call(fd, first, min(AT_ONCE, self._count - done), socket.MSG_DONTWAIT)
            if sent > 0:
                done += sent
            elif ctypes.get_errno() in FULL:
                self._counts["send-full"] += self._count - done
                failed += self._count - done
                break
            else:
                self._counts["send-failed"] += 1
                failed, done = failed + 1, done + 1
        self._counts["datagrams"] += self._count - failed


Fan = LoopFan | BatchFan


def make_fan(sock: socket.socket, counts: Counter[str]) -> Fan:
    """The best this system has."""
    return BatchFan(sock, counts) if has_sendmmsg() else LoopFan(sock, counts)


def has_sendmmsg() -> bool:
    """Linux, and its C library exports it."""
    with contextlib.suppress(OSError, AttributeError):
        return sys.platform == "linux" and _sendmmsg() is not None
    return False


def _sendmmsg() -> Any:
    call = ctypes.CDLL(None, use_errno=True).sendmmsg
    call.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
    call.restype = ctypes.c_int
    return call


def _sockaddr(family: int, address: Address) -> bytes:
    """As the kernel reads it."""
    head = struct.pack("=H", family) + struct.pack("!H", address[1])
    if family == socket.AF_INET6:
        flow, scope = (*address[2:4], 0, 0)[:2]
        return (
            head + struct.pack("!I", flow) + socket.inet_pton(family, address[0]) + struct.pack("=I", scope)
        )
    return head + socket.inet_aton(address[0]) + bytes(8)
