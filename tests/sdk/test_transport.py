"""Sections 0 and 1: the SSE transport, results of tools, idempotency, authentication, and live push."""

import asyncio
import contextlib
import datetime
import json
import time
import uuid

import httpx
from mcp import ClientSession
from mcp.client.sse import sse_client

from buttdial import Agent, AuthInvalidTokenError, AuthLockedOutError, RevokedToken
from conftest import client_of, new_agent, new_person, request
from deviations import iso, like, one_of, text

# Section 2, with the scope of each tool.
AGENT_TOOLS = """
    send_message whatsapp_action make_call transfer_call call_on_behalf send_voice_message generate_tts set_voice_callback
    create_session get_session list_sessions close_session check_consent record_consent revoke_consent check_trust grant_trust
    revoke_trust send_otp verify_otp validate_number find_agent get_contact_profile get_group_members get_message_status
    subscribe_inbound manage_inbound_filter get_income get_usage_dashboard get_billing_summary update_profile message_agent
    rotate_token get_me
""".split()
ADMIN_TOOLS = """
    register_provider expand_client_pool list_available_numbers bridge_call manage_channel deprovision_channels
    set_client_limits onboard_customer
""".split()
SCOPES = {
    **dict.fromkeys(AGENT_TOOLS, "agent"),
    **dict.fromkeys(ADMIN_TOOLS, "org-admin"),
    **dict.fromkeys(("create_team", "list_teams"), "super-admin"),
    "ping": "any",
}


@contextlib.asynccontextmanager
async def session_of(agent, logging_callback=None):
    """A session like the client's own."""
    headers = {"Authorization": f"Bearer {agent.agent_token}"}
    async with sse_client(agent.sse_url, headers=headers) as (read, write):
        async with ClientSession(read, write, logging_callback=logging_callback) as session:
            yield session


class Stream:
    """The events of a raw SSE stream."""

    def __init__(self, response):
        self.lines = response.aiter_lines()

    async def event(self, seconds=5.0):
        """Returns the name and the data of the next event; ("end", "") if the stream is closed."""
        name, data = "message", []
        async with asyncio.timeout(seconds):
            async for line in self.lines:
                if line.startswith("event:"):
                    name = line[6:].strip()
                elif line.startswith("data:"):
                    data.append(line[5:].strip())
                elif not line and data:
                    return name, "\n".join(data)
        return "end", ""

    async def answer_to(self, number, seconds=5.0):
        """Returns the next JSON-RPC message with this id; None if the stream is closed before."""
        while True:
            name, data = await self.event(seconds)
            if name == "end":
                return None
            message = json.loads(data)
            if message.get("id") == number and "method" not in message:
                return message


@contextlib.asynccontextmanager
async def raw_stream(program, token, prefix=""):
    """Opens /sse; yields its first event, the stream, and a function that posts to the endpoint."""
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream", "User-Agent": "buttdial-python/0.9.0"}
    async with httpx.AsyncClient(timeout=httpx.Timeout(10, read=None), headers=headers) as client:
        async with client.stream("GET", f"{program.url}{prefix}/sse") as response:
            stream = Stream(response)
            first = await stream.event()

            async def post(content):
                content = content if isinstance(content, (str, bytes)) else json.dumps(content)
                url = httpx.URL(program.url).join(first[1])
                return await client.post(url, content=content, headers={"Content-Type": "application/json"})

            yield response, first, stream, post


def initialize(version="2024-11-05", number=0):
    client = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "mcp", "version": "0.1.0"}}
    return {"jsonrpc": "2.0", "id": number, "method": "initialize", "params": client}


