"""From the customer's words to the ticket, through a system started as `make run` starts it."""

import csv
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import API_KEY, wait_for
from system import System, running

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]
SAMPLE = Path(__file__).parents[1] / "data" / "comments.tsv"


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    with running(HEED_API_KEY=API_KEY) as made:
        yield made


def customers() -> list[dict[str, Any]]:
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        return [
            {
                "comment": row["text"],
                "vote": row["vote"] or None,
                "rating": int(row["rating"]) if row["rating"] else None,
            }
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        ]


def test_the_loop(system: System) -> None:
    ports = {name: system.environment[f"HEED_{name}_PORT"] for name in ("FEEDBACK", "RESULTS", "SANDBOX")}
    headers = {"Authorization": f"Bearer {API_KEY}"}
    sent = customers()
    assert len(sent) >= 200
    with (
        httpx.Client(base_url=f"http://127.0.0.1:{ports['FEEDBACK']}", headers=headers, trust_env=False) as form,
        httpx.Client(
            base_url=f"http://127.0.0.1:{ports['RESULTS']}/api/v1", headers=headers, trust_env=False
        ) as results,
        httpx.Client(
            base_url=f"http://127.0.0.1:{ports['SANDBOX']}/api/v2",
            auth=("agent@example.com/token", "any"),
            trust_env=False,
        ) as desk,
    ):

        def submit(body: dict[str, Any]) -> str:
            answer = form.post("/api/v1/surveys/default/feedback", json=body)
            assert answer.status_code == 202, answer.text
            return str(answer.json()["id"])

        with ThreadPoolExecutor(8) as pool:
            ids = list(pool.map(submit, sent))

        def through() -> dict[str, Any] | None:
            books: dict[str, Any] = results.get("/books").json()
            done = books["stored"] == len(ids) and not books["in_flight"] and not books["queued"]
            return books if done else None

        books = wait_for(through, 60, "everything to be through")
        assert books is not None
        assert books["balanced"] is True
        assert (books["accepted"], books["quarantined"], books["failed"]) == (len(ids), 0, 0)

        # Every accepted id is stored with what was said.
        stored = {found["id"]: found for found in (results.get(f"/feedback/{each}").json() for each in ids)}
        for each, body in zip(ids, sent, strict=True):
            assert (stored[each]["comment"], stored[each]["vote"], stored[each]["rating"]) == tuple(
                body[name] for name in ("comment", "vote", "rating")
            )

        # The results add up.
        totals = results.get("/surveys/default/results").json()
        votes = Counter(body["vote"] or "none" for body in sent)
        assert {name: count for name, count in totals["votes"].items() if count} == votes
        assert totals["total"] == sum(totals["sentiment"].values()) == len(ids)
        assert totals["sentiment"] == {
            label: sum(found["label"] == label for found in stored.values()) for label in totals["sentiment"]
        }
        assert sum(hour["answers"] for hour in totals["hours"]) == len(ids)
        assert sum(day["answers"] for day in totals["days"]) == len(ids)

        # Each selected one has exactly one ticket, with the customer's words; nobody else has one.
        selected = {each: found for each, found in stored.items() if found["selected"]}
        assert len(selected) == books["selected"] == books["ticketed"] == totals["selected"] > 20
        for each, found in selected.items():
            [ticket] = desk.get("/tickets.json", params={"external_id": each}).json()["tickets"]
            assert found["ticket"]["desk_id"] == ticket["id"]
            comments = desk.get(f"/tickets/{ticket['id']}/comments.json").json()["comments"]
            assert [comment["public"] for comment in comments] == [True, False]
            assert found["comment"] in (comments[0]["body"], ""), found["comment"]
            assert each in comments[1]["body"]
        total = desk.get("/tickets.json").json()["count"]
        assert total == len(selected)

        # Solved at the desk, solved in the results.
        chosen, number = next((each, found["ticket"]["desk_id"]) for each, found in selected.items())
        assert desk.put(f"/tickets/{number}.json", json={"ticket": {"status": "solved"}}).status_code == 200
        wait_for(lambda: results.get(f"/feedback/{chosen}").json()["ticket"]["state"] == "solved", 15, "the news of it")
