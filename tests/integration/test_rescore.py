"""Scoring anew: every row once, its former score kept, the counts as a recount would have them; beside a live worker,
after a kill, twice, and two at once. Tickets only when asked for.
"""

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from conftest import wait_for

from heed import books
from heed.contracts import Decision, Judge, Label, NegativeFeedback, Priority, Reason, StreamEntry, Survey, new_id
from heed.db import ledger, outbox, verdicts
from heed.db.tables import feedback, former_scores, rollup, surveys
from heed.errors import HeedError
from heed.settings import Settings
from heed.stream import keys
from heed.stream.queue import Queue
from heed.triage import Lines, Policy
from worker.handler import Handler
from worker.rescore import Rescore, alone
from worker.sentiment import Sentiment
from worker.sentiment.vader import VaderScorer
from worker.store import Assessed, store
from worker.triage import Triage

WORDS = ("It broke", "I love it", "Horrible, I hate it", "Wonderful and quick", "It is a box", "")


class Other:
    """A scorer of an earlier version: it has its own opinion of everything."""

    name = "other-1"
    lines = Lines(ticket=0.9, review=0.5)

    def score(self, texts: Sequence[str]) -> list[Sentiment]:
        return [self._one(random.Random(text)) for text in texts]

    @staticmethod
    def _one(chance: random.Random) -> Sentiment:
        label = chance.choice([Label.NEGATIVE, Label.POSITIVE, Label.NEUTRAL])
        return Sentiment(label, 0.1, chance.uniform(0, 0.89), {"neu": 1.0}, rating=0.5)


def fill(engine: sa.Engine, count: int, at: datetime | None = None, **given: Any) -> list[UUID]:
    """Store answers as a worker with the other scorer did, over the three days until now."""
    scorer, until = Other(), at or datetime.now(UTC)
    triage = Triage(Policy.shipped(), scorer.lines)
    ids = []
    with engine.begin() as connection:
        survey = Survey.model_validate(connection.execute(sa.select(surveys.c.definition)).scalars().one())
        batch = []
        for number in range(count):
            received = int((until - timedelta(minutes=number % 4320)).timestamp() * 1000)
            fresh = new_id()
            entry = StreamEntry(
                id=UUID(int=(received << 80) | (fresh.int & (2**80 - 1))),
                survey="default",
                client=fresh.hex,
                **({"vote": ("good", "bad", None)[number % 3], "comment": f"{WORDS[number % 6]} {number}"} | given),
            )
            [sentiment] = scorer.score([entry.comment])
            batch.append(Assessed(entry, survey, sentiment, triage.decide(survey, entry, sentiment), scorer.name))
            ids.append(entry.id)
        store(connection, batch)
    return ids


def finish_tickets(engine: sa.Engine) -> None:
    """What ticketing does with all that is in the outbox."""
    with engine.begin() as connection:
        for claim in outbox.claim(connection, 100_000):
            held = ledger.take(connection, claim[0], "default", 60)
            assert isinstance(held, ledger.Taken)
            ledger.created(connection, held, int(claim[0].int % 2**40) + 1)
            ledger.opened(connection, held)


def everything(engine: sa.Engine) -> dict[UUID, Any]:
    with engine.connect() as connection:
        return {row.id: row for row in connection.execute(sa.select(feedback))}


def kept(engine: sa.Engine) -> dict[UUID, Any]:
    with engine.connect() as connection:
        rows = connection.execute(sa.select(former_scores)).all()
    assert len({row.feedback_id for row in rows}) == len(rows)
    return {row.feedback_id: row for row in rows}


