"""What driver and guard say to each other, a message a packet, with file descriptors beside it.

Both ends are of one version, for the guard is started by its driver: there is no format to keep.
"""

from __future__ import annotations

import array
import os
import socket

import msgspec

from runstone.core.receipts import OutOfMemory, Receipt

# The kernel refuses more descriptors in one packet.
MOST_DESCRIPTORS = 253
_LARGEST = 1 << 20


class Spawn(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Fork a worker. Beside it: its channel, its outputs 1 and 2, its directory if has_directory, and what is extra.

    environ, path, arguments: None if they are as they were last told.
    """

    number: int
    main: str
    label: str
    has_directory: bool
    environ: dict[str, str] | None = None
    path: list[str] | None = None
    arguments: list[str] | None = None


class End(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """End a worker and what it has started. grace: seconds."""

    number: int
    grace: float
    reason: str


class Leave(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """End all workers, then the guard. grace: seconds."""

    grace: float


class Started(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A worker was forked."""

    number: int
    pid: int


class Dead(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A worker is dead, and so is what it has left behind. Fields as in `changes.Died`."""

    number: int
    at: str
    exit_code: int | None = None
    signal: int | None = None
    peak_memory: int = 0
    cpu_seconds: float = 0.0
    out_of_memory: OutOfMemory | None = None
    problem: str = ""


class Finished(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The end of a worker that was asked for is over."""

    number: int
    receipt: Receipt


_encoder = msgspec.msgpack.Encoder()
_from_driver: msgspec.msgpack.Decoder[Spawn | End | Leave] = msgspec.msgpack.Decoder(Spawn | End | Leave)
_from_guard: msgspec.msgpack.Decoder[Started | Dead | Finished] = msgspec.msgpack.Decoder(Started | Dead | Finished)


def pack(message: Spawn | End | Leave | Started | Dead | Finished) -> bytes:
    """A message as one packet."""
    return _encoder.encode(message)


def received_by_guard(packet: bytes) -> Spawn | End | Leave:
    """What the driver says."""
    return _from_driver.decode(packet)


def received_by_driver(packet: bytes) -> Started | Dead | Finished:
    """What the guard says."""
    return _from_guard.decode(packet)


def send(control: socket.socket, packet: bytes, descriptors: list[int]) -> None:
    """Send a packet; raises OSError as sendmsg does."""
    beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    control.sendmsg([packet], beside, socket.MSG_NOSIGNAL)


def receive(control: socket.socket) -> tuple[bytes, list[int], bool]:
    """Receive a packet, b"" at the end: the packet, its descriptors, and whether some were lost for want of room.

    Raises BlockingIOError if there is none now.
    """
    numbers = array.array("i")
    room = socket.CMSG_SPACE(MOST_DESCRIPTORS * numbers.itemsize)
    packet, beside, flags, _ = control.recvmsg(_LARGEST, room, socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC)
    for level, kind, content in beside:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers.frombytes(content[: len(content) - len(content) % numbers.itemsize])
    return packet, list(numbers), bool(flags & socket.MSG_CTRUNC)


def close(descriptors: list[int]) -> None:
    """Close file descriptors."""
    for number in descriptors:
        os.close(number)
