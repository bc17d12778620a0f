"""Section 2: every tool, called with the arguments that the client sends."""

import asyncio
import datetime
import json
import re
import time
import uuid

import httpx

from buttdial import Agent, ProviderCapabilityError
from conftest import client_of, new_agent, new_contact, new_person
from deviations import digits, iso, like, one_of, text
from program import CODE

PERIODS = ("today", "week", "month", "all")


def later(**distance):
    return (datetime.datetime.now(datetime.UTC) + datetime.timedelta(**distance)).isoformat().replace("+00:00", "Z")


def answer_of(sent):
    """The object that the tool returned to send_message."""
    return json.loads(sent.raw.content[0].text) if sent.raw else {}


def preview(want, what, answer):
    """A destructive tool without `confirm` only describes what it would do."""
    want.shape(f"{what}: the preview", answer, preview=True, message=text)
    would = [name for name, value in answer.items() if re.match("would[A-Z]", name) and value is True]
    want.that(f"{what}: the preview", would, sorted(answer), "wouldX: true")
    want.that(f"{what}: the preview", "error" not in answer, answer, "no error")


async def test_messages_are_sent_with_all_arguments(program, simulator, agent, want):
    person, own = await new_contact(program), program.account
    first = await agent.send_message(person, "First")
    want.that("send_message by WhatsApp, the default", first.ok, first, "success")
    sent = await agent.send_message(
        person,
        "Second",
        "whatsapp",
        sender_sid=own["whatsappNumber"],
        sender_name="Yuna",
        language="en",
        fallback_channels=["sms"],
        thread_id="thread-7",
        entity_id="entity-7",
        reply_msg_id=first.message_sid,
        extra={"targetGender": "female", "anything": {"x": 1}},
    )
    want.that("send_message with all arguments", sent.ok, (sent.error_code, sent.error), "success")
    want.shape(
        "its result",
        answer_of(sent),
        messageId=text,
        status=text,
        threadId="thread-7",
        entityId="entity-7",
        replyMsgId=first.message_sid,
    )
    for channel, to in (("sms", new_person()), ("email", f"{new_person()[1:]}@person.example")):
        one = await agent.send_message(to, "Hello", channel)
        want.that(f"send_message by {channel}", one.ok, (one.error_code, one.error), "success")
        delivered = await simulator.newest(to)
        want.that(f"the message by {channel}", delivered and "Hello" in json.dumps(delivered), delivered, "Hello")
    for what, body in (("media", None), ("media with a text", "A cat")):
        one = await agent.send_message(person, body, media_url="https://acme.example/cat.png")
        want.that(f"send_message with {what}", one.ok, (one.error_code, one.error), "success")
    delivered = await simulator.messages(person)
    want.that("the media", "cat.png" in json.dumps(delivered), delivered, "cat.png")

    scheduled = await agent.send_message(person, "Later", "sms", scheduled_at=later(hours=2))
    want.that("a scheduled message", scheduled.ok, (scheduled.error_code, scheduled.error), "success")
    want.shape("its result", answer_of(scheduled), messageId=text, status="scheduled")
    await want.answer(
        "get_message_status of it",
        agent.get_message_status(scheduled.message_sid or "none"),
        messageId=scheduled.message_sid,
        status="scheduled",
    )
    # The other channel takes over where the first one has no way to the person.
    stranger = new_person()
    fallen_back = await agent.send_message(stranger, "Hello", "whatsapp", fallback_channels=["sms"])
    want.that("fallback_channels", fallen_back.ok, (fallen_back.error_code, fallen_back.error), "a message by SMS")
    await want.answer("its status", agent.get_message_status(fallen_back.message_sid or "none"), channel="sms")

    status = {}
    for _ in range(60):
        status = await want.answer("get_message_status", agent.get_message_status(sent.message_sid or "none"))
        if status.get("status") in ("delivered", "read") or not status:
            break
        await asyncio.sleep(0.1)
    want.shape(
        "get_message_status", status, messageId=sent.message_sid, status=one_of("delivered", "read"), channel="whatsapp"
    )
    await want.envelope("the status of no message", agent.get_message_status("no-such-message"))
    foreign = await agent.send_message(new_person(), "Hello", "sms", sender_sid="+14155550177")
    want.that("a sender of another agent", foreign.failed and foreign.stage_failed == "server", foreign, "a refusal")


