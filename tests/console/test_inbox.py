"""The inbox, and the texts that an organization keeps."""

import json
import urllib.error

from test_console import wait_until
from test_simulator import EVIL, agent_token, until, write

PERSON = "+14155550170"


def open_person(page, masked="+141•••70"):
    found = page.locator(f".people a:has-text('{masked}')")
    until(lambda: (page.goto("/console/inbox"), found.count())[1])
    found.click()


def keep(owner, days):
    owner.go("/inbox")
    owner.page.fill("#days", str(days))
    owner.page.click("#keep button:has-text('Save')")
    owner.confirm()


def test_texts_are_kept_only_when_the_organization_says_so(claimed):
    program, owner = claimed
    page, token = owner.page, agent_token(program)
    write(page, "A text that nothing keeps", PERSON)
    until(lambda: "nothing keeps" in json.dumps(program.rest("GET", "/api/v1/waiting-messages", token)))
    open_person(page)
    assert page.locator(".thread >> text=Text not kept").count() == 1 and PERSON not in page.content()
    page.click(".thread >> text=Keep texts")
    owner.picture("inbox-not-kept")
    keep(owner, 91)
    page.wait_for_selector("#keep [role=alert]")
    keep(owner, 30)
    wait_until(page, "kept for 30 days")
    # The profile of an agent is known for less than a second.
    page.wait_for_timeout(1_000)
    write(page, f"Do you have a table? {EVIL}", PERSON)
    until(lambda: "table" in json.dumps(program.rest("GET", "/api/v1/waiting-messages", token)))
    open_person(page)
    wait_until(page, "Do you have a table?")
    wait_until(page, "Told by a session or a poll")
    assert "nothing keeps" not in page.inner_text("main"), "what was not kept is gone"
    assert EVIL in page.inner_text(".thread") and "pwned" not in page.title()
    page.fill("#text", f"Yes, at eight. {EVIL}")
    page.click("main button:has-text('Send')")
    wait_until(page, "Yes, at eight.")
    wait_until(page, "delivered")
    assert page.locator(".thread img, .thread script").count() == 0
    owner.picture("inbox")
    page.goto(f"/console/simulator?person=%2B{PERSON[1:]}")
    wait_until(page, "Yes, at eight.")
    page.goto("/console/audit")
    actions = page.inner_text("tbody")
    assert all(action in actions for action in ["texts.keep", "message.send", "inbox.read"]), actions
    team = json.loads(program.command("bootstrap", "--json"))["teamToken"]
    thread = program.rest("GET", f"/api/v1/inbox/thread?contact=%2B{PERSON[1:]}", team)
    assert [entry.get("text", "")[:3] for entry in thread["entries"]] == ["", "Do ", "Yes"]
    keep(owner, 0)
    open_person(page)
    assert page.locator(".thread >> text=Text not kept").count() == 3
    assert not owner.problems, owner.problems


def test_address_is_shown_on_request_and_refusals_keep_the_text(claimed):
    _, owner = claimed
    page = owner.page
    write(page, "Hello", "+14155550171")
    open_person(page, "+141•••71")
    page.click("text=Show (is written to the audit log)")
    wait_until(page, "+14155550171")
    write(page, "STOP", "+14155550171")
    until(lambda: (open_person(page, "+141•••71"), page.locator("text=no agent may write").count())[1])
    page.fill("#text", "A text that must not be lost")
    page.click("main button:has-text('Send')")
    page.wait_for_selector("#outcome [role=alert]")
    assert page.input_value("#text") == "A text that must not be lost"
    page.goto("/console/inbox?contact=%2B19995550000")
    assert page.locator("text=No messages").count() == 1


def test_card_shows_the_history_of_consent_and_erases_the_person(claimed):
    program, owner = claimed
    page = owner.page
    person, masked = "+14155550172", "+141•••72"
    for words in ["Hello", "STOP", "START"]:
        write(page, f"{words}", person)
    team = json.loads(program.command("bootstrap", "--json"))["teamToken"]
    ledger = f"/api/v1/consents?contact=%2B{person[1:]}"
    until(lambda: len(program.rest("GET", ledger, team)["entries"]) == 2)
    open_person(page, masked)
    history = page.locator("#consents li").all_inner_texts()
    assert len(history) == 2 and "granted" in history[0] and "revoked" in history[1], history
    assert "START" in history[0] and "STOP" in history[1], history
    page.click("text=Erase this person")
    owner.confirm()
    wait_until(page, "It can't be undone")
    owner.picture("erase-person")
    page.click("text=Erase for good")
    wait_until(page, "The erasure has begun")
    job = page.inner_text("#erasure").split("/jobs/")[1].split()[0]
    until(lambda: program.rest("GET", f"/api/v1/subjects/jobs/{job}", team)["state"] == "done")
    page.goto("/console/inbox")
    assert page.locator(f".people a:has-text('{masked}')").count() == 0
    assert not owner.problems, owner.problems


def refused(program, path, token, body):
    """Returns the refusal of a request."""
    try:
        raise AssertionError(program.rest("POST", path, token, body))
    except urllib.error.HTTPError as error:
        return json.load(error)


