"""Finding answers: what a search means, where it found it, that its index is used, and filters in every combination."""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
import sqlalchemy as sa
from conftest import API_KEY, Served
from results_data import answer, erase

from api.results.answers import Answers
from api.results.app import create_app
from api.results.models import Filter
from heed.contracts import Context, Decision, Label, Reason, TicketState, new_id, reasons_of
from heed.db import engine as db
from heed.db.tables import feedback, tickets
from heed.settings import Settings
from heed.web.problems import Problem

LIST = "/api/v1/feedback"
COMMENTS = [
    "The delivery was late.",
    "Late deliveries, twice!",
    "Early delivery, never late",
    "The parcel came on time. Refund the fee, please.",
    "Mail to ann.smith@example.com bounced (v2.3)",
    "50% off_now, and the site is slow",
    "配達が遅いです",
    "Доставка опоздала",
    "Don't. The. Of.",
    "Café closed 💥",
    "",
]


@pytest.fixture
def http(settings: Settings, serve: Callable[[Any], Served]) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=serve(create_app(settings)).url, headers={"Authorization": f"Bearer {API_KEY}"}
    ) as client:
        yield client


def items(http: httpx.Client, **params: Any) -> list[dict[str, Any]]:
    answered = http.get(LIST, params=params)
    assert answered.status_code == 200, answered.text
    found: list[dict[str, Any]] = answered.json()["items"]
    return found


def test_what_a_search_means(http: httpx.Client, engine: sa.Engine) -> None:
    for comment in COMMENTS:
        answer(engine, comment)

    def found(q: str) -> set[int]:
        return {COMMENTS.index(item["comment"]) for item in items(http, q=q)}

    for q, expected in {
        "delivery": {0, 1, 2},  # in every form of the word
        "LATE delivery": {0, 1, 2},
        '"late delivery"': {1},
        "late -early": {0, 1},
        "parcel or slow": {3, 5},
        "-late": {3, 4, 5, 6, 7, 8, 9, 10},
        "refund!": {3},
        "the": {0, 3, 5, 8},  # says nothing, so it is looked for as it stands
        "don't": {8},
        "smith@example": {4},
        "v2.3": {4},
        "50% OFF_": {5},
        "遅い": {6},
        "доставка": {7},
        "café": {9},
        "💥": {9},
        '"off_now"': {5},
        "%_%": set(),
        "\\": set(),
        "'; --": set(),
        ":*": set(),
        "((": set(),
        "!!&|<->": set(),
        "x" * 200: set(),
    }.items():
        assert found(q) == expected, q


def test_where_it_was_found(http: httpx.Client, engine: sa.Engine) -> None:
    start, stop = "\ufdd0", "\ufdd1"
    for comment, q, expected in [
        ("🙂 Late, deliveries <b>LATE</b>", "late delivery", ["Late", "deliveries", "LATE"]),
        (f"{start}late{stop} {start}late", "late", ["late", "late"]),  # what we mark with ourselves
        ("x {start} late http://a.example/late?b=1", "late", ["late"]),
        ("ann@example.com ANN@EXAMPLE.com", "ann@example", ["ann@example", "ANN@EXAMPLE"]),
        ("とても遅い。遅いです", "遅い", ["遅い", "遅い"]),
        ("e\u0301te\u0301 late\u0301 \u202elate", "late", ["late"]),
        ("late\r\n\tlate  late\u00a0", "late", ["late"] * 3),
    ]:
        answer_id = answer(engine, comment)
        [item] = [each for each in items(http, q=q) if each["id"] == str(answer_id)]
        assert item["comment"] == comment
        assert [comment[begin:end] for begin, end in item["marks"]] == expected, comment
        assert all(each["marks"] == [] for each in items(http))


def test_marks_are_right_whatever_a_comment_holds(http: httpx.Client, engine: sa.Engine) -> None:
    chance = random.Random(4)
    pieces = [
        "late",
        "Late",
        " ",
        "\n",
        "<",
        ">",
        "&amp;",
        "<b>",
        "</b>",
        "\ufdd0",
        "\ufdd1",
        "é",
        "🙂",
        "-",
        "/",
        "a@b.de",
        "'",
    ]
    ids = {}
    for _ in range(150):
        comment = "".join(chance.choices(pieces, k=chance.randrange(1, 40)))
        ids[str(answer(engine, comment))] = comment
    found = items(http, q="late", limit=200)
    assert len(found) > 50
    for item in found:
        marked = [item["comment"][begin:end].lower() for begin, end in item["marks"]]
        assert set(marked) == {"late"}, item