async def test_calls_are_placed_and_transferred(program, simulator, agent, host, want):
    person, bob = new_person(), new_person()
    stays = [{"do": "wait_for_speech"}, {"do": "stay_silent", "for_ms": 8000}]
    await simulator.post("/phone-numbers", {"number": person, "kind": "answers", "after_ms": 50, "steps": stays})
    await simulator.post("/phone-numbers", {"number": bob, "kind": "answers", "after_ms": 50, "steps": stays})
    voices = (await want.quiet(agent.list_voices())).get("voices") or []
    voice = next((one.get("id") or one.get("voiceId") for one in voices if isinstance(one, dict)), None)
    call = await want.answer(
        "make_call",
        agent.make_call(
            person,
            system_prompt="Be brief.",
            greeting="Good day!",
            voice=voice,
            language="en-US",
            recipient_timezone="America/Los_Angeles",
            target_gender="female",
            orchestrator="host",
        ),
        callSid=text,
        sessionId=text,
        status=text,
    )

    async def is_live():
        calls = (await simulator.get("/phone-calls"))["calls"]
        return any(one["to"] == person and one["sessions"] for one in calls)

    for _ in range(50):
        if await is_live():
            break
        await asyncio.sleep(0.1)
    want.that("the call", await is_live(), "no session", "the person answers")
    await want.answer(
        "transfer_call",
        agent.transfer_call(call.get("callSid", "none"), bob, announcement_text="I connect you with Bob."),
    )
    await want.envelope("transfer_call of no call", agent.transfer_call("CA00000000000000000000000000000000", bob))
    await want.answer(
        "call_on_behalf",
        agent.call_on_behalf(
            new_person(),
            new_person(),
            target_name="Bob",
            requester_name="Ann",
            message="Please confirm Friday.",
            recipient_timezone="America/Los_Angeles",
            target_gender="male",
        ),
    )
    await want.answer(
        "send_voice_message",
        agent.send_voice_message(new_person(), "The package is here.", voice=voice, target_gender="male"),
    )
    for format in ("ogg", "mp3"):
        audio = await want.answer(
            f"generate_tts {format}",
            agent.generate_tts("Hello there.", format=format, voice=voice),
            url=like("^http"),
            format=format,
        )
        if audio.get("url"):
            async with httpx.AsyncClient() as client:
                response = await client.get(audio["url"])
            want.same(f"{format}: status", response.status_code, 200)
            want.same(f"{format}: type", response.headers.get("content-type"), like("^audio/"))
    await want.answer("set_voice_callback", agent.set_voice_callback(f"{host.url}/hook/voice"))
    await want.envelope("an invalid number", agent.make_call("12"))


async def test_sessions_have_history_and_close(program, simulator, agent, host, want):
    person, own = await new_contact(program), program.account
    await want.answer("set_callback_url", agent.set_callback_url(host.generic_callback))
    participants = [{"id": agent.agent_id, "type": "agent"}, {"id": person, "type": "human", "name": "Ann"}]
    created = await want.answer(
        "create_session",
        agent.create_session(participants, channel="whatsapp", context={"order": 7}),
        sessionId=text,
        status="active",
    )
    id = created.get("sessionId", "none")
    sent = await agent.send_message(person, "Is Friday good?")
    want.that("a send in the session", sent.ok, (sent.error_code, sent.error), "success")
    await simulator.person_writes("whatsapp", person, own["whatsappNumber"], "Friday is good")
    await host.wait(lambda: [one for one in host.messages if one.sender == person and one.text == "Friday is good"])
    message = next((one for one in host.messages if one.text == "Friday is good"), None)
    if want.that("the callback", message, host.messages, "the message"):
        want.same("the session id of the message", message.session_id, id)
        want.shape("the session of the message", message.session, participants=list, history=list, summary=(None, str))
        want.same("the thread of the message", message.thread_id, text)
    session = await want.answer(
        "get_session", agent.get_session(id), sessionId=id, status="active", participants=list, history=list
    )
    want.same(
        "the participants", [one.get("id") for one in session.get("participants") or []], [agent.agent_id, person]
    )
    # Texts are stored only until they are delivered, so the history need not have them.
    history = [one.get("messageId") for one in session.get("history") or []]
    want.same("the history", history[-2:], [sent.message_sid, message.id if message else text])
    short = await want.answer("get_session with a limit", agent.get_session(id, history_limit=1), history=list)
    want.same("the length of the history", len(short.get("history") or []), 1)
    listed = await want.answer("list_sessions", agent.list_sessions(), sessions=list)
    want.that("the sessions", id in json.dumps(listed), listed, id)

    closing = await want.answer("close_session", agent.close_session(id))
    preview(want, "close_session", closing)
    await want.answer("the session after the preview", agent.get_session(id), status="active")
    await want.answer("close_session with confirm", agent.close_session(id, confirm=True))
    await want.answer("the closed session", agent.get_session(id), status="closed")
    for status, is_listed in (("active", False), ("paused", False), ("closed", True)):
        listed = await want.answer(
            f"list_sessions {status}", agent.list_sessions(status=status, limit=10), sessions=list
        )
        want.that(f"list_sessions {status}", (id in json.dumps(listed)) == is_listed, listed, f"listed: {is_listed}")
    await want.envelope("get_session of no session", agent.get_session("no-such-session"))
    await want.envelope("close_session of no session", agent.close_session("no-such-session", confirm=True))
    await want.envelope("create_session without participants", agent.create_session([]))
    await agent.set_callback_url("")


