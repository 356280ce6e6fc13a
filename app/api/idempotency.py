"""The header Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): a write that is sent again is told from a new one.

What becomes of the key is in `deps.once` and `kit/repeats.py`.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from io import BytesIO
from typing import IO

from starlette.requests import Request
from starlette.responses import Response

from app.kit.errors import Fault, Malformed
from app.kit.repeats import Answer

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
LONGEST = 255
# A string of structured fields (RFC 9651) without blanks; or bare, without what would mean something in such a field.
_QUOTED = re.compile(r'"((?:[\x21\x23-\x5b\x5d-\x7e]|\\["\\])+)"', re.ASCII)
_BARE = re.compile(r"[^\x00-\x20\x7f-\U0010ffff\",;\\]+")
PATTERN = r'^([!#-+\--:<-\[\]-~]+|"([!#-\[\]-~]|\\["\\])+")$'
"""Both, for those who describe them."""
_ESCAPED = re.compile(r"\\(.)")
_DECIDING = ("content-type", "if-match", "change-reason")
"""Headers by which the same body would write something else."""


def key_of(request: Request) -> str | None:
    """The key of the request, without its quotes. Raises Malformed."""
    header = request.headers.get(HEADER)
    if header is None:
        return None
    text = header.strip(" \t")
    quoted = _QUOTED.fullmatch(text)
    key = _ESCAPED.sub(r"\1", quoted[1]) if quoted else text
    if len(key) > LONGEST or not (quoted or _BARE.fullmatch(text)):
        raise _unreadable(
            f'1 to {LONGEST} visible ASCII characters, bare or as "…"; quotes, commas, ; and \\ only in quotes.'
        )
    return key


def refuse(request: Request) -> None:
    """Of what is answered with a secret no copy is kept. Raises Malformed."""
    if HEADER in request.headers:
        raise _unreadable(
            "This answer holds a secret, of which no copy is kept to be sent again. Send it without the header."
        )


def _unreadable(message: str) -> Malformed:
    return Malformed(f"{HEADER} cannot be taken.", faults=[Fault("idempotency_key", message, parameter=HEADER)])


def fingerprint(request: Request, body: bytes | IO[bytes]) -> str:
    """A SHA-256 over what decides what is written, in hexadecimal digits."""
    digest = hashlib.sha256()
    for part in _told(request):
        digest.update(b"%d:" % len(part))  # or a piece of one part could pass for a piece of the next
        digest.update(part)
    file = BytesIO(body) if isinstance(body, bytes) else body
    digest.update(b"%d:" % file.seek(0, os.SEEK_END))
    file.seek(0)
    while piece := file.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest()


_PIECE = 65_536


def _told(request: Request) -> Iterator[bytes]:
    yield request.method.encode()
    yield request.scope["path"].encode()
    yield request.scope["query_string"]
    for name in _DECIDING:
        yield ", ".join(request.headers.getlist(name)).encode("latin-1")


def kept(response: Response) -> Answer:
    """What of a response is stored: all of it. (The length follows from the body.)"""
    headers = [(name, value) for name, value in response.headers.items() if name != "content-length"]
    return Answer(response.status_code, headers, bytes(response.body))


def response(answer: Answer, *, again: bool) -> Response:
    """The response that was stored."""
    made = Response(answer.body, answer.status)
    for name, value in (*answer.headers, *([(REPLAYED, "true")] if again else [])):
        made.headers.append(name, value)
    return made
