"""Rows as the JSON objects that Zendesk's Support API answers with."""

import json
from datetime import UTC, datetime
from typing import Any

from local.sandbox.store import Row

API = "/api/v2"


def moment(seconds: int) -> str:
    """Unix seconds as Zendesk writes times."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ticket(row: Row, base: str) -> dict[str, Any]:
    """A ticket; `base` is the address that the client uses, without a path."""
    tags = json.loads(row["tags"])
    return {
        "url": f"{base}{API}/tickets/{row['id']}.json",
        "id": row["id"],
        "external_id": row["external_id"],
        "via": _via(),
        "created_at": moment(row["created_at"]),
        "updated_at": moment(row["updated_at"]),
        "generated_timestamp": row["updated_at"],
        "type": None,
        "subject": row["subject"],
        "raw_subject": row["subject"],
        "description": row["description"],
        "priority": row["priority"],
        "status": row["status"],
        "recipient": None,
        "requester_id": row["requester_id"],
        "submitter_id": row["submitter_id"],
        "assignee_id": None,
        "organization_id": None,
        "group_id": None,
        "collaborator_ids": [],
        "follower_ids": [],
        "email_cc_ids": [],
        "forum_topic_id": None,
        "problem_id": None,
        "has_incidents": False,
        "is_public": True,
        "due_at": None,
        "tags": tags,
        "custom_fields": [],
        "satisfaction_rating": None,
        "sharing_agreement_ids": [],
        "fields": [],
        "followup_ids": [],
        "brand_id": None,
        "allow_channelback": False,
        "allow_attachments": True,
        "from_messaging_channel": False,
    }


def comment(row: Row) -> dict[str, Any]:
    """A comment; an internal note has `public` false."""
    return {
        "id": row["id"],
        "type": "Comment",
        "author_id": row["author_id"],
        "body": row["body"],
        "html_body": None,
        "plain_body": row["body"],
        "public": bool(row["public"]),
        "attachments": [],
        "audit_id": row["change"],
        "via": _via(),
        "created_at": moment(row["created_at"]),
        "metadata": {"system": {}, "custom": {}},
    }


def audit(after: Row, added: Row | None, author_id: int) -> dict[str, Any]:
    """What one change did: the comment that came with it and the fields as they are now."""
    events: list[dict[str, Any]] = [] if added is None else [comment(added)]
    for number, field in enumerate(("subject", "status", "priority"), len(events) + 1):
        events.append({"id": number, "type": "Change", "field_name": field, "value": after[field]})
    return {
        "id": after["change"],
        "ticket_id": after["id"],
        "created_at": moment(after["updated_at"]),
        "author_id": author_id,
        "metadata": {"system": {}, "custom": {}},
        "events": events,
        "via": _via(),
    }


def user(row: Row, base: str) -> dict[str, Any]:
    """A user."""
    return {
        "id": row["id"],
        "url": f"{base}{API}/users/{row['id']}.json",
        "name": row["name"],
        "email": row["email"],
        "external_id": row["external_id"],
        "created_at": moment(row["created_at"]),
        "updated_at": moment(row["updated_at"]),
        "role": row["role"],
        "active": True,
        "verified": False,
        "suspended": False,
        "time_zone": "UTC",
        "locale": "en-US",
        "phone": None,
        "organization_id": None,
        "tags": [],
        "user_fields": {},
    }


def _via() -> dict[str, Any]:
    return {"channel": "api", "source": {"from": {}, "to": {}, "rel": None}}
