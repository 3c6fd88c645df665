"""Ports that are free, taken or listened at, and how much may wait at a socket to be read."""

import asyncio
import contextlib
import socket

from seawall.vocabulary.errors import InputError


def free_port(host: str) -> int:
    """A port nobody listens at now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def taken(host: str, port: int) -> bool:
    """Whether somebody listens there; the server would share the port with another process that allows it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
        return False


async def until_listening(host: str, port: int) -> None:
    """Wait until somebody listens there. Raises InputError where nobody does for some seconds."""
    for _ in range(500):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            return
        await asyncio.sleep(0.01)
    raise InputError("port", port, "nobody listens there")


def read_ahead(transport: asyncio.BaseTransport, most: int) -> None:
    """Let no more than about so many bytes wait to be read."""
    if (peer := transport.get_extra_info("socket")) is not None:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, most)
