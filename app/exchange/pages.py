"""The reader of web pages: HTML becomes the same sections, paragraphs and sentences as a plain text.

Headings are h1 to h6, and they open a section by the rule of plain texts: only if a paragraph comes next. Everything else that
stands by itself (p, li, td, …) is a paragraph, however short. What no reader of the page reads is left out: scripts, styles,
navigation, footers, forms, hidden elements. Reading is linear and keeps no tree, so depth and broken nesting cost nothing.
"""

from __future__ import annotations

import hashlib
import re
from html.parser import HTMLParser

from app.exchange import passages
from app.exchange.passages import Block, Document, DocumentError

HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
# Element names are written as words: a hundred quoted literals hide what is missing (hence the noqa).
BLOCKS = HEADINGS | frozenset(
    "address article blockquote body caption dd details div dl dt fieldset figcaption figure hgroup hr html legend li main"  # noqa: SIM905
    " ol p pre section summary table tbody td tfoot th thead tr ul".split()
)
SKIPPED = frozenset(
    "aside audio button canvas dialog footer form head iframe math menu nav noscript object script select style svg"  # noqa: SIM905
    " template textarea video".split()
)
VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())  # noqa: SIM905
MEDIA_TYPE = "text/html"
_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]+)", re.IGNORECASE)
_TAG = re.compile(r"<[A-Za-z/!?]")
LONGEST_TAG = 100_000
"""In characters; a picture may stand in a tag as data."""
_LOOKED_AT = 4_096
"""So far into a page HTML lets its encoding be declared (1,024 bytes), and a little more."""


def read(data: bytes) -> Document:
    """Read a page of HTML in UTF-8. Raises DocumentError for anything else."""
    declared = _CHARSET.search(data[:_LOOKED_AT])
    if declared is not None and declared[1].lower() not in (b"utf-8", b"utf8"):
        raise DocumentError(f"The page says that it is in {declared[1].decode()}. Save it as UTF-8.")
    text = passages.decoded(data)
    _insist_on_ends(text)
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return passages.document(reader.finished(), hashlib.sha256(data).hexdigest())


def _insist_on_ends(text: str) -> None:
    """Every tag ends, and soon: the parser looks for the end of each one that does not in all that follows, which takes the
    square of their number."""
    end = -1
    for tag in _TAG.finditer(text):
        if end < tag.start():
            end = text.find(">", tag.start())
        if end < 0 or end - tag.start() > LONGEST_TAG:
            raise DocumentError(f"The page has a tag that does not end: character {tag.start()}.")


class _Reader(HTMLParser):
    """Gathers blocks. Of what is left out only the depth is kept: how many of its own elements are open in it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._blocks: list[Block] = []
        self._pieces: list[str] = []
        self._heading: str | None = None
        self._skipping: str | None = None
        self._depth = 0

    def finished(self) -> list[Block]:
        self._end_block()
        return self._blocks

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._skipping is not None:
            self._depth += tag == self._skipping
        elif tag in SKIPPED or (tag not in VOID and _is_hidden(dict(attrs))):
            self._end_block()
            self._skipping, self._depth = tag, 1
        elif tag in BLOCKS:
            self._end_block()
            self._heading = tag if tag in HEADINGS else None
        elif tag == "br":
            self._pieces.append(" ")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in VOID:  # elsewhere HTML takes no notice of the slash
            self.handle_starttag(tag, attrs)
        else:
            super().handle_startendtag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if self._skipping is not None:
            self._depth -= tag == self._skipping
            self._skipping = self._skipping if self._depth else None
        elif tag in BLOCKS:
            self._end_block()

    def handle_data(self, data: str) -> None:
        if self._skipping is None:
            self._pieces.append(data)

    def _end_block(self) -> None:
        text = " ".join("".join(self._pieces).split())
        if text:
            self._blocks.append(Block([text], heading=self._heading is not None))
        self._pieces, self._heading = [], None


def _is_hidden(attributes: dict[str, str | None]) -> bool:
    return "hidden" in attributes or (attributes.get("aria-hidden") or "").lower() == "true"
