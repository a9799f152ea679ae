"""Whatever fits or breaks the feedback site's OpenAPI document, the answer is no server error and always as told."""

from collections.abc import Callable
from typing import Any

import schemathesis
from conftest import Served
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from schemathesis import GenerationMode

from api.feedback.app import create_app
from heed.settings import Settings

EXAMPLES = 150


def test_no_server_error_and_as_described(settings: Settings, serve: Callable[[Any], Served]) -> None:
    url = serve(create_app(settings)).url
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    statuses: set[int] = set()
    operations = [found.ok() for found in schema.get_all_operations()]
    assert operations
    for operation in operations:
        for mode in GenerationMode:

            @hypothesis_settings(
                max_examples=EXAMPLES,
                deadline=None,
                derandomize=True,
                database=None,
                phases=[Phase.explicit, Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def call(case: schemathesis.Case) -> None:
                answer = case.call()
                statuses.add(answer.status_code)
                case.validate_response(
                    answer,
                    checks=[
                        schemathesis.checks.not_a_server_error,
                        schemathesis.checks.CHECKS.get_one("status_code_conformance"),
                        schemathesis.checks.CHECKS.get_one("content_type_conformance"),
                        schemathesis.checks.CHECKS.get_one("response_schema_conformance"),
                    ],
                )

            call()
    assert {202, 404, 422} <= statuses
