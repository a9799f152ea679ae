"""The default scorer: its drivers add up, it knows when it does not know, everyday comments go where they should."""

import csv
import hashlib
import io
import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heed.contracts import Decision, Label
from heed.errors import HeedError
from worker.learning.cli import evaluate, score
from worker.learning.score import write
from worker.sentiment.light import SHIPPED, LightScorer, Model

DATA = Path(__file__).parents[1] / "data"
scorer, uncapped = LightScorer(), LightScorer(cap=None)


def table(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(table("comments.tsv")).map(lambda row: row["text"]) | st.text(max_size=9), max_size=6))
def test_drivers_add_up_and_stand_where_they_say(pieces: list[str]) -> None:
    comment = " ".join(pieces)
    [found] = scorer.score([comment])
    if found.rating is None:
        assert (found.label, found.p_negative, found.drivers) == (Label.UNKNOWN, None, ())
        return
    assert sum(driver.points for driver in found.drivers) == pytest.approx(found.rating, abs=1e-9)
    for term, start, end, _ in found.drivers:
        if start is not None and end is not None and term != "VADER":
            said = "".join(comment[start:end].lower().split())
            first = term.removeprefix("~")[0]
            assert first == "0" or said.startswith(first) or not said.isascii()


def test_the_rating_is_the_mean_over_the_sentences() -> None:
    one, other = "The battery died after two days.", "Support was friendly and quick."
    both, first, second = scorer.score([f"{one} {other}", one, other])
    assert first.rating is not None
    assert second.rating is not None
    assert both.rating == pytest.approx((first.rating + second.rating) / 2)
    assert [each.rating for each in both.sentences] == pytest.approx([first.rating, second.rating])


def test_places_are_those_of_the_comment_before_it_was_composed() -> None:
    comment = "Cafe\u0301 👍🏽: terrible"
    [found] = scorer.score([comment])
    places = {driver.term: comment[driver.start : driver.end] for driver in found.drivers if driver.start is not None}
    assert places["terrible"] == "terrible"
    assert places["👍"] == "👍"


@pytest.mark.parametrize(
    "comment",
    [
        "",
        "  \n",
        "!!!",
        "... ?",
        "12345",
        "+1 555 123 4567 89",
        "a.b.c.d.e",
        "asdf qwertz yxcv",
        "x",
        "ｗｗｗ",
        "\u202e",
    ],
)
def test_empty_and_junk_are_unknown(comment: str) -> None:
    [found] = scorer.score([comment])
    assert (found.label, found.p_negative, found.rating) == (Label.UNKNOWN, None, None)


def test_a_row_of_one_emoji_says_it_once() -> None:
    once, often = scorer.score(["It broke. 😂", "It broke. " + "😂" * 30])
    assert often.rating == pytest.approx(once.rating, abs=0.5)


def test_tags_are_not_words() -> None:
    plain, marked = scorer.score(["Good. It is great.", "Good. <b>It is</b> <script src=x>great</script>."])
    assert {driver.term for driver in plain.drivers} == {driver.term for driver in marked.drivers}


def test_other_languages_are_never_judged() -> None:
    rows = [row for row in table("languages.tsv") if row["language"] != "en"]
    judged = [row for row, found in zip(rows, scorer.score([row["text"] for row in rows]), strict=True) if found.rating]
    assert len(rows) > 150
    assert judged == []


def test_everyday_comments(tmp_path: Path) -> None:
    """No complaint is passed over, no question and no praise opens a ticket."""
    rows = table("everyday.tsv")
    decided = [row["decision"] for row in scored(DATA / "everyday.tsv", tmp_path)]
    wrong = [
        (row["text"], decision)
        for row, decision in zip(rows, decided, strict=True)
        if decision in ({Decision.NOTHING, Decision.REVIEW} if row["kind"] == "complaint" else {Decision.TICKET})
    ]
    assert wrong == []


def scored(file: Path, folder: Path) -> list[dict[str, str]]:
    out = folder / "scored.tsv"
    with out.open("w", encoding="utf-8", newline="") as opened:
        write(file, scorer, opened)
    with out.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened, delimiter="\t", quoting=csv.QUOTE_NONE))


def test_a_file_is_scored_row_by_row_whatever_it_holds(tmp_path: Path) -> None:
    file = tmp_path / "in.tsv"
    texts = ["It broke.", "", 'A "quoted" word', "No funciona nada, quiero mi dinero", "I love it", "qz " * 7_000]
    file.write_text(
        "id\ttext\n" + "".join(f"{at}\t{text}\n" for at, text in enumerate(texts)) + "7\n", encoding="utf-8"
    )
    rows = scored(file, tmp_path)
    assert len(rows) == len(texts) + 1
    assert [row["decision"] for row in rows] == [
        "ticket",
        "nothing",
        "review",
        "review",
        "nothing",
        "review",
        "nothing",
    ]
    assert [float(row["p_negative"]) == 0 for row in rows] == [row["label"] == "unknown" for row in rows]
    for row in rows:
        assert sum(points for *_, points in json.loads(row["drivers"])) == pytest.approx(
            float(row["rating"] or 0), abs=1e-5
        )