async def test_sse_handshake_follows_the_contract(program, gated, agent, want):
    async with raw_stream(program, agent.agent_token) as (response, (name, endpoint), stream, post):
        want.same("GET /sse", response.status_code, 200)
        want.same("the content type", response.headers.get("content-type"), like("^text/event-stream"))
        want.same("the first event", name, "endpoint")
        url = httpx.URL(program.url).join(endpoint)
        want.that("the endpoint has the same origin", str(url).startswith(program.url), endpoint, program.url)
        posted = await post(initialize())
        want.same("POST of initialize", posted.status_code, one_of(200, 202))
        answer = (await stream.answer_to(0) or {}).get("result", {})
        # The oldest mcp package offers this version and accepts no other.
        want.shape("initialize with 2024-11-05", answer, protocolVersion="2024-11-05", serverInfo=dict)
    async with session_of(agent) as session:
        answer = await session.initialize()
        answer = answer.model_dump(by_alias=True)
        want.shape("initialize", answer, protocolVersion=one_of("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"))
        want.shape("serverInfo", answer["serverInfo"], name="butt-dial-mcp", version=like(r"^1\."))
        want.same("the instructions recommend comms_get_me", answer.get("instructions"), like("comms_get_me"))
    want.same(
        "ping with /sse in the base URL", await Agent(f"{program.url}/sse", agent_token=agent.agent_token).ping(), True
    )
    async with raw_stream(gated, gated.account["agentToken"], prefix="/bd") as (_, (_, endpoint), _, post):
        want.same("the endpoint behind a prefix", httpx.URL(gated.url).join(endpoint).path, like("^/bd/"))
    behind_prefix = Agent(f"{gated.url}/bd", agent_token=gated.account["agentToken"])
    want.same("ping behind a prefix", await behind_prefix.ping(), True)


async def test_all_tools_are_listed_in_one_page(program, gated, agent, admin, want):
    listed = await Agent(gated.url, agent_token=gated.account["agentToken"]).list_tools()
    missing = [name for name in SCOPES if f"comms_{name}" not in listed]
    want.that("the tools with TOOL_LISTING=all", not missing, f"missing: {' '.join(missing)}", "all 45 tools")
    # The client reads only the first page, and checks declared schemas against content that it does not get.
    gated_agent = Agent(gated.url, agent_token=gated.account["agentToken"])
    async with session_of(gated_agent) as session:
        await session.initialize()
        page = (await session.list_tools()).model_dump(by_alias=True)
    want.same("nextCursor", page.get("nextCursor"), (None, ""))
    for tool in page["tools"]:
        name = tool["name"].removeprefix("comms_")
        want.that(f"{tool['name']} has no outputSchema", not tool.get("outputSchema"), tool.get("outputSchema"), None)
        if scope := SCOPES.get(name):
            want.same(f"the description of {tool['name']}", tool["description"], like(rf"\[scope: {scope}\]"))
    own = await agent.list_tools()
    shown = [name for name in ADMIN_TOOLS if f"comms_{name}" in own]
    want.that("an agent's tools by default", not shown, shown, "no tools of administrators")
    missing = [name for name in AGENT_TOOLS if f"comms_{name}" not in own]
    want.that("an agent's tools by default", not missing, f"missing: {' '.join(missing)}", "all tools of agents")
    own = await admin.list_tools()
    missing = [name for name in ADMIN_TOOLS if f"comms_{name}" not in own]
    want.that("an administrator's tools by default", not missing, f"missing: {' '.join(missing)}", "all of ADMIN_TOOLS")


async def test_tool_failures_are_results_with_an_envelope(program, agent, team, want):
    async def call(tool, arguments):
        async with session_of(agent) as session:
            await session.initialize()
            result = (await session.call_tool(tool, arguments)).model_dump(by_alias=True)
        return result["isError"], json.loads(result["content"][0]["text"])

    for what, tool, arguments in [
        ("no argument", "comms_send_message", {}),
        ("a number as recipient", "comms_send_message", {"to": 5, "channel": "sms", "body": "x"}),
        ("no recipient of a call", "comms_make_call", {}),
        ("a scope that the agent lacks", "comms_bridge_call", {"action": "list"}),
        ("a scope that no organization has", "comms_list_teams", {}),
        ("an unknown session", "comms_get_session", {"sessionId": "no-such-session", "historyLimit": 20}),
    ]:
        try:
            is_error, envelope = await call(tool, arguments)
        except Exception as error:
            want.deviates(what, repr(error), "a result with isError")
            continue
        want.same(f"{what}: isError", is_error, True)
        want.shape(what, envelope, error=text, code=text)
        if "scope" in what:
            want.shape(what, envelope, error=like("access required"))
    is_error, answer = await call("comms_ping", {"unknown": 1})
    want.that("an unknown argument", not is_error and answer.get("status"), answer, "success")

    refused = await agent.send_message("12", "x", "sms")
    want.that("an invalid recipient", refused.failed and refused.stage_failed == "server", refused, "stage server")
    want.same("its code", refused.error_code, "INVALID_RECIPIENT")
    want.same("its remediation", refused.remediation, text)
    bare = await new_agent(program, team)
    refused = await bare.send_message(new_person(), "x")
    want.that("a send without a sender", refused.failed and refused.stage_failed == "server", refused, "stage server")
    want.same("its code", refused.error_code, "NO_CHANNEL_ASSIGNED")
    want.same("its channel", refused.error_channel, "whatsapp")
    want.same("its remediation", refused.remediation, text)


