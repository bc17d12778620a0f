"""Sections 3.1 and 5: registration, verification, terms, phone, rotation, self-heal, erasure and members."""

import asyncio
import json
import re
import secrets
import time
import uuid

from buttdial import (
    AccountsError,
    AuthError,
    ButtDialError,
    ChallengeNotFound,
    OnboardingRequired,
    OTPExpired,
    OTPInvalid,
    OTPMaxAttempts,
    PhoneNotConfigured,
    RateLimitError,
    RevokedToken,
    TokenRevoked,
    VerificationTokenExpired,
)
from conftest import PRODUCT, client_of, new_agent, new_mail, new_organization, new_person, register, request, secret_of
from deviations import digits, hexadecimal, identifier, iso, like, one_of, text
from program import CODE, LINK, secret_in

# Two pages of the client's documentation disagree, so either class is right.
REVOKED = (RevokedToken, TokenRevoked)
# A token that stands alone in the text of the mail.
CONFIRMATION = re.compile(r"(?<![\w/#=.-])([\w-]{24,})(?![\w.-])")
BAD_LINK = one_of("VERIFICATION_TOKEN_INVALID", "VERIFICATION_TOKEN_EXPIRED")
DEVELOPMENT = ("devVerificationToken", "devOtp", "devConfirmationToken")


def public(answer):
    """The names in an answer, without those that only the simulated world has."""
    return sorted(name for name in answer if name not in DEVELOPMENT)


async def test_registration_answers_and_sends_a_mail(program, simulator, host, want):
    client, mail = client_of(program), new_mail()
    registered = await want.answer(
        "register with webhookUrl",
        client.register(
            "Acme Inc",
            mail,
            branding=PRODUCT,
            return_url="https://acme.example/welcome",
            webhook_url=f"{host.url}/account/a",
        ),
        orgId=text,
        verificationSent=True,
        pollToken=hexadecimal(48),
        webhookSecret=hexadecimal(64),
    )
    sent = await simulator.newest(mail)
    if want.that("the mail", sent, sent, f"a mail to {mail}"):
        token = secret_in(sent, LINK)
        want.same("the link in the mail", token, text)
        if program.shows_secrets:
            want.same("devVerificationToken", registered.get("devVerificationToken"), token)
        want.that("the mail names the product", "Acme" in json.dumps(sent), sent, "Acme")

    mail, registered = new_mail(), None
    await want.answer(
        "register with a template",
        client.register(
            "Acme & Sons",
            mail,
            verification_email={
                "subject": "Verify Acme",
                "html": '<p>{{orgName}}, {{ownerEmail}}: <a href="{{verifyUrl}}" onclick="steal()">here</a>, {{expiresInMinutes}} min'
                '<script>alert(1)</script><iframe src="https://evil.example"></iframe></p>',
                "text": "{{orgName}}: {{verifyUrl}}",
            },
        ),
        orgId=text,
        verificationSent=True,
        pollToken=hexadecimal(48),
    )
    sent = await simulator.newest(mail)
    if want.that("the mail of the template", sent, sent, f"a mail to {mail}"):
        html = sent.get("html") or ""
        want.same("its subject", sent.get("subject"), "Verify Acme")
        for part in ("Acme &amp; Sons", mail, "15 min", "/verify#token="):
            want.that("its variables", part in html, html, part)
        for part in ("<script", "<iframe", "onclick", "{{"):
            want.that("its HTML", part not in html, html, f"without {part}")

    for what, options, code in [
        ("a template without the link", {"verification_email": {"html": "<p>Hi</p>"}}, "TEMPLATE_MISSING_VERIFY_URL"),
        ("a text without the link", {"verification_email": {"text": "Hi"}}, "TEMPLATE_MISSING_VERIFY_URL"),
        ("a large template", {"verification_email": {"html": "{{verifyUrl}}" + "x" * 205_000}}, "TEMPLATE_TOO_LARGE"),
    ]:
        await want.refusal(
            what, client.register("Acme", new_mail(), **options), AccountsError, code=code, status_code=400
        )
    for body, fields in [({}, {"orgName", "ownerEmail"}), ({"orgName": "Acme"}, {"ownerEmail"})]:
        response = await request(program, "POST", "/api/orgs/register", body=body)
        want.same("missing fields: status", response.status_code, 400)
        want.shape("missing fields", response.json(), code="MISSING_FIELDS", fields=list, error=text)
        want.same("missing fields: fields", sorted(response.json().get("fields") or []), sorted(fields))
    response = await request(
        program, "POST", "/api/orgs/register", body={"orgName": "Acme", "ownerEmail": "no address"}
    )
    want.same("an invalid address: status", response.status_code, 400)


