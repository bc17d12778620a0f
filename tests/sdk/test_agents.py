"""Sections 3.1 and 3.2: agents, their tokens, channels, money, and the routes with the token of an agent."""

import asyncio
import json
import logging
import uuid

import buttdial._http
from buttdial import AccountsError, Agent, ButtDialError, NotProvisioned
from conftest import client_of, new_agent, new_organization, new_person, request
from deviations import identifier, iso, like, one_of, text

E164 = like(r"^\+[1-9]\d{6,14}$")
SUNSET = "Mon, 27 Jul 2026 00:00:00 GMT"
RECORD = {
    "id": text,
    "channelType": text,
    "identifier": text,
    "label": (None, str),
    "capabilities": list,
    "paused": bool,
    "primary": bool,
    "createdAt": iso,
}
CHANNELS = {"phone": True, "whatsapp": True, "voiceAi": True, "email": True}


async def with_channels(program, team, want, *channels):
    """Registers an agent and adds channels to it."""
    agent = await new_agent(program, team)
    for channel in channels:
        await want.answer(
            f"manage_agent_channel add {channel}", team.manage_agent_channel(agent.agent_id, "add", channel)
        )
    await program.settle()
    return agent


def added(want, what, answer, **fields):
    """Compares the record of a new channel, and returns its id. The contract names the answer `record`: the record is the body,
    and its field of that name, because both are readings of it."""
    want.shape(what, answer, **{**RECORD, **fields})
    want.shape(f"{what}: record", answer.get("record"), **{**RECORD, **fields})
    return answer.get("id") or (answer.get("record") or {}).get("id") or "none"


async def text_of(program, want, agent, what, person=None):
    """Sends an SMS, which needs neither a window nor a template."""
    sent = await agent.send_message(person or new_person(), "Hello", "sms")
    want.that(f"a send {what}", sent.ok, (sent.error_code, sent.error), "success")
    return sent


async def test_agents_are_registered_in_both_casings(program, team, want):
    id = str(uuid.uuid4())
    registered = await want.answer(
        "register_agent", team.register_agent(id, "Yuna", email="yuna@acme.example", phone="+14155550188")
    )
    want.both_casings("register_agent", registered, agent_id=id, agent_token=text)
    want.shape("register_agent", registered, token=registered.get("agent_token"))
    response = await request(
        program,
        "POST",
        "/api/v1/agents",
        program.account["teamToken"],
        {"agent_id": str(uuid.uuid4()), "display_name": "Yuna"},
    )
    want.same("register_agent: status", response.status_code, 201)
    found = await want.answer("get_agent", team.get_agent(id))
    want.both_casings(
        "get_agent",
        found,
        agent_id=id,
        display_name="Yuna",
        created_at=iso,
        callback_url=(None, ""),
        provisioned_at=None,
    )
    want.shape("get_agent", found, status=text, channels=(dict, list))
    await want.refusal(
        "an unknown agent",
        team.get_agent(str(uuid.uuid4())),
        NotProvisioned,
        code=one_of("AGENT_NOT_FOUND", "AGENT_NOT_PROVISIONED", "NOT_PROVISIONED"),
        status_code=one_of(404, 410),
    )
    await want.refusal("a registered id", team.register_agent(id, "Other"), AccountsError, code="ALREADY_EXISTS")
    for path in ("/api/v1/agents/me", f"/api/v1/agents/{id}"):
        response = await request(
            program, "GET", path, registered.get("token") if path.endswith("me") else program.account["teamToken"]
        )
        want.that(
            f"{path} is not deprecated", "deprecation" not in response.headers, dict(response.headers), "no Deprecation"
        )
    for what, token in (
        ("an agent", registered.get("token")),
        ("another organization", (await other_team(program, want)).team_token),
    ):
        await want.refusal(f"get_agent by {what}", client_of(program, token).get_agent(id), ButtDialError)


async def other_team(program, want):
    """The client of another organization; or one without a valid token."""
    try:
        return (await new_organization(program)).client
    except ButtDialError as error:
        want.deviates("another organization", error, "a registration")
        return client_of(program, "none")


