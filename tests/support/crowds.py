"""Many clients at once on one thread, each a connection, and what it has heard lately."""

from __future__ import annotations

import resource
import selectors
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import cast

SPARE = 500
"""Files that a process needs beside its connections."""


def room(connections: int) -> bool:
    """Let this process, and those that it starts, have so many connections open. False where the system does not let it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + SPARE
    if hard != resource.RLIM_INFINITY and hard < needed:
        return False
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    return True


class Crowd:
    """Connections to a port of the loopback. Of what arrives at each, the last `TAIL` bytes are kept."""

    TAIL = 2_048

    def __init__(self, port: int) -> None:
        self._port = port
        self._selector = selectors.DefaultSelector()
        self._tails: dict[socket.socket, bytes] = {}
        self.closed: set[socket.socket] = set()

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._selector.close()
        for connection in self._tails:
            connection.close()

    def __len__(self) -> int:
        return len(self._tails)

    def join(self, first: bytes) -> socket.socket:
        """One more client, which begins with these bytes."""
        connection = socket.create_connection(("127.0.0.1", self._port), timeout=30)
        connection.sendall(first)
        connection.setblocking(False)
        self._selector.register(connection, selectors.EVENT_READ)
        self._tails[connection] = b""
        return connection

    def leave(self, text: bytes) -> int:
        """Those who have heard this go; how many that were."""
        gone = [connection for connection, tail in self._tails.items() if text in tail]
        for connection in gone:
            if connection not in self.closed:
                self._selector.unregister(connection)
            self.closed.discard(connection)
            del self._tails[connection]
            connection.close()
        return len(gone)

    def say(self, piece: bytes) -> None:
        """All that are still there send this."""
        for connection in self._tails.keys() - self.closed:
            with suppress(OSError):  # it has been closed, and we hear of it next
                connection.send(piece)

    def count(self, text: bytes) -> int:
        """How many have heard this lately."""
        return sum(text in tail for tail in self._tails.values())

    def tail(self, connection: socket.socket) -> bytes:
        """What one of them has heard lately."""
        return self._tails[connection]

    def until(self, condition: Callable[[], bool], seconds: float) -> float:
        """Take what arrives until `condition` holds; returns after how many seconds. Raises AssertionError if never."""
        began = time.monotonic()
        while not condition():
            assert time.monotonic() - began < seconds, "it never came to that"
            self.listen(0.02)
        return time.monotonic() - began

    def listen(self, seconds: float) -> None:
        """Take what arrives, for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                self._take(cast(socket.socket, key.fileobj))

    def _take(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(65_536)
        except ConnectionResetError:
            data = b""
        if data:
            self._tails[connection] = (self._tails[connection] + data)[-self.TAIL :]
        else:
            self._selector.unregister(connection)
            self.closed.add(connection)