async def test_registration_hides_which_mails_exist(program, want):
    client, webhook = client_of(program), "https://acme.example/hook"
    mail, first, _ = await register(program, client=client, webhook_url=webhook)
    _, second, token = await register(program, mail=mail, client=client, webhook_url=webhook)
    want.same("the orgId of a pending address", second["orgId"], first["orgId"])
    want.same("the webhookSecret of a pending address", second.get("webhookSecret"), first.get("webhookSecret"))
    want.that("the pollToken", second["pollToken"] != first["pollToken"], "the same", "a new one")
    await want.refusal(
        "the former pollToken",
        client.verification_status(first["orgId"], first["pollToken"]),
        AuthError,
        code="AUTH_REQUIRED",
    )
    await want.answer("the new pollToken", client.verification_status(first["orgId"], second["pollToken"]))

    await want.answer("verify", client.verify(token))
    started = time.monotonic()
    known = await client.register("Acme Inc", mail, branding=PRODUCT, webhook_url=webhook)
    took = time.monotonic() - started
    started = time.monotonic()
    unknown = await client.register("Acme Inc", new_mail(), branding=PRODUCT, webhook_url=webhook)
    want.that("the time", abs(took - (time.monotonic() - started)) < 0.5, took, "the same as for an unknown address")
    want.same("the names in the answer", public(known), public(unknown))
    want.shape(
        "the answer", known, orgId=text, verificationSent=True, pollToken=hexadecimal(48), webhookSecret=hexadecimal(64)
    )
    want.that("the orgId of a verified address", known["orgId"] != first["orgId"], known["orgId"], "a random one")
    want.that(
        "the webhookSecret of a verified address",
        known["webhookSecret"] != first["webhookSecret"],
        "the same",
        "a dummy",
    )
    other = await request(program, "POST", "/api/orgs/register", body={"orgName": "Acme", "ownerEmail": mail})
    want.that("a verified address", other.status_code != 409, other.status_code, "never 409")

    key, mail = str(uuid.uuid4()), new_mail()
    first = await client.register(
        "Acme", mail, return_url="https://acme.example/", webhook_url=webhook, idempotency_key=key
    )
    again = await client.register(
        "Acme", mail, return_url="https://acme.example/", webhook_url=webhook, idempotency_key=key
    )
    want.that("the repeated Idempotency-Key", again == first, again, first)
    await want.refusal(
        "the Idempotency-Key with another body",
        client.register("Other", mail, return_url="https://acme.example/", idempotency_key=key),
        AccountsError,
        status_code=409,
    )