async def test_agent_sends_after_it_has_channels(program, team, want):
    agent = await new_agent(program, team)
    sent = await agent.send_message(new_person(), "Hello", "sms")
    want.same("a send without channels", sent.error_code, "NO_CHANNEL_ASSIGNED")
    me = await want.answer("get_self", agent.get_self(), lifecycleState="registered")
    want.that("the channels", not me.get("channels"), me.get("channels"), "none")
    for channel in ("phone", "whatsapp", "email"):
        await want.answer(
            f"manage_agent_channel add {channel}",
            team.manage_agent_channel(agent.agent_id, "add", channel, options={"country": "US"}),
        )
    await program.settle()
    me = await want.answer("get_self", agent.get_self(), lifecycleState="provisioned", provisionedAt=iso)
    want.shape("its channels", me.get("channels"), phone=E164, whatsapp=E164, email=like("@"))
    found = await want.answer("get_agent", team.get_agent(agent.agent_id))
    want.both_casings("get_agent", found, provisioned_at=iso)
    person = new_person()
    await text_of(program, want, agent, "with a number", person)
    delivered = await program.simulator.newest(person, seconds=1)
    want.that(
        "the message",
        delivered and delivered["from"] == (me.get("channels") or {}).get("phone"),
        delivered,
        "from its number",
    )

    tokens = await want.answer("list_agent_tokens", team.list_agent_tokens(agent.agent_id), tokens=list)
    last_four = agent.agent_token[-4:]
    want.shape(
        "a token",
        (tokens.get("tokens") or [{}])[0],
        id=text,
        last_four=last_four,
        created_at=iso,
        last_used_at=(None, iso),
        ip_hint=(None, text),
    )
    former = agent.agent_token
    regenerated = await want.answer("regenerate_agent_token", team.regenerate_agent_token(agent.agent_id), token=text)
    await program.settle()
    want.shape(
        "the former token",
        await Agent(program.url, agent_token=former).get_self(),
        code="AUTH_TOKEN_REVOKED",
        status=401,
    )
    agent.agent_token = regenerated.get("token", "none")
    await text_of(program, want, agent, "with the new token")
    tokens = await want.answer("list_agent_tokens", team.list_agent_tokens(agent.agent_id), tokens=list)
    want.same("the tokens", len(tokens.get("tokens") or []), 1)
    await want.refusal("tokens of an unknown agent", team.list_agent_tokens(str(uuid.uuid4())), NotProvisioned)
    for channel in ("email", "whatsapp"):
        await want.answer(
            f"manage_agent_channel remove {channel}", team.manage_agent_channel(agent.agent_id, "remove", channel)
        )
    await program.settle()
    me = await want.answer("get_self", agent.get_self())
    want.same("the channels left", sorted(set(me.get("channels") or {}) - {"voice", "voiceAi"}), ["phone"])
    for what, action, channel in (("action", "paint", "phone"), ("channel", "add", "pigeon")):
        await want.refusal(
            f"an unknown {what}",
            team.manage_agent_channel(agent.agent_id, action, channel),
            AccountsError,
            status_code=400,
        )