async def test_consent_trust_and_codes(program, simulator, agent, want):
    person = new_person()
    await want.answer("check_consent", agent.check_consent(person, "sms"), hasConsent=bool, status=text, message=text)
    for kind in ("express", "implied", "transactional"):
        await want.answer(
            f"record_consent {kind}",
            agent.record_consent(person, "sms", consent_type=kind, source="web form", notes="asked by phone"),
        )
    await want.answer(
        "check_consent afterwards", agent.check_consent(person, "sms"), hasConsent=True, status=text, message=text
    )
    for name in ("contact", "contactAddress", "to", "number"):
        await want.answer(
            f"check_consent with {name}",
            agent.call_tool("comms_check_consent", {name: person, "channel": "sms"}),
            hasConsent=True,
        )
    preview(want, "revoke_consent", await want.answer("revoke_consent", agent.revoke_consent(person, "sms")))
    await want.answer("check_consent after the preview", agent.check_consent(person, "sms"), hasConsent=True)
    await want.answer("revoke_consent with confirm", agent.revoke_consent(person, "sms", confirm=True))
    await program.settle()
    await want.answer("check_consent after it", agent.check_consent(person, "sms"), hasConsent=False)
    refused = await agent.send_message(person, "Hello", "sms")
    want.that(
        "a send without consent",
        refused.failed and refused.stage_failed == "server" and refused.error_code,
        refused,
        "a refusal",
    )
    want.same("its remediation", refused.remediation, text)
    await want.envelope("an unknown type of consent", agent.record_consent(person, "sms", consent_type="perhaps"))

    person = new_person()
    await want.answer(
        "check_trust", agent.check_trust(person), trusted=False, status=text, expiresAt=None, message=text
    )
    await want.answer("grant_trust", agent.grant_trust(person, duration_minutes=30))
    await want.answer(
        "check_trust afterwards", agent.check_trust(person), trusted=True, status=text, expiresAt=iso, message=text
    )
    for name in ("contactAddress", "to", "number"):
        await want.answer(
            f"check_trust with {name}", agent.call_tool("comms_check_trust", {name: person}), trusted=True
        )
    preview(want, "revoke_trust", await want.answer("revoke_trust", agent.revoke_trust(person)))
    await want.answer("check_trust after the preview", agent.check_trust(person), trusted=True)
    await want.answer("revoke_trust with confirm", agent.revoke_trust(person, confirm=True))
    await want.answer("check_trust after it", agent.check_trust(person), trusted=False)

    person = new_person()
    sent = await want.answer(
        "send_otp", agent.send_otp(person, "sms", purpose="login", failover=True, channels=["sms", "voice"])
    )
    code = await simulator.new_secret(person, CODE)
    want.same("the code by SMS", code, digits)
    if program.shows_secrets:
        want.same("devOtp", sent.get("devOtp"), code)
    code = code if code.isdecimal() else "000000"
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    await want.envelope("a wrong code", agent.verify_otp(wrong, to=person, channel="sms"), code="OTP_INVALID")
    await want.answer("check_trust before the code", agent.check_trust(person), trusted=False)
    await want.answer("verify_otp of the latest", agent.verify_otp(code))
    await want.answer("check_trust after the code", agent.check_trust(person), trusted=True, expiresAt=iso)
    await want.envelope(
        "a used code", agent.verify_otp(code, to=person), code=one_of("CHALLENGE_NOT_FOUND", "OTP_INVALID")
    )
    mail = f"{new_person()[1:]}@person.example"
    await want.answer("send_otp by mail", agent.send_otp(mail, "email"))
    await want.answer(
        "verify_otp by mail", agent.verify_otp(await simulator.new_secret(mail, CODE), to=mail, channel="email")
    )
    contact = await new_contact(program)
    await want.answer("send_otp by WhatsApp", agent.send_otp(contact, "whatsapp"))
    await want.answer("verify_otp by WhatsApp", agent.verify_otp(await simulator.new_secret(contact, CODE), to=contact))
    await want.answer("send_otp by voice", agent.send_otp(new_person(), "voice"))
    await want.answer("another send_otp", agent.send_otp(another := new_person(), "sms"))
    code = await simulator.new_secret(another, CODE)
    code = code if code.isdecimal() else "000000"
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    for number in range(5):
        await want.envelope(
            f"wrong code {number + 1}",
            agent.verify_otp(wrong, to=another),
            code=one_of("OTP_INVALID", *["OTP_MAX_ATTEMPTS"] * (number == 4)),
        )
    await want.envelope(
        "the right code after five wrong ones", agent.verify_otp(code, to=another), code="OTP_MAX_ATTEMPTS"
    )

    await want.answer("a third send_otp", agent.send_otp(third := new_person(), "sms"))
    code = await simulator.new_secret(third, CODE)
    want.same("expired codes", program.expire("challenges", f"address = '{third}'"), 1)
    await want.envelope("an expired code", agent.verify_otp(code, to=third), code="OTP_EXPIRED")

    valid = await want.answer(
        "validate_number",
        agent.validate_number("+14155552671"),
        valid=True,
        countryCode="US",
        phoneNumber="+14155552671",
    )
    want.that(
        "its other facts",
        {"lineType", "carrier", "canReceiveSms", "canReceiveCall"} <= set(valid),
        sorted(valid),
        "lineType, carrier, canReceiveSms, canReceiveCall",
    )
    await want.answer(
        "validate_number with number",
        agent.call_tool("comms_validate_number", {"number": "+442079460958"}),
        valid=True,
        countryCode="GB",
    )
    await want.answer("validate_number of no number", agent.validate_number("12"), valid=False)