async def test_posts_are_accepted_and_fail_on_the_stream(program, agent, want):
    # The client hangs if the POST is refused.
    async with raw_stream(program, agent.agent_token) as (_, _, stream, post):
        await post(initialize())
        await stream.answer_to(0)
        want.same(
            "a notification",
            (await post({"jsonrpc": "2.0", "method": "notifications/initialized"})).status_code,
            one_of(200, 202),
        )
        for number, (what, message) in enumerate(
            [
                ("an unknown method", {"jsonrpc": "2.0", "id": 1, "method": "no/such/method"}),
                (
                    "an unknown tool",
                    {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "no_such_tool"}},
                ),
                (
                    "arguments that are a list",
                    {
                        "jsonrpc": "2.0",
                        "id": 3,
                        "method": "tools/call",
                        "params": {"name": "comms_ping", "arguments": [1]},
                    },
                ),
                (
                    "parameters with _meta",
                    {
                        "jsonrpc": "2.0",
                        "id": 4,
                        "method": "tools/call",
                        "params": {"_meta": {}, "name": "comms_ping", "arguments": {}},
                    },
                ),
                ("a list of tools after a call", {"jsonrpc": "2.0", "id": 5, "method": "tools/list"}),
            ],
            start=1,
        ):
            want.same(f"POST of {what}", (await post(message)).status_code, one_of(200, 202))
            try:
                answer = await stream.answer_to(number)
                want.that(what, answer and ("error" in answer or "result" in answer), answer, "an answer on the stream")
            except TimeoutError:
                want.deviates(what, "nothing within 5 s", "an answer on the stream")
    for what, content in [
        ("no JSON", "{"),
        ("an empty body", ""),
        ("no request", "[]"),
        ("a large body", '{"x":"' + "x" * 5_000_000 + '"}'),
    ]:
        async with raw_stream(program, agent.agent_token) as (_, _, stream, post):
            await post(initialize())
            await stream.answer_to(0)
            want.same(f"POST of {what}", (await post(content)).status_code, one_of(200, 202))
            try:
                name, data = await stream.event()
                want.that(
                    what,
                    name == "end" or "error" in json.loads(data),
                    (name, data),
                    "an error, or the end of the stream",
                )
            except TimeoutError:
                want.deviates(what, "nothing within 5 s", "an error, or the end of the stream")


async def test_repeated_sends_return_the_first_result(program, simulator, agent, want):
    person, key = new_person(), str(uuid.uuid4())
    first, second = await asyncio.gather(
        *(agent.send_message(person, "Once", "sms", idempotency_key=key) for _ in range(2))
    )
    third = await agent.send_message(person, "Once", "sms", idempotency_key=key)
    want.that("the sends", first.ok and second.ok and third.ok, (first, second, third), "success")
    want.same("messageId is a string", first.message_sid, text)
    want.same("the ids", [second.message_sid, third.message_sid], [first.message_sid] * 2)
    want.same("what the person received", len(await simulator.messages(person)), 1)
    other = await agent.send_message(person, "Another text", "sms", idempotency_key=key)
    want.that("another text with the same key", other.failed and other.error_code, other, "a refusal")
    fresh = await agent.send_message(person, "Once", "sms")
    want.that(
        "the same text with a new key", fresh.ok and fresh.message_sid != first.message_sid, fresh, "a second message"
    )
    # An id that is no string fails in the client, and an image before the text is no result.
    content = fresh.raw.content[0] if fresh.raw else None
    want.that("the first content", getattr(content, "type", None) == "text", content, "text")