async def test_comm_channels_are_records(program, team, simulator, want):
    agent = await new_agent(program, team)
    path, token = f"/api/v1/agents/{agent.agent_id}/comm-channels", program.account["teamToken"]
    response = await request(
        program, "POST", path, token, {"channel_type": "phone", "label": "Front desk", "capabilities": ["sms", "voice"]}
    )
    want.same("POST: status", response.status_code, 201)
    phone = added(want, "POST", response.json(), channelType="phone", identifier=E164, label="Front desk")
    local_part = f"yuna-{uuid.uuid4().hex[:8]}"
    answer = await want.answer(
        "add_agent_comm_channel email",
        team.add_agent_comm_channel(agent.agent_id, "email", email_local_part=local_part),
    )
    mail = added(want, "add_agent_comm_channel email", answer, channelType="email", identifier=like(f"^{local_part}@"))
    answer = await want.answer(
        "add_agent_comm_channel whatsapp", team.add_agent_comm_channel(agent.agent_id, "whatsapp")
    )
    whatsapp = added(want, "add_agent_comm_channel whatsapp", answer, channelType="whatsapp")
    listed = await want.answer("list_agent_comm_channels", team.list_agent_comm_channels(agent.agent_id), records=list)
    records = {one.get("id"): one for one in listed.get("records") or []}
    want.same("the records", len(records), 3)
    for record in records.values():
        want.shape("a record", record, **RECORD)

    await want.answer("update_comm_channel", team.update_comm_channel(phone, label="Night desk", paused=True))
    await program.settle()
    listed = (await want.answer("list", team.list_agent_comm_channels(agent.agent_id))).get("records") or []
    changed = next((one for one in listed if one.get("id") == phone), {})
    want.shape("the updated record", changed, label="Night desk", paused=True)
    sent = await agent.send_message(new_person(), "Hello", "sms")
    want.that("a send from a paused channel", sent.failed and sent.stage_failed == "server", sent, "a refusal")
    await want.answer("update_comm_channel back", team.update_comm_channel(phone, paused=False, primary=True))
    await program.settle()
    await text_of(program, want, agent, "from a resumed channel")
    await want.answer("delete_comm_channel", team.delete_comm_channel(mail))
    listed = (await want.answer("list", team.list_agent_comm_channels(agent.agent_id))).get("records") or []
    want.same("the records after the removal", sorted(one.get("id") for one in listed), sorted([phone, whatsapp]))
    await want.refusal("a removed record", team.update_comm_channel(mail, label="x"), ButtDialError, status_code=404)
    foreign = await other_team(program, want)
    await want.refusal(
        "another organization's update", foreign.update_comm_channel(phone, label="x"), ButtDialError, status_code=404
    )
    await want.refusal(
        "another organization's removal", foreign.delete_comm_channel(phone), ButtDialError, status_code=404
    )

    # The vendor sells the number and refuses its webhooks: nothing is left of it.
    bare = await new_agent(program, team)
    for what, call in [
        ("comm-channels", lambda: team.add_agent_comm_channel(bare.agent_id, "phone")),
        ("channels", lambda: team.manage_agent_channel(bare.agent_id, "add", "phone")),
    ]:
        await simulator.post("/misbehave", {"vendor": "twilio", "kind": "slow", "delay_ms": 0, "times": 1})
        await simulator.post(
            "/misbehave", {"vendor": "twilio", "kind": "refuse", "status": 400, "code": "21502", "times": 1}
        )
        await want.refusal(
            f"{what}: refused webhooks", call(), AccountsError, code="PROVIDER_WEBHOOK_WIRE_FAILED", status_code=502
        )
        await simulator.post("/behave", {"vendor": "twilio"})
        listed = await want.answer("list", team.list_agent_comm_channels(bare.agent_id), records=list)
        want.same(f"{what}: the records left", listed.get("records"), [])


