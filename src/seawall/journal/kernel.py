"""Writes that the Linux kernel does beside the caller (`io_submit`), so that none waits for a thread of ours.

A thread that is to begin a write needs the interpreter's lock, which the caller holds: it is putting the next frame
together. Measured, the second copy's write so began 0.2 ms late, about as long as it takes.

The C library has no names for these calls, and a sandbox may refuse them: `Queue.take` then says None.
"""

import ctypes
import errno
import os
import platform
import sys
from contextlib import suppress
from typing import ClassVar, Final

_NUMBERS: Final = {"x86_64": (206, 207, 208, 209), "aarch64": (0, 1, 4, 2)}
_SETUP, _DESTROY, _GETEVENTS, _SUBMIT = _NUMBERS.get(platform.machine(), (-1, -1, -1, -1))
_KNOWN: Final = sys.platform == "linux" and sys.byteorder == "little" and _SETUP >= 0 and sys.maxsize > 2**32
_PWRITE: Final = 1
_LIBRARY: Final = ctypes.CDLL(None, use_errno=True)
_call: Final = _LIBRARY.syscall
_call.restype = ctypes.c_long


class _Request(ctypes.Structure):
    """`struct iocb`."""

    _fields_ = (
        ("data", ctypes.c_uint64),
        ("key", ctypes.c_uint32),
        ("rw_flags", ctypes.c_uint32),
        ("opcode", ctypes.c_uint16),
        ("priority", ctypes.c_int16),
        ("descriptor", ctypes.c_uint32),
        ("buffer", ctypes.c_uint64),
        ("bytes", ctypes.c_uint64),
        ("offset", ctypes.c_int64),
        ("reserved", ctypes.c_uint64),
        ("flags", ctypes.c_uint32),
        ("event_descriptor", ctypes.c_uint32),
    )


class _Event(ctypes.Structure):
    """`struct io_event`; `result` is the bytes written, or the error's number below zero."""

    _fields_ = (
        ("data", ctypes.c_uint64),
        ("request", ctypes.c_uint64),
        ("result", ctypes.c_int64),
        ("result_2", ctypes.c_int64),
    )


class Queue:
    """One write at a time."""

    _free: ClassVar[list["Queue"]] = []
    """Used again: the kernel takes 30 ms to give one up. A process that was forked off has none of its parent's."""

    def __init__(self, context: ctypes.c_ulong) -> None:
        """Use `take`."""
        self._context = context
        self._request = _Request(opcode=_PWRITE)
        self._requests = (ctypes.POINTER(_Request) * 1)(ctypes.pointer(self._request))
        self._event = _Event()
        self._last: Submitted | None = None

    @classmethod
    def take(cls) -> "Queue | None":
        """A queue, to be closed; None where the system has none to give or does not let it be used."""
        with suppress(IndexError):
            return cls._free.pop()
        context, none = ctypes.c_ulong(0), ctypes.c_long(0)
        if not _KNOWN or _call(ctypes.c_long(_SETUP), ctypes.c_uint(1), ctypes.byref(context)) != 0:
            return None
        usable = _call(ctypes.c_long(_SUBMIT), context, none, None) == 0
        if usable and _call(ctypes.c_long(_GETEVENTS), context, none, none, None, None) == 0:
            return cls(context)
        _call(ctypes.c_long(_DESTROY), context)
        return None

    def start(self, descriptor: int, data: memoryview, offset: int) -> "Submitted":
        """Begin a write; as durable when it has ended as the descriptor makes a write when it returns.

        The descriptor must be one for O_DIRECT, or the call itself may wait for the disk.
        """
        if self._last is not None:
            self._last.wait()
        place = (ctypes.c_char * len(data)).from_buffer(data)
        request = self._request
        request.data += 1
        request.descriptor, request.offset = descriptor, offset
        request.buffer, request.bytes = ctypes.addressof(place), len(data)
        self._last = Submitted(self, place)
        if _call(ctypes.c_long(_SUBMIT), self._context, ctypes.c_long(1), self._requests) != 1:
            self._last.end(-ctypes.get_errno())
        return self._last

    def reap(self) -> int:
        """Wait for the write's end; the bytes written, or an error's number below zero."""
        one, number = ctypes.c_long(1), ctypes.c_long(_GETEVENTS)
        while self._event.data != self._request.data:  # an interrupted wait may have had the event already
            found = _call(number, self._context, one, one, ctypes.byref(self._event), None)
            if found < 0 and ctypes.get_errno() != errno.EINTR:
                return -ctypes.get_errno()
        return int(self._event.result)

    def close(self) -> None:
        """Wait for what was begun, and leave the queue to the next."""
        if self._last is not None:
            self._last.wait()
        self._free.append(self)


os.register_at_fork(after_in_child=Queue._free.clear)


class Submitted:
    """A write the kernel has taken on."""

    def __init__(self, queue: Queue, place: ctypes.Array[ctypes.c_char]) -> None:
        self._queue = queue
        self._place: ctypes.Array[ctypes.c_char] | None = place  # the kernel still reads what it holds
        self._wanted = len(place)
        self._failure: OSError | None = None

    def end(self, result: int) -> None:
        """Note what became of it."""
        self._place = None
        if result < 0:
            self._failure = OSError(-result, os.strerror(-result))
        elif result != self._wanted:
            self._failure = OSError(f"short write: {result} of {self._wanted} bytes")

    def wait(self) -> OSError | None:
        """Return once the write has ended; what it failed with, if it did."""
        if self._place is not None:
            self.end(self._queue.reap())
        return self._failure
