"""The pages of single answers: the list, found by search and filters, and each one.

Guarantees: the list works without scripts and its address is the view; where a view cannot be read, or not found in
time, the page says so with what to do; a page offers nothing that who looks at it may not do.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote
from uuid import UUID

import sqlalchemy as sa
from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import RedirectResponse, Response

from api.results import summary
from api.results.access import Who
from api.results.answers import WAITING_MOST, Answers
from api.results.feedback_models import PERIODS, QUERY_MAX, View, query_of
from api.results.models import OTHER, Item, Listing, Page, Results
from api.results.rights import EXPORT, MANAGER
from api.results.routes import asking, first_survey
from api.results.templates import Templates
from api.results.words import FLAGS, LABELS, LANGUAGES, REASONS, SIGNS, TICKETS, language
from heed.contracts import Option
from heed.db import engine as db
from heed.web.problems import Problem, field_errors

PAGE = 50
# A long comment shows so much, from a little before where it was found.
SHOWN_MOST, LEAD = 600, 80
_QUICK: tuple[tuple[str, dict[str, Any]], ...] = (
    ("Everything", {}),
    ("Negative", {"label": "negative"}),
    ("Waiting for a verdict", {"queued": True}),
    ("Suspicious", {"flagged": True}),
    ("With a ticket", {"selected": True}),
    ("Failed tickets", {"ticket": "failed"}),
    ("Written in another language", {"language": OTHER}),
)
_YES_NO = {
    "queued": ("Waiting for a verdict", "Not waiting for a verdict"),
    "selected": ("Selected for a ticket", "Not selected for a ticket"),
    "flagged": ("Suspicious", "Not suspicious"),
    "erased": ("Erased", "Not erased"),
}


class Link(NamedTuple):
    """A way to another view; `number` of answers it lists, where that is known, and whether it is this one."""

    name: str
    href: str
    number: str | None = None
    here: bool = False


def router(engine: sa.Engine, answers: Answers, templates: Templates) -> APIRouter:
    """The routes /feedback and /feedback/{id}."""
    routes = APIRouter(include_in_schema=False)
    written = {"excerpt": excerpt, "ticket_text": ticket_text, "vote_text": vote_text, "language": language}

    @routes.get("/feedback")
    def feedback(request: Request) -> Response:
        who = asking(request)
        pairs = request.query_params.multi_items()
        broken, errors = "", list[dict[str, str]]()
        try:
            view = View.of(pairs)
        except ValidationError as error:
            view = _of_survey(request, who)
            broken, errors = "unreadable", field_errors(error.errors())
        else:
            if "survey" not in request.query_params:
                view.survey = first_survey(who)
            if any(not value for _, value in pairs):  # a form's: its address without what says nothing is the view
                return RedirectResponse(f"/feedback?{view.whole}", 303, {"Cache-Control": "no-store"})
        who.check_sees(view.survey)
        with db.begin(engine) as connection:
            results = summary.load(connection, view.survey)
            known = summary.questions(connection)
        wanted = view.filter(datetime.now(UTC))
        page = Page(items=[], next=None, previous=None)
        if not broken:
            try:
                asked = Listing(**wanted.model_dump(), before=view.before, after=view.after, limit=PAGE)
                page = answers.part(asked, who.surveys)
            except Problem as refused:
                if refused.kind != "too-broad":
                    raise
                broken = refused.kind
        api = query_of(wanted.model_dump(mode="json", exclude_none=True, exclude_defaults=True))
        at_top = view.before is None and view.after is None
        values: dict[str, Any] = {
            **written,
            "view": view,
            "page": page,
            "broken": broken,
            "errors": errors,
            "results": results,
            "options": {option.key: option for option in results.options},
            "surveys": {slug: question for slug, question in known.items() if who.sees(slug)},
            "chips": list(_chips(view, results.options)),
            "quick": _quick(view, "" if broken else view.query(), results, answers.waiting(view.survey)),
            "export": f"/api/v1/feedback?{api}" if who.level >= EXPORT else None,
            "choices": _choices(view, results),
            "judges": who.may(MANAGER),
            "at_top": at_top,
            "links": {
                "bare": f"/feedback?survey={view.survey}",
                "top": f"/feedback?{view.query()}",
                "newer": page.previous and f"/feedback?{view.query(after=page.previous)}",
                "older": page.next and f"/feedback?{view.query(before=page.next)}",
            },
            "here_quoted": quote(view.whole, safe=""),
            "words": {"labels": LABELS, "signs": SIGNS, "flags": FLAGS, "reasons": REASONS},
            "data": {
                "survey": view.survey,
                # What is newer than what is shown, which a page further down the list does not tell.
                "newer": api if at_top and not broken else None,
                "newest": str(page.items[0].id) if page.items else None,
                "judges": who.may(MANAGER),
            },
        }
        status = 422 if broken else 200
        return templates.page("feedback.html", status, slug=view.survey, here="/feedback", who=who, **values)

    @routes.get("/feedback/{answer_id}")
    def one(answer_id: UUID, request: Request) -> Response:
        who = asking(request)
        answer = answers.one(answer_id, who.surveys)
        with db.begin(engine) as connection:
            survey = summary.find(connection, answer.survey)
        view = _came_from(request, who) or View(survey=answer.survey)
        beside = answers.beside(answer_id, view.filter(datetime.now(UTC)), who.surveys)
        came = f"?view={quote(view.whole, safe='')}"
        newer, older = (f"/feedback/{each}{came}" if each else None for each in beside)
        data = {
            "answer": answer.model_dump(mode="json"),
            "options": [each.model_dump() for each in (answer.asked or survey).options],
            "judges": who.may(MANAGER),
        }
        return templates.page(
            "answer.html",
            data=data,
            answer_id=answer_id,
            slug=answer.survey,
            here="/feedback",
            back=f"/feedback?{view.whole}",
            newer=newer,
            older=older,
            judges=who.may(MANAGER),
            who=who,
        )

    return routes


def _of_survey(request: Request, who: Who) -> View:
    """All of the survey that the address names, or else of their first."""
    slug = request.query_params.get("survey") or ""
    try:
        return View(survey=slug if who.sees(slug) else first_survey(who))
    except ValidationError:
        return View(survey=first_survey(who))


def _came_from(request: Request, who: Who) -> View | None:
    """The view that the page of an answer was opened from; None when it does not say, or says what is none."""
    try:
        view = View.of(parse_qsl(request.query_params.get("view", "")[:QUERY_MAX]))
    except ValidationError:
        return None
    return view if "view" in request.query_params and who.sees(view.survey) else None


def _quick(view: View, here: str, results: Results, waiting: int) -> list[Link]:
    known = {
        "Everything": f"{results.total:,}",
        "Negative": f"{results.sentiment.negative:,}",
        "Waiting for a verdict": f"{waiting:,}" + ("+" if waiting >= WAITING_MOST else ""),
        "With a ticket": f"{results.selected:,}",
        "Failed tickets": f"{results.tickets['failed']:,}",
    }
    return [
        Link(name, f"/feedback?{query}", known.get(name), query == here)
        for name, fields in _QUICK
        for query in [View(survey=view.survey, **fields).query()]
    ]


def _chips(view: View, options: tuple[Option, ...]) -> Iterator[Link]:
    """What narrows the view, each with the way to the view without it."""
    named = {option.key: option for option in options}
    texts = {
        "q": f"Words: {view.q}",
        "label": view.label and f"Reads: {LABELS[view.label].lower()}",
        "vote": view.vote and f"Vote: {vote_text(named, view.vote)}",
        "rating": f"Rated {view.rating} of 5",
        "decision": view.decision and f"Decision: {view.decision}",
        "reason": view.reason and f"Because {REASONS[view.reason]}",
        "language": view.language and f"Language: {_language(view.language)}",
        "ticket": view.ticket and f"Ticket: {TICKETS[view.ticket].lower()}",
        "period": view.period and PERIODS[view.period][0],
        "from": f"From {view.first}",
        "to": f"To {view.last}",
        "since": f"Since {view.since}",
        "until": f"Until {view.until}",
        "id": f"{len(view.id)} chosen",
    }
    texts |= {name: yes if getattr(view, name) else no for name, (yes, no) in _YES_NO.items()}
    for name, text in texts.items():
        if name in view.narrowed:
            yield Link(str(text), f"/feedback?{view.query(**{name: None})}")


def _language(code: str) -> str:
    return "any but English" if code == OTHER else language(code)


def _choices(view: View, results: Results) -> dict[str, list[tuple[str, str]]]:
    """What the form's lists offer, with how many answers there are in all where the rollups know it."""

    def counted(name: str, number: int) -> str:
        return f"{name} ({number:,})"

    languages = [(OTHER, "Any but English"), *sorted(LANGUAGES.items(), key=lambda each: each[1])]
    if view.language and view.language not in dict(languages):
        languages.append((view.language, view.language))
    labels = results.sentiment.model_dump()
    votes = [*results.options, *(Option(key=key, label=key) for key in results.votes if key not in _keys(results))]
    return {
        "period": [(key, name) for key, (name, _) in PERIODS.items()],
        "label": [(label, counted(name, labels[label])) for label, name in LABELS.items()],
        "vote": [(each.key, counted(f"{each.face} {each.label}".strip(), results.votes[each.key])) for each in votes],
        "rating": [(str(n), counted(f"{n} of 5", results.ratings[str(n)])) for n in range(5, 0, -1)],
        "reason": list(REASONS.items()),
        "language": languages,
        "ticket": [(state, counted(name, results.tickets[state])) for state, name in TICKETS.items()],
        **{name: [("true", yes), ("false", no)] for name, (yes, no) in _YES_NO.items()},
    }


