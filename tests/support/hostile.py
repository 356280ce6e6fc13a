"""Requests that no client sends in good faith, drawn from a grammar: what is well-formed, and then broken byte by byte.

All of it follows from the seed of the generator that is handed in, so that what was found once is found again.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.support.wire import AUTHORIZED, chunk

CRLF = b"\r\n"
KEY = b"Authorization: " + AUTHORIZED["Authorization"].encode()
LAST = b"Connection: close"
RECORD = json.dumps({"name": "Harbour office", "kind": "other"}).encode()


@dataclass(frozen=True)
class Request:
    """Bytes to send. `ends`: the client sends nothing behind them, and says so; else it waits for the answer."""

    shape: str
    raw: bytes
    ends: bool = False


Draw = random.Random
Shape = Callable[[Draw], tuple[bytes, bool]]


# --- well-formed parts ----------------------------------------------------------------------------------------------------

READS = (
    b"/v1/organizations", b"/v1/organizations/oecd", b"/v1/organizations?q=labour&limit=3", b"/v1/collaborations?sort=-title",
    b"/v1/organizations/oecd/revisions/1", b"/v1/changes?after=3", b"/v1/search?q=guidelines", b"/v1/graph", b"/v1/timeline",
    b"/v1/organizations?format=csv", b"/v1/export?format=jsonld", b"/v1/stats", b"/v1/agenda.ics", b"/", b"/docs", b"/livez",
)  # fmt: skip
WRITES = (
    (b"POST", b"/v1/organizations", b"application/json", RECORD),
    (b"PUT", b"/v1/organizations/harbour", b"application/json", RECORD),
    (b"PATCH", b"/v1/organizations/oecd", b"application/merge-patch+json", b'{"description":"x"}'),
    (b"POST", b"/v1/batch", b"application/json", b'{"operations":[]}'),
    (b"POST", b"/v1/import?dry_run=true&noun=organizations", b"text/csv", b"name,kind\nHarbour office,other\n"),
    (b"POST", b"/v1/reconcile", b"application/x-www-form-urlencoded", b"queries=%7B%7D"),
    (b"POST", b"/v1/organizations/match", b"application/json", b'{"names":["oecd"]}'),
    (b"POST", b"/v1/proposals", b"application/json", b'{"noun":"organizations","body":{"name":"x","kind":"other"}}'),
)


def head(method: bytes, target: bytes, *lines: bytes) -> bytes:
    return CRLF.join([method + b" " + target + b" HTTP/1.1", b"Host: 127.0.0.1", KEY, *lines, LAST]) + CRLF + CRLF


def read(draw: Draw, target: bytes | None = None, *lines: bytes) -> bytes:
    return head(draw.choice((b"GET", b"GET", b"HEAD", b"OPTIONS")), target or draw.choice(READS), *lines)


def write(draw: Draw, body: bytes | None = None, *lines: bytes, length: bytes | None = None) -> bytes:
    method, target, media_type, usual = draw.choice(WRITES)
    body = usual if body is None else body
    sized = b"Content-Length: " + (b"%d" % len(body) if length is None else length)
    return head(method, target, b"Content-Type: " + media_type, b"If-Match: *", *lines, sized) + body


def noise(draw: Draw, most: int) -> bytes:
    return draw.randbytes(draw.randint(1, most))


# --- shapes ---------------------------------------------------------------------------------------------------------------

ESCAPES = (
    b"%", b"%%", b"%z", b"%2", b"%00", b"%0d%0a", b"%ff", b"%c0%af", b"%ed%a0%80", b"%u0041", b"%25%30%30", b"%2f..%2f", b"%5c",
    b"/./", b"/../", b"//", b";", b"\\", b"%e2%80%ae", b"%f4%90%80%80",
)  # fmt: skip


def bad_escapes(draw: Draw) -> tuple[bytes, bool]:
    target = bytearray(draw.choice(READS))
    for _ in range(draw.randint(1, 4)):
        at = draw.randint(1, len(target))
        target[at:at] = draw.choice(ESCAPES)
    return read(draw, bytes(target)), False


NAMES = (
    b"Host", b"Content-Type", b"Content-Length", b"Transfer-Encoding", b"If-Match", b"If-None-Match", b"Idempotency-Key",
    b"Change-Reason", b"Registry-Sequence", b"Accept", b"Accept-Encoding", b"Last-Event-ID", b"Range", b"Expect", b"Origin",
    b"X-Forwarded-For", b"Content-Encoding", b"Upgrade", b"Cookie", b"Via", b"TE", b"Trailer", b"X-Request-ID", b"traceparent",
)  # fmt: skip
VALUES = (
    b"", b"*", b"0", b"-1", b"1e9", b"99999999999999999999", b'"', b'"v1', b"W/", b'"a","b",', b"," * 3000,
    b"\xff\xfe", b"a" * 5000,
    b"%", b"%00", b"%ff", b"text/event-stream", b"*/*;q=9", b"application/json;q=0", b"gzip;q=1e5, *;q=0", b"bytes=0-,0-,0-",
    b"100-continue", b"h2c", b"null", b"identity, chunked", b"[::1", b"a\tb", b"\x01", b"charset=utf-16",
    b"application/json, x",
)  # fmt: skip


def strange_headers(draw: Draw) -> tuple[bytes, bool]:
    lines = [draw.choice(NAMES) + b": " + draw.choice(VALUES) for _ in range(draw.randint(1, 5))]
    made = read(draw, None, *lines) if draw.random() < 0.5 else write(draw, None, *lines)
    return made, True  # a length or an encoding among them may have announced more


def headers_twice(draw: Draw) -> tuple[bytes, bool]:
    name = draw.choice(NAMES)
    lines = [
        name + b": " + draw.choice((b"1", b"a", b"127.0.0.1", b"application/json")) for _ in range(draw.randint(2, 40))
    ]
    return write(draw, None, *lines), True


TARGETS = (
    b"*", b"http://evil.example", b"http://evil.example/v1/organizations", b"https://127.0.0.1/v1",
    b"//evil.example/v1", b"evil:443",
    b"file:///etc/passwd", b"/v1/organizations#f", b"?q=1", b"v1/organizations", b"http://[::1", b"http://a@b/",
    b"/\x00", b"/ ", b"",
    b"/v1/organizations HTTP/1.1\r\nX:", b"/" + b"a" * 70_000, b"/v1/organizations?" + b"q=a&" * 9_000,
    b"/\xc3\xa9", b"/v1/\xff",
)  # fmt: skip
METHODS = (b"GET", b"get", b"TRACE", b"CONNECT", b"QUERY", b"PRI", b"DELETE", b"M-SEARCH", b"G\x00T", b"", b"POST" * 20)


def other_targets(draw: Draw) -> tuple[bytes, bool]:
    return head(draw.choice(METHODS), draw.choice(TARGETS)), True


def half_bodies(draw: Draw) -> tuple[bytes, bool]:
    whole = write(draw)
    return whole[: draw.randint(1, len(whole) - 1)], True


SIZES = (
    b"0x5", b"+5", b"-5", b"5 ", b" 5", b"5;a=b", b"5;a=" + b"b" * 5000, b"zz", b"", b"ffffffffffffffffff",
    b"FFFFFFFFFFFFFFFF", b"5\x00",
    b"00000000000000005", b"5\n",
)  # fmt: skip


def chunk_games(draw: Draw) -> tuple[bytes, bool]:
    pieces = [chunk(noise(draw, 20)) for _ in range(draw.randint(0, 5))]
    broken = draw.choice(SIZES) + draw.choice((CRLF, b"\n", b"\r")) + b"hello" + draw.choice((CRLF, b"", b"\n"))
    pieces.insert(
        draw.randint(0, len(pieces)),
        draw.choice((broken, b"0\r\nX-Trailer: a\r\n\r\n", b"0\r\n\r\n", b"1\r\na\r\n" * 999)),
    )
    lines = (b"Content-Type: application/json", b"Transfer-Encoding: chunked")
    return head(b"POST", b"/v1/organizations", *lines) + b"".join(pieces), True


FRAMES = (
    (b"Content-Length: 5", b"Transfer-Encoding: chunked"), (b"Transfer-Encoding: chunked", b"Content-Length: 0"),
    (b"Transfer-Encoding: xchunked",), (b"Transfer-Encoding : chunked",), (b"Transfer-Encoding:\tchunked",),
    (b" Transfer-Encoding: chunked",),
    (b"Transfer-Encoding: chunked, identity",), (b"Transfer-Encoding: identity, chunked",),
    (b"Transfer-Encoding: \x0bchunked",),
    (b"Transfer-Encoding: chunked\nX: y",), (b"Transfer-Encoding:\r\n chunked",), (b"Content-Length: 5\r\n 6",),
    (b"Content-Length: +5",),
    (b"Content-Length: 0x5",), (b"Content-Length: 5, 5",), (b"Content-Length: 5", b"Content-Length: 6"),
    (b"Content-Length: 5\x00",),
    (b"Content_Length: 5",), (b"Content-Length: ",), (b"Content-Length: 9223372036854775808",), (b"Content-Length: 1e1",),
)  # fmt: skip


def smuggling(draw: Draw) -> tuple[bytes, bool]:
    """A second request where one server may see the body of the first, and another the next request."""
    inner = head(b"DELETE", b"/v1/organizations/oecd", b'If-Match: "v999"')
    body = draw.choice((b"0\r\n\r\n" + inner, chunk(inner) + chunk(b""), b"hello" + inner, inner))
    lines = draw.choice(FRAMES)
    return head(b"POST", b"/v1/organizations", b"Content-Type: application/json", *lines) + body, True


def nested_bodies(draw: Draw) -> tuple[bytes, bool]:
    deep = draw.choice((65, 900, 5_000, 100_000))
    opening, closing = draw.choice(((b"[", b"]"), (b'{"a":', b"}"), (b'[{"name":', b"}]")))
    return write(draw, opening * deep + b"1" + draw.choice((closing * deep, b""))), False


LITERALS = (
    b"NaN", b"-Infinity", b"1e400", b"9" * 5000, b"-0", b"0" * 50, b"1.", b"tru", b"'a'", b'"\\ud800"',
    b'"\\u0000"', b'"\xff"', b'"\xed\xa0\x80"',
    b"\xef\xbb\xbf{}", b'{"name":"a","name":"b"}', "{}".encode("utf-16"), b'"' + b"\\" * 9_999, b"{" * 9, b"\x00",
    b'{"a":1}{"a":1}', b"[,]",
)  # fmt: skip


def odd_bodies(draw: Draw) -> tuple[bytes, bool]:
    literal = draw.choice(LITERALS)
    wrapped = draw.choice(
        (literal, b'{"name":' + literal + b',"kind":"other"}', b'{"operations":[' + literal + b"]}", b"a,b\n" + literal)
    )
    return write(draw, wrapped), False


def compressed(draw: Draw) -> tuple[bytes, bool]:
    bomb = gzip.compress(bytes(draw.choice((10, 100_000, 3_000_000))), 9)
    encoding = draw.choice((b"gzip", b"deflate", b"br", b"zstd", b"gzip, gzip", b"x-gzip", b"identity", b"GZIP\x00"))
    return write(draw, bomb, b"Content-Encoding: " + encoding), False


def too_large(draw: Draw) -> tuple[bytes, bool]:
    """More than a body may have: announced and not sent, or sent in pieces without having been announced."""
    if draw.random() < 0.7:
        length = draw.choice((b"1048577", b"2000000", b"1073741824", b"999999999999999999"))
        return head(
            b"POST", b"/v1/organizations", b"Content-Type: application/json", b"Content-Length: " + length
        ), False
    lines = (b"Content-Type: application/json", b"Transfer-Encoding: chunked")
    return head(b"POST", b"/v1/organizations", *lines) + chunk(b" " * 65_536) * 17, False


def many_lines(draw: Draw) -> tuple[bytes, bool]:
    lines = [b"X-%d: %s" % (n, b"a" * draw.choice((1, 100))) for n in range(draw.choice((50, 101, 2_000)))]
    return read(draw, None, *lines), True


def mutated(draw: Draw) -> tuple[bytes, bool]:
    """A good request with some bytes changed. Its key stays: who tries keys that are none is not listened to any more."""
    before, _, after = (read(draw) if draw.random() < 0.5 else write(draw)).partition(KEY)
    return _broken(draw, before) + KEY + _broken(draw, after), True


def _broken(draw: Draw, part: bytes) -> bytes:
    found = bytearray(part)
    for _ in range(draw.randint(0, 3)):
        at = draw.randrange(len(found) + 1)
        change = draw.randrange(4)
        if change == 0:
            found[at : at + 1] = draw.randbytes(1)
        elif change == 1:
            found[at:at] = noise(draw, 8)
        elif change == 2:
            del found[at : at + draw.randint(1, 8)]
        else:
            found[at:at] = found[draw.randrange(len(found) + 1) :][:30]
    return bytes(found)


GREETINGS = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET /\r\n\r\n",
    b"GET / HTTP/0.9\r\n\r\n", b"\r\n" * 500,
    b"GET / HTTP/1.1\n\n", b"SSH-2.0-x\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 50, b"\x00" * 1000,
    b"GET  /  HTTP/1.1\r\n\r\n",
)  # fmt: skip


def no_request(draw: Draw) -> tuple[bytes, bool]:
    return draw.choice((draw.choice(GREETINGS), noise(draw, 500))), True


SHAPES: tuple[Shape, ...] = (
    bad_escapes, strange_headers, headers_twice, other_targets, half_bodies, chunk_games, smuggling, nested_bodies, odd_bodies,
    compressed,
    too_large, many_lines, mutated, mutated, no_request,
)  # fmt: skip


def requests(seed: int, count: int) -> list[Request]:
    """So many requests, of all shapes in turn."""
    made = []
    for n in range(count):
        draw: Any = random.Random(f"{seed}/{n}")  # noqa: S311  # the same ones each time
        shape = SHAPES[n % len(SHAPES)]
        raw, ends = shape(draw)
        made.append(Request(shape.__name__, raw, ends))
    return made