def test_where_the_text_is_all_there_is_an_empty_line_is_a_row(tmp_path: Path) -> None:
    file = tmp_path / "in.tsv"
    file.write_text("text\nIt broke.\n\n" + "It broke. " * 20_000 + "\n", encoding="utf-8")
    assert [row["decision"] for row in scored(file, tmp_path)] == ["ticket", "nothing", "ticket"]


def test_the_file_to_score_is_never_written_over(tmp_path: Path) -> None:
    file = tmp_path / "in.tsv"
    file.write_text("text\nIt broke.\n", encoding="utf-8")
    with pytest.raises(HeedError, match="is the file to score"):
        score(file, output=file)
    assert file.read_text(encoding="utf-8") == "text\nIt broke.\n"


def test_figures_on_texts_that_a_model_has_learned_from_say_so(tmp_path: Path) -> None:
    file, model, out = tmp_path / "renamed.tsv", tmp_path / "own.json", tmp_path / "figures.json"
    file.write_text("text\trating\n" + "It broke.\t-3\nI love it.\t3\n" * 5, encoding="utf-8")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    model.write_text(json.dumps({**json.loads(SHIPPED.read_bytes()), "data": {"dev.tsv": digest}}), encoding="utf-8")
    evaluate([file], scorer=[str(model)], out_json=out, pictures=None, seed=1)
    assert [each["scorer"] for each in json.loads(out.read_bytes())] == ["vader", "light", f"{model}, seen"]


def test_the_output_is_utf_8_whatever_the_terminal_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, raw = tmp_path / "in.tsv", io.BytesIO()
    file.write_text("text\n👎\n", encoding="utf-8")
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii"))
    score(file, output=None, scorer="light")
    assert "👎" in raw.getvalue().decode()


def test_the_cap_is_told() -> None:
    text = "It was good. " * 1_000
    [capped], [whole] = scorer.score([text]), uncapped.score([text])
    assert (capped.truncated, whole.truncated) == (True, False)


@pytest.mark.parametrize(
    "hard",
    [
        "GREAT x but ",
        "bad. ",
        "! ",
        "!",
        ".)",
        "<a",
        "👎🏽",
        "a.",
        "a'",
        "\n",
        "e\u0301 ",
        "http://a.b ",
        "www.",
        "not ",
        "(",
        "a@",
    ],
)
def test_time_grows_with_the_length_alone(hard: str) -> None:
    """Ten times the text takes at most about ten times as long: what is quadratic takes a hundred."""

    def seconds(length: int) -> float:
        text = (hard * length)[:length]
        best = float("inf")
        for _ in range(3):
            started = time.process_time()
            uncapped.score([text])
            best = min(best, time.process_time() - started)
        return best

    assert seconds(40_000) < 30 * max(seconds(4_000), 0.001)


def test_the_weights_are_one_small_file_that_can_be_read() -> None:
    content = SHIPPED.read_bytes()
    assert len(content) < 150_000
    said = json.loads(content)
    assert len(said["terms"]) > 5_000
    assert scorer.name.startswith("light 1 ")
    assert 0 < scorer.lines.review < scorer.lines.ticket < 1


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"format": 99}', b'{"format": 1, "calibration": [1]}', b"\xff"]
)
def test_another_file_is_no_model(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "model.json"
    file.write_bytes(content)
    with pytest.raises(HeedError, match=r"model\.json"):
        Model.load(file)


@pytest.mark.parametrize(
    "wrong",
    [
        {"base": float("nan")},
        {"unit": float("inf")},
        {"calibration": [1e5, -1e5, 1e5, 1e5]},
        {"lines": {"ticket": 0.3, "review": 0.8}},
        {"lines": {"ticket": 7, "review": 0.5}},
        {"terms": {"bad": float("inf")}},
        {"terms": {"bad": 10**400}},
    ],
)
def test_numbers_that_no_model_has_are_refused(tmp_path: Path, wrong: dict[str, object]) -> None:
    """Else no text would be a ticket any more, or every text would stop the worker."""
    file = tmp_path / "model.json"
    file.write_text(json.dumps({**json.loads(SHIPPED.read_bytes()), **wrong}), encoding="utf-8")
    with pytest.raises(HeedError, match=r"model\.json is not a model"):
        Model.load(file)
