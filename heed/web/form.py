"""What the form's template is shown with, wherever it is shown: to customers, and to whoever changes a survey.

Guarantees: the question and its options are in the page's language where the survey speaks it.
"""

from typing import Any

from heed.contracts import Survey
from heed.contracts.text import COMMENT_MAX, EMAIL_MAX, NAME_MAX
from heed.web.languages import Language


def _(text: str) -> str:
    """Marks a text for the catalogues; it is translated where it is used."""
    return text


RATINGS = {1: _("Very bad"), 2: _("Bad"), 3: _("Fair"), 4: _("Good"), 5: _("Very good")}
# The survey that is there from the beginning speaks every language; others have texts of their own.
STANDARD = (_("How was your experience with us?"), _("Good"), _("Bad"))


def values(survey: Survey, language: Language) -> dict[str, Any]:
    """The survey as it is asked in this language, and what may be answered."""
    return {
        "survey": _spoken(survey, language),
        "ratings": RATINGS,
        "comment_max": COMMENT_MAX,
        "name_max": NAME_MAX,
        "email_max": EMAIL_MAX,
    }


def _spoken(survey: Survey, language: Language) -> Survey:
    """The survey in the visitor's language, if it speaks it."""
    said = survey.spoken(language.code)
    words = (said.question, *(option.label for option in said.options))
    if said.language == language.code or said.language != "en" or not set(words).issubset(STANDARD):
        return said
    options = tuple(option.model_copy(update={"label": language.says(option.label)}) for option in said.options)
    question = language.says(said.question)
    return said.model_copy(update={"language": language.code, "question": question, "options": options})
