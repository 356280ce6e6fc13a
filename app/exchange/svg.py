"""SVG: what all pictures of the registry share. They load nothing, run nothing, follow the reader's light or dark page, and
say in words what they show."""

from __future__ import annotations

import base64
import hashlib
import unicodedata
from collections.abc import Iterator
from xml.etree import ElementTree as Xml

from app.exchange.markup import element

MEDIA_TYPE = "image/svg+xml"
NAMESPACE = "http://www.w3.org/2000/svg"
COLOURS = (
    ("#0b6fb8", "#62b5f0"), ("#c9680a", "#f2a24e"), ("#1f8a4c", "#62cc8e"), ("#b5327a", "#ea86bc"),
    ("#6a4fb3", "#ac92f2"), ("#0b8585", "#52caca"), ("#c0392b", "#f28b80"), ("#8a6a14", "#d8bb5c"),
)  # fmt: skip
"""Eight colours that can be told apart, each for a white and for a dark page."""
PAGE, INK, SOFT, FAINT, LINE = (
    ("#fff", "#14181d"), ("#1b2430", "#e6eaef"), ("#5b6675", "#a3adb9"), ("#8e99a6", "#77828f"), ("#e1e5ea", "#2b323b"),
)  # fmt: skip
NODE, CENTER = ("#34506f", "#9fb8d6"), ("#b3431e", "#f2a07e")
_COLOURED = (
    (".page", "fill", PAGE), ("text", "fill", INK), (".soft", "fill", SOFT), (".halo", "stroke", PAGE),
    (".node", "fill", NODE), (".node", "stroke", PAGE), (".center", "fill", CENTER),
    (".ring", "fill", PAGE), (".ring", "stroke", NODE), (".part", "stroke", FAINT), (".became", "stroke", INK),
    (".tip", "fill", FAINT), (".tip-became", "fill", INK), (".grid", "stroke", LINE),
    *((f".c{n}", "stroke", colour) for n, colour in enumerate(COLOURS)),
    *((f".f{n}", "fill", colour) for n, colour in enumerate(COLOURS)),
    *((f".s{n}", "stop-color", colour) for n, colour in enumerate(COLOURS)),
)  # fmt: skip
"""What has a colour: a selector, a property. Written out twice: half of the programs that show SVG know no variables."""


def _rules(page: int) -> str:
    return "".join(f"{selector}{{{name}:{colours[page]}}}" for selector, name, colours in _COLOURED)


STYLE = (
    "svg{font-family:system-ui,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;font-size:12px}"
    ".h{font-size:18px;font-weight:600}.b{font-weight:600}"
    ".halo{paint-order:stroke;stroke-width:4px;stroke-linejoin:round}.node{stroke-width:1.5px}.ring{stroke-width:1.2px}"
    ".edge{fill:none;stroke-linecap:round;opacity:.8}.edge:hover{opacity:1}.many .edge{opacity:.45}"
    ".k1,.k2{stroke-linecap:butt}.k1{stroke-dasharray:7 4}.k2{stroke-dasharray:2 4}"
    ".part{stroke-width:1.2px;stroke-dasharray:3 3}.became{stroke-width:1.4px}"
    ".grid{stroke-width:1px}.unsure{fill:none;stroke-width:1.2px;stroke-dasharray:3 3}"
    f"{_rules(0)}@media (prefers-color-scheme:dark){{{_rules(1)}}}"
)
STYLE_HASH = "sha256-" + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
"""What a Content-Security-Policy must allow for the picture to be styled, and nothing else."""


def picture(*, left: float, top: float, width: float, height: float, title: str, about: str) -> Xml.Element:
    """An empty picture, with its title and description for those who do not see it."""
    root = Xml.Element("svg", xmlns=NAMESPACE)
    root.attrib.update(
        {"viewBox": " ".join(map(number, (left, top, width, height))), "width": number(width), "height": number(height),
         "role": "img", "aria-labelledby": "title desc", "lang": "en"}
    )  # fmt: skip
    element(root, "title", title, id="title")
    element(root, "desc", about, id="desc")
    element(root, "style", STYLE)
    element(root, "rect", class_="page", x=number(left), y=number(top), width=number(width), height=number(height))
    return root


def text(parent: Xml.Element, x: float, y: float, line: str, *classes: str, anchor: str | None = None) -> Xml.Element:
    """A line of text; `anchor` is SVG's text-anchor."""
    return element(parent, "text", line, x=number(x), y=number(y), class_=" ".join(classes) or None, text_anchor=anchor)


def number(value: float) -> str:
    """A length, to a tenth of a pixel: the same picture has the same bytes."""
    rounded = round(value, 1)
    return str(int(rounded)) if rounded == int(rounded) else str(rounded)


NARROW, WIDE = frozenset("iljtfrI.,:;'|!()[]/- "), frozenset("mwMW@%&")


def measure(line: str, size: float = 12) -> float:
    """About how wide a line is, in pixels. No fonts are known here, so it is rather too much than too little."""
    return sum(map(_width, line)) * size


def _width(character: str) -> float:
    if character in NARROW:
        return 0.36
    if unicodedata.combining(character):
        return 0.0
    if unicodedata.east_asian_width(character) in "WF":
        return 1.05
    return 0.92 if character in WIDE else 0.7 if character.isupper() else 0.6


def shortened(line: str, width: float, size: float = 12) -> str:
    """The line, or as much of its beginning as fits, with an ellipsis."""
    if measure(line, size) <= width:
        return line
    kept = line
    while kept and measure(kept, size) + size > width:
        kept = kept[:-1]
    return kept.rstrip() + "…"


def wrapped(line: str, width: float, most: int, size: float = 12) -> list[str]:
    """The line broken between words into at most so many lines, the last of them shortened where more would follow."""
    lines = list(_broken(line.split(), width, size))
    if len(lines) > most:
        lines[most - 1 :] = [" ".join(lines[most - 1 :])]
    return [shortened(each, width, size) for each in lines]


def _broken(words: list[str], width: float, size: float) -> Iterator[str]:
    held = ""
    for word in words:
        longer = f"{held} {word}" if held else word
        if held and measure(longer, size) > width:
            yield held
            longer = word
        held = longer
    yield held
