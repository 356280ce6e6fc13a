"""The corpus: organizations and collaborations with names as the world has them, the same for every run.

Words are spread as in real names: some stand in every tenth of them, some in a few of a thousand, and every record of the
larger half has one that five records share, however many there are. So a rare word stays rare while a common one grows.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from app.registry.collaborations import CollaborationStatus, ParticipantRole
from app.registry.organizations import OrganizationKind

SEED = 20_261_125
SHARING = 5
"""So many organizations have the same rare word."""
NEW = 10_000_000
"""From this number on there is nobody in the corpus."""
TYPES = ("Training", "Joint event", "Policy dialogue", "Research", "Technical assistance")

# Of five organizations that share a rare word each is of another sort, so no two have one name.
_SORTS = (
    ("Institute", "Laboratory", "Centre", "Academy", "College"),
    ("Foundation", "Trust", "Fund", "Endowment"),
    ("Association", "Federation", "Union", "Confederation", "Society"),
    ("Ministry", "Agency", "Authority", "Commission", "Office"),
    ("Network", "Alliance", "Forum", "Initiative", "Council", "Partnership"),
)
_HEADS = tuple(head for sort in _SORTS for head in sort)
_SCOPES = (
    "International",
    "National",
    "European",
    "African",
    "Asian",
    "Regional",
    "Global",
    "American",
    "Arab",
    "Federal",
)
_TOPICS = (
    "Development", "Research", "Labour", "Health", "Trade", "Education", "Human Rights", "Environment", "Agriculture",
    "Technology", "Industry", "Finance", "Energy", "Migration", "Employment", "Social Protection", "Statistics",
    "Responsible Business", "Multinational Enterprises", "Public Administration", "Rural Economy", "Transport",
    "Science", "Culture", "Investment", "Skills", "Gender Equality", "Child Protection", "Occupational Safety",
    "Small Enterprises", "Fisheries", "Textiles", "Mining", "Tourism", "Water", "Climate", "Standards", "Innovation",
    "Management", "Cooperation",
)  # fmt: skip
COUNTRIES = (
    "CH", "FR", "DE", "US", "BR", "IN", "CN", "JP", "ZA", "NG", "KE", "EG", "GB", "ES", "PT", "IT", "MX", "AR", "CL", "PE",
    "CO", "ID", "PH", "VN", "TH", "KR", "AU", "NZ", "CA", "SE", "NO", "FI", "DK", "NL", "BE", "PL", "TR", "MA", "SN", "GH",
)  # fmt: skip
KINDS = tuple(OrganizationKind)
_ROLES, _STATUSES = tuple(ParticipantRole), tuple(CollaborationStatus)
_BEGINS = ("ba", "ko", "mi", "ra", "tu", "ve", "sa", "lo", "ne", "di", "pa", "gu", "fi", "zo", "he", "ju")
_ENDS = ("ndar", "vik", "lund", "meter", "ska", "rino", "tal", "burg", "mann", "sson", "teva", "quist", "dale", "rov")


def rare(n: int) -> str:
    """The rare word number `n`: no other number has it."""
    n, end = divmod(n, len(_ENDS))
    word = ""
    while n or len(word) < 4:
        n, step = divmod(n, len(_BEGINS))
        word += _BEGINS[step]
    return (word + _ENDS[end]).capitalize()


def common_name(n: int) -> str:
    """A name of common words alone, `International Institute for Labour and Health`: no other number has it."""
    topics = len(_TOPICS)
    n = n * 7_919 % (len(_SCOPES) * len(_HEADS) * topics * topics)
    n, scope = divmod(n, len(_SCOPES))
    n, head = divmod(n, len(_HEADS))
    first, second = divmod(n, topics)
    return f"{_SCOPES[scope]} {_HEADS[head]} for {_TOPICS[first]} and {_TOPICS[second]}"


def organizations(size: int) -> Iterator[dict[str, Any]]:
    """So many organizations, each as `POST /v1/organizations` takes it. A third have names of common words alone."""
    words = max(1, -(-size // SHARING))
    for n in range(size):
        yield _organization(n, words, Random(SEED + n))  # noqa: S311


def newcomers(count: int, first: int = 0) -> Iterator[dict[str, Any]]:
    """Organizations that are in no corpus, `count` from the one with the number `first`: a word of its own in each name."""
    for n in range(first, first + count):
        record = _organization(n, first + count, Random(SEED + NEW + n))  # noqa: S311
        own = rare(NEW + n)
        record["name"] = f"{own} Bureau of {_TOPICS[n % len(_TOPICS)]}"
        record["identifiers"] = [{"scheme": "ror", "value": f"9{n:x}"}] if n % 5 == 0 else []
        yield record


def _organization(n: int, words: int, chance: Random) -> dict[str, Any]:
    common = n % 3 == 0
    own = rare(n % words)
    name = common_name(n) if common else _rare_name(own, _SORTS[n // words], chance)
    record: dict[str, Any] = {
        "name": name,
        "acronym": _initials(name) if chance.random() < 0.4 else None,
        "kind": chance.choice(KINDS).value,
        "country": COUNTRIES[min(int(chance.expovariate(0.12)), len(COUNTRIES) - 1)],
        "founded": str(chance.randrange(1850, 2025)) if chance.random() < 0.6 else None,
        "url": f"https://{own.lower()}{n}.example" if chance.random() < 0.5 else None,
    }
    if chance.random() < 0.25:
        record["other_names"] = [{"value": f"{own} {chance.choice(_TOPICS)} {n}", "kind": "former"}]
    if chance.random() < 0.2:
        record["identifiers"] = [{"scheme": "ror", "value": f"0{n:x}"}]
    if chance.random() < 0.3:
        record["description"] = _prose(chance)
    return record


def _rare_name(own: str, heads: tuple[str, ...], chance: Random) -> str:
    head, topic, scope = chance.choice(heads), chance.choice(_TOPICS), chance.choice(_SCOPES)
    return chance.choice((f"{own} {head} of {topic}", f"{scope} {own} {head}", f"{head} for {topic} {own}"))


def _initials(name: str) -> str:
    return "".join(word[0] for word in name.split() if word[0].isupper())


def _prose(chance: Random) -> str:
    first, second, third = chance.sample(_TOPICS, 3)
    return (
        f"Promotes {first.lower()} and {second.lower()} in {chance.randrange(2, 90)} countries. "
        f"Its members meet every year, and report on {third.lower()} to the public."
    )


def collaborations(size: int, partners: int) -> Iterator[dict[str, Any]]:
    """So many collaborations of three participants each, of the first `partners` organizations. These are named by numbers:
    whoever stores them puts slugs in their place."""
    for n in range(size):
        chance = Random(SEED - 1 - n)  # noqa: S311
        first, second = chance.sample(_TOPICS, 2)
        yield {
            "title": f"{chance.choice(_SCOPES)} programme on {first.lower()} and {second.lower()} {n}",
            "summary": _prose(chance) if chance.random() < 0.5 else None,
            "type": TYPES[n % len(TYPES)].lower().replace(" ", "-"),
            "status": chance.choice(_STATUSES).value,
            "period": f"{chance.randrange(1995, 2020)}/.." if chance.random() < 0.7 else None,
            "sdgs": sorted(chance.sample(range(1, 18), 2)),
            "participants": [
                {"organization": chance.randrange(partners), "role": chance.choice(_ROLES).value} for _ in range(3)
            ],
        }
