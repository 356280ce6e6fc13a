"""Text on its way into XML: what no XML document can hold is replaced, never dropped."""

from __future__ import annotations

from xml.etree import ElementTree as Xml

from app.kit.text import for_xml


def element(parent: Xml.Element, name: str, text: str | None = None, **attributes: object) -> Xml.Element:
    """A new last child of `parent`. Attributes that are None are left out; `_` in a name stands for `-`, and one at its end
    for nothing (class_)."""
    given = {
        key.rstrip("_").replace("_", "-"): for_xml(str(value)) for key, value in attributes.items() if value is not None
    }
    made = Xml.SubElement(parent, name, given)
    if text is not None:
        made.text = for_xml(text)
    return made


def document(root: Xml.Element) -> bytes:
    """The whole document, in UTF-8, with its declaration."""
    return bytes(Xml.tostring(root, encoding="utf-8", xml_declaration=True))