async def test_pending_organizations_are_polled_resent_and_left(program, simulator, orchestrator, want):
    client = client_of(program)
    mail, registered, token = await register(program, client=client)
    org, poll = registered["orgId"], registered["pollToken"]
    await want.answer(
        "verification_status",
        client.verification_status(org, poll),
        orgId=org,
        verified=False,
        status="pending",
        state=text,
        verifiedAt=None,
        expiresAt=iso,
    )
    await want.refusal(
        "a wrong pollToken",
        client.verification_status(org, secrets.token_hex(24)),
        AuthError,
        code="AUTH_REQUIRED",
        status_code=401,
    )
    await want.refusal(
        "an unknown organization",
        client.verification_status("org_unknown", poll),
        AuthError,
        code="AUTH_REQUIRED",
        status_code=401,
    )
    response = await request(program, "GET", f"/api/orgs/{org}/verification-status")
    want.same(
        "no pollToken", (response.status_code, response.json().get("code")), lambda got: got == (401, "AUTH_REQUIRED")
    )

    await simulator.newest(mail)
    await want.answer("resend_verification", client.resend_verification(org), verificationSent=True)
    sent = await simulator.newest(mail, more_than=1)
    want.that("the second mail", sent and secret_in(sent, LINK), sent, "a mail with a link")
    # The simulated world has no such limit, because its mails reach no person.
    response, refused = None, not program.shows_secrets
    for _ in range(20 * refused):
        response = await request(program, "POST", f"/api/orgs/{org}/resend-verification", body={})
        if response.status_code != 200:
            break
    if refused:
        want.same("many resends: status", response.status_code, 429)
        want.same("many resends: Retry-After", response.headers.get("retry-after"), like(r"^\d+$"))

    await want.refusal(
        "abandon with a wrong token",
        client.abandon_org(org, poll_token=secrets.token_hex(24)),
        ButtDialError,
        status_code=one_of(401, 403),
    )
    _, other, _ = await register(program)
    await want.refusal(
        "abandon of another one",
        client.abandon_org(other["orgId"], poll_token=poll),
        ButtDialError,
        status_code=one_of(401, 403),
    )
    await want.answer(
        "abandon_org", client.abandon_org(org, poll_token=poll, reason="a typing error"), deleted=True, orgId=org
    )
    await want.refusal("the link of an abandoned one", client.verify(token), AccountsError, code=BAD_LINK)
    await want.refusal("the pollToken of an abandoned one", client.verification_status(org, poll), AuthError)
    await want.answer(
        "abandon by the orchestrator", orchestrator.abandon_org(other["orgId"]), deleted=True, orgId=other["orgId"]
    )

    mail, registered, token = await register(program, client=client)
    org, poll = registered["orgId"], registered["pollToken"]
    await client.verify(token)
    await want.answer(
        "verification_status afterwards",
        client.verification_status(org, poll),
        orgId=org,
        verified=True,
        status="verified",
        verifiedAt=iso,
    )
    await want.refusal(
        "resend of a verified one", client.resend_verification(org), AccountsError, code="ALREADY_VERIFIED"
    )
    await want.refusal("abandon of a verified one", client.abandon_org(org, poll_token=poll), ButtDialError)
    await want.refusal(
        "abandon of a verified one by the orchestrator",
        orchestrator.abandon_org(org),
        AccountsError,
        code="ORG_ALREADY_VERIFIED",
    )


async def test_verification_returns_the_team_token_once(program, team, want):
    client = client_of(program)
    mail, registered, token = await register(program, client=client)
    verified = await want.answer(
        "verify",
        client.verify(token),
        team_token=text,
        org_id=registered["orgId"],
        orgId=registered["orgId"],
        scopes="org-admin",
    )
    response = await request(program, "POST", "/api/orgs/verify", body={"token": token})
    want.same("a used token: status", response.status_code, 400)
    want.shape("a used token", response.json(), code=BAD_LINK, error=text)
    await want.refusal(
        "an unknown token", client.verify("unknown"), AccountsError, code="VERIFICATION_TOKEN_INVALID", status_code=400
    )
    account = await want.answer("the team token", client.with_token(verified.get("team_token", "none")).get_account())
    want.both_casings(
        "get_account",
        account,
        org_id=registered["orgId"],
        owner_email=mail,
        owner_phone_hint=(None, text),
        created_at=iso,
    )
    want.shape(
        "get_account",
        account,
        name="Acme Inc",
        mode=one_of("sandbox", "live"),
        status="active",
        slug=like("^[a-z0-9-]+$"),
    )
    account = await want.answer("get_account of the first organization", team.get_account())
    want.both_casings("the first organization", account, org_id=program.account["orgId"], created_at=iso)
    want.shape("the first organization", account, name=text, mode=one_of("sandbox", "live"), status="active")

    # The aliases, which the client would rename.
    _, registered, token = await register(program)
    body = (await request(program, "POST", "/api/orgs/verify", body={"token": token})).json()
    want.shape("verify", body, team_token=text, teamToken=text, ownerToken=text, owner_token=text)
    want.same(
        "the aliases are equal",
        len({body.get(name) for name in ("team_token", "teamToken", "ownerToken", "owner_token")}),
        1,
    )

    # The link of a repeated registration verifies the same organization, once.
    mail, first, former = await register(program, client=client)
    _, _, token = await register(program, mail=mail, client=client)
    await want.answer("the link of the new mail", client.verify(token), team_token=text, org_id=first["orgId"])
    # An expired link ends with another registration.
    lost, pending, expired = await register(program, client=client)
    want.same(
        "expired links",
        program.expire("one_time_tokens", f"kind = 'verification' AND org_id = '{pending['orgId']}'"),
        1,
    )
    await want.refusal(
        "an expired link", client.verify(expired), VerificationTokenExpired, code="VERIFICATION_TOKEN_EXPIRED"
    )
    _, again, fresh = await register(program, mail=lost, client=client)
    await want.answer(
        "the link of another registration", client.verify(fresh), team_token=text, org_id=pending["orgId"]
    )
    want.same("its organization", again["orgId"], pending["orgId"])
    await want.refusal(
        "the link of the former mail afterwards",
        client.verify(former),
        (AccountsError, VerificationTokenExpired),
        code=BAD_LINK,
    )


