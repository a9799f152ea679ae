"""What comes in a suspicious way: flagged at the door, stored like the rest, and a ticket only by a manager's yes."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from heed import books
from heed.contracts import DEFAULT_SURVEY, Contact, Context, Judge, StreamEntry, new_id
from heed.db import engine as db
from heed.db import erasures, quarantine
from heed.db import tables as t
from heed.db.receipts import wish_erased
from heed.db.verdicts import say
from heed.settings import Settings
from heed.stream import keys
from heed.stream.admission import Admission, Admitted, connect
from heed.stream.queue import Queue
from heed.triage import Lines
from worker.handler import Handler
from worker.rescore import Rescore
from worker.sentiment import Sentiment
from worker.sentiment.vader import VaderScorer

UNHAPPY = {"vote": "bad", "rating": 1, "comment": "This is horrible. I hate it, worst service ever."}


def entry(**given: Any) -> StreamEntry:
    return StreamEntry(**({"id": new_id(), "survey": "default", "client": new_id().hex, "vote": "good"} | given))


def admit(settings: Settings, entries: Sequence[StreamEntry], burst: int | None) -> None:
    """All of them at once, by the real script."""

    async def run() -> None:
        client = connect(settings)
        admission = Admission(client, settings)
        outcomes = await asyncio.gather(*(admission.admit(each, "", None, burst) for each in entries))
        assert outcomes == [Admitted()] * len(entries)
        await client.aclose()

    asyncio.run(run())


def work(settings: Settings, engine: sa.Engine) -> dict[UUID, Any]:
    """Everything that waits, stored; all rows."""
    queue = Queue.connect(settings)
    worker = Handler(engine, VaderScorer(), settings.failure_limit)
    while deliveries := queue.read("test", 100, 0.05):
        worker.keep(worker.assess(deliveries))
        queue.done(deliveries)
    assert books.take(engine, queue).balanced
    with engine.connect() as connection:
        return {row.id: row for row in connection.execute(sa.select(t.feedback))}


def events(engine: sa.Engine) -> list[UUID]:
    with engine.connect() as connection:
        return list(connection.execute(sa.select(t.outbox.c.feedback_id)).scalars())


@pytest.mark.parametrize("partitions", [1, 4])
def test_a_burst_is_flagged_and_none_of_it_is_lost(settings: Settings, engine: sa.Engine, partitions: int) -> None:
    settings = settings.model_copy(update={"partitions": partitions})
    most = 20
    before = [entry() for _ in range(most // 2)]
    entries = [entry(**UNHAPPY) for _ in range(150)]
    admit(settings, before, None)  # not counted: a server's, or of a survey that expects anything
    admit(settings, entries, most)
    stored = work(settings, engine)
    assert stored.keys() == {each.id for each in (*before, *entries)}
    assert {tuple(row.flags) for row in stored.values()} == {(), ("burst",)}
    for partition in range(partitions):
        here = [each.id for each in entries if keys.partition_of(each.client, partitions) == partition]
        plain = [each for each in here if not stored[each].flags]
        assert plain == here[: most // partitions], "the first are as many as are expected"
    flagged = {each.id for each in entries if stored[each.id].flags}
    assert len(flagged) >= len(entries) - most
    assert {stored[each].decision for each in flagged} == {"review"}
    assert set(events(engine)) == {each.id for each in entries} - flagged
    # Another survey's, and the next minute's, are not the same burst.
    survey = DEFAULT_SURVEY.model_copy(update={"slug": "other"}).written()
    with engine.begin() as connection:
        connection.execute(sa.insert(t.surveys).values(slug="other", definition=survey))
    client = Queue.connect(settings).redis
    counters = [keys.burst(each, "default") for each in range(partitions)]
    assert all(0 < int(client.ttl(each)) <= 60 for each in counters)  # type: ignore[arg-type]
    others = [entry(survey="other") for _ in range(most // partitions)]
    admit(settings, others, most)
    client.delete(*counters)
    later = [entry() for _ in range(most // partitions)]
    admit(settings, later, most)
    stored = work(settings, engine)
    assert {tuple(stored[each.id].flags) for each in (*others, *later)} == {()}


def test_a_manager_makes_it_the_one_ticket(settings: Settings, engine: sa.Engine) -> None:
    odd = entry(**UNHAPPY, flags=("honeypot",), contact=Contact(email="a@example.com", reply=True))
    kind = entry(rating=5, flags=("fast",), comment="Wonderful, quick and friendly!")
    plain = entry(**UNHAPPY)
    admit(settings, [odd, kind, plain], None)
    stored = work(settings, engine)
    row = stored[odd.id]
    assert (row.decision, row.selected, row.queued, row.reasons, row.priority) == ("review", False, True, [], None)
    assert stored[kind.id].decision == "nothing", "what needs nobody needs no manager either"
    assert stored[plain.id].decision == "ticket"
    assert events(engine) == [plain.id]
    # Scored anew it is as suspicious as before, and rescoring alone opens no ticket for it.
    run = Rescore(engine, _Gloomy(), 10)
    assert sum(run.score()) == 3
    assert run.summary.decisions[row.decision, "ticket"] == 0  # type: ignore[index]
    assert odd.id not in set(run.overlooked(None))
    assert not run.select(odd.id)
    assert events(engine) == [plain.id]
    for _ in range(2):
        with db.begin(engine) as connection:
            said = say(connection, odd.id, True, Judge.MANAGER)
            assert said is not None
    assert sorted(events(engine)) == sorted([odd.id, plain.id])
    assert work(settings, engine)[odd.id].queued is False


class _Gloomy:
    """To whom everything reads negative."""

    name, lines = "gloomy-1", Lines(ticket=0.6, review=0.4)

    def score(self, texts: Sequence[str]) -> list[Sentiment]:
        return [Sentiment("negative", -0.9, 0.95, {"neg": 1.0}) for _ in texts]  # type: ignore[arg-type]


@pytest.mark.parametrize("erased", [False, True])
@pytest.mark.parametrize("readable", [True, False])
def test_what_admission_flagged_outlasts_the_quarantine(
    settings: Settings, engine: sa.Engine, readable: bool, erased: bool
) -> None:
    """Also of an entry that only a later version can read, and of one that the customer erased meanwhile."""
    odd = entry(**UNHAPPY, survey="later")
    fields = odd.fields() | {"flag": "burst"}
    if not readable:
        fields |= {"v": "2", "entry": odd.model_dump_json().replace('"v":1', '"v":2')}
    Queue.connect(settings).redis.xadd(keys.queue(0), fields)  # type: ignore[arg-type]
    assert work(settings, engine) == {}
    survey = DEFAULT_SURVEY.model_copy(update={"slug": "later"}).written()
    with engine.begin() as connection:
        connection.execute(sa.insert(t.surveys).values(slug="later", definition=survey))
        if erased:
            wish_erased(connection, odd.id)
    with engine.begin() as connection:
        assert erasures.carry_out(connection, 1) == [odd.id] * erased
        if not readable:  # the later version: to it this is as good as version 1
            later = sa.func.replace(t.quarantine.c.payload, '"v":2', '"v":1')
            connection.execute(sa.update(t.quarantine).values(payload=later))
        assert quarantine.ask_replay(connection) == 1
    Handler(engine, VaderScorer(), settings.failure_limit).replay()
    [row] = work(settings, engine).values()
    assert (row.id, row.flags, row.decision, row.selected) == (odd.id, ["burst"], "review", False)
    assert events(engine) == []


def test_where_it_comes_from_is_kept(settings: Settings, engine: sa.Engine) -> None:
    context = Context(url="https://shop.example/a?b=ü", ref="mail", language="de")
    told, silent = entry(context=context, user="u-1", flags=("unseen", "fast")), entry()
    admit(settings, [told, silent], 1)
    stored = work(settings, engine)
    row = stored[told.id]
    assert row.context == {"url": "https://shop.example/a?b=ü", "ref": "mail", "language": "de"}
    assert (row.customer, row.flags) == ("u-1", ["unseen", "fast"])
    assert (stored[silent.id].context, stored[silent.id].customer) == (None, None)
    assert stored[silent.id].flags == ["burst"], "the second in that minute"


def test_entries_of_other_versions_are_taken(settings: Settings, engine: sa.Engine) -> None:
    """A flag that this version does not know, fields that it does not know, and an entry from before there were any."""
    queue = Queue.connect(settings)
    novel, both, old = new_id(), new_id(), new_id()
    base = '{"v":1,"id":"%s","survey":"default","client":"%s","vote":"bad"'
    new = f'{base % (novel, novel.hex)},"flags":["odd-new-thing"],"mood":"grey"}}'
    queue.redis.xadd(keys.queue(0), {"v": "1", "entry": new})
    queue.redis.xadd(
        keys.queue(0), {"v": "1", "entry": f'{base % (both, both.hex)},"flags":["fast"]}}', "flag": "another-one"}
    )
    former = f'{base % (old, old.hex)},"source":"form","rating":1,"comment":"Broken.","contact":null}}'
    queue.redis.xadd(keys.queue(0), {"v": "1", "entry": former})
    stored = work(settings, engine)
    assert {each: stored[each].flags for each in (novel, both, old)} == {
        novel: ["odd-new-thing"],
        both: ["fast", "another-one"],
        old: [],
    }
    assert [stored[each].decision for each in (novel, both, old)] == ["review", "review", "ticket"]
    assert (stored[old].context, stored[old].customer, stored[old].erased_at) == (None, None, None)