def _keys(results: Results) -> set[str]:
    return {*(option.key for option in results.options), "none"}


def vote_text(options: dict[str, Option], key: str) -> str:
    """An option of the vote with its face; its key, when the survey has it no more."""
    option = options.get(key)
    return f"{option.face} {option.label}".strip() if option else key


def ticket_text(item: Item) -> str:
    """What became of a selected answer, in a few words."""
    if item.ticket is None:
        return "Ticket waiting"
    ticket = item.ticket
    name = "Ticket" if ticket.desk_id is None else f"Ticket {ticket.desk_id}"
    status = (ticket.state == "opened" and ticket.desk_status) or TICKETS[ticket.state].lower()
    return f"{name}: {status}"


def excerpt(item: Item) -> list[tuple[str, bool]]:
    """What a list shows of a comment, in pieces; those are marked that fit the search."""
    comment = item.comment
    begin = max(item.marks[0][0] - LEAD, 0) if item.marks and item.marks[0][1] > SHOWN_MOST // 2 else 0
    end = min(begin + SHOWN_MOST, len(comment))
    pieces = [("… ", False)] if begin else []
    at = begin
    for start, stop in item.marks:
        if begin <= start < end:
            pieces += [(comment[at:start], False), (comment[start : min(stop, end)], True)]
            at = min(stop, end)
    pieces.append((comment[at:end], False))
    if end < len(comment):
        pieces.append((" …", False))
    return [piece for piece in pieces if piece[0]]