async def test_provision_and_onboard_are_deprecated(program, team, host, caplog, want):
    caplog.set_level(logging.WARNING, "buttdial")
    buttdial._http._DEPRECATION_LOGGED.clear()
    agent = await new_agent(program, team)
    provisioned = await want.answer(
        "provision_channels",
        team.provision_channels(
            agent.agent_id,
            display_name="Yuna",
            callback_url=host.callback,
            capabilities=CHANNELS,
            language="en-US",
            gender="female",
            voice_id="alloy",
            greeting="Hi!",
            system_prompt="Be brief.",
        ),
        success=True,
        agentId=agent.agent_id,
        agentName="Yuna",
        token=text,
        channels=dict,
    )
    want.shape("its channels", provisioned.get("channels"), phone=object, whatsapp=object, email=object, voice=object)
    await program.settle()
    want.shape("the superseded token", await agent.get_self(), code="AUTH_TOKEN_REVOKED", status=401)
    agent.agent_token = provisioned.get("token", "none")
    await text_of(program, want, agent, "after provision")
    await want.answer("get_self", agent.get_self(), callbackUrl=host.callback, lifecycleState="provisioned")
    shared = await new_agent(program, team, "Pooled")
    pooled = await want.answer(
        "provision_channels shared",
        team.provision_channels(
            shared.agent_id,
            display_name="Pooled",
            callback_url=host.callback,
            capabilities={"phone": True},
            identity_mode="shared",
        ),
        success=True,
        token=text,
    )
    want.that("a shared identity", pooled.get("token") != shared.agent_token, "the former token", "a new token")

    onboarded = await want.answer(
        "onboard",
        team.onboard("Nova", capabilities={"phone": True}, greeting="Hi!", system_prompt="Be brief."),
        agentId=text,
        token=text,
        channels=dict,
    )
    nova = Agent(program.url, agent_token=onboarded.get("token", "none"))
    await text_of(program, want, nova, "after onboard")
    id = str(uuid.uuid4())
    await want.answer("onboard with an id", team.onboard("Nova", agent_id=id), agentId=id, token=text)
    for path in ("/api/v1/provision", "/api/v1/onboard"):
        warnings = [
            record.getMessage() for record in caplog.records if f"POST {path} is deprecated" in record.getMessage()
        ]
        want.that(
            f"{path}: the client's warning",
            len(warnings) == 1 and SUNSET in warnings[0],
            warnings,
            f"one warning with {SUNSET}",
        )
        response = await request(program, "POST", path, program.account["teamToken"], {})
        want.same(f"{path} without fields: status", response.status_code, 400)
        want.shape(f"{path} without fields", response.json(), code="MISSING_FIELDS", fields=list, error=text)
        body = {
            "agentId": str(uuid.uuid4()),
            "agentName": "Nova",
            "callbackUrl": host.callback,
            "capabilities": {"phone": True},
        }
        response = await request(program, "POST", path, program.account["teamToken"], body)
        want.same(f"{path}: status", response.status_code, one_of(200, 201))
        want.same(f"{path}: Sunset", response.headers.get("sunset"), SUNSET)
        want.same(f"{path}: Deprecation", response.headers.get("deprecation"), text)
        want.same(f"{path}: Link", response.headers.get("link"), like(r'</api/v1/agents>; *rel="successor-version"'))

    # A host of an agent that was provisioned has no other secret than that of the registration, unless the answer has one.
    organization = await new_organization(program)
    hosted = await new_agent(program, organization.client)
    provisioned = await want.answer(
        "provision",
        organization.client.provision_channels(
            hosted.agent_id,
            display_name="Yuna",
            callback_url=host.callback,
            capabilities={"phone": True, "whatsapp": True},
        ),
    )
    number = (provisioned.get("channels") or {}).get("whatsapp") or {}
    number = number.get("phoneNumber") or number.get("number") if isinstance(number, dict) else number
    if want.that("the WhatsApp number", number, provisioned, "a number"):
        host.handler.whatsapp_webhook_secret = provisioned.get("webhookSecret") or organization.secret
        await program.simulator.person_writes("whatsapp", new_person(), number, "Hello!")
        callbacks = await host.wait(lambda: host.requests_to("/hook/whatsapp"))
        want.that(
            "a callback signed with the webhookSecret", callbacks and callbacks[0].status == 200, callbacks, "200"
        )


async def test_deprovision_and_release_return_numbers(program, team, want):
    agent = await with_channels(program, team, want, "phone", "whatsapp")
    number = ((await agent.get_self()).get("channels") or {}).get("phone", "none")
    await want.answer("deprovision", team.deprovision(agent.agent_id))
    await program.settle()
    me = await want.answer("get_self", agent.get_self())
    want.that("the channels", not me.get("channels"), me.get("channels"), "none")
    sent = await agent.send_message(new_person(), "Hello", "sms")
    want.same("a send afterwards", sent.error_code, "NO_CHANNEL_ASSIGNED")
    await want.refusal("an unknown agent", team.deprovision(str(uuid.uuid4())), NotProvisioned)
    kept = await with_channels(program, team, want, "phone")
    number = ((await kept.get_self()).get("channels") or {}).get("phone", "none")
    await want.answer("deprovision that keeps the number", team.deprovision(kept.agent_id, release_number=False))
    await want.answer("the kept number", team.add_agent_comm_channel(kept.agent_id, "phone", identifier=number))
    await program.settle()
    me = await want.answer("get_self", kept.get_self())
    want.same("its number", (me.get("channels") or {}).get("phone"), number)

    other = await with_channels(program, team, want, "phone", "whatsapp")
    channels = (await other.get_self()).get("channels") or {}
    await want.answer(
        "release_number of a WhatsApp sender", team.release_number(channels.get("whatsapp", "none"), source="whatsapp")
    )
    await program.settle()
    me = await want.answer("get_self", other.get_self())
    want.that(
        "the channels without the sender",
        not (me.get("channels") or {}).get("whatsapp") and (me.get("channels") or {}).get("phone"),
        me.get("channels"),
        "phone",
    )
    await want.answer("release_number", team.release_number(channels.get("phone", "none")))
    await program.settle()
    me = await want.answer("get_self", other.get_self())
    want.that("the channels", not me.get("channels"), me.get("channels"), "none")
    await want.refusal("a number without an owner", team.release_number("+14155550199"), ButtDialError, status_code=404)