def assert_counts(engine: sa.Engine) -> None:
    """The rollup is what counting all over again gives."""
    recount = sa.text("""
        SELECT survey, grain,
            CASE grain WHEN 'total' THEN '-infinity' ELSE date_trunc(grain, received_at, 'UTC') END AS at,
            coalesce(vote, '') AS vote, coalesce(rating, 0) AS rating, label, count(*) AS answers,
            count(*) FILTER (WHERE selected) AS selected
        FROM feedback CROSS JOIN unnest(ARRAY['hour', 'day', 'total']) AS grain GROUP BY 1, 2, 3, 4, 5, 6
    """)
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        connection.execute(sa.text("SET LOCAL timezone = 'UTC'"))
        counted = {tuple(map(str, row)) for row in connection.execute(recount)}
        held = connection.execute(sa.select(rollup).where((rollup.c.answers != 0) | (rollup.c.selected != 0)))
        assert {tuple(map(str, row)) for row in held} == counted


def run(engine: sa.Engine, batch_size: int = 100) -> Rescore:
    made = Rescore(engine, VaderScorer(), batch_size)
    assert sum(made.score()) >= made.total() >= 0
    return made


def settled_fields(row: Any) -> tuple[Any, ...]:
    return row.selected, row.reasons, row.priority, row.policy, row.decision, row.queued, row.sampled, row.comment


def test_every_row_moves_once_and_what_was_decided_stays(engine: sa.Engine, settings: Settings) -> None:
    fill(engine, 700)
    finish_tickets(engine)
    with engine.begin() as connection:  # as version 0.1.0 left them
        connection.execute(sa.update(feedback).where(feedback.c.vote.is_(None)).values(decision=None, reading=None))
    before = everything(engine)
    first = run(engine)
    after, former = everything(engine), kept(engine)
    scorer = VaderScorer()
    assert {row.scorer for row in after.values()} == {scorer.name}
    for each, row in after.items():
        [sentiment] = scorer.score([row.comment])
        assert (row.label, row.p_negative, row.scores) == (sentiment.label, sentiment.p_negative, sentiment.scores)
        assert settled_fields(row) == settled_fields(before[each])
        old, now = before[each], former[each]
        assert (now.scorer, now.label, now.compound, now.p_negative, now.scores, now.reading) == (
            (old.scorer, old.label, old.compound, old.p_negative, old.scores, old.reading)
        )
    summary = first.summary
    assert (summary.scored, summary.waiting, summary.unscored) == (700, 0, 0)
    assert summary.before == Counter(row.label for row in before.values())
    assert summary.now == Counter(row.label for row in after.values())
    assert summary.decisions[Decision.NOTHING, Decision.TICKET] > 50
    assert_counts(engine)
    taken = books.take(engine, Queue.connect(settings))
    assert (taken.stored, taken.selected, taken.in_flight) == (700, taken.ticketed, 0)
    again = run(engine)
    assert again.summary.scored == 0
    assert everything(engine) == after
    assert kept(engine) == former


def test_a_ticket_on_its_way_keeps_its_request(engine: sa.Engine) -> None:
    fill(engine, 30, vote="bad")
    before = everything(engine)
    first = run(engine)
    assert (first.summary.scored, first.summary.waiting) == (0, 30)
    assert everything(engine) == before
    assert kept(engine) == {}
    finish_tickets(engine)
    assert run(engine).summary.scored == 30
    assert_counts(engine)


def test_the_first_former_score_stays(engine: sa.Engine) -> None:
    fill(engine, 20, vote="good")
    before = everything(engine)
    run(engine)
    back = Rescore(engine, Other(), 7)
    assert sum(back.score()) == 20
    run(engine)
    with engine.connect() as connection:
        rows = connection.execute(sa.select(former_scores).where(former_scores.c.scorer == "other-1")).all()
    assert {row.feedback_id: row.p_negative for row in rows} == {each: row.p_negative for each, row in before.items()}
    assert_counts(engine)


def test_a_text_that_cannot_be_scored_stops_nothing(engine: sa.Engine) -> None:
    fill(engine, 40, vote="good")

    class Fragile(VaderScorer):
        def score(self, texts: Sequence[str]) -> list[Sentiment]:
            assert not any(text.endswith(" 7") for text in texts)
            return super().score(texts)

    made = Rescore(engine, Fragile(), 10)
    assert sum(made.score()) == 40
    assert (made.summary.scored, made.summary.unscored) == (39, 1)
    [left] = [str(each) for each, row in everything(engine).items() if row.scorer == "other-1"]
    assert made.summary.unscored_ids == [left]
    assert_counts(engine)


