"""Section 3.3: refusals are flat envelopes, which the client turns into its exceptions."""

import uuid

from buttdial import (
    AccountsClient,
    AccountsError,
    NotProvisioned,
    PhoneNotConfigured,
    RateLimitError,
    TransportError,
)
from buttdial.errors import parse_error_response
from conftest import new_organization, request
from deviations import like, text
from program import free_port


async def test_refusals_become_the_documented_exceptions(program, team, agent, want):
    token, id = program.account["teamToken"], str(uuid.uuid4())
    for method, path, bearer, body, status in [
        ("GET", "/api/v1/no-such-route", token, None, 404),
        ("DELETE", "/api/orgs/register", None, None, 405),
        ("POST", "/api/orgs/verify", None, {}, 400),
        ("POST", "/api/orgs/verify", None, {"token": 5}, 400),
        ("POST", "/api/orgs/onboarding/accept", None, {"sessionId": "x"}, 400),
        ("GET", "/api/orgs/org_x/verification-status?poll_token=x", None, None, 401),
        ("POST", "/api/orgs/abandon", None, {"orgId": "org_x"}, 401),
        ("GET", "/api/orgs/me", None, None, 401),
        ("GET", "/api/orgs/me", agent.agent_token, None, (401, 403)),
        ("POST", "/api/orgs/me/phone/set", token, {}, 400),
        ("POST", "/api/orgs/me/phone/confirm", token, {"challengeId": "x", "otp": "1"}, (400, 404)),
        ("POST", "/api/orgs/me/erasure/confirm", None, {"confirmationToken": "x"}, (400, 404)),
        ("POST", "/api/v1/agents", agent.agent_token, {"agent_id": id, "display_name": "x"}, 403),
        ("POST", "/api/v1/agents", token, {}, 400),
        ("GET", f"/api/v1/agents/{id}", token, None, 404),
        ("POST", f"/api/v1/agents/{id}/comm-channels", token, {"channel_type": "phone"}, 404),
        ("POST", f"/api/v1/agents/{id}/channels", token, {"action": "add", "channel": "phone"}, 404),
        ("PATCH", f"/api/v1/comm-channels/{id}", token, {"label": "x"}, 404),
        ("DELETE", f"/api/v1/comm-channels/{id}", token, None, 404),
        ("POST", "/api/v1/provision", token, {}, 400),
        ("POST", "/api/v1/deprovision", token, {"agentId": id}, 404),
        ("POST", "/api/v1/release-number", token, {}, 400),
        ("POST", "/api/v1/billing/config", token, {"tier": "gold"}, 400),
        ("POST", "/api/v1/client-limits", token, {"limits": {"maxActionsPerDay": "many"}}, 400),
        ("PUT", "/api/v1/client-status", agent.agent_token, {"status": "asleep"}, 400),
        ("PUT", "/api/v1/callback-url", agent.agent_token, {"callbackUrl": "no URL"}, 400),
        ("GET", "/api/v1/billing?period=decade", agent.agent_token, None, 400),
        ("GET", "/api/v1/waiting-messages?limit=many", agent.agent_token, None, 400),
    ]:
        what = f"{method} {path} {body or ''}".replace(id, "UNKNOWN")
        response = await request(program, method, path, bearer, body)
        want.same(f"{what}: status", response.status_code, status)
        envelope = response.json() if "json" in response.headers.get("content-type", "") else response.text
        want.shape(what, envelope, error=text, code=like("^[A-Z][A-Z_]+$"), retryable=bool)
        # A number in `status` of the body would replace the HTTP status that the client adds.
        if isinstance(envelope, dict):
            want.that(
                f"{what}: status in the body", envelope.get("status") in (None, response.status_code), envelope, "none"
            )
            if "no-such-route" not in path:
                want.that(
                    f"{what}: the route", "no such route" not in str(envelope.get("error")), envelope, "it exists"
                )
    # The client takes the code of every refusal that is not 401 or 429 as its own.
    for code in ("AUTH_FORBIDDEN", "AUTH_TIMESTAMP_EXPIRED", "AUTH_NONCE_REPLAY"):
        listed = (await request(program, "GET", "/openapi.json")).json()
        statuses = {
            status
            for operations in listed["paths"].values()
            for operation in operations.values()
            if isinstance(operation, dict)
            for status, answer in operation.get("responses", {}).items()
            if code in str(answer)
        }
        want.that(f"{code} is described", not statuses & {"401", "429"}, statuses, "neither 401 nor 429")

    await want.refusal("an unknown agent", team.get_agent(id), NotProvisioned, code="AGENT_NOT_FOUND", status_code=404)
    await want.refusal(
        "an unknown agent's channels",
        team.list_agent_comm_channels(id),
        NotProvisioned,
        code="AGENT_NOT_FOUND",
        status_code=404,
    )
    await want.refusal(
        "an unknown agent's new token",
        team.regenerate_agent_token(id),
        NotProvisioned,
        code="AGENT_NOT_FOUND",
        status_code=404,
    )
    await want.refusal("no server", AccountsClient(f"http://127.0.0.1:{free_port()}").verify("x"), TransportError)
    organization = await new_organization(program)
    await want.refusal(
        "no phone", organization.client.rotate_token_request(), PhoneNotConfigured, code="PHONE_NOT_CONFIGURED"
    )
    # A 429 without a code is RateLimitError with the wait; with one it is AccountsError, and only the header has the wait.
    await organization.client.start_erasure()
    refused = await want.refusal(
        "a second start_erasure", organization.client.start_erasure(), (RateLimitError, AccountsError), status_code=429
    )
    if isinstance(refused, RateLimitError):
        want.same("its wait", refused.retry_after_seconds, int)
    else:
        want.same("its code", getattr(refused, "code", None), "RATE_LIMITED")
    response = await request(program, "POST", "/api/orgs/me/erasure/start", organization.client.team_token, {})
    want.same("Retry-After", response.headers.get("retry-after"), like(r"^\d+$"))
    want.shape("429", response.json(), error=text, retryable=True, retryAfterSeconds=int)
    parsed = parse_error_response(
        status_code=response.status_code, body=response.json(), headers=dict(response.headers)
    )
    want.that(
        "parse_error_response",
        isinstance(parsed, RateLimitError) and parsed.retry_after_seconds,
        parsed,
        "RateLimitError with a wait",
    )
