"""Section 4.3: callbacks, parsed by the client's InboundHandler in a real server."""

import asyncio
import json

from buttdial import InboundHandler
from conftest import new_contact, new_person
from deviations import iso, like, text


async def test_inbound_messages_are_parsed_by_the_client(program, simulator, agent, host, want):
    to = program.account
    for callback, channels in [(host.callback, ("whatsapp",)), (host.generic_callback, ("whatsapp", "sms", "email"))]:
        set_up = await want.answer("set_callback_url", agent.set_callback_url(callback))
        # The router of the client refuses another signature with 403.
        host.handler.whatsapp_webhook_secret = set_up.get("webhookSecret", "none")
        for channel in channels:
            what = f"{channel} at {callback.rsplit('/', 1)[1]}"
            person = f"{new_person()[1:]}@person.example" if channel == "email" else new_person()
            address = {"whatsapp": to["whatsappNumber"], "sms": to["phoneNumber"], "email": to["emailAddress"]}[channel]
            host.requests.clear()
            host.messages.clear()
            extra = (
                {"subject": "Question"}
                if channel == "email"
                else {"sender_name": "Ann"}
                if channel == "whatsapp"
                else {}
            )
            await simulator.person_writes(channel, person, address, "Hello, agent!", **extra)
            await host.wait(lambda: host.messages)
            if not want.that(what, host.messages, [(one.path, one.status) for one in host.requests], "a message"):
                continue
            message, callback_request = host.messages[0], host.requests[0]
            want.same(f"{what}: status", callback_request.status, 200)
            want.shape(f"{what}: the answer", json.loads(callback_request.answer), status="processed", messages=1)
            want.shape(
                what,
                message.model_dump(),
                id=text,
                sender=person,
                to=address,
                channel=channel,
                text=like("Hello, agent!"),
                is_group=False,
                **({"sender_name": "Ann"} if channel == "whatsapp" else {}),
            )
            if callback == host.callback:
                want.that(f"{what}: the time", message.received_at, message, "a timestamp in Unix seconds")
            else:
                want.shape(what, message.model_dump(), reply_to=text, agent_name=text, sender_sid=text)
            body = json.loads(callback_request.body)
            want.that(
                f"{what}: no status",
                body.get("status") not in ("queued", "sent", "delivered", "read", "failed", "undelivered"),
                body.get("status"),
                "no status of a receipt",
            )
            want.shape(
                f"{what}: the body",
                body,
                type="message",
                channel=channel,
                timestamp=iso,
                messageId=text,
                id=text,
                **{"from": person},
            )
            want.shape(
                f"{what}: InboundHandler.parse",
                InboundHandler.parse(body),
                type="message",
                id=text,
                body=text,
                **{"from": person},
            )
            want.that(
                f"{what}: X-BD-Signature",
                callback_request.is_signed_with(host.handler.whatsapp_webhook_secret),
                callback_request.headers,
                "valid",
            )

    for callback in (host.callback, host.generic_callback):
        await want.answer("set_callback_url", agent.set_callback_url(callback))
        route = callback.rsplit("/", 1)[1]
        for media, mime_type, is_voice in [("picture", "image/", False), ("voice:Hello from my voice", "audio/", True)]:
            person = new_person()
            host.messages.clear()
            await simulator.person_writes("whatsapp", person, to["whatsappNumber"], "", media=[media])
            await host.wait(lambda: [one for one in host.messages if one.sender == person])
            messages = [one for one in host.messages if one.sender == person]
            if not want.that(
                f"{media} at {route}", messages, [(one.path, one.status) for one in host.requests], "a message"
            ):
                continue
            message = messages[0]
            want.that(
                f"{media} at {route}: media_url",
                (message.media_url or "").startswith("http"),
                message.media_url,
                "a URL",
            )
            if route == "butt-dial":
                want.that(
                    f"{media}: mime_type", (message.mime_type or "").startswith(mime_type), message.mime_type, mime_type
                )
                want.that(
                    f"{media}: media_type", message.media_type == mime_type[:-1], message.media_type, mime_type[:-1]
                )
                want.shape(
                    f"{media}: attachment",
                    (message.attachments or [{}])[0],
                    filename=text,
                    contentType=like(f"^{mime_type}"),
                    size=int,
                    url=like("^http"),
                )
            want.same(f"{media} at {route}: is_voice_message", message.is_voice_message, is_voice)
            if is_voice:
                await host.wait(
                    lambda: any(
                        "Hello from my voice" in str(one.voice_transcription)
                        for one in host.messages
                        if one.sender == person
                    )
                )
                heard = [one.voice_transcription for one in host.messages if one.sender == person]
                want.that(
                    f"the transcription at {route}",
                    any("Hello from my voice" in str(one) for one in heard),
                    heard,
                    "the words",
                )
    failed = [(one.path, one.status, one.body[:200]) for one in host.requests if one.status != 200]
    want.that("the host's answers", not failed, failed, "200 only")
    await agent.set_callback_url("")