async def test_billing_and_limits_are_configured(program, team, want):
    agent = await with_channels(program, team, want, "phone")
    await want.answer(
        "set_billing_config",
        team.set_billing_config(
            agent_id=agent.agent_id, tier="starter", markup_percent=25, billing_email="bills@acme.example"
        ),
    )
    await program.settle()
    usage = await agent.fetch_usage_summary() or {}
    want.shape(
        "the limits of the tier",
        usage.get("limits"),
        maxActionsPerMinute=10,
        maxActionsPerHour=100,
        maxActionsPerDay=500,
        maxSpendPerDay=10,
        maxSpendPerMonth=100,
    )
    await text_of(program, want, agent, "with a markup")
    income = await want.answer("get_income", agent.get_income(), providerCost=float, billedCost=float, income=float)
    cost, billed = income.get("providerCost") or 0, income.get("billedCost") or 0
    want.that("the markup", cost > 0 and abs(billed - cost * 1.25) < 1e-6, (cost, billed), "25 %")
    for what, options in [
        ("a markup above 500", {"markup_percent": 501}),
        ("a negative markup", {"markup_percent": -1}),
        ("an unknown tier", {"tier": "gold"}),
        ("an invalid address", {"billing_email": "no address"}),
    ]:
        await want.refusal(
            what, team.set_billing_config(agent_id=agent.agent_id, **options), AccountsError, status_code=400
        )
    await want.answer(
        "set_billing_config of the organization", team.set_billing_config(billing_email="bills@acme.example")
    )

    await want.answer(
        "set_client_limits",
        team.set_client_limits({"maxActionsPerMinute": 1, "maxSpendPerDay": 5.5}, agent_id=agent.agent_id),
    )
    await program.settle()
    usage = await agent.fetch_usage_summary() or {}
    want.shape("the limits", usage.get("limits"), maxActionsPerMinute=1, maxSpendPerDay=5.5, maxActionsPerHour=100)
    sends = [await agent.send_message(new_person(), "Hello", "sms") for _ in range(3)]
    want.same("sends beyond the limit", sends[-1].error_code, "RATE_LIMITED")
    want.same("their remediation", sends[-1].remediation, text)
    await want.answer(
        "null removes a limit", team.set_client_limits({"maxActionsPerMinute": None}, agent_id=agent.agent_id)
    )
    await program.settle()
    usage = await agent.fetch_usage_summary() or {}
    want.that(
        "the removed limit", (usage.get("limits") or {}).get("maxActionsPerMinute") is None, usage.get("limits"), "none"
    )
    await text_of(program, want, agent, "without a limit")
    await want.refusal("an unknown agent", team.set_client_limits({}, agent_id=str(uuid.uuid4())), NotProvisioned)
    await want.refusal(
        "a negative limit",
        team.set_client_limits({"maxActionsPerDay": -1}, agent_id=agent.agent_id),
        AccountsError,
        status_code=400,
    )