async def test_whatsapp_actions_answer_or_are_unsupported(program, simulator, agent, want):
    await agent.set_callback_url("")
    person, other = await new_contact(program), await new_contact(program)
    sent = await agent.send_message(person, "A message of mine")
    mine = sent.message_sid or "none"
    received = None
    for _ in range(30):
        waiting = (await agent.get_waiting_messages()).get("messages", [])
        received = next(
            (one["messageId"] for one in waiting if one.get("from") == person and one.get("type") == "message"), None
        )
        if received:
            break
        await asyncio.sleep(0.1)
    want.same("a received message", received, text)
    own = program.account["whatsappNumber"]
    vcard = "BEGIN:VCARD\nVERSION:3.0\nFN:Bob\nTEL:+14155550111\nEND:VCARD"
    actions = {
        "typing": agent.typing(to=person),
        "mark_read": agent.mark_read(messageId=received or "none"),
        "react": agent.react(messageId=received or "none", emoji="👍"),
        "edit": agent.edit(messageId=mine, body="Corrected"),
        "forward": agent.forward(messageId=mine, to=other),
        "send_poll": agent.send_poll(to=person, title="When?", options=["Friday", "Monday"]),
        "send_buttons": agent.send_buttons(
            to=person, body="When?", buttons=[{"id": "fri", "label": "Friday"}, {"id": "mon", "label": "Monday"}]
        ),
        "send_location": agent.send_location(to=person, lat=37.77, lng=-122.42, name="Office"),
        "send_contact": agent.send_contact(to=person, vcard=vcard),
        "post_status": agent.post_status(body="Open again", mediaUrl="https://acme.example/cat.png"),
        "set_chat_ttl": agent.set_chat_ttl(chatId=person, ttlSeconds=86400),
        "send_view_once": agent.send_view_once(to=person, mediaUrl="https://acme.example/cat.png", body="Once"),
        "delete": agent.delete(messageId=mine),
    }
    creates = {"send_poll", "send_buttons", "send_location", "send_contact", "send_view_once"}
    works = set()
    for action, call in actions.items():
        try:
            answer = await call
        except ProviderCapabilityError as error:
            want.same(f"{action}: code", error.code, one_of("PROVIDER_UNSUPPORTED", "CHANNEL_UNSUPPORTED"))
            want.same(f"{action}: provider", error.provider, text)
            want.same(f"{action}: channel", error.channel, "whatsapp")
            want.shape(action, error.body, error=text, action=action, provider=text, channel="whatsapp")
            continue
        except Exception as error:
            want.deviates(action, repr(error), "an answer, or ProviderCapabilityError")
            continue
        works.add(action)
        if not isinstance(answer, dict) or answer.get("error"):
            want.deviates(action, answer, "an answer, or PROVIDER_UNSUPPORTED")
        elif action in creates:
            want.shape(action, answer, messageId=text)
        else:
            want.that(action, answer.get("ok") is True or answer.get("messageId"), answer, "ok or messageId")
    # Twilio's documentation has these.
    for action in ("typing", "send_buttons", "send_location"):
        want.that(f"{action} on Twilio", action in works, "PROVIDER_UNSUPPORTED", "supported")
    await want.answer("an action with a sender", agent.typing(to=person, sender_sid=own))
    unknown = {"action": "mark_read", "messageId": "msg_unknown"}
    await want.envelope("an unknown message", agent.call_tool("comms_whatsapp_action", unknown))
    await want.envelope(
        "an action without its arguments", agent.call_tool("comms_whatsapp_action", {"action": "react"})
    )


