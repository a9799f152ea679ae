"""`NegativeFeedback` v1: the event that asks for a ticket. Ids, scores and reasons; never a customer's words.

The words stay in Postgres for privacy, and because a bus replaces templates inside event text. The rule that
routes the event is `rule-pattern.json`, the one file that Terraform, the local stack and the tests load.
"""

import json
from datetime import datetime
from importlib.resources import files
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from heed.contracts.ids import SubmissionId
from heed.contracts.text import OptionKey, Slug
from heed.contracts.triage import Label, Priority, Reason

EVENT_SOURCE = "heed.worker"
EVENT_TYPE = "NegativeFeedback"
RULE_PATTERN = files("heed.contracts").joinpath("rule-pattern.json")


class NegativeFeedback(BaseModel):
    """One selected submission. `compound` is VADER's −1…1; `p_negative` is None when there were no words."""

    model_config = ConfigDict(extra="ignore")

    v: Literal[1] = 1
    id: SubmissionId
    survey: Slug
    received_at: datetime
    vote: OptionKey | None = None
    rating: Annotated[int, Field(ge=1, le=5)] | None = None
    label: Label
    compound: Annotated[float, Field(ge=-1, le=1)]
    p_negative: Annotated[float, Field(ge=0, le=1)] | None = None
    reasons: Annotated[tuple[Reason, ...], Field(min_length=1)]
    priority: Priority
    scorer: str
    policy: str


def rule_pattern() -> dict[str, Any]:
    """The EventBridge rule's pattern."""
    pattern: dict[str, Any] = json.loads(RULE_PATTERN.read_text(encoding="utf-8"))
    return pattern
