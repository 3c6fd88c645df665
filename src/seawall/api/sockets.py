"""What the server does not give away: its sockets. A reader that stopped reading is cut at the socket itself.

A close frame never leaves towards a peer that reads nothing, and the server waits for it: the connection would stay.
"""

import asyncio
import contextlib
import os
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


def abort(address: str) -> bool:
    """Cut this process's connection with the peer at `address` (host:port); whether there was one."""
    wanted = address.replace("[", "").replace("]", "")
    for name in os.listdir("/proc/self/fd"):
        # One that was closed meanwhile, is no socket, or not connected, is not the one we look for.
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(name))) as peer:
            found = peer.getpeername()
            if isinstance(found, tuple) and f"{found[0]}:{found[1]}" == wanted:
                peer.shutdown(socket.SHUT_RDWR)
                return True
    return False