async def test_agents_find_and_message_each_other(program, simulator, team, agent, token_in_grace, want):
    yuna, nova = (
        await new_agent(program, team, f"Yuna {uuid.uuid4()}"),
        await new_agent(program, team, f"Nova {uuid.uuid4()}"),
    )
    name = (await nova.get_self())["displayName"]
    found = await want.answer("find_agent", yuna.find_agent(), agents=list, count=int)
    ids = [one.get("agentId") for one in found.get("agents") or []]
    want.that(
        "the agents",
        {yuna.agent_id, nova.agent_id, agent.agent_id} <= set(ids),
        ids,
        "the agent, the other one, and the first one",
    )
    found = await want.answer("find_agent by name", yuna.find_agent(query=name), count=1)
    want.same("the found agent", [one.get("agentId") for one in found.get("agents") or []], [nova.agent_id])
    for options, absent in (({"include_self": False}, yuna), ({"include_draft": False}, nova)):
        found = await want.answer(f"find_agent {options}", yuna.find_agent(**options), agents=list)
        want.that(
            f"find_agent {options}", absent.agent_id not in json.dumps(found), found, f"without {absent.agent_id}"
        )

    for to in (nova.agent_id, name):
        await want.answer("message_agent", yuna.message_agent(to, f"Hello {to}"))
    received = []
    for _ in range(30):
        received += (await nova.get_waiting_messages()).get("messages", [])
        if len(received) >= 2:
            break
        await asyncio.sleep(0.1)
    want.same(
        "what the other received",
        sorted(str(one.get("body")) for one in received),
        sorted([f"Hello {nova.agent_id}", f"Hello {name}"]),
    )
    await want.envelope(
        "message_agent to no agent", yuna.message_agent(str(uuid.uuid4()), "Hello"), code="AGENT_NOT_FOUND"
    )

    await want.answer(
        "update_profile",
        yuna.update_profile(
            agentName="Yuna II",
            greeting="Hi!",
            systemPrompt="Be brief.",
            voiceId="alloy",
            language="en-US",
            gender="female",
            voiceGender="female",
            status="active",
        ),
    )
    await program.settle()
    want.shape("get_self", await yuna.get_self(), displayName="Yuna II")
    await want.envelope("an unknown gender", yuna.update_profile(gender="robot"))
    await want.answer("update_profile inactive", nova.update_profile(status="inactive"))
    await want.answer("get_agent", team.get_agent(nova.agent_id), status="inactive")

    person = new_person()
    await simulator.person_writes(
        "whatsapp", person, program.account["whatsappNumber"], "Hello", sender_name="Ann Example"
    )
    profile = {}
    for _ in range(20):
        profile = await want.quiet(agent.get_contact_profile(person))
        if "Ann Example" in json.dumps(profile):
            break
        await asyncio.sleep(0.1)
    want.that("get_contact_profile", "Ann Example" in json.dumps(profile), profile, "the name of the person")
    # Twilio has no groups: the members, or a true refusal.
    members = await want.quiet(agent.get_group_members("120363000000000000@g.us"))
    if isinstance(members, dict) and members.get("error"):
        want.shape("get_group_members", members, error=text, code=text)
    else:
        want.shape("get_group_members", members, members=list)

    me = await want.answer("get_me", yuna.get_me(), agentId=yuna.agent_id)
    want.that("get_me", me == await yuna.get_self(), me, "the same as get_self")
    want.same("ping", await yuna.ping(), True)
    pong = await want.answer("comms_ping", yuna.call_tool("comms_ping", {}), status=text, server=text, version=text)
    want.that("comms_ping", not re.search("twilio|resend|meta", json.dumps(pong), re.I), pong, "no name of a provider")
    preview(want, "rotate_token", await want.answer("rotate_token", yuna.rotate_agent_token()))
    rotated = await want.answer(
        "rotate_token with confirm",
        yuna.rotate_agent_token(confirm=True),
        accepted=True,
        action=text,
        newToken=text,
        gracePeriodSeconds=30,
        instructions=text,
    )
    want.shape("the former token within 30 s", await yuna.get_self(), agentId=yuna.agent_id)
    want.shape(
        "the new token",
        await Agent(program.url, agent_token=rotated.get("newToken", "none")).get_self(),
        agentId=yuna.agent_id,
    )
    if rotated:
        token_in_grace.append((yuna.agent_token, time.monotonic()))


