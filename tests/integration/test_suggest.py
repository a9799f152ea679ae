"""Learning from verdicts on a real Postgres: which of them teach, what they suggest, and that nothing changes by it
but, when a person accepts, the survey.
"""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import exp, log
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from results_data import POLICY, TRIAGE, answer, erase

from heed.contracts import Contact, Decision, Judge, Label, StreamEntry, Survey, new_id
from heed.db.tables import feedback, surveys, verdicts
from heed.db.verdicts import say
from heed.errors import HeedError
from heed.settings import Settings
from heed.triage import Lines
from worker.learning.data import Rated
from worker.learning.suggest import Changes, Present, accept, suggest_lines, suggest_model
from worker.learning.verdicts import KEPT_APART, NEEDS_NOBODY, NEEDS_PERSON, learned_until, rated
from worker.sentiment import Sentiment
from worker.sentiment.light import SHIPPED, LightScorer, Model
from worker.store import Assessed, store
from worker.surveys import Surveys
from worker.triage import Triage

LINES = Lines(ticket=0.65, review=0.4)
PRESENT = Present("test-scorer", LINES)


@dataclass(frozen=True)
class Known:
    """An answer of which we know whether a person is needed."""

    id: UUID
    client: str
    chance: float
    decision: Decision
    sampled: bool
    needed: bool


def deployment(engine: sa.Engine, count: int = 1500, scorer: str = "test-scorer", share: float = 0.15) -> list[Known]:
    """Answers whose p_negative says too little: a person is needed with the chance of `truth`. A share is drawn."""
    draw = random.Random(3)
    found, batch = [], []
    with engine.begin() as connection:
        survey = Survey.model_validate(connection.execute(sa.select(surveys.c.definition)).scalars().one())
        for number in range(count):
            chance = min(max(draw.betavariate(0.6, 1.2), 0.002), 0.998)
            drawn = draw.random() < share
            entry = StreamEntry(
                id=next(each for each in iter(new_id, None) if POLICY.samples(each) is drawn),
                survey="default",
                client=f"{number:032x}",
                comment=f"what number {number} says",
            )
            sentiment = Sentiment(Label.NEUTRAL, 0.0, chance, {"neu": 1.0}, rating=0.0)
            triaged = TRIAGE.decide(survey, entry, sentiment)
            batch.append(Assessed(entry, survey, sentiment, triaged, scorer))
            needed = draw.random() < truth(chance)
            found.append(Known(entry.id, entry.client, chance, triaged.decision, drawn, needed))
        store(connection, batch)
    return found


def truth(chance: float) -> float:
    return 1 / (1 + exp(-(0.8 + 1.2 * log(chance / (1 - chance)))))


def true_lines(known: Sequence[Known]) -> Lines:
    """Where the lines should be, by what only the test knows."""
    ticket, review, best, hits = 1.0, 1.0, 0.0, 0.0
    everything = sum(truth(each.chance) for each in known)
    for many, each in enumerate(sorted(known, key=lambda each: -each.chance), 1):
        hits += truth(each.chance)
        if hits >= 0.8 * many:
            ticket = each.chance
        if 2 * hits / (many + everything) > best:
            best, review = 2 * hits / (many + everything), each.chance
    return Lines(ticket, min(review, ticket))


def judge(engine: sa.Engine, known: Sequence[Known]) -> None:
    """What waits in the review queue is judged, truly."""
    with engine.begin() as connection:
        for each in known:
            if each.sampled or each.decision is Decision.REVIEW:
                say(connection, each.id, each.needed, Judge.MANAGER)


def everything(engine: sa.Engine) -> dict[UUID, Any]:
    with engine.connect() as connection:
        return {row.id: row for row in connection.execute(sa.select(feedback))}


def definition(engine: sa.Engine) -> dict[str, Any]:
    with engine.connect() as connection:
        return dict(connection.execute(sa.select(surveys.c.definition)).scalars().one())


