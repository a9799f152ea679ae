"""The pages that the server writes and those that scripts write call things the same."""

import re

import pytest

from api.results import words
from heed.web.static import FRONTEND

SCRIPT = (FRONTEND / "results" / "static" / "words.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["LABELS", "SIGNS", "REASONS", "FLAGS", "TICKETS"])
def test_words_are_the_same_on_both_kinds_of_pages(name: str) -> None:
    found = re.search(rf"export const {name} = {{(.*?)}};", SCRIPT, re.DOTALL)
    assert found is not None
    said = dict(re.findall(r'(\w+): "([^"]*)"', found[1]))
    said.pop("waiting", None)  # no state of a ticket's, but that there is none yet
    assert said == {str(key): text for key, text in getattr(words, name).items()}
