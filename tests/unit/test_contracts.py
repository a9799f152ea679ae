"""The contracts refuse what cannot be stored, and their exported schemas equal the models."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from heed.contracts import (
    DEFAULT_SURVEY,
    Contact,
    StreamEntry,
    Submission,
    Survey,
    new_id,
    parse_entry,
    received_at,
    rule_pattern,
)
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


@pytest.mark.parametrize(
    ("flag", "flags"), [(b"burst", ("burst",)), (b"\xff", None), (b"", None), (b"Two words", None), (b"x" * 33, None)]
)
def test_a_flag_of_admission(flag: bytes, flags: tuple[str, ...] | None) -> None:
    entry = StreamEntry(id=new_id(), survey="default", client="0" * 32, vote="bad")
    wire = {name.encode(): value.encode() for name, value in entry.fields().items()} | {b"flag": flag}
    if flags is None:
        with pytest.raises(Invalid):
            parse_entry(wire)
    else:
        assert parse_entry(wire).flags == flags


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://shop.example", "https://shop.example"),
        ("HTTPS://Shop.Example:443/", "https://shop.example"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        *(
            (odd, None)
            for odd in ("*", "https://*.example", "shop.example", "https://a.example/path", "ftp://a.example")
        ),
        *(
            (odd, None)
            for odd in ("https://a.example;script-src *", "https://a b", "https://u@a.example", "http://a:x")
        ),
        *((odd, None) for odd in ("https://a.example?x", "https://a.example#x", "javascript:alert(1)", "")),
    ],
)
def test_origins_are_as_browsers_send_them(given: str, kept: str | None) -> None:
    survey = DEFAULT_SURVEY.model_dump() | {"origins": [given]}
    if kept is None:
        with pytest.raises(ValidationError):
            Survey.model_validate(survey)
    else:
        assert Survey.model_validate(survey).origins == (kept,)


def test_origins_fit_a_header() -> None:
    few = [f"https://{'a' * 200}{number}.example" for number in range(13)]
    assert len(Survey.model_validate(DEFAULT_SURVEY.model_dump() | {"origins": few}).origins) == 13
    with pytest.raises(ValidationError, match="together"):
        Survey.model_validate(DEFAULT_SURVEY.model_dump() | {"origins": [*few, *(each + "s" for each in few)]})


def test_a_surveys_times_are_in_utc_and_can_be_told() -> None:
    def opening(at: str) -> Survey:
        return Survey.model_validate(DEFAULT_SURVEY.model_dump() | {"opens_at": at})

    assert opening("2026-03-01T09:00:00+05:00").opens_at == datetime(2026, 3, 1, 4, tzinfo=UTC)
    assert f"{opening('2026-03-01T09:00:00+05:00').opens_at:%H:%M}" == "04:00"
    for odd in ("9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "2026-03-01T09:00:00"):
        with pytest.raises(ValidationError):
            opening(odd)


@pytest.mark.parametrize("name", EXPORTED)
def test_schemas_equal_models(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == rendered(EXPORTED[name]), "run: make schemas"


def test_event_schema_has_no_place_for_personal_text() -> None:
    schema: dict[str, Any] = json.loads((FOLDER / "negative-feedback-v1.json").read_text(encoding="utf-8"))
    assert not {"comment", "name", "email", "contact", "text"} & set(schema["properties"])
    assert rule_pattern()["detail"]["v"] == [1]