async def test_inbound_rules_and_money_tools(program, simulator, team, agent, admin, want):
    yuna = await new_agent(program, team)
    await want.answer("subscribe_inbound status", yuna.subscribe_inbound("status"))
    await want.answer(
        "subscribe_inbound", yuna.subscribe_inbound("subscribe", channels=["sms", "whatsapp"], contacts=[new_person()])
    )
    await want.answer("subscribe_inbound unsubscribe", yuna.subscribe_inbound("unsubscribe", channels=["sms"]))
    await want.envelope("an unknown operation", yuna.subscribe_inbound("dance"))
    added = await want.answer(
        "manage_inbound_filter add",
        yuna.manage_inbound_filter("add", filter_type="keyword", pattern="invoice", action="tag", tag="billing"),
    )
    listed = await want.answer("manage_inbound_filter list", yuna.manage_inbound_filter("list"))
    want.that("the filters", "invoice" in json.dumps(listed), listed, "invoice")
    id = added.get("filterId") or added.get("id") or (added.get("filter") or {}).get("id") or "none"
    want.that("the id of the filter", id != "none", added, "filterId")
    await want.answer("manage_inbound_filter delete", yuna.manage_inbound_filter("delete", filter_id=id))
    listed = await want.answer("manage_inbound_filter list", yuna.manage_inbound_filter("list"))
    want.that("the filters after the removal", "invoice" not in json.dumps(listed), listed, "none")
    await want.envelope("a filter without a pattern", yuna.manage_inbound_filter("add"))

    sent = await agent.send_message(new_person(), "Hello", "sms")
    want.that("a send", sent.ok, sent, "success")
    for period in PERIODS:
        income = await want.answer(
            f"get_income {period}",
            agent.get_income(period=period),
            period=period,
            currency="USD",
            providerCost=float,
            billedCost=float,
            income=float,
            byChannel=(dict, list),
        )
        want.that(
            f"get_income {period}: the sum",
            abs(income.get("billedCost", 0) - income.get("providerCost", 0) - income.get("income", 0)) < 1e-6,
            income,
            "income = billed - cost",
        )
        usage = await want.answer(
            f"get_usage_dashboard {period}",
            agent.get_usage_dashboard(period=period),
            agentId=agent.agent_id,
            totalActions=int,
            currency="USD",
            costsByChannel=dict,
        )
        want.shape("its period", usage.get("period"), name=period)
        await want.answer(
            f"get_billing_summary {period}",
            agent.get_billing_summary(period=period),
            period=(period, dict),
            currency="USD",
        )
    want.shape("the usage", await agent.get_usage_dashboard(), **(await agent.fetch_usage_summary() or {}))
    mine = await want.answer("get_billing_summary of an agent", agent.get_billing_summary(agent_id=agent.agent_id))
    want.that(
        "own costs",
        re.search(r'[Cc]ost"?: ?0?\.\d', json.dumps(mine)) or mine.get("providerCost", 0) > 0,
        mine,
        "a cost",
    )
    await want.envelope("the bill of another agent", agent.get_billing_summary(agent_id=yuna.agent_id))
    await want.answer("an administrator's bill of an agent", admin.get_billing_summary(agent_id=agent.agent_id))
    everyone = await want.answer("an administrator's bill of all", admin.get_billing_summary())
    want.that("the agents on it", agent.agent_id in json.dumps(everyone), everyone, agent.agent_id)
    await want.envelope("an unknown period", agent.get_income(period="decade"))


