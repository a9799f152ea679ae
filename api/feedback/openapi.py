"""What OpenAPI says of this site: the submission route, which reads its body by itself, and the models it refers to."""

from typing import Any

from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

from heed import __version__
from heed.contracts import Submission

PATH = "/api/v1/surveys/{slug}/feedback"
_REF = "#/components/schemas/{model}"


class Accepted(BaseModel):
    """The submission is safely queued."""

    id: str = Field(description="The submission's id, a UUIDv7.")
    receipt: str = Field(description="Address of the receipt page.")
    client: str = Field(description="The client's token; send it as X-Heed-Client next time.")


class ProblemDocument(BaseModel):
    """An RFC 9457 problem document."""

    type: str
    title: str
    status: int
    detail: str


def _problem(description: str) -> dict[str, Any]:
    schema = {"$ref": _REF.format(model="ProblemDocument")}
    return {"description": description, "content": {"application/problem+json": {"schema": schema}}}


OPERATION: dict[str, Any] = {
    "summary": "Hand in one submission",
    "operationId": "submit_feedback",
    "description": "Pages of the survey's `origins` may call it from scripts (CORS, without cookies).",
    "parameters": [
        {"name": "slug", "in": "path", "required": True, "schema": {"type": "string"}, "example": "default"},
        {
            "name": "Idempotency-Key",
            "in": "header",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
            "description": "A value of the client's choice, unique to this request, such as a UUID. "
            "The same request sent again with it gets the first one's answer.",
        },
        {
            "name": "X-Heed-Client",
            "in": "header",
            "schema": {"type": "string"},
            "description": "The client's token from an earlier answer; without it (and without its cookie) "
            "the client is a new one.",
        },
    ],
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": _REF.format(model="Submission")}}},
    },
    "responses": {
        "202": {
            "description": "Accepted, or accepted before (same idempotency key).",
            "content": {"application/json": {"schema": {"$ref": _REF.format(model="Accepted")}}},
        },
        "401": _problem("The API key is wrong."),
        "403": _problem("The survey is not open yet."),
        "404": _problem("No such survey."),
        "408": _problem("The body did not arrive in time."),
        "409": _problem("This client already answered this survey."),
        "410": _problem("The survey is closed."),
        "413": _problem("The body is too large."),
        "415": _problem("The body is not JSON."),
        "422": _problem("The submission is not valid; `errors` names each field."),
        "429": _problem("Too many submissions from this address; see Retry-After."),
        "503": _problem("The submission could not be taken now; see Retry-After."),
    },
}


def document() -> dict[str, Any]:
    """The OpenAPI document."""
    models: list[tuple[type[BaseModel], Any]] = [
        (model, "validation") for model in (Submission, Accepted, ProblemDocument)
    ]
    _, schemas = models_json_schema(models, ref_template=_REF)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Heed: feedback", "version": __version__},
        "paths": {PATH: {"post": OPERATION}},
        "components": {"schemas": schemas["$defs"]},
    }