async def test_terms_are_accepted_before_the_token(gated, host, want):
    client = client_of(gated)
    registered_mail, registered, token = await register(gated, client=client, webhook_url=f"{host.url}/account/gated")
    org = registered["orgId"]
    required = await want.refusal(
        "verify",
        client.verify(token),
        OnboardingRequired,
        org_id=org,
        onboarding_session_id=text,
        expires_at=iso,
        onboarding_url=like(r"/onboarding\?s="),
        status_code=200,
    )
    body = getattr(required, "body", None)
    want.shape("verify", body, requiresOnboarding=True, teamToken=None, onboardingUrl=text)
    want.both_casings("verify", body, org_id=org, onboarding_session_id=text, onboarding_expires_at=iso)
    url, session = getattr(required, "onboarding_url", ""), getattr(required, "onboarding_session_id", "none")
    sent = await gated.simulator.newest(registered_mail)
    want.that(
        "the link in the mail has the prefix",
        sent and "/bd/verify#token=" in json.dumps(sent),
        sent,
        "/bd/verify#token=",
    )
    want.that("the page's address has the prefix", "/bd/onboarding" in url, url, "/bd/onboarding")
    page = await request(gated, "GET", re.sub(r"^https?://[^/]+", "", url) or "/")
    want.same("the page: status", page.status_code, 200)
    want.same("the page: type", page.headers.get("content-type"), like("^text/html"))
    want.same("the page: CSP", page.headers.get("content-security-policy"), text)
    want.that(
        "the page names the terms", "https://acme.example/terms" in page.text, page.text[:200], "the link to the terms"
    )

    await want.refusal(
        "another version", client.accept_onboarding(session, "2020-01"), AccountsError, code="TOS_VERSION_MISMATCH"
    )
    await want.refusal(
        "an unknown session",
        client.accept_onboarding(str(uuid.uuid4()), "2026-11"),
        AccountsError,
        code=like("^ONBOARDING_SESSION_"),
    )
    want.same("webhooks before the acceptance", len(host.requests), 0)
    accepted = await want.answer(
        "accept_onboarding",
        client.accept_onboarding(session, "2026-11"),
        team_token=text,
        teamToken=text,
        owner_token=text,
        ownerToken=text,
    )
    account = await want.answer("the team token", client.with_token(accepted.get("team_token", "none")).get_account())
    want.same("its organization", account.get("org_id"), org)
    events = await host.wait(lambda: host.requests_to("/account/gated"))
    want.that(
        "the webhook after the acceptance",
        events and events[0].is_signed_with(registered["webhookSecret"]),
        events,
        "account.verified",
    )
    _, other, token = await register(gated, client=client)
    required = await want.refusal("another verify", client.verify(token), OnboardingRequired)
    want.same(
        "expired sessions", gated.expire("one_time_tokens", f"kind = 'onboarding' AND org_id = '{other['orgId']}'"), 1
    )
    expired = getattr(required, "onboarding_session_id", None) or "none"
    await want.refusal(
        "an expired session",
        client.accept_onboarding(expired, "2026-11"),
        AccountsError,
        code=like("^ONBOARDING_SESSION_"),
    )
    await want.refusal(
        "the used session",
        client.accept_onboarding(session, "2026-11"),
        AccountsError,
        code=like("^ONBOARDING_SESSION_"),
    )


