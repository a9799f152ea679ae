"""The words that tell why customers are unhappy, from what moved the scores of negative answers down. Pure.

Guarantees: an answer counts once for each word, however often it says it; what tells nothing by itself (a scorer's
inner features, words such as "the" or "have to", numbers) is no word here.

A scorer names a term as its model has it: one word or two, `~` before a word that has a not before it, 0 for digits.
What is left of a term when the small words at both its ends are taken off is the word; a not among these negates it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from api.results.overview_models import Word

WORDS_MOST = 12
_LEAST_OF_MANY = 2  # one answer alone tells nothing about many
_FEW = 5

_NOT_TEXT = """
    not no never cannot can't cant don't dont doesn't doesnt didn't didnt won't wont wouldn't wouldnt isn't isnt
    wasn't wasnt aren't arent weren't couldn't couldnt shouldn't hasn't hasnt haven't havent hadn't nor neither
    without ain't
"""
_SMALL_TEXT = """
    a an the this that these those it its it's i i'm i've i'd i'll me my mine myself we we're our ours us you your
    yours yourself you're he his him himself she her hers they they're them their theirs one ones who whom whose which
    what whatever when where why how there here and or but if then than so as at by for from in into of off on onto
    out over up down to too very with about after again against all almost also although always am any anything
    another are around be became because been before being below between both can could did do does doing done during
    each either else enough etc even ever every everything few first for get gets getting go goes going gone got had
    has have having however just keep know let like made make makes making many may maybe might more most much must
    near need next nothing now often once only other others own per perhaps put quite rather really said same say see
    seem seems several shall should since some someone something still such sure take taken than that's thing things
    think though through thus today told took try trying tried under until upon use used using want wanted was way
    well went were what's while will would yet back left better good great nice hope guess going having anyway
    product item bought buy buying purchase purchased thought mr mrs said came come comes there's please
    two three
    s t m re ve d ll br nbsp quot amp http https www com
"""
_NOT, _SMALL = frozenset(_NOT_TEXT.split()), frozenset(_SMALL_TEXT.split())


class Spoken:
    """What some answers say: `answers` were looked at."""

    def __init__(self, answers: Iterable[Sequence[tuple[str, float]]]) -> None:
        """Of each answer the terms that moved its score down, and by how much (below zero)."""
        self.answers = 0
        self.counts: Counter[tuple[str, bool]] = Counter()
        self.points: Counter[tuple[str, bool]] = Counter()
        for terms in answers:
            self.answers += 1
            own: set[tuple[str, bool]] = set()
            for term, points in terms:
                word = word_of(term)
                if word:
                    own.add(word)
                    self.points[word] += points  # type: ignore[assignment]
            self.counts.update(own)


def word_of(term: str) -> tuple[str, bool] | None:
    """The word in a model's term, and whether it is negated; None when there is no telling one."""
    if term != term.lower():  # an inner feature, such as VADER
        return None
    negated = term.startswith("~")
    words = term.removeprefix("~").split()
    while words and (words[0] in _SMALL or words[0] in _NOT):
        negated = negated or words[0] in _NOT
        words.pop(0)
    while words and (words[-1] in _SMALL or words[-1] in _NOT):
        words.pop()
    word = " ".join(words)
    telling = len(word) > 2 and all(letter.isalpha() or letter in " '’-" for letter in word)
    return (word, negated) if telling else None


def most_telling(now: Spoken, before: Spoken) -> list[Word]:
    """The words that moved most in all, most first; alike, by the alphabet. Of two that are said by as many answers and
    one of which is in the other, the one that moved more."""
    least = 1 if now.answers <= _FEW else _LEAST_OF_MANY
    said = [key for key, count in now.counts.items() if count >= least]
    chosen: list[tuple[str, bool]] = []
    for key in sorted(said, key=lambda key: (now.points[key], key)):
        if len(chosen) == WORDS_MOST:
            break
        if not any(_same(key, other) and now.counts[key] == now.counts[other] for other in chosen):
            chosen.append(key)
    return [
        Word(
            word=key[0],
            negated=key[1],
            answers=now.counts[key],
            points=round(float(now.points[key]), 2),
            share=now.counts[key] / now.answers,
            share_before=before.counts[key] / before.answers if before.answers else None,
        )
        for key in chosen
    ]


def _same(one: tuple[str, bool], other: tuple[str, bool]) -> bool:
    words, others = set(one[0].split()), set(other[0].split())
    return one[1] == other[1] and (words <= others or others <= words)
