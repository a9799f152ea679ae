"""What a text consists of: sentences, and in them tokens and terms.

Guarantees: linear in the text's length; places are [start, end) in code points of the very text that was given,
whatever is normalised on the way. Training and scoring both read texts by this module alone.
"""

import re
import string
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

Span = tuple[int, int]

NEGATION_REACH = 4  # words
_NEGATIONS = frozenset(
    "no not never none nobody nothing nowhere neither nor cannot cant dont doesnt didnt isnt wasnt werent arent wont "  # noqa: SIM905
    "wouldnt couldnt shouldnt hasnt havent hadnt aint mustnt neednt without hardly barely".split()
)
_TURNS = frozenset(["but", "however", "although", "though", "because", "except"])  # a negation does not reach past them
_STOPS = frozenset(".,;!?…。！？")
NOT_WORDS = _STOPS | {"0"}

_EMOJI = "\u2190-\u21ff\u2300-\u27bf\u2900-\u297f\u2b00-\u2bff\U0001f000-\U0001f3fa\U0001f400-\U0001faff"
_TOKEN = re.compile(rf"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+|[.,;!?…。！？{_EMOJI}]")
_SAYS = re.compile(rf"[^\W\d_]{{2}}|[{_EMOJI}]")
_ADDRESS = re.compile(r"(?:https?://|www\.)\S+", re.I)
_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}\.[\w.-]{1,190}")
_TAG = re.compile(r"</?[A-Za-z][^<>]*>")
_REPEATED = re.compile(r"(\w)\1{2,}")
_TRIPLES = [letter * 3 for letter in string.ascii_lowercase]
# Sentences end with a line, and after these marks and a space; not after a number or one letter ("1. easy", "e. g.").
# A run of marks is looked at from its first one alone, or its length would count squared.
_END = re.compile(r"(?<![.!?…])(?:(?<![\s.]\w)(?<!^\w)[.!?…]|[.!?…]{2})[.!?…]*[\"')\]]*\s|[。！？]|\n")


def readable(text: str) -> str:
    """The text with spaces where addresses and HTML's tags are, which say nothing; every place stays as it was."""
    if "<" in text:
        text = _TAG.sub(lambda match: " " * len(match[0]), text)
    if "@" in text:
        text = _EMAIL.sub(lambda match: " " * len(match[0]), text)
    if "://" in text or "www." in text.lower():
        return _ADDRESS.sub(lambda match: " " * len(match[0]), text)
    return text


def composed(text: str) -> tuple[str, list[int] | None]:
    """The text in Unicode's composed form (NFC), and where each of its characters was, with the text's end; None where
    nothing moved."""
    if unicodedata.is_normalized("NFC", text):
        return text, None
    parts: list[str] = []
    origin: list[int] = []
    starts = [at for at, char in enumerate(text) if not unicodedata.combining(char)]
    for start, end in pairwise([0, *(at for at in starts if at), len(text)]):
        part = unicodedata.normalize("NFC", text[start:end])
        parts.append(part)
        origin += [start] * len(part)
    return "".join(parts), [*origin, len(text)]


def only_marks(sentence: str) -> bool:
    """Whether there is nothing in it but marks that end sentences."""
    return not sentence.strip(".,;!?…。！？ ")


def says_something(text: str) -> bool:
    """Whether there is a word of more than one letter in it, or an emoji: numbers and single letters say nothing."""
    return _SAYS.search(text) is not None


def sentences(text: str) -> list[Span]:
    """Where the sentences are, without the space around them; none in a text of space."""
    spans = []
    start = 0
    for match in _END.finditer(text):
        spans.append((start, match.end()))
        start = match.end()
    spans.append((start, len(text)))
    return [
        (start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip()))
        for start, end in spans
        if not (piece := text[start:end]).isspace() and piece
    ]


def tokens(sentence: str) -> list[str]:
    """Words, numbers (all as 0), marks that end clauses, and emoji, each in one spelling: lower case,
    apostrophes straight, no letter more than twice in a row, emoji without skin tone."""
    if sentence.isascii():
        lower = sentence.lower()
        found = _TOKEN.findall(lower)
        repeated = any(map(lower.__contains__, _TRIPLES))  # sooner told than by the expression
    else:
        found = [each.replace("’", "'").lower() for each in _TOKEN.findall(sentence)]
        repeated = True
    if repeated:
        found = [_REPEATED.sub(r"\1\1", each) for each in found]
    return ["0" if each.isdecimal() else each for each in found]


def places(sentence: str, start: int) -> list[Span]:
    """Where each of the tokens is, in a text in which the sentence begins at `start`."""
    return [(start + match.start(), start + match.end()) for match in _TOKEN.finditer(sentence)]


def terms(found: Sequence[str]) -> tuple[list[str], list[int], int]:
    """A sentence's terms, the number of the token that each ends with, and how many words, numbers and emoji it has.

    A term is a token, marked with ~ within a negation's reach, or two words in a row with a space between them.
    """
    made: list[str] = []
    ends: list[int] = []
    words = reach = 0
    before = ""
    for at, token in enumerate(found):
        if token in _STOPS:
            reach, before = 0, ""
            continue
        if token == before and not token[0].isalnum():
            continue  # a row of one emoji says it once
        words += 1
        if token in _TURNS:
            reach = 0
        made.append(f"~{token}" if reach else token)
        ends.append(at)
        if before:
            made.append(f"{before} {token}")
            ends.append(at)
        before = token
        if reach:
            reach -= 1
        if token in _NEGATIONS or token.endswith("n't"):
            reach = NEGATION_REACH
    return made, ends, words