async def test_verify_page_hands_the_token_to_the_return_url(program, want):
    page = await request(program, "GET", "/verify")
    want.same("the page: status", page.status_code, 200)
    want.same("the page: type", page.headers.get("content-type"), like("^text/html"))
    policy = page.headers.get("content-security-policy", "")
    want.that(
        "the page: CSP", policy and "unsafe-inline" not in policy.split("style-src")[0], policy, "a strict policy"
    )
    want.that("the page posts the token", "api/orgs/verify" in page.text, page.text[-600:], "a script")

    _, registered, token = await register(program)
    org = registered["orgId"]
    for _ in range(2):
        branding = await request(program, "GET", f"/api/orgs/branding-by-token?token={token}")
        want.same("branding-by-token: status", branding.status_code, 200)
        want.shape("branding-by-token", branding.json(), **PRODUCT)
    branding = await request(program, "GET", "/api/orgs/branding-by-token?token=unknown")
    want.that(
        "branding of an unknown token", branding.status_code == 200 and branding.json() == {}, branding.text, "{}"
    )
    body = (await request(program, "POST", "/api/orgs/verify", body={"token": token})).json()
    fragment = body.get("fragmentRedirectUrl")
    want.same(
        "fragmentRedirectUrl",
        fragment,
        like(r"^https://acme\.example/welcome#bd_token=[^&]+&org_id=[^&]+&verified_at=[^&]+$"),
    )
    if fragment and "#" in fragment:
        parts = dict(part.split("=", 1) for part in fragment.split("#")[1].split("&"))
        want.same("its token", parts.get("bd_token"), body.get("team_token"))
        want.same("its organization", parts.get("org_id"), org)
        want.same("its time", parts.get("verified_at", "").replace("%3A", ":"), iso)

    _, registered, token = await register(program, webhook_url="https://acme.example/hook")
    body = (await request(program, "POST", "/api/orgs/verify", body={"token": token})).json()
    fragment = body.get("fragmentRedirectUrl")
    want.that(
        "with a webhookUrl", fragment in (None, "https://acme.example/welcome"), fragment, "the returnUrl verbatim"
    )


async def test_account_verified_webhook_is_signed(program, host, want):
    client = client_of(program)
    mail, registered, token = await register(program, client=client, webhook_url=f"{host.url}/account/signed")
    await asyncio.sleep(0.2)
    want.same("webhooks before the verification", len(host.requests), 0)
    await want.answer("verify", client.verify(token))
    verified_at = time.time()
    events = await host.wait(lambda: host.requests_to("/account/signed"))
    if not want.that("the webhook", events, events, "one webhook"):
        return
    event = events[0]
    want.that("its time", event.at - verified_at < 1.5, f"{event.at - verified_at:.1f} s", "within about 1 s")
    want.shape(
        "its headers",
        event.headers,
        **{
            "x-bd-event": "account.verified",
            "x-bd-timestamp": like(r"^\d{10}$"),
            "x-bd-signature": like("^hmac-sha256=[0-9a-f]{64}$"),
            "x-bd-delivery-id": identifier,
            "content-type": like("^application/json"),
        },
    )
    want.that(
        "the client's verify_webhook_signature",
        event.is_signed_with(registered["webhookSecret"]),
        event.headers,
        "true",
    )
    body = json.loads(event.body)
    want.shape(
        "its body",
        body,
        event="account.verified",
        orgId=registered["orgId"],
        ownerEmail=mail,
        teamToken=text,
        scopes="org-admin",
        verifiedAt=iso,
    )
    account = await want.answer("the team token", client.with_token(body.get("teamToken") or "none").get_account())
    want.same("its organization", account.get("org_id"), registered["orgId"])
    await asyncio.sleep(1.5)
    want.same("webhooks after the answer 200", len(host.requests_to("/account/signed")), 1)


