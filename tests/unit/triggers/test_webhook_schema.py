"""The OpenAPI document and the code say the same: schemathesis makes bodies of the one for the other."""

import json
from types import SimpleNamespace

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    positive_data_acceptance,
    response_schema_conformance,
    status_code_conformance,
)
from test_webhook import HOSTS, SECRETS, signed

from deployer.triggers.webhook.openapi import EXAMPLES, document
from deployer.triggers.webhook.schemas import BODIES
from deployer.triggers.webhook.senders import SENDERS
from deployer.triggers.webhook.server import Receiver

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    positive_data_acceptance,
)


def signing(app):
    """The application, with the secret of its sender in each request."""

    async def signed_app(scope, receive, send):
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        sender = scope["path"].removeprefix("/hooks/")
        if sender in SENDERS:
            path, headers, _ = signed(sender, body)
            kept = [pair for pair in scope["headers"] if pair[0].title().decode() not in headers]
            ours = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
            scope = {
                **scope,
                "query_string": path.partition("?")[2].encode(),
                "headers": [pair for pair in kept if pair[0] not in {name for name, _ in ours}] + ours,
            }
        parts = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def replay():
            return next(parts, {"type": "http.disconnect"})

        await app(scope, replay, send)

    return signed_app


outbox = SimpleNamespace(ill=lambda: None, send=lambda _: None)
app = signing(Receiver(outbox, SECRETS, HOSTS, rate=1_000_000).app("1.0"))
schema = schemathesis.openapi.from_dict(document("1.0"))
schema.app = app
schema.config.phases.coverage.enabled = False  # other methods, which the framework refuses


@schema.parametrize()
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_the_document_allows_is_taken_and_every_answer_is_described(case):
    case.call_and_validate(checks=CHECKS)


@pytest.mark.parametrize("sender", sorted(SENDERS))
def test_every_sender_has_a_schema_that_takes_its_example(sender):
    import jsonschema

    jsonschema.validate(json.loads(json.dumps(EXAMPLES[sender])), dict(BODIES[sender]))
