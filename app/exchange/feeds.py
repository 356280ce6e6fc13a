"""Feeds: the registry's changes as Atom (RFC 4287), what was withdrawn as tombstones (RFC 6721).

A feed reader keeps one entry for each atom:id and shows it anew when `updated` moves. So a record is one entry, whose id is the
record's own (urn:uuid), and of several writes in one feed the last is shown. A tombstone deletes that same entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import NAMESPACE_URL, uuid5
from xml.etree import ElementTree as Xml

from app.kit.text import for_xml

ATOM, TOMBSTONES = "http://www.w3.org/2005/Atom", "http://purl.org/atompub/tombstones/1.0"
MEDIA_TYPE = "application/atom+xml"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""When a feed without entries was updated: it must say so (RFC 4287 §4.1.1), and nothing has happened."""
Xml.register_namespace("", ATOM)
Xml.register_namespace("at", TOMBSTONES)


class Entry(NamedTuple):
    """One write, as a feed tells it."""

    noun: str
    id: str
    slug: str
    version: int
    action: str
    at: datetime
    author: str
    proposed_by: str | None
    reason: str | None
    changed: Sequence[str]


def atom(entries: Iterable[Entry], *, title: str, address: str, base: str) -> bytes:
    """A feed of `entries`, the newest first. `address` is the feed's own, `base` the prefix of the records' addresses.
    Both are paths: a reader resolves them against the address that it asked."""
    newest = {entry.id: entry for entry in reversed(list(entries))}.values()
    standing = sorted(newest, key=lambda entry: entry.at, reverse=True)
    feed = Xml.Element(f"{{{ATOM}}}feed")
    _text(feed, "title", title)
    _text(feed, "id", f"urn:uuid:{uuid5(NAMESPACE_URL, address)}")
    _text(feed, "updated", _moment(standing[0].at if standing else EPOCH))
    _link(feed, "self", address, MEDIA_TYPE)
    for entry in standing:
        _tombstone(feed, entry) if entry.action == "withdrawn" else _entry(feed, entry, base)
    Xml.indent(feed)
    return bytes(Xml.tostring(feed, encoding="utf-8", xml_declaration=True))


def _entry(feed: Xml.Element, entry: Entry, base: str) -> None:
    element = Xml.SubElement(feed, f"{{{ATOM}}}entry")
    fields = f" {', '.join(entry.changed)}" if entry.action == "changed" else ""
    _text(element, "title", f"{entry.noun}/{entry.slug}: {entry.action}{fields}")
    _text(element, "id", _urn(entry))
    _text(element, "updated", _moment(entry.at))
    _text(Xml.SubElement(element, f"{{{ATOM}}}author"), "name", entry.author)
    if entry.proposed_by is not None:
        _text(Xml.SubElement(element, f"{{{ATOM}}}contributor"), "name", entry.proposed_by)
    Xml.SubElement(element, f"{{{ATOM}}}category", term=entry.noun)
    record = f"{base}/v1/{entry.noun}/{entry.slug}"
    _link(element, "alternate", record, "application/json")
    _link(element, "related", f"{record}/revisions/{entry.version}", "application/json")
    _text(element, "summary", entry.reason or f"Version {entry.version}")


def _tombstone(feed: Xml.Element, entry: Entry) -> None:
    element = Xml.SubElement(feed, f"{{{TOMBSTONES}}}deleted-entry", ref=_urn(entry), when=_moment(entry.at))
    _text(Xml.SubElement(element, f"{{{TOMBSTONES}}}by"), "name", entry.author)
    Xml.SubElement(element, f"{{{TOMBSTONES}}}comment").text = for_xml(entry.reason or f"{entry.noun}/{entry.slug}")


def _text(parent: Xml.Element, name: str, text: str) -> None:
    Xml.SubElement(parent, f"{{{ATOM}}}{name}").text = for_xml(text)


def _link(parent: Xml.Element, rel: str, href: str, kind: str) -> None:
    Xml.SubElement(parent, f"{{{ATOM}}}link", rel=rel, href=for_xml(href), type=kind)


def _urn(entry: Entry) -> str:
    return f"urn:uuid:{entry.id}"


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