async def test_account_verified_webhook_is_retried(program, gated, host, want):
    # The gated program waits one second between attempts: it gives up after the sixth one.
    host.account_statuses["refused"] = [500]
    client = client_of(gated)
    _, registered, token = await register(gated, client=client, webhook_url=f"{host.url}/account/refused")
    required = await want.refusal("verify", client.verify(token), OnboardingRequired)
    await want.answer(
        "accept_onboarding",
        client.accept_onboarding(getattr(required, "onboarding_session_id", None) or "none", "2026-11"),
    )

    client = client_of(program)
    host.account_statuses["retried"] = [500, 302, 204]
    _, registered, token = await register(program, client=client, webhook_url=f"{host.url}/account/retried")
    await want.answer("verify", client.verify(token))
    await host.wait(lambda: len(host.requests_to("/account/retried")) >= 3, seconds=10)
    events = host.requests_to("/account/retried")
    if not want.that("the attempts", len(events) == 3, len(events), "3: after 0, 1 and 6 s"):
        return
    for number, (former, later, delay) in enumerate(zip(events, events[1:], (1, 5))):
        want.that(
            f"delay {number + 1}", delay - 0.5 < later.at - former.at < delay + 2, later.at - former.at, f"{delay} s"
        )
        want.same(
            "the delivery id of the retry",
            later.headers.get("x-bd-delivery-id"),
            former.headers.get("x-bd-delivery-id"),
        )
        want.that(
            "the timestamp of the retry",
            int(later.headers["x-bd-timestamp"]) > int(former.headers["x-bd-timestamp"]),
            later.headers,
            "a fresh one",
        )
        want.that(
            "the signature of the retry", later.is_signed_with(registered["webhookSecret"]), later.headers, "valid"
        )
        want.same(
            "the body of the retry", json.loads(later.body).get("teamToken"), json.loads(former.body).get("teamToken")
        )
    await host.wait(lambda: len(host.requests_to("/account/refused")) >= 6, seconds=4)
    await asyncio.sleep(1.5)
    refused = host.requests_to("/account/refused")
    want.same("the attempts at a host that refuses", len(refused), 6)
    want.same("their delivery ids", len({one.headers.get("x-bd-delivery-id") for one in refused}), 1)


async def test_webhook_secret_reveals_a_new_team_token(program, want):
    organization = await new_organization(program)
    client, org, secret = organization.client, organization.id, organization.secret
    await want.answer("get_account", client.get_account(), org_id=org)
    revealed = await want.answer(
        "reveal_team_token",
        client_of(program).reveal_team_token(org, secret),
        token=text,
        rotated=True,
        orgId=org,
        orgName="Acme Inc",
    )
    await want.answer("the new token", client.with_token(revealed.get("token", "none")).get_account(), org_id=org)
    await program.settle()
    await want.refusal("the former token", client.get_account(), REVOKED)

    wrong = [(org, secrets.token_hex(32)), ("org_unknown", secret), ((await new_organization(program)).id, secret)]
    for other, key in wrong:
        await want.refusal(
            "a wrong secret",
            client_of(program).reveal_team_token(other, key),
            AccountsError,
            code="AUTH_FORBIDDEN",
            status_code=403,
        )
    path, bearer = f"/api/orgs/{org}/reveal-team-token", {"Authorization": f"Bearer {secret}"}
    now, nonce = int(time.time()), secrets.token_hex(16)
    for shift in (-90, 90):
        headers = {**bearer, "X-Request-Timestamp": str(now + shift), "X-Request-Nonce": secrets.token_hex(16)}
        response = await request(program, "POST", path, body={}, headers=headers)
        want.same(f"a time {shift} s away: status", response.status_code, one_of(400, 403))
        want.shape(f"a time {shift} s away", response.json(), code="AUTH_TIMESTAMP_EXPIRED", retryable=True)
    headers = {**bearer, "X-Request-Timestamp": str(now), "X-Request-Nonce": nonce}
    response = await request(program, "POST", path, body={}, headers=headers)
    want.same("a nonce: status", response.status_code, 200)
    response = await request(program, "POST", path, body={}, headers=headers)
    want.same("the same nonce: status", response.status_code, 409)
    want.shape("the same nonce", response.json(), code="AUTH_NONCE_REPLAY")
    for missing in ("X-Request-Timestamp", "X-Request-Nonce"):
        fewer = {**headers, "X-Request-Nonce": secrets.token_hex(16)}
        del fewer[missing]
        response = await request(program, "POST", path, body={}, headers=fewer)
        want.that(f"without {missing}", 400 <= response.status_code < 500, response.status_code, "a refusal")