def test_every_filter_with_every_other(http: httpx.Client, engine: sa.Engine) -> None:
    chance = random.Random(7)
    now = datetime.now(UTC)
    rows: dict[str, dict[str, Any]] = {}
    for number in range(60):
        label = chance.choice(list(Label))
        answer_id = answer(
            engine,
            chance.choice(COMMENTS),
            vote=chance.choice(["good", "bad", None]),
            rating=chance.choice([None, 1, 5]),
            label=label,
            p_negative=0.9 if label is Label.NEGATIVE else 0.5 if label is Label.NEUTRAL else 0.1,
            context=chance.choice([None, Context(language="de"), Context(language="pt-BR")]),
            language=chance.choice([None, "de", "fr"]),
            flags=chance.choice([(), ("fast",)]),
            at=now - timedelta(hours=number),
        )
        if chance.random() < 0.2:
            erase(engine, answer_id)
        if chance.random() < 0.3:
            http.post(f"{LIST}/{answer_id}/verdict", json={"needs_person": chance.random() < 0.7}).raise_for_status()
    with engine.begin() as connection:
        for row in connection.execute(sa.select(feedback)).mappings():
            rows[str(row["id"])] = dict(row, ticket=None)
            if row["selected"]:
                state = chance.choice([TicketState.OPENED, TicketState.FAILED])
                values = {"feedback_id": row["id"], "state": state, "attempts": 1, "first_attempt_at": sa.func.now()}
                connection.execute(sa.insert(tickets).values(values))
                rows[str(row["id"])]["ticket"] = state
    chosen = chance.sample(list(rows), 30)
    middle = now - timedelta(hours=30.5)

    def told(row: dict[str, Any], name: str) -> Any:
        return (row[name] or {}).get("language") or ""

    tests: dict[str, tuple[Any, Callable[[dict[str, Any]], bool]]] = {
        "survey": ("default", lambda row: True),
        "label": ("negative", lambda row: row["label"] == "negative"),
        "vote": ("bad", lambda row: row["vote"] == "bad"),
        "rating": (1, lambda row: row["rating"] == 1),
        "decision": (Decision.TICKET, lambda row: row["decision"] == "ticket"),
        "queued": (True, lambda row: row["queued"]),
        "selected": (True, lambda row: row["selected"]),
        "flagged": (False, lambda row: not row["flags"]),
        "erased": (False, lambda row: row["erased_at"] is None),
        "reason": (Reason.OPTION, lambda row: Reason.OPTION in reasons_of(row["selected"], row["reasons"])),
        "language": ("de", lambda row: told(row, "reading") == "de" or told(row, "context") == "de"),
        "ticket": ("failed", lambda row: row["ticket"] == "failed"),
        "id": (chosen, lambda row: str(row["id"]) in chosen),
        "q": ("late", lambda row: "late" in row["comment"].lower()),
        "since": (middle.isoformat(), lambda row: row["received_at"] >= middle),
        "until": (middle.isoformat(), lambda row: row["received_at"] < middle),
    }
    assert tests.keys() == Filter.model_fields.keys()
    others: list[tuple[str, Any, Callable[[dict[str, Any]], bool]]] = [
        ("erased", True, lambda row: row["erased_at"] is not None),
        ("flagged", True, lambda row: bool(row["flags"])),
        ("reason", Reason.REVIEW, lambda row: row["selected"] and not row["reasons"]),
        ("language", "other", lambda row: told(row, "reading") != ""),
        ("language", "pt", lambda row: told(row, "context") == "pt-BR"),
    ]

    def check(names: list[tuple[str, Any, Callable[[dict[str, Any]], bool]]]) -> int:
        expected = {key for key, row in rows.items() if all(test(row) for _, _, test in names)}
        found = {item["id"] for item in items(http, limit=200, **{name: value for name, value, _ in names})}
        assert found == expected, [name for name, _, _ in names]
        return len(found)

    each = [(name, *test) for name, test in tests.items()]
    for one in each + others:
        assert 0 < check([one]) <= 60, one[0]
    for first in each + others:
        for second in each:
            if first[0] != second[0]:
                check([first, second])
    for _ in range(60):
        check(chance.sample(each, 3))


def test_selected_ones_are_at_most_200(http: httpx.Client) -> None:
    assert items(http, id=[str(new_id()) for _ in range(200)]) == []
    assert http.get(LIST, params={"id": [str(new_id()) for _ in range(201)]}).status_code == 422
    for wrong in ({"language": "german"}, {"language": ""}, {"reason": "x"}, {"erased": "perhaps"}, {"after": "x"}):
        assert http.get(LIST, params=wrong).status_code == 422, wrong