def test_beside_a_worker_and_a_manager(engine: sa.Engine, settings: Settings) -> None:
    """All change the same counts at the same time; nobody waits for another for good, nothing is counted twice."""
    ids = fill(engine, 1500, vote="good")
    queue = Queue.connect(settings)
    worker = Handler(engine, VaderScorer(), settings.failure_limit)
    stop, stored, said, wrong = Event(), [0], [0], list[BaseException]()

    def work() -> None:
        while not stop.is_set():
            for number in range(40):
                entry = StreamEntry(id=new_id(), survey="default", client=new_id().hex, comment=f"It broke {number}")
                queue.redis.xadd(keys.queue(0), entry.fields())  # type: ignore[arg-type]
            deliveries = queue.read("test", 100, 0.05)
            worker.keep(worker.assess(deliveries))
            queue.done(deliveries)
            stored[0] += len(deliveries)

    def judge() -> None:
        for each in random.Random(1).sample(ids, 300):
            if stop.is_set():
                return
            with engine.begin() as connection:
                verdicts.say(connection, each, True, Judge.MANAGER)
            said[0] += 1

    def watched(action: Any) -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001
            wrong.append(error)

    threads = [Thread(target=watched, args=(action,)) for action in (work, judge)]
    for thread in threads:
        thread.start()
    both = [Rescore(engine, VaderScorer(), 20) for _ in range(2)]  # as if the lock were lost
    runs = [Thread(target=watched, args=(lambda made=made: sum(made.score()),)) for made in both]
    for thread in runs:
        thread.start()
    for thread in runs:
        thread.join(120)
    wait_for(lambda: said[0] >= 30 or wrong, 30, "a few verdicts")
    stop.set()
    for thread in threads:
        thread.join(30)
    assert wrong == []
    assert stored[0] > 0
    finish_tickets(engine)
    run(engine)
    rows = everything(engine)
    assert {row.scorer for row in rows.values()} == {VaderScorer().name}
    assert len(rows) == 1500 + stored[0]
    assert kept(engine).keys() == set(ids)
    assert_counts(engine)
    taken = books.take(engine, queue)
    assert (taken.stored, taken.selected) == (len(rows), sum(row.selected for row in rows.values()))
    assert taken.in_flight + taken.ticketed == taken.selected


def command(settings: Settings, *arguments: str, **more: str) -> tuple[list[str], dict[str, str]]:
    own = {
        "HEED_DATABASE_URL": settings.database_url.get_secret_value(),
        "HEED_HOME": "/nowhere",
        "HEED_SCORER": "vader",
    }
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HEED_")}
    return [sys.executable, "-m", "heed", "rescore", *arguments], clean | own | more


def heed(settings: Settings, *arguments: str, say: str = "") -> subprocess.CompletedProcess[str]:
    line, environment = command(settings, *arguments)
    return subprocess.run(line, env=environment, input=say, capture_output=True, text=True, timeout=120, check=False)


