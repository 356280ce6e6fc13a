"""The limit: a bare ASGI application that gives one answer to whatever is asked. Nothing under this server can be faster.

    python -m tests.benchmarks.limit FILE --port PORT

FILE is an answer as `keep` leaves it: a line of JSON with its status and headers, then its body.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SERVER: dict[str, Any] = {
    "http": "httptools", "loop": "uvloop", "ws": "none", "proxy_headers": False, "server_header": False, "access_log": False,
    "log_level": "warning",
}  # fmt: skip
"""uvicorn as `concord serve` runs it, without the limits on what a connection may do."""
SENT_BY_SERVER = frozenset({"date", "connection", "transfer-encoding"})
PIECE = 65_536


def keep(file: Path, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> None:
    """Write an answer down."""
    own = [(name.lower(), value) for name, value in headers if name.lower() not in SENT_BY_SERVER]
    file.write_bytes(json.dumps([status, own]).encode() + b"\n" + body)


def answering(file: Path) -> ASGIApp:
    """The application that gives the answer in `file`."""
    head, _, body = file.read_bytes().partition(b"\n")
    status, headers = json.loads(head)
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    start: Message = {"type": "http.response.start", "status": status, "headers": raw}
    pieces = [body[at : at + PIECE] for at in range(0, len(body), PIECE)] or [b""]
    bodies: list[Message] = [{"type": "http.response.body", "body": piece, "more_body": True} for piece in pieces]
    bodies[-1]["more_body"] = False

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            while (await receive()).get("more_body"):
                pass
        await send(start)
        for message in bodies:
            await send(message)

    return app


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.limit")
    parser.add_argument("file", type=Path)
    parser.add_argument("--port", type=int, required=True)
    asked = parser.parse_args()
    uvicorn.run(answering(asked.file), port=asked.port, lifespan="off", **SERVER)


if __name__ == "__main__":
    main()