async def test_administrators_manage_providers_and_channels(program, simulator, team, agent, admin, want):
    secret = f"re_{uuid.uuid4().hex}"
    refused = await want.envelope(
        "register_provider with a wrong key", admin.register_provider("resend", {"apiKey": secret})
    )
    want.that("its error", secret not in json.dumps(refused), refused, "no secret")
    if program.credentials:
        for provider, credentials in program.credentials.items():
            registered = await want.answer(
                f"register_provider {provider}", admin.register_provider(provider, credentials)
            )
            want.that(
                f"register_provider {provider}",
                list(credentials.values())[-1] not in json.dumps(registered),
                registered,
                "no secret",
            )
    for provider in ("resend", "elevenlabs", "openai", "deepgram"):
        registered = await want.answer(
            f"register_provider {provider} unverified",
            admin.register_provider(provider, {"apiKey": secret}, auto_verify=False),
        )
        want.that(f"register_provider {provider}", secret not in json.dumps(registered), registered, "no secret")
    twilio = {"accountSid": f"AC{uuid.uuid4().hex}", "authToken": uuid.uuid4().hex}
    registered = await want.answer(
        "register_provider twilio unverified", admin.register_provider("twilio", twilio, auto_verify=False)
    )
    want.that("register_provider twilio", twilio["authToken"] not in json.dumps(registered), registered, "no secret")
    # Vendors of the client's list that no adapter serves.
    for provider in ("vonage", "greenapi", "s3", "r2", "turso", "convex"):
        answer = await want.quiet(admin.register_provider(provider, {"apiKey": "x"}, auto_verify=False))
        if answer.get("error"):
            want.shape(f"register_provider {provider}", answer, code="PROVIDER_UNSUPPORTED", provider=provider)
        else:
            want.that(f"register_provider {provider}", answer, answer, "success, or PROVIDER_UNSUPPORTED")
    refused = await want.envelope("register_provider with nothing", admin.register_provider("twilio", {}))
    want.that("its error", secret not in json.dumps(refused), refused, "no secret")
    await want.envelope("register_provider of no vendor", admin.register_provider("acme", {"apiKey": "x"}))

    preview(want, "expand_client_pool", await want.answer("expand_client_pool", admin.expand_client_pool(5000)))
    await want.answer("expand_client_pool with confirm", admin.expand_client_pool(5000, confirm=True))
    for number in (0, 10_001):
        await want.envelope(f"expand_client_pool {number}", admin.expand_client_pool(number, confirm=True))
    await want.answer("list_available_numbers", admin.list_available_numbers(), numbers=list)

    for channel in ("phone", "email", "whatsapp"):
        await want.answer(f"manage_channel add {channel}", admin.manage_channel("add", channel, country="US"))
    await want.answer("manage_channel as allocate", admin.manage_channel("allocate", "voiceAi"))
    await program.settle()
    me = await want.answer("get_self", admin.get_self())
    channels = me.get("channels") or {}
    want.that("its channels", {"phone", "email", "whatsapp"} <= set(channels), channels, "phone, email, whatsapp")
    bridge = await want.answer(
        "bridge_call setup",
        admin.bridge_call(
            "setup",
            fromNumber=channels.get("phone", "none"),
            localNumber=channels.get("phone", "none"),
            destinationNumber=new_person(),
            label="Office",
        ),
    )
    id = bridge.get("bridgeId") or bridge.get("id") or "none"
    want.that("the id of the bridge", id != "none", bridge, "bridgeId")
    listed = await want.answer("bridge_call list", admin.bridge_call("list"))
    want.that("the bridges", id in json.dumps(listed), listed, id)
    await want.answer(
        "bridge_call call",
        admin.bridge_call(
            "call",
            bridgeId=id,
            callerNumber=new_person(),
            destinationNumber=new_person(),
            fromNumber=channels.get("phone", "none"),
        ),
    )
    await want.answer("bridge_call remove", admin.bridge_call("remove", bridgeId=id))
    await want.answer("manage_channel remove email", admin.manage_channel("remove", "email"))
    preview(want, "deprovision_channels", await want.answer("deprovision_channels", admin.deprovision_channels()))
    want.that("the channels after the preview", (await admin.get_self()).get("channels"), "none", "those of before")
    await want.answer("deprovision_channels with confirm", admin.deprovision_channels(confirm=True))
    await program.settle()
    want.that(
        "the channels afterwards",
        not (await admin.get_self()).get("channels"),
        (await admin.get_self()).get("channels"),
        "none",
    )

    limits = {"maxActionsPerMinute": 1000, "maxSpendPerDay": 25}
    preview(want, "set_client_limits", await want.answer("set_client_limits", admin.set_client_limits_safe(limits)))
    await want.answer("set_client_limits with confirm", admin.set_client_limits_safe(limits, confirm=True))
    onboarded = await want.answer(
        "onboard_customer",
        admin.onboard_customer(
            "Nova",
            {"phone": True, "whatsapp": True, "email": True},
            agent_id=str(uuid.uuid4()),
            callback_url="https://acme.example/hook",
            email_domain="acme.example",
        ),
        agentId=text,
        token=text,
        channels=dict,
    )
    for part in ("dns", "webhook", "sse"):
        want.that(
            f"the package of onboard_customer: {part}",
            f'"{part}' in json.dumps(onboarded).lower(),
            onboarded,
            f"a field like {part}",
        )
    nova = Agent(program.url, agent_token=onboarded.get("token", "none"))
    want.shape("its token", await nova.get_self(), agentId=onboarded.get("agentId"))
    for what, call in [
        ("register_provider", agent.register_provider("resend", {"apiKey": "x"})),
        ("expand_client_pool", agent.expand_client_pool(5)),
        ("list_available_numbers", agent.list_available_numbers()),
        ("bridge_call", agent.bridge_call("list")),
        ("manage_channel", agent.manage_channel("add", "phone")),
        ("deprovision_channels", agent.deprovision_channels()),
        ("set_client_limits", agent.set_client_limits_safe({})),
        ("onboard_customer", agent.onboard_customer("Nova", {})),
    ]:
        await want.envelope(f"{what} without the scope", call, error=like("^Admin access required"))
    for what, call in (("create_team", admin.create_team("Acme", "acme")), ("list_teams", admin.list_teams())):
        await want.envelope(f"{what} of an administrator", call, error=like("access required"))