def test_a_list_is_walked_both_ways(http: httpx.Client, engine: sa.Engine) -> None:
    ids = [str(answer(engine, "late" if number % 2 else "early")) for number in range(14)][1::2][::-1]

    def part(**params: Any) -> dict[str, Any]:
        answered: dict[str, Any] = http.get(LIST, params={"q": "late", "limit": 3, **params}).json()
        return answered

    first = part()
    assert first["previous"] is None
    seen, places, here = [], [], first
    while True:
        seen += [item["id"] for item in here["items"]]
        places.append(here)
        if not here["next"]:
            break
        here = part(before=here["next"])
    assert seen == ids
    for earlier in reversed(places[:-1]):
        here = part(after=here["previous"])
        assert [item["id"] for item in here["items"]] == [item["id"] for item in earlier["items"]]
        assert here["next"] == earlier["items"][-1]["id"]
    assert here["previous"] is None
    assert [item["id"] for item in part(after=ids[4], before=ids[1])["items"]] == ids[2:4]
    assert part(after=ids[0]) == {"items": [], "next": None, "previous": None}


def test_the_newest_verdict_is_told(http: httpx.Client, engine: sa.Engine) -> None:
    answer_id = answer(engine, "late", vote="bad")
    assert items(http)[0]["verdict"] is None
    for verdict in (True, False):
        assert http.post(f"{LIST}/{answer_id}/verdict", json={"needs_person": verdict}).json()["verdict"] is verdict
        assert items(http)[0]["verdict"] is verdict


@pytest.fixture
def many(engine: sa.Engine) -> sa.Engine:
    """60,000 answers of a few words, 40 of them rare."""
    with engine.begin() as connection:
        connection.execute(sa.text("SET LOCAL statement_timeout = '120s'"))
        connection.execute(sa.text("SET LOCAL session_replication_role = replica"))  # no checks of each row
        connection.execute(
            sa.text("""
            INSERT INTO feedback (id, survey, client, source, comment, reply, received_at, label, compound, scores,
                                  scorer, selected, reasons, policy)
            SELECT CAST(lpad(to_hex(1700000000000 + n), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0') AS uuid),
                   'default', 'c' || n, 'api',
                   'The delivery number ' || n || CASE WHEN n % 1500 = 7 THEN '  rather zymotic' ELSE ' was fine' END,
                   false, now(), 'neutral', 0, '{}', 'none', false, '{}', 'none'
            FROM generate_series(1, 60000) AS n""")
        )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("SET statement_timeout = '120s'"))
        connection.execute(sa.text("VACUUM ANALYZE feedback"))
    return engine


def plan(engine: sa.Engine, wanted: Filter) -> str:
    """How Postgres would answer what is asked for this list."""
    statements: list[bytes] = []

    def note(*given: Any) -> None:
        statements.append(given[1].mogrify(*given[2:4]))

    sa.event.listen(engine, "before_cursor_execute", note)
    assert Answers(engine, Settings()).newest(wanted, 50, marked=True)
    sa.event.remove(engine, "before_cursor_execute", note)
    asked = next(each for each in statements if b"LIMIT" in each and b"comment" in each).decode()
    with engine.begin() as connection:
        return "\n".join(connection.exec_driver_sql(f"EXPLAIN {asked.replace('%', '%%')}").scalars())


def test_words_are_found_by_their_index(many: sa.Engine, settings: Settings) -> None:
    for q in ("zymotic", "zymotic delivery", '"rather zymotic"', "zymotic -parcel"):
        assert "ix_feedback_words" in plan(many, Filter(survey="default", q=q)), q
    # What nearly all have is found sooner by looking at the newest.
    assert "ix_feedback_words" not in plan(many, Filter(survey="default", q="delivery"))
    assert "ix_feedback_words" not in plan(many, Filter(survey="default", q="-parcel"))


def test_a_search_that_takes_too_long_is_refused_with_advice(many: sa.Engine, settings: Settings) -> None:
    hasty = db.connect(settings, "tests", statement_seconds=0.001)
    with pytest.raises(Problem) as refused:
        Answers(hasty, settings).newest(Filter(q="no/such/text"), 50)
    assert (refused.value.status, refused.value.kind) == (422, "too-broad")
    assert "since" in refused.value.detail
    hasty.dispose()
    slow = Answers(many, settings)
    [one] = slow.newest(Filter(survey="default"), 1)
    newer, older = slow.beside(one.id, Filter(survey="default"))
    assert newer is None
    assert isinstance(older, UUID)