async def test_phone_is_confirmed_by_a_code(program, simulator, want):
    client, phone = (await new_organization(program)).client, new_person()
    for invalid in ("12", "4155550123", "not a number", "+1"):
        await want.refusal(f"set_phone {invalid}", client.set_phone(invalid), AccountsError, code="PHONE_INVALID")
    challenge = await want.answer("set_phone", client.set_phone(phone))
    want.both_casings("set_phone", challenge, challenge_id=text)
    sent = await simulator.newest(phone)
    otp = secret_in(sent, CODE) if sent else None
    want.that("the SMS", otp and sent["channel"] == "sms", sent, "an SMS with a code")
    if program.shows_secrets:
        want.same("devOtp", challenge.get("devOtp"), otp or digits)
    otp, id = otp or "000000", challenge.get("challenge_id", "none")
    wrong = f"{(int(otp) + 1) % 1_000_000:06d}"
    await want.refusal("a wrong code", client.confirm_phone(id, wrong), OTPInvalid)
    await want.refusal("an unknown challenge", client.confirm_phone("unknown", otp), ChallengeNotFound)
    other = (await new_organization(program)).client
    await want.refusal("another organization's challenge", other.confirm_phone(id, otp), ChallengeNotFound)
    hint = f"+1{'*' * 8}{phone[-2:]}"
    confirmed = await want.answer("confirm_phone", client.confirm_phone(id, otp), ok=True)
    want.both_casings("confirm_phone", confirmed, phone_hint=hint)
    await want.refusal("a used challenge", client.confirm_phone(id, otp), ChallengeNotFound)
    account = await want.answer("get_account", client.get_account())
    want.both_casings("get_account", account, owner_phone_hint=hint)

    phone = new_person()
    challenge = await want.answer("another set_phone", client.set_phone(phone))
    otp, id = await secret_of(program, challenge, "devOtp", phone, CODE), challenge.get("challenge_id", "none")
    otp = otp if otp.isdecimal() else "000000"
    wrong = f"{(int(otp) + 1) % 1_000_000:06d}"
    for number in range(5):
        await want.refusal(
            f"wrong code {number + 1}",
            client.confirm_phone(id, wrong),
            (OTPInvalid, OTPMaxAttempts) if number == 4 else OTPInvalid,
        )
    await want.refusal("the right code after five wrong ones", client.confirm_phone(id, otp), OTPMaxAttempts)

    phone = new_person()
    challenge = await want.answer("a third set_phone", client.set_phone(phone))
    otp, id = await secret_of(program, challenge, "devOtp", phone, CODE), challenge.get("challenge_id", "none")
    want.same("expired challenges", program.expire("challenges", f"id = '{id}'"), 1)
    await want.refusal("an expired code", client.confirm_phone(id, otp), OTPExpired)


async def test_team_token_is_rotated_and_revoked(program, simulator, want):
    client = (await new_organization(program)).client
    await want.refusal("rotation without a phone", client.rotate_token_request(), PhoneNotConfigured)
    phone, hints = new_person(), []
    challenge = await want.answer("set_phone", client.set_phone(phone))
    otp = await secret_of(program, challenge, "devOtp", phone, CODE)
    await want.answer("confirm_phone", client.confirm_phone(challenge.get("challenge_id", "none"), otp))
    requested = await want.answer("rotate_token_request", client.rotate_token_request())
    want.both_casings("rotate_token_request", requested, challenge_id=text, phone_hint=f"+1{'*' * 8}{phone[-2:]}")
    await want.refusal(
        "a wrong code",
        client.rotate_token_confirm(requested.get("challenge_id", "none"), "abc"),
        (OTPInvalid, AccountsError),
        code="OTP_INVALID",
    )

    async def read_phone(hint):
        """The administrator reads the newest SMS."""
        hints.append(hint)
        await asyncio.sleep(0.1)
        sent = await simulator.newest(phone, more_than=2)
        return secret_in(sent, CODE) if sent else "000000"

    rotated = await want.answer("rotate_token", client.rotate_token(read_phone), token=text)
    want.same("the hint", hints, [f"+1{'*' * 8}{phone[-2:]}"])
    await program.settle()
    await want.refusal("the former token", client.get_account(), REVOKED)
    client = client.with_token(rotated.get("token", "none"))
    await want.answer("the new token", client.get_account(), org_id=text)
    await want.answer("revoke_token", client.revoke_token())
    await program.settle()
    await want.refusal("the revoked token", client.get_account(), REVOKED)