async def test_orchestrator_creates_and_lists_teams(program, orchestrator, want):
    # The transport takes tokens of agents only, so this agent has the scope of the whole installation.
    registered = await want.answer(
        "an agent with super-admin",
        orchestrator.register_agent(str(uuid.uuid4()), "Operator", scope="super-admin"),
        token=text,
    )
    operator = Agent(program.url, agent_token=registered.get("token", "none"))
    if not registered:
        return
    slug = f"acme-{uuid.uuid4().hex[:8]}"
    created = await want.answer("create_team", operator.create_team("Acme Ltd", slug, settings={"locale": "en"}))
    token = next(
        (created[name] for name in ("token", "teamToken", "team_token", "adminToken") if created.get(name)), None
    )
    want.same("the token of its administrator", token, text)
    account = await want.answer(
        "get_account", client_of(program, token or "none").get_account(), name="Acme Ltd", slug=slug, status="active"
    )
    listed = await want.answer("list_teams", operator.list_teams(), teams=list)
    teams = {one.get("slug"): one for one in listed.get("teams") or []}
    want.shape("the team", teams.get(slug), name="Acme Ltd", slug=slug, agentCount=0)
    want.that("all teams", program.account["orgId"] in json.dumps(listed), listed, "also the first one")
    await want.envelope("a used slug", operator.create_team("Acme Ltd", slug))
    for invalid in ("Acme", "a b", ""):
        await want.envelope(f"the slug {invalid!r}", operator.create_team("Acme", invalid))
    want.that("the organization", account.get("org_id") != program.account["orgId"], account, "a new one")
