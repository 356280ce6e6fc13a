"""Text on its way into XML: what no XML document can hold is replaced, never dropped."""

from __future__ import annotations

import re
from xml.etree import ElementTree as Xml

# What XML 1.0 cannot hold, not even as a character reference. (The registry refuses most of it.)
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def printable(text: str) -> str:
    """`text` with U+FFFD in the place of every character that XML 1.0 does not allow."""
    return _FORBIDDEN.sub("\ufffd", text)


def element(parent: Xml.Element, name: str, text: str | None = None, **attributes: object) -> Xml.Element:
    """A new last child of `parent`. Attributes that are None are left out; `_` in a name stands for `-`, and one at its end
    for nothing (class_)."""
    given = {
        key.rstrip("_").replace("_", "-"): printable(str(value))
        for key, value in attributes.items()
        if value is not None
    }
    made = Xml.SubElement(parent, name, given)
    if text is not None:
        made.text = printable(text)
    return made


def document(root: Xml.Element) -> bytes:
    """The whole document, in UTF-8, with its declaration."""
    return bytes(Xml.tostring(root, encoding="utf-8", xml_declaration=True))
