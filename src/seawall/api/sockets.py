"""Ports that are free, taken or listened at, and how much may wait at a socket to be read."""

import asyncio
import contextlib
import resource
import socket
from typing import Final

from seawall.vocabulary.errors import InputError

BACKLOG: Final = 1024
"""Connections that may wait to be taken."""

KEPT_BACK: Final = 256
"""Descriptors that connections leave alone."""


def connections_most(each: int) -> int:
    """How many connections a door may have at once, once the process may have all descriptors the machine allows it.

    `each` takes so many. The journal opens a file for each of its segments: connections that had every descriptor would
    be the writer's end.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # a hard limit beyond what the kernel takes
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    allowed = soft if soft != resource.RLIM_INFINITY else 1 << 20
    return max(allowed - KEPT_BACK, allowed // 2) // each


def free_port(host: str) -> int:
    """A port nobody listens at now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def listen(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen at each address of a host. Raises InputError where that cannot be."""
    made: list[socket.socket] = []
    try:
        for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            made.append(socket.create_server((str(address[0]), port), family=family, backlog=BACKLOG))
            made[-1].setblocking(False)
    except OSError as error:
        for one in made:
            one.close()
        raise InputError("host", host, f"cannot be listened at: {error}") from error
    return made


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