async def test_agent_reads_its_own_state(program, simulator, agent, want):
    await agent.set_callback_url("")
    me = await want.answer(
        "get_self",
        agent.get_self(),
        agentId=agent.agent_id,
        displayName=text,
        status="active",
        lifecycleState="provisioned",
        createdAt=iso,
        provisionedAt=iso,
    )
    want.shape("its channels", me.get("channels"), phone=E164, whatsapp=E164, email=like("@"))
    same = await want.answer("get_me", agent.get_me())
    want.that("get_me", same == me, same, "the same as get_self")
    status = await want.answer("get_channel_status", agent.get_channel_status(), channels=dict)
    for name in ("phone", "whatsapp", "email", "voiceAi"):
        want.shape(f"the status of {name}", status.get(name), status=text)
    nested = status.get("channels") or {}
    want.shape("the nested phone", nested.get("phone"), number=E164, status=text)
    want.shape("the nested whatsapp", nested.get("whatsapp"), phoneNumber=E164, status=text)
    want.shape("the nested email", nested.get("email"), address=like("@"), status=text)
    for period in ("today", "week", "month", "all"):
        await want.answer(f"get_billing {period}", agent.get_billing(period=period))
    want.shape("get_billing of an unknown period", await agent.get_billing(period="decade"), status=400, code=text)
    usage = await agent.fetch_usage_summary()
    want.shape(
        "fetch_usage_summary",
        usage,
        agentId=agent.agent_id,
        totalActions=int,
        actions=dict,
        currency="USD",
        limits=dict,
    )
    usage = usage or {}
    want.shape(
        "costsByChannel",
        usage.get("costsByChannel"),
        **dict.fromkeys(("sms", "whatsapp", "email", "voice", "telegram", "line"), float),
    )
    want.shape("period", usage.get("period"), name=text, start=text, end=text, timezone=text)
    want.shape(
        "currentUsage",
        usage.get("currentUsage"),
        spendToday=float,
        spendDayLimit=(None, float),
        spendMonth=float,
        spendMonthLimit=(None, float),
    )
    voices = await want.answer("list_voices", agent.list_voices(), voices=list, count=int)
    want.same("the count of voices", voices.get("count"), len(voices.get("voices") or []) or 1)

    await agent.get_waiting_messages()
    to, people = program.account, [new_person(), new_person()]
    await simulator.person_writes("sms", people[0], to["phoneNumber"], "By SMS")
    await simulator.person_writes("whatsapp", people[1], to["whatsappNumber"], "By WhatsApp")
    await program.settle()
    waiting = {}
    for _ in range(30):
        waiting = await want.answer(
            "get_waiting_messages by SMS", agent.get_waiting_messages(channel="sms"), messages=list, count=int
        )
        if waiting.get("count"):
            break
        await asyncio.sleep(0.1)
    message = (waiting.get("messages") or [{}])[0]
    want.same("the count", waiting.get("count"), 1)
    want.shape(
        "a waiting message",
        message,
        id=text,
        messageId=text,
        type="message",
        channel="sms",
        to=to["phoneNumber"],
        body="By SMS",
        timestamp=iso,
        **{"from": people[0]},
    )
    for _ in range(30):
        waiting = await want.answer(
            "get_waiting_messages", agent.get_waiting_messages(limit=1), messages=list, count=int
        )
        if waiting.get("count"):
            break
        await asyncio.sleep(0.1)
    want.same("the other message", [one.get("body") for one in waiting.get("messages") or []], ["By WhatsApp"])
    waiting = await want.answer("get_waiting_messages again", agent.get_waiting_messages(), messages=list, count=0)


async def test_agent_sets_its_callback_and_status(program, guarded, host, want):
    agent = Agent(guarded.url, agent_token=guarded.account["agentToken"])
    for url in ("http://acme.example/hook", "https://127.0.0.1/hook", "https://169.254.169.254/", "not a URL"):
        want.shape(f"callback {url}", await agent.set_callback_url(url), status=400, code=text, error=text)
    await want.answer("set_callback_url", agent.set_callback_url("https://acme.example/hook"))
    want.shape("get_self", await agent.get_self(), callbackUrl="https://acme.example/hook")

    organization = await new_organization(program, webhook_url=f"{host.url}/account/status")
    await host.wait(lambda: host.requests_to("/account/status"))
    agent = await new_agent(program, organization.client)
    await want.answer("a callback", agent.set_callback_url(host.generic_callback))
    for status in ("inactive", "active"):
        await want.answer(f"set_client_status {status}", agent.set_client_status(status, reason="maintenance"))
        found = await want.answer("get_agent", organization.client.get_agent(agent.agent_id))
        want.shape(f"the agent with {status}", found, status=status)
    want.shape("an unknown status", await agent.set_client_status("asleep"), status=400, code=text, error=text)
    await want.answer("set_client_status suspended", agent.set_client_status("suspended", reason="fraud"))
    await program.settle()
    found = await want.answer("get_agent", organization.client.get_agent(agent.agent_id))
    want.shape("the suspended agent", found, status="suspended")

    def suspensions():
        return [
            one
            for one in host.requests
            if b"agent.suspended" in one.body or one.headers.get("x-bd-event") == "agent.suspended"
        ]

    events = await host.wait(suspensions)
    if want.that("agent.suspended", events, [one.path for one in host.requests], "an event"):
        event = events[0]
        want.shape("its headers", event.headers, **{"x-bd-event": "agent.suspended", "x-bd-delivery-id": identifier})
        want.that("its signature", event.is_signed_with(organization.secret), event.headers, "the webhookSecret's")
        want.that("its agent", agent.agent_id in event.body.decode(), json.loads(event.body), agent.agent_id)
    sent = await agent.send_message(new_person(), "Hello", "sms")
    want.that("a send of a suspended agent", sent.failed, sent, "a refusal")
