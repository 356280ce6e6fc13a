"""The reader of web pages: the same passages as in a plain text, and nothing that no reader of the page would read."""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.exchange import pages, passages
from app.exchange.passages import Document, DocumentError
from tests.support.editions import EARLIER, EARLIER_HTML, LATER, LATER_HTML


def read(html: str) -> Document:
    return pages.read(html.encode())


def texts(html: str) -> list[str]:
    return [passage.text for passage in read(html).passages]


@pytest.mark.parametrize(("html", "text"), [(EARLIER_HTML, EARLIER), (LATER_HTML, LATER)])
def test_a_page_has_the_passages_and_headings_of_its_plain_text(html: str, text: str) -> None:
    page, plain = read(html), passages.read(text.encode())
    assert (page.passages, page.headings) == (plain.passages, plain.headings)
    assert page.sha256 == hashlib.sha256(html.encode()).hexdigest()


@pytest.mark.parametrize(
    "around",
    [
        "<script>{}</script>", "<style>{}</style>", "<nav><ul><li>{}</li></ul></nav>", "<footer>{}</footer>",
        "<div hidden>{}</div>", "<p aria-hidden=true>{}</p>", "<!-- {} -->", "<template><p>{}</p></template>",
        "<nav><nav>x</nav>{}</nav>", "<svg><text>{}</text></svg>", "<form><label>{}</label></form>",
        "<noscript>{}</noscript>", "<head><title>{}</title></head>", "<button>{}</button>",
    ],
)  # fmt: skip
def test_what_no_reader_reads_is_left_out(around: str) -> None:
    assert texts(f"<p>Before it.</p>{around.format('Left out.')}<p>After it.</p>") == ["Before it.", "After it."]


def test_blocks_end_each_other_and_inline_elements_end_nothing() -> None:
    html = "<p>One <b>bold</b> <a href=x>link</a>,<br>next line<p>Two<ul><li>Three<li>Four</ul>"
    html += "<table><tr><td>Five<td>Six</table>"
    assert texts(html) == ["One bold link, next line", "Two", "Three", "Four", "Five", "Six"]


def test_entities_are_characters_and_white_space_is_one_blank() -> None:
    assert texts("<p>Caf&eacute;&nbsp;&amp;\n  bar &#8212; 1&lt;2</p>") == ["Café & bar — 1<2"]


def test_a_heading_without_a_paragraph_behind_it_opens_no_section() -> None:
    document = read("<h1>Menu</h1><h2>Title</h2><p>A sentence.</p><h2>Top</h2>")
    assert document.headings == ("Title",)
    assert [(p.section, p.paragraph, p.sentence) for p in document.passages] == [(1, 1, 1)]


def test_a_short_paragraph_is_no_heading() -> None:
    assert read("<p>Geneva</p><p>A sentence.</p>").headings == ()


@pytest.mark.parametrize(
    "data",
    [b"<p>caf\xe9</p>", "<p>A.</p>".encode("utf-16"), b"<p>\0</p>", b"<meta charset=iso-8859-1><p>A.</p>",
     b'<meta http-equiv="Content-Type" content="text/html; charset=windows-1252"><p>A.</p>', b"<p>" + b"a" * 5_000_000],
)  # fmt: skip
def test_what_is_not_utf8_or_too_long_is_refused_in_words(data: bytes) -> None:
    with pytest.raises(DocumentError) as refused:
        pages.read(data)
    assert str(refused.value)


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * 50_000, "<nav>" * 50_000, "</p>" * 50_000, "<" * 100_000, "<p " * 100_000, "<p a='" * 50_000 + ">",
        "&" * 100_000, "<!" * 100_000, "<!--" * 100_000, "<?" * 100_000, "</" * 100_000, '<p a=">' * 50_000,
        "<p =" * 50_000 + ">", "<p " * 30_000 + ">", "<!--" + "-" * 100_000, "<script>" * 50_000, "<textarea>" * 50_000,
    ],
    ids=lambda html: html[:7],
)  # fmt: skip
def test_broken_and_deep_nesting_costs_no_more_than_its_length(html: str) -> None:
    start = time.process_time()
    with suppress(DocumentError):
        read(html)
    assert time.process_time() - start < 5


@given(st.text(max_size=300))
def test_reading_raises_nothing_but_document_error(text: str) -> None:
    try:
        document = pages.read(text.encode("utf-8", "surrogatepass"))
    except DocumentError:
        return
    assert all(passage.text for passage in document.passages)