async def test_receipts_are_parsed_by_the_client(program, simulator, agent, host, want):
    set_up = await want.answer("set_callback_url", agent.set_callback_url(host.callback))
    host.handler.whatsapp_webhook_secret = set_up.get("webhookSecret", "none")
    to = program.account
    for channel, person in (
        ("whatsapp", await new_contact(program)),
        ("sms", new_person()),
        ("email", f"{new_person()[1:]}@person.example"),
    ):
        host.receipts.clear()
        loop = asyncio.get_running_loop()
        sent = await agent.send_message(person, "Did you get it?", channel)
        returned_at = loop.time()
        if not want.that(f"the send by {channel}", sent.ok, (sent.error_code, sent.error), "success"):
            continue
        first = await host.wait(lambda: [one for one in host.receipts if one.message_sid == sent.message_sid])
        # The client's diagnosis begins to listen only after the send has returned.
        want.that(
            f"{channel}: the first receipt",
            first and loop.time() - returned_at > 0.3,
            loop.time() - returned_at,
            "about 1 s after the send",
        )
        await host.wait(
            lambda: [one for one in host.receipts if one.message_sid == sent.message_sid and one.status == "delivered"]
        )
        statuses = [one.status for one in host.receipts if one.message_sid == sent.message_sid]
        want.that(f"{channel}: the statuses", "delivered" in statuses, statuses, "delivered among them")
        want.that(f"{channel}: the time", all(one.timestamp for one in host.receipts), host.receipts, "a timestamp")
    receipts = [one for one in host.requests if b'"statuses"' in one.body]
    for one in receipts:
        body = json.loads(one.body)
        want.shape("a receipt", body, type="status", messageId=text, status=text)
        want.that("a receipt has no body", "body" not in body, body.get("body"), "no body")
        want.shape(
            "InboundHandler.parse",
            InboundHandler.parse(body),
            type="delivery_receipt",
            id=body.get("messageId"),
            deliveryStatus=text,
        )
        want.shape(
            "InboundHandler.parse without entry",
            InboundHandler.parse({k: v for k, v in body.items() if k != "entry"}),
            type="delivery_receipt",
            id=body.get("messageId"),
        )
        want.that("the signature", one.is_signed_with(host.handler.whatsapp_webhook_secret), one.headers, "valid")

    # A number that the carrier cannot reach: undelivered is not in the client's list, so it is failed.
    await simulator.post("/opt-out", {"number": (blocked := new_person())})
    sent = await agent.send_message(blocked, "Hello?", "sms")
    if sent.ok:
        await host.wait(
            lambda: [one for one in host.receipts if one.message_sid == sent.message_sid and one.status == "failed"]
        )
        failed = [one for one in host.receipts if one.message_sid == sent.message_sid and one.status == "failed"]
        want.that(
            "a failed message",
            failed and failed[0].error_code,
            [one.status for one in host.receipts],
            "failed with a code",
        )
    else:
        want.same("a refused message", sent.error_code, text)

    await want.answer("set_callback_url", agent.set_callback_url(host.generic_callback))
    host.requests.clear()
    sent = await agent.send_message(new_person(), "And here?", "sms")
    await host.wait(lambda: host.requests)
    answers = [json.loads(one.answer) for one in host.requests]
    want.that(
        "receipts at the generic route",
        answers and all(one.get("status") == "ignored" for one in answers),
        answers,
        "ignored",
    )
    # The client does not know the channel of calls: their events may come, but must not break the host.
    host.requests.clear()
    await simulator.post(
        "/phone-calls",
        {
            "from": new_person(),
            "to": to["phoneNumber"],
            "steps": [
                {"do": "wait_for_speech"},
                {"do": "say", "text": "Please call me back."},
                {"do": "stay_silent", "for_ms": 200},
                {"do": "hang_up"},
            ],
        },
    )
    await host.wait(lambda: [one for one in host.requests if b"call" in one.body], seconds=2)
    broken = [(one.path, one.status, one.body[:300]) for one in host.requests if one.status != 200]
    want.that("the host after a call", not broken, broken, "200 only")
    await agent.set_callback_url("")
