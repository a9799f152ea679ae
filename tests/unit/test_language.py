"""Languages: the right one or none, on everyday sentences of thirteen languages and on English ones."""

import csv
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.sentiment.language import detect

DATA = Path(__file__).parents[1] / "data"


def rows(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def test_the_right_language_or_none() -> None:
    sentences = rows("languages.tsv")
    found = [detect(row["text"]) for row in sentences]
    wrong = [row for row, code in zip(sentences, found, strict=True) if code not in (row["language"], None)]
    assert wrong == []
    assert len(sentences) == 195
    assert found.count(None) <= 12


def test_english_is_english_or_none() -> None:
    # The other sentences in that file are those without a single common English word.
    common = {"the", "and", "is", "was", "it", "i", "my", "for", "a", "you", "very", "not", "to", "so"}
    english = [row["text"] for row in rows("comments.tsv") if common & set(row["text"].lower().split())]
    assert len(english) > 120
    assert {detect(text) for text in english} <= {"en", None}


@pytest.mark.parametrize("text", ["", " \n", "Meh.", "👎👎👎", "123 456 789 012 345", "ok!!!", "asdf jkl"])
def test_too_short_is_none(text: str) -> None:
    assert detect(text) is None


def test_long_texts_are_read_in_part_and_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        assert detect("Das Paket kam zu spät an und niemand hat geantwortet.\n" * 10_000) == "de"
    assert caplog.text == ""


@given(st.text(max_size=400))
def test_any_text_has_an_answer(text: str) -> None:
    code = detect(text)
    assert code is None or (len(code) == 2 and code.isalpha() and code.islower())


def test_a_container_without_a_place_for_temporary_files_will_do() -> None:
    code = (
        "import tempfile; tempfile._candidate_tempdir_list = lambda: ['/nowhere'];"
        "from worker.sentiment.language import detect; print(detect('No funciona nada, quiero mi dinero'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "es", done.stderr
