"""Reading a text: one spelling for what means the same, and places that are those of the text that was given."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.sentiment import text


def read(comment: str) -> list[str]:
    clean, _ = text.composed(text.readable(comment))
    return [term for start, end in text.sentences(clean) for term in text.terms(text.tokens(clean[start:end]))[0]]


@pytest.mark.parametrize(
    ("comment", "terms"),
    [
        ("It works", ["it", "works", "it works"]),
        ("NEVER again!", ["never", "~again", "never again"]),
        ("It doesn’t work.", ["it", "doesn't", "it doesn't", "~work", "doesn't work"]),
        ("not good but cheap", ["not", "~good", "not good", "but", "good but", "cheap", "but cheap"]),
        ("no, thanks", ["no", "thanks"]),  # neither a negation nor a pair reaches over a comma
        ("sooooo bad", ["soo", "bad", "soo bad"]),
        ("in 14 days", ["in", "0", "in 0", "days", "0 days"]),
        ("👍🏽 ❤️", ["👍", "❤", "👍 ❤"]),
        ("see https://example.com/bad-awful?x=1 now", ["see", "now", "see now"]),
        ("cafe\u0301", ["café"]),
        ("", []),
        ("!!! ... ?", []),
    ],
)
def test_terms(comment: str, terms: list[str]) -> None:
    assert read(comment) == terms


@pytest.mark.parametrize(
    ("comment", "sentences"),
    [
        ("Good. Bad! Why?  So… ok", ["Good.", "Bad!", "Why?", "So…", "ok"]),
        ("1. easy e. g. this", ["1. easy e. g. this"]),
        ("It costs 3.5 euro", ["It costs 3.5 euro"]),
        ('He said "no." Then left', ['He said "no."', "Then left"]),
        ("one\n\n  two ", ["one", "two"]),
        ("これは。だめ", ["これは。", "だめ"]),
        ("   ", []),
    ],
)
def test_sentences(comment: str, sentences: list[str]) -> None:
    assert [comment[start:end] for start, end in text.sentences(comment)] == sentences


@given(st.text(max_size=60))
def test_places_are_in_the_text_and_in_order(comment: str) -> None:
    clean, origin = text.composed(text.readable(comment))
    if origin is not None:
        assert len(origin) == len(clean) + 1
        assert origin == sorted(origin)
    end_before = 0
    for start, end in text.sentences(clean):
        assert end_before <= start < end <= len(clean)
        end_before = end
        piece = clean[start:end]
        tokens, places = text.tokens(piece), text.places(piece, start)
        assert len(tokens) == len(places)
        assert all(start <= first < last <= end for first, last in places)
        terms, ends, words = text.terms(tokens)
        assert len(terms) == len(ends)
        assert words <= len(tokens)