async def test_erasure_takes_two_steps(program, simulator, want):
    organization = await new_organization(program)
    client, mail = organization.client, organization.mail
    agent = await new_agent(program, client)
    await simulator.newest(mail)
    started = await want.answer(
        "start_erasure", client.start_erasure(), erasureRequestId=text, expiresAt=iso, message=text
    )
    sent = await simulator.newest(mail, more_than=1)
    token = await secret_of(program, started, "devConfirmationToken", mail, CONFIRMATION)
    want.that("the mail", sent and token in json.dumps(sent), sent, "a mail with the token")
    await want.refusal("a second start", client.start_erasure(), (RateLimitError, AccountsError), status_code=429)
    await want.answer("the account before the confirmation", client.get_account(), org_id=organization.id)
    await want.refusal("a wrong confirmation", client_of(program).confirm_erasure("unknown"), AccountsError)
    await want.answer("confirm_erasure", client_of(program).confirm_erasure(token))
    await program.settle()
    await want.refusal("a used confirmation", client_of(program).confirm_erasure(token), AccountsError)
    error = await want.refusal("the team token", client.get_account(), AuthError)
    want.that("the team token", getattr(error, "status_code", None) == 401, error, 401)
    want.shape("the agent's token", await agent.get_self(), status=401)
    registered = await want.answer("registration of the erased address", register_again(program, mail))
    want.that("its organization", registered.get("orgId") != organization.id, registered, "a new one")

    organization = await new_organization(program)
    started = await want.answer("start_erasure", organization.client.start_erasure())
    token = await secret_of(program, started, "devConfirmationToken", organization.mail, CONFIRMATION)
    await want.answer("confirm_erasure with force", client_of(program).confirm_erasure(token, force=True))
    await program.settle()
    await want.refusal("the team token", organization.client.get_account(), AuthError)


async def register_again(program, mail):
    return (await register(program, mail=mail))[1]


async def test_members_are_added_listed_and_removed(program, want):
    organization = await new_organization(program)
    client, org = organization.client, organization.id
    member = new_mail("bob+team")
    await want.answer("add_org_member", client.add_org_member(org, member, reason="on call"))
    await want.answer("add_org_member again", client.add_org_member(org, member))
    await want.answer("add_org_member with a role", client.add_org_member(org, new_mail("carol"), role="viewer"))

    async def listed():
        members = (await want.answer("list_org_members", client.list_org_members(org), members=list)).get(
            "members"
        ) or []
        return {one.get("email"): one for one in members}

    members = await listed()
    want.same("the members", len(members), 3)
    want.that("the owner", organization.mail in members, members, organization.mail)
    want.shape("the member", members.get(member), email=member, role="org-admin", addedAt=iso)
    memberships = await want.answer(
        "list_my_memberships", client.list_my_memberships(), email=organization.mail, memberships=list
    )
    mine = [one for one in memberships.get("memberships") or [] if one.get("orgId") == org]
    want.same("my memberships", len(mine), 1)
    want.shape("my membership", (mine or [{}])[0], orgId=org, orgName="Acme Inc", role=text, addedAt=iso)

    await want.answer("remove_org_member", client.remove_org_member(org, member))
    want.that("the removed member", member not in await listed(), member, "not listed")
    await want.answer("add_org_member after the removal", client.add_org_member(org, member))
    await want.answer("remove_org_member with a reason", client.remove_org_member(org, member, reason="left"))
    await want.refusal("removal of the last owner", client.remove_org_member(org, organization.mail), AccountsError)
    # Another organization looks like one that does not exist.
    other = (await new_organization(program)).id
    for what, call in [
        ("list", lambda id: client.list_org_members(id)),
        ("add", lambda id: client.add_org_member(id, new_mail())),
        ("remove", lambda id: client.remove_org_member(id, member)),
    ]:
        foreign = await want.refusal(f"{what}: another organization", call(other), AccountsError)
        unknown = await want.refusal(f"{what}: no organization", call("org_unknown"), AccountsError)
        seen = [(getattr(one, "code", None), getattr(one, "status_code", None), str(one)) for one in (foreign, unknown)]
        want.that(f"{what}: the refusals", seen[0] == seen[1], seen, "the same")
