"""Two editions of one page, in words of our own: the later one drops two sections, renames headings, puts another body first,
rewords sentences, and adds a project of four partners."""

from __future__ import annotations

EARLIER = """\
Working with others

The office promotes its declaration together with other bodies. It reports to its board every two years.

Round tables

The office and two agencies held round tables on responsible business. Invited experts took part in them.

Economic cooperation

The office helped to revise the guidelines in 2011. It gives advice to the national contact points whenever they ask for it.

Human rights

The office attends the annual forum on business and human rights. It comments on the drafts of the working group.

Investment

A memorandum of understanding links the office and the conference on trade. Both organize the world forum since 2014.

The summer games

The office signed an agreement with the organizers of the games. The agreement promotes decent work in supply chains.
"""
LATER = """\
Partnerships

The office promotes its declaration together with other bodies. It reports to its board every two years.

Human rights and business

The office attends the annual forum on business and human rights. It comments on all drafts of the working group in writing.

Economic cooperation

The office helped to revise the guidelines in 2011 and again in 2023. It gives advice to the national contact points whenever
they ask for it.

Trade and investment

A memorandum of understanding links the office and the conference on trade. Both organize the world forum since 2014.

Projects

The project Responsible Business Conduct in Latin America and the Caribbean ran from 2019 to 2022. It was carried by the EU, the
ILO, the OECD and the OHCHR.
"""


def as_html(text: str) -> str:
    """The same text as a page on the web has it, with all that stands around it there."""
    blocks = [" ".join(block.split()) for block in text.strip().split("\n\n")]
    heading = [len(block) < 40 and not block.endswith(".") for block in blocks]
    body = "".join(
        f"<h2>{block}</h2>" if is_heading else f"<p>{block.replace('office', '<b>office</b>')}"
        for block, is_heading in zip(blocks, heading, strict=True)
    )
    return (
        "<!DOCTYPE html><html><head><meta charset=utf-8><title>The page</title><style>p{color:red}</style></head><body>"
        "<nav><ul><li>Home<li>Topics</ul></nav><script>document.write('<p>No sentence.</p>')</script>"
        f"<main>{body}</main><p hidden>Not to be seen.</p><footer>Back to the top</footer></body></html>"
    )


LATER_HTML = as_html(LATER)
EARLIER_HTML = as_html(EARLIER)