def test_killed_in_the_middle_and_run_again(engine: sa.Engine, settings: Settings) -> None:
    fill(engine, 3000, vote="good")
    before = everything(engine)
    line, environment = command(settings, HEED_BATCH_SIZE="10")
    moved = 0
    for _ in range(2):
        process = subprocess.Popen(line, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        wait_for(lambda seen=moved: len(kept(engine)) > seen, 60, "the first batches")
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        moved = len(kept(engine))
        assert 0 < moved < 3000, "it was not killed in the middle"
        assert moved == sum(row.scorer != "other-1" for row in everything(engine).values())
        assert_counts(engine)
    ended = heed(settings)
    assert ended.returncode == 0, ended.stderr
    assert f"{3000 - moved} answers have a new score" in ended.stdout
    assert {row.scorer for row in everything(engine).values()} == {VaderScorer().name}
    assert {each: row.p_negative for each, row in kept(engine).items()} == {
        each: row.p_negative for each, row in before.items()
    }
    assert_counts(engine)
    assert "0 answers have a new score" in heed(settings).stdout


def test_two_at_once(engine: sa.Engine, settings: Settings) -> None:
    fill(engine, 3)
    with alone(engine), pytest.raises(HeedError, match="another"), alone(engine):
        pass
    with alone(engine):
        ended = heed(settings)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "heed: Feedback is being scored anew by another `heed rescore`; wait until that is done.\n"
    assert heed(settings).returncode == 0


def test_tickets_only_when_asked_for(engine: sa.Engine, settings: Settings) -> None:
    horrible = fill(engine, 12, vote="good", comment="Horrible, I hate it, worst ever. Refund!")
    before_all = datetime.now(UTC) - timedelta(days=30)
    [old] = fill(engine, 1, vote="good", comment="Horrible, I hate it, worst ever.", at=before_all)
    fill(engine, 5, vote="good", comment="Wonderful")
    judged, waiting = horrible[:2]
    with engine.begin() as connection:
        verdicts.say(connection, judged, False, Judge.MANAGER)
        connection.execute(sa.update(feedback).where(feedback.c.id == waiting).values(queued=True))
    since = (datetime.now(UTC) - timedelta(days=5)).strftime("%Y-%m-%d")
    before = everything(engine)

    def selected() -> set[UUID]:
        return {each for each, row in everything(engine).items() if row.selected}

    ended = heed(settings)
    assert ended.returncode == 0, ended.stderr
    assert "13 decided" in ended.stdout
    assert "would be ticket" in ended.stdout
    assert selected() == set()
    refused = heed(settings, "--tickets", "--since", since, say="n\n")
    assert refused.returncode == 1
    assert "Open 11 tickets?" in refused.stdout
    assert selected() == set()
    agreed = heed(settings, "--tickets", "--since", since, say="y\n")
    assert agreed.returncode == 0, agreed.stderr
    assert "11 tickets are on their way" in agreed.stdout
    chosen = selected()
    assert chosen == set(horrible) - {judged}
    for each in chosen:
        now, then = everything(engine)[each], before[each]
        assert (now.reasons, now.decision, now.policy) == (["text"], then.decision, then.policy)
        assert now.queued == (then.queued and then.sampled)
        assert now.priority in (Priority.HIGH, Priority.URGENT)
    assert_counts(engine)
    with engine.begin() as connection:
        events = [NegativeFeedback.model_validate(event) for _, event, _ in outbox.claim(connection, 100)]
    assert {event.id for event in events} == chosen
    assert {event.reasons for event in events} == {(Reason.TEXT,)}
    assert "No ticket is to be opened" in heed(settings, "--tickets", "--since", since, "--yes").stdout
    assert "1 tickets are on their way" in heed(settings, "--tickets", "--yes").stdout
    assert selected() == chosen | {old}
    assert_counts(engine)


def test_decided_otherwise_meanwhile(engine: sa.Engine) -> None:
    """Between the question and the ticket a manager has said no, or yes."""
    first, second, third = fill(engine, 3, vote="good", comment="Horrible, I hate it, worst ever.")
    made = run(engine)
    assert set(made.overlooked(None)) == {first, second, third}
    with engine.begin() as connection:
        verdicts.say(connection, first, False, Judge.MANAGER)
        verdicts.say(connection, second, True, Judge.MANAGER)
    assert [made.select(each) for each in (first, second, third, third)] == [False, False, True, False]
    rows = everything(engine)
    assert [rows[each].reasons for each in (first, second, third)] == [[], [], ["text"]]
    assert_counts(engine)


def test_since_without_tickets_is_a_mistake(settings: Settings) -> None:
    ended = heed(settings, "--since", "2026-01-01")
    assert ended.returncode == 1
    assert "--tickets" in ended.stderr
