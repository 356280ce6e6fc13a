"""The document reader: a plain text becomes sections, paragraphs and sentences, each with a locator and a fingerprint.

How a text is read:

* Lines end with LF, CRLF or CR. Blank lines separate *blocks*; a no-break space is white space like any other.
* A *heading* is a block of one line of at most HEADING_LENGTH characters that does not end like a sentence.
  Every other block is a *paragraph*, its lines joined.
* A heading opens a section only if the very next block is a paragraph. A heading before another heading, or at the end
  of the text, is navigation (a menu, "back to the top"): it opens no section, and no passage is made of it.
* A *sentence* ends at . ! ? or … (closing quotes and brackets included) when a capital, a digit or an opening quote
  follows, a bracket before them allowed. It does not end inside a quotation or brackets, after an initial, after an
  abbreviation, or after the number that opens a list entry. A kind of quote or bracket that does not balance in its
  paragraph is taken as mere characters there.

The rules are for scripts that have capitals. They work on whole words and look at each once, so reading is linear.
A stored locator or fingerprint is only as stable as these rules: changing one is a migration of every stored passage.
"""

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

MAX_BYTES = 5_000_000
HEADING_LENGTH = 120
MOST_PASSAGES = 5_000
"""A source of the registry has so many at most."""

TERMINATORS = frozenset(".!?…")
SENTENCE_PUNCTUATION = TERMINATORS | frozenset(":;")
OPENING_QUOTES = "\"'“‘«‹„‚"
OPENING_BRACKETS = "(["
CLOSERS = "\"'”’»›)]"

# Single quotes are no pair: a typographic apostrophe is the same character as a closing single quote.
PAIRS = (("“", "”"), ("«", "»"), ("(", ")"), ("[", "]"))

# Word lists are written as words: thirty quoted literals hide what is missing (hence the two noqa).
# "etc." is missing on purpose: before a lower-case letter nothing ends anyway, before a capital the sentence does.
ABBREVIATIONS = frozenset(
    "e.g i.e cf vs viz approx incl resp mr mrs ms dr prof rev hon st mt gen gov sen".split()  # noqa: SIM905
)
# These are words or ends of sentences as well ("the answer was no."), hence abbreviations only before a number.
NUMBERED_ABBREVIATIONS = frozenset(
    "no nos art arts para paras sec sect ch chap fig figs vol vols p pp v c ca al"  # noqa: SIM905
    " jan feb mar apr jun jul aug sep sept oct nov dec".split()
)
ROMAN_DIGITS = "IVXLCDM"

ASCII_PUNCTUATION = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛‹›ʼ´′‵＇", "'"),
        **dict.fromkeys("“”„‟«»″‶＂", '"'),
        **dict.fromkeys("‐‑‒–—―−﹘﹣－︱︲⸺⸻", "-"),
    }
)
COMBINING_GRAPHEME_JOINER = "\u034f"
STREAM_SAFE_MARKS = 30


class DocumentError(ValueError):
    """The bytes are not a text that can be read; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Passage:
    """One sentence of a document, with the place where it stands."""

    section: int
    """0 before the first heading, then 1, 2, …"""
    paragraph: int
    """1, 2, … within the section."""
    sentence: int
    """1, 2, … within the paragraph."""
    text: str
    """The sentence as written, white space folded to single blanks."""

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.text)


@dataclass(frozen=True, slots=True)
class Document:
    """What was read: `headings[n - 1]` is the heading of section n, `sha256` the digest of the bytes as they came."""

    headings: tuple[str, ...]
    passages: tuple[Passage, ...]
    sha256: str


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a text that stands by itself: its lines, and whether they are a heading."""

    lines: list[str]
    heading: bool


def read(data: bytes) -> Document:
    """Read a plain text in UTF-8 (a byte order mark is allowed). Raises DocumentError for anything else."""
    blocks = (Block(lines, _is_heading(lines)) for lines in _blocks(decoded(data)))
    return document(blocks, hashlib.sha256(data).hexdigest())


def document(blocks: Iterable[Block], sha256: str) -> Document:
    """The document that these blocks make, in the order in which they stand."""
    headings: list[str] = []
    passages: list[Passage] = []
    paragraph = 0
    standing = list(blocks)
    for block, following in zip(standing, [*standing[1:], None], strict=False):
        if not block.heading:
            paragraph += 1
            sentences = enumerate(_sentences(block.lines), start=1)
            passages += (Passage(len(headings), paragraph, number, text) for number, text in sentences)
        elif following is not None and not following.heading:
            headings.append(_folded(block.lines[0]))
            paragraph = 0
    return Document(tuple(headings), tuple(passages), sha256)