def test_lines_near_the_true_ones(engine: sa.Engine) -> None:
    known = deployment(engine)
    judge(engine, known)
    before, survey = everything(engine), definition(engine)
    found = suggest_lines(engine, "default", 30, PRESENT)
    true = true_lines(known)
    assert abs(found.proposed.lines.ticket - true.ticket) < 0.12
    assert abs(found.proposed.lines.review - true.review) < 0.08
    assert found.ticket_line is not None
    assert found.ticket_line.low <= true.ticket <= found.ticket_line.high < LINES.ticket
    assert (found.present.lines, found.answers, found.left_out) == (LINES, len(known), 0)
    assert found.verdicts == sum(each.sampled or each.decision is Decision.REVIEW for each in known)
    for line, figures in ((LINES.ticket, found.present.ticket), (LINES.review, found.present.review)):
        above = [each for each in known if each.chance >= line]
        hits = sum(each.needed for each in above)
        for name, share in (("precision", hits / len(above)), ("recall", hits / sum(each.needed for each in known))):
            assert figures[name].low <= share <= figures[name].high
    assert found.difference[0]["recall"].low > 0
    # What would have changed is what the two pairs of lines say of each answer.
    counts = found.changes.counts
    line = found.proposed.lines
    assert counts["more", Decision.TICKET] == sum(line.ticket <= each.chance < LINES.ticket for each in known) > 100
    assert counts["fewer", Decision.TICKET] == 0
    assert counts["more", Decision.REVIEW] == sum(line.review <= each.chance < line.ticket for each in known) - sum(
        max(LINES.review, line.review) <= each.chance < min(LINES.ticket, line.ticket) for each in known
    )
    shown = found.changes.examples["more", Decision.TICKET]
    assert len(shown) == 5
    assert all(before[each].comment == comment for each, comment in shown)
    # Nothing is changed by asking.
    assert (everything(engine), definition(engine)) == (before, survey)
    assert suggest_lines(engine, "default", 30, PRESENT) == found


def test_verdicts_that_are_no_fair_sample_do_not_count(engine: sa.Engine) -> None:
    known = deployment(engine, 1200)
    judge(engine, known)
    found = suggest_lines(engine, "default", 30, PRESENT)
    with engine.begin() as connection:
        for each in known:
            if each.decision is Decision.TICKET:
                say(connection, each.id, False, Judge.AGENT)
            if not each.sampled and each.decision is Decision.NOTHING and each.needed:
                say(connection, each.id, True, Judge.MANAGER)
    assert suggest_lines(engine, "default", 30, PRESENT) == found


@pytest.mark.parametrize(
    "more",
    [{"vote": "bad"}, {"rating": 1}, {"contact": Contact(email="a@example.com", reply=True)}, {"flags": ("fast",)}],
)
def test_verdicts_for_other_reasons_do_not_teach(engine: sa.Engine, more: dict[str, Any]) -> None:
    for number in range(30):
        happy = answer(engine, f"lovely {number}", label=Label.POSITIVE, p_negative=0.02, sampled=True, **more)
        with engine.begin() as connection:
            say(connection, happy, True, Judge.MANAGER)
    assert rated(engine).rows == []
    with pytest.raises(HeedError, match="10 that a person is needed"):
        suggest_lines(engine, "default", 30, PRESENT)


def test_what_its_customer_erased_does_not_teach(engine: sa.Engine) -> None:
    """Not even what it was scored: a line is never shown with an answer that nobody can read any more."""
    for number in range(30):
        each = answer(engine, f"text {number}", label=Label.NEGATIVE, p_negative=0.5)
        with engine.begin() as connection:
            say(connection, each, number % 2 == 0, Judge.MANAGER)
        erase(engine, each)
    assert rated(engine).rows == []
    with pytest.raises(HeedError, match="missing are"):
        suggest_lines(engine, "default", 30, PRESENT)


def test_what_teaches(engine: sa.Engine) -> None:
    said = {}
    for number in range(40):
        each = answer(engine, f"text {number}", label=Label.NEGATIVE, p_negative=0.5)
        with engine.begin() as connection:
            say(connection, each, number % 2 == 1, Judge.MANAGER)
            say(connection, each, number % 2 == 0, Judge.AGENT)
        said[f"text {number}"] = NEEDS_PERSON if number % 2 == 0 else NEEDS_NOBODY
    answer(engine, "nobody judged this", label=Label.NEGATIVE, p_negative=0.5)
    foreign = answer(engine, "Das geht nicht", label=Label.UNKNOWN)
    empty = answer(engine, vote="good", sampled=True)
    with engine.begin() as connection:
        say(connection, foreign, True, Judge.MANAGER)
        say(connection, empty, False, Judge.MANAGER)
    clients = {row.comment: row.client for row in everything(engine).values()}
    learned, until = rated(engine)
    expected = {text: Rated(text, rating, f"client {clients[text]}") for text, rating in said.items()}
    assert {row.text: row for row in learned} == {text: row for text, row in expected.items() if row.fold != KEPT_APART}
    assert len(learned) >= 20  # a fifth of the customers is kept apart
    assert until == max(foreign, empty).hex[:16]
    assert all(row.negative == (said[row.text] == NEEDS_PERSON) for row in learned)


