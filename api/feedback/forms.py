"""From a form's fields to a submission, and from what is wrong with it to sentences for people.

Guarantees: whatever is sent under whatever name, it is read as text of a known field or ignored; each thing that is
wrong is said in the visitor's language beside the field that it is about.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.requests import Request

from api.feedback.tokens import Tokens
from heed.contracts import Flag, Submission, Survey
from heed.contracts.text import COMMENT_MAX, CONTEXT_MAX, NAME_MAX, URL_MAX
from heed.web.languages import Language
from heed.web.problems import field_errors

Given = Mapping[str, str]
Wrong = list[dict[str, str]]


async def given_by(request: Request) -> dict[str, str]:
    """The form's fields as text; files and anything beyond the form's own fields are ignored."""
    async with request.form(max_files=1, max_fields=30, max_part_size=100_000) as fields:
        return {
            # Browsers send line breaks as CR LF; people wrote one character.
            name: value.replace("\r\n", "\n")
            for name, value in fields.items()
            if not isinstance(value, UploadFile)
        }


def submission_of(given: Given, language: Language) -> Submission:
    """What the form says; raises pydantic's ValidationError."""
    rating = given.get("rating", "").strip()
    reply = "reply" in given
    name, email = given.get("name", ""), given.get("email", "")
    contact = {"name": name, "email": email, "reply": reply} if name.strip() or email.strip() or reply else None
    user = {"id": given["user"], "hash": given.get("user_hash", "")} if given.get("user") else None
    return Submission.model_validate(
        {
            "vote": given.get("vote"),
            "rating": (int(rating) if rating.isdecimal() and len(rating) == 1 else rating) if rating else None,
            "comment": given.get("comment", ""),
            "contact": contact,
            "context": _context(given, language),
            "user": user,
        }
    )


def _context(given: Given, language: Language) -> dict[str, str]:
    """Cut rather than refused: the customer did not write it."""
    longest = {"url": URL_MAX, "app": CONTEXT_MAX, "ref": CONTEXT_MAX}
    told = {name: given[name].replace("\x00", "").strip()[:most] for name, most in longest.items() if given.get(name)}
    return {"language": language.code, **{name: text for name, text in told.items() if text}}


def suspicions(given: Given, tokens: Tokens, least_seconds: float) -> list[Flag]:
    """What about this form is not as when a person fills it in."""
    flags = [Flag.HONEYPOT] if given.get("website") else []
    if least_seconds > 0:
        seconds = tokens.read_shown(given.get("shown", ""))
        if seconds is None:
            flags.append(Flag.UNSEEN)
        elif 0 <= seconds < least_seconds:
            flags.append(Flag.FAST)
    return flags


def asked(given: Given) -> int | None:
    """The version of the survey that the form was shown with, if it says one."""
    said = given.get("asked", "")
    return int(said) or None if len(said) < 10 and said.isascii() and said.isdecimal() else None


def wrongs_of(error: ValidationError, survey: Survey, language: Language) -> Wrong:
    """What is wrong, each as the field to go to and a sentence."""
    found = field_errors(error.errors(include_input=False, include_url=False, include_context=False))
    return sentences(found, survey, language)


def sentences(found: Sequence[Mapping[str, Any]], survey: Survey, language: Language) -> Wrong:
    """The API's field errors as the form says them, one for each field."""
    wrongs: dict[str, dict[str, str]] = {}
    for error in found:
        wrong = _sentence(error["field"], error["message"], survey, language)
        wrongs.setdefault(wrong["field"], wrong)
    return list(wrongs.values())


def _sentence(field: str, message: str, survey: Survey, language: Language) -> dict[str, str]:
    says = language.says
    match field:
        case "" if survey.rating:
            return {"field": "vote", "message": says("Choose an option, give a rating or write a comment.")}
        case "":
            return {"field": "vote", "message": says("Choose an option or write a comment.")}
        case "vote":
            return {"field": "vote", "message": says("Choose one of the options.")}
        case "rating":
            return {"field": "rating", "message": says("Choose a rating from 1 to 5.")}
        case "contact":
            return {"field": "email", "message": says("To get a reply, give your e-mail address.")}
        case "contact.email":
            return {"field": "email", "message": says("Check the e-mail address; it looks like name@example.com.")}
        case "contact.name":
            most = language.number(NAME_MAX)
            return {"field": "name", "message": says("Keep the name to at most %(most)s characters.", most=most)}
        case "comment" if "at most" in message:
            most = language.number(COMMENT_MAX)
            return {"field": "comment", "message": says("Keep the comment to at most %(most)s characters.", most=most)}
        case "comment":
            return {"field": "comment", "message": says("The comment has a character that cannot be kept; remove it.")}
        case _ if field.startswith("user"):
            return {"field": "vote", "message": says("The page that asks could not prove who you are. Load it again.")}
        case _:
            return {"field": "vote", "message": says("Something in this form cannot be taken. Load the page again.")}
