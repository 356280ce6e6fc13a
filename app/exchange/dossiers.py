"""Dossiers for people: Markdown to edit, and a page of HTML to print and take to the session."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from app.kit.text import for_xml

Document = Mapping[str, Any]
HEADINGS = {
    "collaboration": "The collaboration", "participant": "Participants", "milestone": "Milestones",
    "review": "Reviews", "evidence": "Evidence",
}  # fmt: skip
"""The parts of a section, in the order in which an officer reads them."""
STYLE = """\
body{font:11pt/1.45 Georgia,serif;max-width:46em;margin:2em auto;padding:0 1em;color:#111}
h1{font-size:1.5em;margin-bottom:.2em}h2{font-size:1.2em;border-bottom:1px solid #999;margin-top:2em}
h3{font-size:1em;margin-bottom:.3em}
p.state,small{color:#444}ul{padding-left:1.2em}li{margin:.25em 0;break-inside:avoid}
b{font-weight:600}
@media print{body{margin:0;max-width:none}h2{break-after:avoid}h3{break-after:avoid}a{color:inherit;text-decoration:none}}
"""
STYLE_HASH = "sha256-" + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
"""What a Content-Security-Policy must allow for the page to be styled, and nothing else."""


def markdown(title: str, sections: Sequence[Document]) -> str:
    """The dossier as CommonMark. Whatever the registry holds stands in it as text: no link, no HTML, no heading of its own."""
    return "\n".join(_markdown(title, sections)) + "\n"


def _markdown(title: str, sections: Sequence[Document]) -> Iterator[str]:
    yield f"# {_escaped(title)}"
    for section in sections:
        yield f"\n## {_escaped(section['title'])}\n\n{_escaped(_state(section))}"
        for heading, lines in _parts(section):
            yield f"\n### {heading}\n"
            yield from (f"- **{line['event']}** {_escaped(f'{_words(line)} {_source(line)}')}" for line in lines)
        if not section["lines"]:
            yield "\nNothing was recorded."


def page(title: str, sections: Sequence[Document], *, language: str = "en") -> str:
    """The dossier as a page of HTML that needs nothing else and prints well."""
    body = "".join(_section(section) for section in sections)
    name = _html(title)
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{name}</title><style>{STYLE}</style></head>'
        f"<body><h1>{name}</h1>{body}</body></html>"
    )


def _section(section: Document) -> str:
    parts = "".join(f"<h3>{heading}</h3><ul>{''.join(map(_item, lines))}</ul>" for heading, lines in _parts(section))
    state = f'<p class="state">{_html(_state(section))}</p>'
    return f"<h2>{_html(section['title'])}</h2>{state}{parts or '<p>Nothing was recorded.</p>'}"


def _item(line: Document) -> str:
    source = f" <small>{_html(_source(line))}</small>" if line["citations"] else ""
    return f"<li><b>{_html(line['event'])}</b> {_html(_words(line))}{source}</li>"


def _parts(section: Document) -> Iterator[tuple[str, list[Document]]]:
    for about, heading in HEADINGS.items():
        lines = [line for line in section["lines"] if line["about"] == about]
        if lines:
            yield heading, lines


# --- in words ---------------------------------------------------------------------------------------------------------


def _state(section: Document) -> str:
    since = section["since"]
    begin = f"review {since['review']}" if since["review"] else f"write {since['sequence']}"
    facts = [f"Status: {section['status']}", f"review: {section['review_status']}"]
    facts += [f"last reviewed {section['last_reviewed']}"] if section["last_reviewed"] else []
    facts += [f"next due {section['next_review_due']}"] if section["next_review_due"] else []
    return f"{', '.join(facts)}. Since {begin}, up to write {section['until']['sequence']} ({section['until']['on']})."


def _words(line: Document) -> str:
    field = line["field"].lstrip("/").replace("/", ", ").replace("_", " ")
    if line["about"] == "participant" and isinstance(line["now"] or line["was"], Mapping):
        return _participant(line["now"] or line["was"])
    if line["about"] in ("collaboration", "participant"):
        return f"{field}: {_change(line)}" if field else line["title"]
    if line["about"] == "milestone" and line["event"] == "changed":
        return f"{line['title']}: {field}: {_change(line)}"
    if line["about"] == "review" and line["now"]:
        return f"{line['title']} ({line['now']})"
    return f"{line['title']} ({field})" if line["about"] == "evidence" and field else line["title"]


def _participant(part: Document) -> str:
    when = f" ({part['period']})" if part.get("period") else ""
    proxy = f" for {part['on_behalf_of']}" if part.get("on_behalf_of") else ""
    return f"{part.get('organization')} as {str(part.get('role')).replace('_', ' ')}{proxy}{when}"


def _change(line: Document) -> str:
    was, now = _value(line["was"]), _value(line["now"])
    return f"{was} → {now}" if was and now else now or f"{was} (no longer)"


def _value(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _source(line: Document) -> str:
    """Where it stands: source and places of each citation."""
    places = [f"{c['source']} {_places(c['passages'])}".strip() for c in line["citations"]]
    return f"[{'; '.join(places)}]" if places else ""


def _places(passages: Sequence[Document]) -> str:
    return ", ".join(f"{p['section']}.{p['paragraph']}.{p['sentence']}" for p in passages)


def _html(text: str) -> str:
    return html.escape(for_xml(text))


def _escaped(text: str) -> str:
    """Text that CommonMark shows as it is, in the middle of a line: what would mark it up is escaped, its lines are joined."""
    return re.sub(r"([\\`*_\[\]<>&#~|])", r"\\\1", " ".join(text.split()))