async def test_auth_failures_have_the_documented_bodies(program, team, agent, want):
    paths = [("GET", "/sse"), ("POST", "/messages?sessionId=1"), ("GET", "/api/v1/agents/me"), ("GET", "/api/orgs/me")]
    revoked = await new_agent(program, team)
    await want.answer("regenerate_agent_token", team.regenerate_agent_token(revoked.agent_id), token=text)
    await program.settle()
    for method, path in paths:
        for what, token, code in [
            ("no header", None, "AUTH_MISSING_HEADER"),
            ("an unknown token", "bda_unknown", "AUTH_INVALID_TOKEN"),
            ("a revoked token", revoked.agent_token, "AUTH_TOKEN_REVOKED"),
        ]:
            response = await request(program, method, path, token)
            want.same(f"{path} with {what}: status", response.status_code, 401)
            body = response.json() if "json" in response.headers.get("content-type", "") else response.text
            want.shape(f"{path} with {what}", body, error=text, code=code, retryable=False)
            if what == "an unknown token":
                want.shape(f"{path} with {what}", body, remainingAttempts=9)
    team_token = program.account["teamToken"]
    for method, path in paths[:3]:
        response = await request(program, method, path, team_token)
        want.same(f"{path} with a team token: status", response.status_code, 401)
        want.shape(f"{path} with a team token", response.json(), error=text, code="AUTH_WRONG_SCOPE", retryable=False)

    unknown = client_of(program, "bdt_unknown")
    error = await want.refusal("an unknown team token", unknown.get_account(), AuthInvalidTokenError, retryable=False)
    again = await want.refusal("again", unknown.get_account(), AuthInvalidTokenError, status_code=401)
    counts = [getattr(one, "remaining_attempts", None) for one in (error, again)]
    want.that("the countdown", counts == [9, 8], counts, "9, then 8")
    await want.refusal("a revoked token", client_of(program, revoked.agent_token).get_account(), RevokedToken)
    # The routes of agents return the body, and the status if the body has none.
    body = await Agent(program.url, agent_token="bda_unknown").get_self()
    want.shape("get_self with an unknown token", body, code="AUTH_INVALID_TOKEN", status=401)
    # The packages wrap the refusal, so that the client cannot know it.
    sent = await Agent(program.url, agent_token="bda_unknown", max_send_attempts=1).send_message(new_person(), "x")
    want.that("send_message with an unknown token", sent.failed and sent.stage_failed == "transport", sent, "transport")
    want.same("the agent's token still works", (await agent.get_self()).get("agentId"), agent.agent_id)


async def test_ten_failures_lock_the_address_out(program, want):
    client = client_of(program, "bdt_unknown")
    for _ in range(10):
        await want.refusal("a failure", client.get_account(), AuthInvalidTokenError)
    await program.settle()
    before = datetime.datetime.now(datetime.UTC)
    error = await want.refusal(
        "the eleventh failure",
        client.get_account(),
        AuthLockedOutError,
        status_code=429,
        retryable=True,
        code="AUTH_LOCKED_OUT",
    )
    seconds, until = getattr(error, "retry_after_seconds", None), getattr(error, "locked_until", None)
    want.that("retry_after_seconds", isinstance(seconds, int) and 0 < seconds <= 900, seconds, "up to 900 s")
    left = (until - before).total_seconds() if until else None
    want.that("locked_until", left and 0 < left <= 905, until, "within 15 minutes")
    body = getattr(error, "body", None)
    want.shape("the body", body, error=text, retryable=True, lockedUntil=iso, retryAfterSeconds=int)
    want.shape("its aliases", body, locked_until=iso, retry_after_seconds=int)
    async with httpx.AsyncClient(transport=client._transport) as raw:
        for method, path in (("GET", "/sse"), ("POST", "/messages?sessionId=1"), ("GET", "/api/v1/agents/me")):
            response = await raw.request(method, program.url + path, headers={"Authorization": "Bearer bda_unknown"})
            want.same(f"{path}: status", response.status_code, 429)
            want.same(f"{path}: Retry-After", response.headers.get("retry-after"), like(r"^\d+$"))
            want.shape(path, response.json(), code="AUTH_LOCKED_OUT", retryAfterSeconds=int)


