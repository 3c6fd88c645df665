"""HTTP by hand, over one kept connection: targets, methods and bodies that no library would send."""

import json
import socket
from urllib.parse import urlsplit


class RawHttp:
    """`ask` sends what it is given, byte for byte; reconnects where the server closed."""

    def __init__(self, url):
        parts = urlsplit(url)
        self.address = (parts.hostname, parts.port)
        self._file = None

    def ask(self, method, target, headers=(), body=b""):
        """Status, headers and body of the answer. A request that meets a connection closed for idleness goes again."""
        lines = [f"{method} {target} HTTP/1.1", "Host: venue", *(f"{name}: {value}" for name, value in headers)]
        if body or method in ("POST", "PUT", "PATCH"):
            lines.append(f"Content-Length: {len(body)}")
        data = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
        for again in (True, False):
            fresh = self._file is None
            try:
                if fresh:
                    self._connect()
                self._socket.sendall(data)
                return self._answer(method)
            except (ConnectionError, EOFError):
                self.close()
                if fresh or not again:
                    raise
        raise AssertionError

    def _connect(self):
        self._socket = socket.create_connection(self.address, timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")

    def _answer(self, method):
        line = self._file.readline()
        if not line:
            raise EOFError
        status = int(line.split()[1])
        headers = {}
        while (line := self._file.readline().strip()) != b"":
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        length = 0 if method == "HEAD" else int(headers.get("content-length", 0))
        body = self._file.read(length)
        if headers.get("connection") == "close":
            self.close()
        return status, headers, body

    def document(self, method, target, headers=(), body=b""):
        """Status and JSON of the answer."""
        status, _, data = self.ask(method, target, headers, body)
        return status, json.loads(data)

    def close(self):
        """Leave."""
        if self._file is not None:
            self._file.close()
            self._socket.close()
            self._file = None