def fingerprint(sentence: str) -> str:
    """SHA-256, in hexadecimal, of the normalised sentence."""
    return hashlib.sha256(normalise(sentence).encode()).hexdigest()


def normalise(sentence: str) -> str:
    """The sentence without its typography: NFKC, ASCII quotes and dashes, single blanks, casefolded, trimmed."""
    if not sentence.isascii():
        sentence = _stream_safe(sentence.translate(ASCII_PUNCTUATION))
        # Compatibility caseless matching (Unicode 3.13, D146), composed at the end: folding once is not stable.
        sentence = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", sentence).casefold())
    return _folded(unicodedata.normalize("NFKC", sentence.casefold()))


def decoded(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise DocumentError(f"The document has {len(data)} bytes; at most {MAX_BYTES} are read.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError(
            f"The document is not UTF-8: byte {error.start} cannot be read. Save it as UTF-8."
        ) from None
    if "\0" in text:
        raise DocumentError("The document contains a NUL character: it is not a plain text in UTF-8.")
    return text


def _blocks(text: str) -> Iterator[list[str]]:
    """The runs of lines between blank lines."""
    block: list[str] = []
    # Not splitlines(): a form feed or U+2028 inside a sentence is white space here and ends nothing.
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if line and not line.isspace():
            block.append(line)
        elif block:
            yield block
            block = []
    if block:
        yield block


def _is_heading(block: list[str]) -> bool:
    if len(block) > 1:
        return False
    line = _folded(block[0])
    return len(line) <= HEADING_LENGTH and line.rstrip(CLOSERS)[-1:] not in SENTENCE_PUNCTUATION


def _sentences(block: list[str]) -> Iterator[str]:
    words = [word for line in block for word in line.split()]
    paragraph = " ".join(words)
    pairs = [pair for pair in PAIRS if _balanced(paragraph, *pair)]
    straight_quotes = paragraph.count('"') % 2 == 0
    start = depth = quotes = 0
    for end, (word, following) in enumerate(pairwise(words), start=1):
        for opening, closing in pairs:
            depth += word.count(opening) - word.count(closing)
        if straight_quotes:
            quotes += word.count('"')
        inside = depth > 0 or quotes % 2 == 1
        if not inside and _ends_sentence(word, following, alone=end - start == 1):
            yield " ".join(words[start:end])
            start = end
    yield " ".join(words[start:])


def _balanced(paragraph: str, opening: str, closing: str) -> bool:
    """Whether the pair occurs and every closing mark has an opening one before it, and the reverse."""
    if not 0 < paragraph.count(opening) == paragraph.count(closing):
        return False
    depth = 0
    for character in paragraph:
        if character == opening:
            depth += 1
        elif character == closing:
            depth -= 1
            if depth < 0:
                return False
    return True


def _ends_sentence(word: str, following: str, *, alone: bool) -> bool:
    """Whether a sentence ends between two words; `alone` says that the first is all there is of it so far."""
    stem = word.rstrip(CLOSERS)
    if stem[-1:] not in TERMINATORS or not _opens_sentence(following):
        return False
    term = stem.lstrip(OPENING_QUOTES + OPENING_BRACKETS).removesuffix(".")
    return not (
        (alone and term.isdigit())
        or _is_initials(term)
        or term.casefold() in ABBREVIATIONS
        or (term.casefold() in NUMBERED_ABBREVIATIONS and _is_number(following))
    )


def _opens_sentence(word: str) -> bool:
    first = word.lstrip(OPENING_BRACKETS)[:1]
    return first.isupper() or first.istitle() or first.isdigit() or (first != "" and first in OPENING_QUOTES)


def _is_initials(term: str) -> bool:
    """`J`, `U.N` or `J.-P`: single capitals, the last dot already gone."""
    return all(len(letter) == 1 and letter.isupper() for letter in term.replace(".-", ".").split("."))


def _is_number(word: str) -> bool:
    bare = word.strip(OPENING_BRACKETS + CLOSERS + ".,;:")
    return bare[:1].isdigit() or (bare != "" and not bare.strip(ROMAN_DIGITS))


def _folded(text: str) -> str:
    return " ".join(text.split())


def _stream_safe(text: str) -> str:
    """Break up long runs of combining marks (UAX 15, Stream-Safe Text Format).

    Normalising sorts such a run in quadratic time: one "letter" of 100 KB of accents would hold a worker for seconds.
    """
    safe: list[str] = []
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks > STREAM_SAFE_MARKS:
            safe.append(COMBINING_GRAPHEME_JOINER)
            marks = 1
        safe.append(character)
    return "".join(safe)