def test_a_person_takes_over_and_gives_back(claimed, person):
    program, owner = claimed
    page, token, number, masked = owner.page, agent_token(program), "+14155550173", "+141•••73"
    seen = {}

    def waiting():
        found = program.rest("GET", "/api/v1/waiting-messages", token)["messages"]
        seen.update((event["type"], event) for event in found)
        return json.dumps(found)

    write(page, f"I want to speak to a person {EVIL}", number)
    until(lambda: "speak to a person" in waiting())
    open_person(page, masked)
    page.select_option("#take-hours", "8")
    page.click("button:has-text('Take over')")
    wait_until(page, "You answer in place of")
    wait_until(page, "in 7 h")
    owner.picture("inbox-taken-over")
    send = {"to": number, "channel": "sms", "body": "Hello from the agent"}
    failure = refused(program, "/api/v1/send-message", token, send)
    assert failure["code"] == "CONVERSATION_TAKEN_OVER" and failure["remediation"], failure
    assert failure["retryAfterSeconds"] > 28_000 and failure["takenOverUntil"], failure
    failure = refused(program, "/api/v1/calls", token, {"to": number})
    assert failure["code"] == "CONVERSATION_TAKEN_OVER", failure
    page.fill("#text", "A person here. How can I help?")
    page.click("main button:has-text('Send')")
    wait_until(page, "delivered")
    # The agent gets what the person writes, marked, and the event of the takeover.
    write(page, "My order is late", number)
    until(lambda: "My order is late" in waiting())
    marked = seen["message"]
    # Another member is told who answers, and may give the conversation back.
    other = person(program)
    other.join(owner.invite("grace@example.com", "operator"), "another long password")
    open_person(other.page, masked)
    wait_until(other.page, "ada@example.com answers")
    assert other.page.locator("button:has-text('Take over')").count() == 0
    other.page.fill("#text", "Me too")
    other.page.click("main button:has-text('Send')")
    other.page.wait_for_selector("#outcome [role=alert]")
    assert "CONVERSATION_TAKEN_OVER" in other.page.inner_text("#outcome")
    other.page.click("button:has-text('Give it back')")
    other.page.wait_for_selector("button:has-text('Take over')")
    sent = program.rest("POST", "/api/v1/send-message", token, send)
    assert sent["status"] == "accepted", sent
    until(lambda: (waiting(), "conversation.returned" in seen)[1])
    assert {"message", "conversation.taken_over", "conversation.returned"} <= seen.keys(), seen.keys()
    assert seen["conversation.taken_over"]["contact"] == seen["conversation.returned"]["contact"] == number
    assert marked["takenOver"]["takeoverId"] == seen["conversation.taken_over"]["takeoverId"], marked
    page.goto("/console/audit?action=conversation.take_over")
    assert "conversation.take_over" in page.inner_text("tbody")
    assert not owner.problems, owner.problems


def test_taking_over_works_without_scripts(claimed, person):
    program, owner = claimed
    write(owner.page, "Anybody there?", "+14155550174")
    one = person(program, java_script_enabled=False)
    one.context.add_cookies(owner.context.cookies())
    open_person(one.page, "+141•••74")
    one.page.click("button:has-text('Take over')")
    wait_until(one.page, "You answer in place of", reload=True)
    one.page.click("button:has-text('Give it back')")
    one.page.wait_for_selector("button:has-text('Take over')")


def test_calls_are_part_of_the_conversation(claimed):
    program, owner = claimed
    page = owner.page
    write(page, "Please call me", "+14155550175")
    wait_until(page, "Please call me")
    page.click("button:has-text('Call')")
    wait_until(page, "in-progress")
    page.click("button:has-text('Hang up')")
    wait_until(page, "completed")
    open_person(page, "+141•••75")
    wait_until(page, "Call to")
    kinds = page.locator(".thread .talk > li").evaluate_all("items => items.map(item => item.className)")
    assert kinds == ["them", "call"], kinds
    owner.picture("inbox-call")
    page.click("text=See the call")
    wait_until(page, "Call from +141•••75")
    team = json.loads(program.command("bootstrap", "--json"))["teamToken"]
    thread = program.rest("GET", "/api/v1/inbox/thread?contact=%2B14155550175", team)["entries"]
    assert [entry["kind"] for entry in thread] == ["message", "call"] and thread[1]["status"] == "completed", thread


def test_failures_are_counted_by_cause(claimed):
    program, owner = claimed
    page, token = owner.page, agent_token(program)
    send = {"channel": "sms", "body": "Hi"}
    for number in ["+14155550156", "+14155550157"]:
        write(page, "STOP", number)
        ledger = f"/api/v1/consents?contact=%2B{number[1:]}"
        team = json.loads(program.command("bootstrap", "--json"))["teamToken"]
        until(lambda: program.rest("GET", ledger, team)["entries"])
        failure = refused(program, "/api/v1/send-message", token, {**send, "to": number})
        assert failure["code"] == "CONTACT_OPTED_OUT"
    owner.go("/messages")
    page.click("text=What went wrong")
    row = page.locator("tbody tr:has-text('CONTACT_OPTED_OUT')")
    assert row.count() == 1 and "refused" in row.inner_text(), page.inner_text("main")
    assert int(row.locator("[data-label=Number]").inner_text()) >= 2
    owner.picture("causes")
    row.locator("a").click()
    wait_until(page, "Refused sends")
