"""The contracts refuse what cannot be stored, and their exported schemas equal the models."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from heed.contracts import Contact, StreamEntry, Submission, new_id, parse_entry, received_at, rule_pattern
from heed.contracts.export import EXPORTED, FOLDER, rendered
from heed.errors import Invalid


def test_ids_are_uuid7_and_tell_the_time() -> None:
    made = [new_id() for _ in range(1000)]
    assert {identifier.version for identifier in made} == {7}
    assert len(set(made)) == 1000
    assert abs(received_at(made[0]) - datetime.now(UTC)) < timedelta(seconds=5)


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        '{"comment": "   "}',
        '{"comment": "a\\u0000b"}',
        '{"comment": "\\ud800"}',
        '{"rating": NaN}',
        '{"rating": 0}',
        '{"rating": 6}',
        '{"rating": 2.5}',
        '{"rating": "3"}',
        '{"rating": true}',
        '{"vote": "' + "x" * 33 + '"}',
        '{"vote": "good", "unknown": 1}',
        '{"vote": "good", "contact": {"reply": true}}',
        '{"vote": "good", "contact": {"email": "not an address"}}',
        '{"vote": "good", "contact": {"name": "' + "n" * 201 + '"}}',
        json.dumps({"comment": "x" * 5001}),
        "[]",
        "null",
        "not json",
    ],
)
def test_refused(body: str) -> None:
    with pytest.raises(ValidationError):
        Submission.model_validate_json(body)


def test_longest_comment_and_empty_fields_are_taken() -> None:
    taken = Submission.model_validate({"comment": "é" * 5000, "vote": "", "contact": {"name": " ", "email": ""}})
    assert len(taken.comment) == 5000
    assert taken.vote is None
    assert taken.contact == Contact()


@given(comment=st.text(max_size=200), rating=st.none() | st.integers(1, 5), vote=st.sampled_from([None, "good", "bad"]))
def test_what_is_admitted_survives_the_stream(comment: str, rating: int | None, vote: str | None) -> None:
    try:
        taken = Submission(comment=comment, rating=rating, vote=vote)
    except ValidationError:
        assert "\x00" in comment or not (comment.strip() or rating or vote)
        return
    entry = StreamEntry(id=new_id(), survey="default", client="0" * 32, **taken.model_dump())
    wire = {name.encode(): value.encode() for name, value in entry.fields().items()}
    assert parse_entry(wire) == entry


@pytest.mark.parametrize("fields", [{}, {b"v": b"2", b"entry": b"{}"}, {b"v": b"1"}, {b"v": b"1", b"entry": b"\xff"}])
def test_unreadable_entries_are_invalid(fields: dict[bytes, bytes]) -> None:
    with pytest.raises(Invalid):
        parse_entry(fields)


def test_first_version_stays_readable() -> None:
    # Written by 0.1.0; never change this text, add one for each new version.
    written = (
        b'{"v":1,"id":"01936d2e-0000-7000-8000-000000000001","survey":"default",'
        b'"client":"00000000000000000000000000000000","source":"form","vote":"bad","rating":1,"comment":"late",'
        b'"contact":{"name":"Ann","email":"ann@example.com","reply":true}}'
    )
    entry = parse_entry({b"v": b"1", b"entry": written})
    assert (entry.vote, entry.rating, entry.contact and entry.contact.email) == ("bad", 1, "ann@example.com")


@pytest.mark.parametrize("name", EXPORTED)
def test_schemas_equal_models(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == rendered(EXPORTED[name]), "run: make schemas"


def test_event_schema_has_no_place_for_personal_text() -> None:
    schema: dict[str, Any] = json.loads((FOLDER / "negative-feedback-v1.json").read_text(encoding="utf-8"))
    assert not {"comment", "name", "email", "contact", "text"} & set(schema["properties"])
    assert rule_pattern()["detail"]["v"] == [1]