async def test_listeners_get_messages_that_calls_do_not(
    program, simulator, team, agent, quiet_stream, token_in_grace, want
):
    received = asyncio.Queue()
    await agent.get_waiting_messages()
    listening = asyncio.create_task(agent.listen(received.put, reconnect=False))
    try:
        # A session counts as a listener when it is two seconds old.
        await asyncio.sleep(2.5)
        # A newer session with a call must not take the message.
        async with session_of(agent) as session:
            await session.initialize()
            await session.call_tool("comms_ping", {})
            person = new_person()
            to = program.account["whatsappNumber"]
            await simulator.person_writes("whatsapp", person, to, "Listen!", sender_name="Ann")
            data = {}
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(6):
                    while data.get("from") != person:
                        data = await received.get()
        want.shape(
            "the pushed message",
            data,
            type="message",
            messageId=text,
            id=text,
            channel="whatsapp",
            to=to,
            body="Listen!",
            senderName="Ann",
            replyTo=person,
            timestamp=iso,
            agentName=text,
            isGroup=False,
            senderSid=text,
        )
        waiting = await agent.get_waiting_messages()
        found = [one for one in waiting.get("messages", []) if one.get("from") == person]
        want.that("the waiting messages", not found, found, "none: the listener has it")

        async with asyncio.timeout(4):
            sent = await agent.send_message(person, "Status?")
        status = {}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(6):
                while status.get("type") != "status" or status.get("messageId") != sent.message_sid:
                    status = await received.get()
        want.shape("a pushed status", status, type="status", messageId=sent.message_sid, status=text, timestamp=iso)
    finally:
        listening.cancel()
        # A message that arrives while the client closes the session fails in the package.
        await asyncio.gather(listening, return_exceptions=True)
    # Without a listener and with an open session of a call, the message waits.
    async with session_of(agent) as session:
        await session.initialize()
        await session.call_tool("comms_ping", {})
        await agent.set_callback_url("")
        person = new_person()
        await simulator.person_writes("whatsapp", person, program.account["whatsappNumber"], "Wait!")
        found, deadline = [], time.monotonic() + 8
        while not found and time.monotonic() < deadline:
            found = [one for one in (await agent.get_waiting_messages())["messages"] if one.get("from") == person]
            await asyncio.sleep(0.2)
        want.that("the message without a listener", len(found) == 1, found, "it waits")
    # The client notices no closed stream, and gives up a silent one after 300 s.
    await quiet_stream.wait_for_comment()
    want.that("a comment within 30 s on a quiet stream", quiet_stream.comments, quiet_stream.state(), "a comment")
    want.that("the quiet stream", not quiet_stream.is_closed, quiet_stream.state(), "open")
    for token, rotated_at in token_in_grace:
        await asyncio.sleep(max(0.0, rotated_at + 31 - time.monotonic()))
        want.shape(
            "a rotated token after 30 s",
            await Agent(program.url, agent_token=token).get_self(),
            status=401,
            code="AUTH_TOKEN_REVOKED",
        )
    # The last use of a token is recorded within a minute.
    if time.monotonic() - quiet_stream.started_at > 65:
        tokens = (await want.answer("list_agent_tokens", team.list_agent_tokens(agent.agent_id), tokens=list)).get(
            "tokens"
        ) or [{}]
        want.shape(
            "a used token",
            next((one for one in tokens if one.get("last_four") == agent.agent_token[-4:]), tokens[0]),
            last_used_at=iso,
            ip_hint=text,
        )