def test_pages_lose_nothing(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    known = deployment(engine, 900)
    judge(engine, known)
    whole, taught = suggest_lines(engine, "default", 30, PRESENT), rated(engine)
    monkeypatch.setattr("worker.learning.suggest._PAGE", 7)
    monkeypatch.setattr("worker.learning.verdicts._PAGE", 7)
    assert suggest_lines(engine, "default", 30, PRESENT) == whole
    assert rated(engine) == taught


def test_only_what_is_asked_for_is_looked_at(engine: sa.Engine) -> None:
    """Answers of another time, another scorer's, and of version 0.1.0."""
    known = deployment(engine, 900)
    judge(engine, known)
    with engine.begin() as connection:
        connection.execute(
            sa.update(feedback).where(feedback.c.id.in_([each.id for each in known[:20]])).values(scorer="other")
        )
        connection.execute(
            sa.update(feedback).where(feedback.c.id.in_([each.id for each in known[20:50]])).values(decision=None)
        )
    answer(engine, "long ago", p_negative=0.9, label=Label.NEGATIVE, at=datetime.now(UTC) - timedelta(days=31))
    found = suggest_lines(engine, "default", 30, PRESENT)
    assert (found.answers, found.left_out) == (850, 20)
    assert suggest_lines(engine, "default", 32, PRESENT).answers == 851


def test_too_few_verdicts(engine: sa.Engine) -> None:
    known = deployment(engine, 300)
    judge(engine, [each for each in known if each.decision is not Decision.NOTHING][:8])
    with pytest.raises(HeedError, match=r"Too few verdicts .* on tickets drawn by lot, .* 20 on others drawn by lot"):
        suggest_lines(engine, "default", 30, PRESENT)
    with pytest.raises(HeedError, match="There is no survey other"):
        suggest_lines(engine, "other", 30, PRESENT)


def test_accepted_lines_decide_from_then_on(engine: sa.Engine) -> None:
    known = deployment(engine, 900)
    judge(engine, known)
    before, survey = everything(engine), definition(engine)
    found = suggest_lines(engine, "default", 30, PRESENT)
    accept(engine, found)
    lines = found.proposed.lines
    assert definition(engine) == {**survey, "threshold": lines.ticket, "review_threshold": lines.review}
    assert everything(engine) == before
    decides = Surveys(engine).get({"default"})["default"]
    entry = StreamEntry(id=new_id(), survey="default", client="0" * 32, comment="so so")
    for chance, decision in (
        (lines.ticket, Decision.TICKET),
        (lines.ticket - 0.001, Decision.REVIEW),
        (lines.review, Decision.REVIEW),
        (lines.review - 0.001, Decision.NOTHING),
    ):
        triaged = Triage(POLICY, LINES).decide(decides, entry, Sentiment(Label.NEUTRAL, 0.0, chance))
        assert triaged.decision is decision
        assert triaged.policy.endswith(f" {lines.ticket:g}/{lines.review:g}")
    again = suggest_lines(engine, "default", 30, PRESENT)
    assert (again.present.lines, again.proposed.lines, again.changes.counts) == (lines, lines, {})


def test_a_survey_changed_meanwhile_is_left_alone(engine: sa.Engine) -> None:
    judge(engine, deployment(engine, 900))
    found = suggest_lines(engine, "default", 30, PRESENT)
    other = {**found.definition, "question": "How was it?"}
    with engine.begin() as connection:
        connection.execute(sa.update(surveys).values(definition=other))
    with pytest.raises(HeedError, match="changed meanwhile; nothing was written"):
        accept(engine, found)
    assert definition(engine) == other


def with_words(engine: sa.Engine, known: Sequence[Known]) -> None:
    """Texts that tell what is needed, which the scores of the present scorer do not."""
    words = {True: "This is terrible, I hate it and want a refund.", False: "This is great, I love it, thank you."}
    with engine.begin() as connection:
        for needed, comment in words.items():
            ids = [each.id for each in known if each.needed is needed]
            connection.execute(sa.update(feedback).where(feedback.c.id.in_(ids)).values(comment=comment))


def model_file(path: Path, until: str = "") -> Path:
    said = json.loads(SHIPPED.read_bytes())
    said["data"] = {**said.get("data", {}), **({"verdicts": until} if until else {})}
    path.write_text(json.dumps(said))
    return path


def test_a_better_model_is_seen_to_be_better(engine: sa.Engine, tmp_path: Path) -> None:
    known = deployment(engine, 900)
    with_words(engine, known)
    judge(engine, known)
    before = everything(engine), definition(engine)
    path = model_file(tmp_path / "model.json")
    found = suggest_model(engine, "default", 30, PRESENT, path)
    assert (found.proposed.scorer, found.proposed.lines) == (Model.load(path).name, Model.load(path).lines)
    assert found.proposed.ticket["precision"].value == 1
    assert found.proposed.ticket["recall"].value == pytest.approx(1)
    assert found.difference[0]["recall"].low > 0.1
    assert found.changes.counts["more", Decision.TICKET] == sum(
        each.needed and each.chance < LINES.ticket for each in known
    )
    assert found.changes.counts["fewer", Decision.TICKET] == sum(
        not each.needed and each.chance >= LINES.ticket for each in known
    )
    assert all(len(comment) <= 60 for each in found.changes.examples.values() for _, comment in each)
    assert before == (everything(engine), definition(engine))


def test_a_model_is_not_measured_by_what_it_learned_from(engine: sa.Engine, tmp_path: Path) -> None:
    known = deployment(engine, share=0.5)
    with_words(engine, known)
    judge(engine, known)
    usable = [each for each in known if each.sampled or each.decision is Decision.REVIEW]
    until = rated(engine).until
    path = model_file(tmp_path / "model.json", until)
    assert learned_until(path) == until
    apart = [each for each in usable if Rated("", 0.0, f"client {each.client}").fold == KEPT_APART]
    assert 0 < len(apart) < len(usable) / 3
    assert not {row.group for row in rated(engine).rows} & {f"client {each.client}" for each in apart}
    assert suggest_model(engine, "default", 30, PRESENT, path).verdicts == len(apart)
    # The scorer in use may be such a model, too; and what came after it learned is new to it.
    middle = sorted(each.id for each in usable)[len(usable) // 2]
    fresh = [each for each in usable if each in apart or each.id.hex[:16] > middle.hex[:16]]
    assert suggest_lines(engine, "default", 30, Present("test-scorer", LINES, middle.hex[:16])).verdicts == len(fresh)


def test_a_text_is_shown_as_one_line_of_what_can_be_printed() -> None:
    changes = Changes()
    changes.add(new_id(), "red \x1b[31m\nand \u202e" + "x" * 90, Decision.NOTHING, Decision.REVIEW)
    changes.add(new_id(), "the same", Decision.TICKET, Decision.TICKET)
    [[(_, shown)]] = changes.examples.values()
    assert shown.startswith("red  [31m and  xxx")
    assert len(shown) == 60
    assert changes.counts == {("more", Decision.REVIEW): 1}


@pytest.fixture
def heed(settings: Settings, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        known = {"HEED_HOME": str(tmp_path), "HEED_DATABASE_URL": settings.need("database_url"), "COLUMNS": "200"}
        return subprocess.run(
            [sys.executable, "-m", "heed", "triage", "suggest", *map(str, arguments)],
            env={**os.environ, **known},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    return run


def test_the_command(engine: sa.Engine, heed: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    refused = heed()
    assert refused.returncode == 1
    assert "Too few verdicts" in refused.stderr
    assert "Traceback" not in refused.stderr
    known = deployment(engine, 900, LightScorer().name)
    judge(engine, known)
    survey = definition(engine)
    shown = heed()
    assert shown.returncode == 0, shown.stderr
    assert "900 answers of the last 30 days were decided by their words alone" in shown.stdout
    assert "tickets more" in shown.stdout
    assert "what number " in shown.stdout
    adopt = heed("--model", model_file(tmp_path / "model.json"), "--accept", "--yes")
    assert f"HEED_SCORER={tmp_path / 'model.json'}" in adopt.stdout, adopt.stderr
    unasked = heed("--accept")  # nobody is there to say yes
    assert unasked.returncode == 1
    assert definition(engine) == survey
    accepted = heed("--accept", "--yes")
    assert accepted.returncode == 0, accepted.stderr
    assert definition(engine).keys() - survey.keys() == {"threshold", "review_threshold"}
    with engine.connect() as connection:
        judged = connection.execute(sa.select(sa.func.count()).select_from(verdicts)).scalar_one()
    assert judged == sum(each.sampled or each.decision is Decision.REVIEW for each in known)
    assert "nothing was written" in heed("--accept", "--yes").stderr
