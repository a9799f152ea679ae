"""What a search for words means, and where in a comment it was found.

Guarantees: every comment that a search finds can be found by the index of words, except where a search has no words for
it (docs/decisions/0021-searching-words.md); a mark never points outside the comment, whatever the comment holds; no
search is an error.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from heed.db.tables import feedback

Span = tuple[int, int]

# Written without spaces, so that Postgres takes a whole sentence for one word: Thai, Lao, Myanmar, Khmer, kana, Han.
_NO_SPACES = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_ROUND_A_WORD = "\"'’.,;:!?…()"
_IN_A_WORD = "'’-"
# Noncharacters, which stand for no text; a comment that holds them all the same is marked as if they were spaces.
_START, _STOP = "\ufdd0", "\ufdd1"
_ENGLISH = sa.text("'english'::regconfig")  # not a parameter: it has to read as in ix_feedback_words
_OPTIONS = f"HighlightAll=true, StartSel={_START}, StopSel={_STOP}"


def is_piece(text: str) -> bool:
    """Whether a search is for a piece of text and not for words: an address, a version, a sign, a script without
    spaces."""
    if _NO_SPACES.search(text):
        return True
    terms = (term.lstrip("-").strip(_ROUND_A_WORD) for term in text.split())
    return any(not (char.isalnum() or char in _IN_A_WORD or _joins(char)) for term in terms for char in term)


def _joins(char: str) -> bool:
    return unicodedata.category(char) in ("Mn", "Mc", "Cf")  # accents of their own, and what joins letters


@dataclass(frozen=True, slots=True)
class Search:
    """A search for `text`: as words (any form of them, "phrases", -without, or), or as a `piece` of the comment."""

    text: str
    piece: bool

    @classmethod
    def of(cls, connection: sa.Connection, text: str) -> "Search":
        """What `text` means; Postgres knows which words say nothing."""
        piece = is_piece(text) or connection.execute(sa.select(sa.func.numnode(_query(text)))).scalar_one() == 0
        whole = re.fullmatch(r'\s*"([^"]+)"\s*', text)
        return cls(whole[1] if piece and whole else text, piece)

    @property
    def fits(self) -> sa.ColumnElement[bool]:
        """That a comment is one of those searched for."""
        if self.piece:
            return feedback.c.comment.icontains(self.text, autoescape=True)
        return sa.func.to_tsvector(_ENGLISH, feedback.c.comment).bool_op("@@")(_query(self.text))

    @property
    def found(self) -> sa.ColumnElement[Any]:
        """What `marks` needs of a row besides its comment."""
        if self.piece:
            return sa.null()
        clean = sa.func.translate(feedback.c.comment, _START + _STOP, "  ")
        return sa.func.ts_headline(_ENGLISH, clean, _query(self.text), _OPTIONS)

    def marks(self, comment: str, found: str | None) -> list[Span]:
        """Where in the comment it was found, in code points: from, and up to but without."""
        if self.piece:
            return [found.span() for found in re.finditer(re.escape(self.text), comment, re.IGNORECASE)]
        spans: list[Span] = []
        at, begun, rest = 0, 0, []
        for char in found or "":
            if char == _START:
                begun = at
            elif char == _STOP:
                spans.append((begun, at))
            else:
                at += 1
                rest.append(char)
        # Postgres gives the text back as it is; should it ever not, no mark is better than a wrong one.
        return spans if "".join(rest) == comment.replace(_START, " ").replace(_STOP, " ") else []


def _query(text: str) -> sa.ColumnElement[Any]:
    return sa.func.websearch_to_tsquery(_ENGLISH, text)
