"""The console in a browser: from an empty directory to a delivered message, and what strangers must not do."""

import json
import os
import pathlib
import sqlite3
import time
import urllib.error

import pytest

from conftest import EMAIL, PASSWORD
from program import Program

AXE = pathlib.Path(os.environ["AXE"]).read_text()
PAGES = [
    "", "/setup", "/messages", "/causes", "/calls", "/alerts", "/anomalies", "/agents", "/numbers", "/providers", "/callbacks", "/connect", "/inbox", "/simulator",
    "/playground", "/scenarios", "/scenarios?name=stop", "/check", "/approvals", "/do-not-contact", "/spend", "/keys", "/members", "/members?person=ada%40example.com", "/audit", "/dead-letters", "/system", "/account",
    "/inbox?contact=%2B14155550130", "/simulator?person=%2B14155550130", "/playground?tool=comms_list_events",
]


def finish_setup(owner):
    """Goes through the steps of the set-up. Works without scripts."""
    page = owner.page
    assert page.url.endswith("/console/setup")
    page.click("text=Stay simulated")
    # The first agent exists in the simulated world.
    page.fill("#maxSpendPerDay", "5")
    page.fill("#maxSpendPerMonth", "50")
    page.click("text=Set the limits")
    page.click("text=Create a token for")
    token = page.text_content("#token").strip()
    me = owner.program.rest("GET", "/api/v1/agents/me", token)
    assert me["agentId"]
    owner.go("/setup")
    page.fill("#body", "Hello from the set-up")
    page.click("main button:has-text('Send')")
    return token


def wait_until(page, text, reload=False):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if page.locator(f"text={text}").count():
            return
        if reload:
            page.reload()
        page.wait_for_timeout(150)
    raise AssertionError(f"{text!r} does not appear on {page.url}: {page.inner_text('main')}")


def test_setup_leads_to_a_delivered_message(fresh, person):
    owner = person(fresh)
    owner.go("")
    assert owner.page.url.endswith("/console/sign-in?next=%2Fconsole")
    owner.picture("sign-in")
    owner.page.click("text=Set up this installation")
    owner.picture("claim")
    owner.claim()
    owner.picture("setup-start")
    finish_setup(owner)
    wait_until(owner.page, "Everything is set up")
    owner.picture("setup-done")
    owner.go("")
    wait_until(owner.page, "messages sent")
    owner.page.click("a:has-text('messages sent')")
    owner.page.click("tbody a >> nth=0")
    wait_until(owner.page, "The agent was told: delivered")
    owner.picture("message")


def test_setup_works_without_scripts(fresh, person):
    owner = person(fresh, java_script_enabled=False)
    owner.claim()
    finish_setup(owner)
    wait_until(owner.page, "Everything is set up", reload=True)
    for path in PAGES:
        assert owner.go(path).status == 200, path
        assert owner.page.locator("h1").count() == 1, path


def test_of_two_claimants_one_wins(fresh, person):
    people = [person(fresh), person(fresh)]
    for number, one in enumerate(people):
        one.go("/claim")
        one.page.fill("#key", fresh.key)
        one.page.fill("#email", f"claimant{number}@example.com")
        one.page.fill("#password", PASSWORD)
    for one in people:
        one.page.evaluate("document.querySelector('form').requestSubmit()")
    for one in people:
        one.page.wait_for_selector("text=/Add an authenticator|has an owner already/")
    winners = [one for one in people if one.page.url.endswith("/authenticator")]
    assert len(winners) == 1
    stranger = person(fresh)
    stranger.go("/claim")
    assert stranger.page.locator("#key").count() == 1, "the page looks the same when claimed"


def test_wrong_key_and_password_are_refused(fresh, person):
    stranger = person(fresh)
    stranger.go("/claim")
    stranger.page.fill("#key", "AAAA-AAAA-AAAA-AAAA-AAAA-AAAA")
    stranger.page.fill("#email", EMAIL)
    stranger.page.fill("#password", PASSWORD)
    stranger.page.click("text=Continue")
    wait_until(stranger.page, "The set-up key is wrong")
    stranger.page.fill("#key", fresh.key)
    stranger.page.fill("#password", "short")
    stranger.page.click("text=Continue")
    wait_until(stranger.page, "at least 12 characters")
    stranger.sign_in(code="")
    wait_until(stranger.page, "password or code is wrong")


def test_signs_in_again_with_code_and_recovery_code(fresh, person):
    owner = person(fresh)
    owner.claim()
    owner.page.click("text=Sign out")
    assert owner.go("/messages").url.startswith(f"{fresh.url}/console/sign-in")
    owner.sign_in(code="000000")
    wait_until(owner.page, "password or code is wrong")
    owner.sign_in()
    assert owner.page.locator("nav[aria-label=Main]").count() == 1
    owner.page.click("text=Sign out")
    owner.sign_in(code=owner.recovery[0])
    assert owner.page.locator("nav[aria-label=Main]").count() == 1
    owner.page.click("text=Sign out")
    owner.sign_in(code=owner.recovery[0])
    wait_until(owner.page, "password or code is wrong")


def test_link_of_the_machine_sets_a_new_password(fresh, person):
    owner = person(fresh)
    owner.claim()
    link = fresh.command("console-key", "--recover", EMAIL)
    again = person(fresh)
    again.page.goto(link)
    again.page.fill("#password", "another long pass phrase")
    again.page.click("text=Accept")
    again.enrol()
    owner.go("")
    assert "/sign-in" in owner.page.url, "the old sessions have ended"
    assert "no set-up key" in fresh.command("console-key")


def test_invited_viewer_sees_and_changes_nothing(claimed, person):
    program, owner = claimed
    link = owner.invite("vera@example.com", "viewer")
    viewer = person(program)
    viewer.join(link, "quiet observer of things")
    for path in ["/messages", "/agents", "/spend"]:
        viewer.go(path)
        assert viewer.page.locator("main button:not(.slim):not([data-copy])").count() <= 1, f"{path}: filters only"
    assert viewer.go("/system").status == 403
    token = viewer.page.get_attribute("input[name=_token] >> nth=0", "value")
    answer = viewer.context.request.post(
        f"{program.url}/console/agents",
        form={"name": "Mallory", "_token": token},
        headers={"Sec-Fetch-Site": "same-origin"},
    )
    assert answer.ok and "does not include this" in answer.text()
    used = person(program)
    assert used.page.goto(link).status == 404, "a link is valid once"


def test_removed_member_is_out_within_a_second(claimed, person):
    program, owner = claimed
    link = owner.invite("rita@example.com", "operator")
    member = person(program)
    member.join(link, "operator of the night")
    member.go("")
    owner.go("/members")
    owner.page.click("button[aria-label='Remove rita@example.com']")
    owner.confirm()
    removed = time.monotonic()
    # The live part of the open page notices it, and the page asks for the sign-in.
    member.page.wait_for_url("**/sign-in*", timeout=5_000)
    assert time.monotonic() - removed < 2.5
    assert "/sign-in" in member.go("/messages").url


def test_other_session_is_out_within_a_second(claimed, person):
    program, owner = claimed
    other = person(program)
    other.authenticator = owner.authenticator
    other.sign_in(code=owner.recovery.pop())
    other.go("/messages")
    owner.go("/account")
    owner.page.click("text=Sign out everywhere else")
    wait_until(owner.page, "ended")
    assert "/sign-in" in other.go("/messages").url


def test_requests_of_other_sites_are_refused(claimed):
    program, owner = claimed
    request = owner.context.request
    owner.go("/account")
    token = owner.page.get_attribute("input[name=_token] >> nth=0", "value")
    form = {"_token": token}
    for headers in [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}]:
        answer = request.post(f"{program.url}/console/sign-out", form=form, headers=headers, max_redirects=0)
        assert answer.status == 403, headers
    same = {"Sec-Fetch-Site": "same-origin"}
    answer = request.post(f"{program.url}/console/sign-out", form={"_token": "x" * 32}, headers=same, max_redirects=0)
    assert answer.status == 403
    assert owner.go("/account").status == 200, "still signed in"


def test_texts_of_strangers_run_no_script(claimed, person):
    program, owner = claimed
    evil = "<script>document.title='pwned'</script><img src=x onerror=\"document.title='pwned'\">"
    owner.go("/agents")
    owner.page.fill("#name", evil)
    owner.page.click("main button:has-text('Create')")
    owner.page.click("text=I have kept it")
    owner.go(f"/messages?contact={evil}&code={evil}&agent={evil}")
    owner.go("/agents")
    for path in ["/agents", "/messages", "/callbacks"]:
        owner.go(path)
        assert "pwned" not in owner.page.title()
    assert owner.go(f"/messages/{'%3Cscript%3E'}").status == 404
    assert owner.page.locator("main script").count() == 0
    reply = owner.context.request.get(f"{program.url}/console/sign-in?next=https://evil.example", max_redirects=0)
    policy = reply.headers["content-security-policy"]
    assert "unsafe" not in policy and "default-src 'none'" in policy
    assert not owner.problems, owner.problems


def test_sign_in_leads_to_own_pages_only(claimed, person):
    program, owner = claimed
    visitor = person(program)
    visitor.page.goto("/console/sign-in?next=//evil.example/console")
    visitor.page.fill("#email", EMAIL)
    visitor.page.fill("#password", PASSWORD)
    visitor.page.fill("#code", owner.recovery.pop())
    visitor.page.click("main button:has-text('Sign in')")
    assert visitor.page.url.startswith(f"{program.url}/console")


def test_refused_send_is_explained_and_keeps_its_text(claimed):
    _, owner = claimed
    owner.go("/messages#new")
    owner.page.fill("#to", "12")
    owner.page.fill("#body", "Text that must not be lost")
    owner.page.click("main button:has-text('Send')")
    assert owner.page.locator("[role=alert]").count() == 1
    assert owner.page.input_value("#body") == "Text that must not be lost"
    owner.picture("refused")


def test_list_says_what_is_new_and_filters(claimed, person):
    program, owner = claimed
    team = json.loads(program.command("bootstrap", "--json"))
    send = lambda to: program.rest("POST", "/api/v1/send-message", team["agentToken"], {"to": to, "channel": "sms", "body": "Hi"})
    send("+14155550130")
    owner.go("/messages")
    before = owner.page.locator("tbody tr").count()
    send("+14155550131")
    send("+14155550132")
    wait_until(owner.page, "2 new since this page")
    assert owner.page.locator("tbody tr").count() == before, "the list stays as it is"
    owner.page.click("text=2 new since this page")
    assert owner.page.locator("tbody tr").count() == before + 2
    owner.page.fill("#contact", "+14155550131")
    owner.page.click("main button:has-text('Filter')")
    assert owner.page.locator("tbody tr").count() == 1
    owner.page.select_option("#channel", "email")
    owner.page.click("main button:has-text('Filter')")
    wait_until(owner.page, "No message fits these filters")


def test_call_is_watched_while_it_is_spoken(claimed):
    program, owner = claimed
    token = json.loads(program.command("bootstrap", "--json"))["agentToken"]
    placed = program.rest("POST", "/api/v1/calls", token, {"to": "+14155550150", "greeting": "Good evening."})
    call = placed["callId"]
    owner.go(f"/calls/{call}")
    wait_until(owner.page, "Good evening.")
    assert owner.page.locator("h2:has-text('Live')").count() == 1
    program.rest("POST", f"/api/v1/calls/{call}/say", token, {"text": "A table for four, please."})
    wait_until(owner.page, "A table for four, please.")
    owner.picture("call-live")
    owner.page.fill("#text", "Thank you")
    owner.page.click("button:has-text('End the call')")
    owner.confirm()
    wait_until(owner.page, "What was heard")
    owner.go("/calls")
    assert owner.page.locator("tbody tr").count() == 1
    owner.picture("calls")


def test_refusal_is_explained_before_and_after(claimed):
    program, owner = claimed
    page, person_address = owner.page, "+14155550180"
    owner.go("/check")
    page.select_option("#agent", label="First agent")
    page.fill("#to", person_address)
    page.fill("#body", "Your order has left.")
    page.select_option("#purpose", "transactional")
    page.click("main button:has-text('Check')")
    before = page.inner_text("[role=status]")
    assert "No." not in before and "estimated" in before, before
    owner.go("/do-not-contact")
    page.fill("#address", person_address)
    page.fill("#reason", "asked <b>by letter</b>")
    page.click("main button:has-text('Add') >> nth=0")
    wait_until(page, "1 added")
    assert person_address in page.inner_text("tbody")
    owner.go("/check")
    page.select_option("#agent", label="First agent")
    page.fill("#to", person_address)
    page.fill("#body", "Your order has left.")
    page.click("main button:has-text('Check')")
    wait_until(page, "No.")
    owner.picture("check")
    token = json.loads(program.command("bootstrap", "--json"))["agentToken"]
    with pytest.raises(urllib.error.HTTPError):
        program.rest("POST", "/api/v1/send-message", token, {"to": person_address, "channel": "sms", "body": "Your order has left."})
    owner.go("/check")
    assert page.locator("table tbody tr").count() >= 1
    assert person_address not in page.inner_text("table"), "addresses are masked"
    owner.picture("refusals")
    owner.go("/do-not-contact")
    page.click(f"button[aria-label='Remove {person_address}']")
    owner.confirm()
    wait_until(page, "The list is empty")


def test_audit_log_names_people_and_verifies(claimed):
    _, owner = claimed
    owner.go("/audit?action=console.sign-in")
    owner.go("/audit")
    assert "installation.claim" in owner.page.inner_text("tbody")
    owner.page.click("text=Verify the log")
    wait_until(owner.page, "The log is whole")
    owner.picture("audit")


def test_person_changes_password_and_gets_new_codes(fresh, person):
    owner = person(fresh)
    owner.claim()
    owner.go("/account")
    owner.page.fill("#password", "quite another pass phrase")
    owner.page.click("text=Change the password")
    wait_until(owner.page, "The password is changed")
    owner.page.click("text=Make new recovery codes")
    codes = owner.page.locator("#codes li").all_text_contents()
    owner.page.click("text=I have kept them")
    owner.page.click("text=Sign out")
    owner.sign_in(code=codes[0])
    wait_until(owner.page, "password or code is wrong")
    owner.sign_in(password="quite another pass phrase", code=codes[0])
    assert owner.page.locator("nav[aria-label=Main]").count() == 1


def test_works_below_the_path_of_a_proxy(person):
    program = Program(BASE_PATH="/bd")
    try:
        owner = person(program)
        owner.base = "/bd"
        owner.go("/messages")
        assert owner.page.url.endswith("/bd/console/sign-in?next=%2Fbd%2Fconsole%2Fmessages")
        owner.claim()
        assert owner.page.url.endswith("/bd/console/setup")
        owner.page.click("nav >> text=Messages")
        wait_until(owner.page, "No messages yet")
        assert "/bd/console/invitation/" in program.command("console-key", "--recover", EMAIL)
    finally:
        program.stop()


def test_search_leads_to_pages(claimed):
    program, owner = claimed
    team = json.loads(program.command("bootstrap", "--json"))
    sent = program.rest("POST", "/api/v1/send-message", team["agentToken"], {"to": "+14155550160", "channel": "sms", "body": "Hi"})
    for wanted, path in [
        (sent["messageId"], f"/messages/{sent['messageId']}"),
        (sent["providerMessageId"], f"/messages/{sent['providerMessageId']}"),
        ("+1 415 555 0160", "/messages?contact=%2B14155550160"),
        ("Spend", "/spend"),
        ("First agent", f"/agents/{team['agentId']}"),
    ]:
        owner.go("/account")
        owner.page.keyboard.press("Control+k")
        owner.page.keyboard.type(wanted)
        owner.page.keyboard.press("Enter")
        owner.page.wait_for_url(f"**/console{path.replace('?', '*')}")
    owner.go("/find?q=nothing-like-this")
    wait_until(owner.page, "No result")


def test_rest_returns_what_the_pages_show(claimed):
    program, _ = claimed
    team = json.loads(program.command("bootstrap", "--json"))
    token = team["teamToken"]
    sent = program.rest("POST", "/api/v1/send-message", team["agentToken"], {"to": "+14155550140", "channel": "sms", "body": "Hi"})
    found = program.rest("GET", "/api/v1/messages?limit=1", token)
    assert found["messages"][0]["messageId"] == sent["messageId"] and found["nextCursor"] == sent["messageId"]
    detail = program.rest("GET", f"/api/v1/messages/{sent['messageId']}/timeline", token)
    assert [step["kind"] for step in detail["timeline"]][:2] == ["stored", "attempt"]
    assert program.rest("GET", "/api/v1/overview", token)["messages"]
    assert "calls" in program.rest("GET", "/api/v1/organization/calls", token)


@pytest.mark.parametrize("colors", ["light", "dark", "forced"])
def test_pages_are_accessible(claimed, person, colors):
    program, owner = claimed
    options = {"forced_colors": "active"} if colors == "forced" else {"color_scheme": colors}
    one = person(program, **options)
    one.context.add_cookies(owner.context.cookies())
    serious = []
    for path in [*PAGES, "/messages?status=failed", "/sign-in", "/claim"]:
        if path in ("/sign-in", "/claim"):
            one.context.clear_cookies()
        one.go(path)
        one.picture(f"{colors}{path.replace('/', '-').replace('?', '-') or '-overview'}")
        # As a tool of the browser, not as a script of the page: its policy forbids those.
        one.page.evaluate(AXE)
        found = one.page.evaluate("axe.run()")["violations"]
        serious += [
            f"{path}: {rule['id']}: {node['html'][:150]}"
            for rule in found
            if rule["impact"] in ("serious", "critical")
            for node in rule["nodes"][:3]
        ]
    assert not serious, "\n".join(serious)


def test_pages_fit_a_narrow_screen(claimed, person):
    program, owner = claimed
    one = person(program, viewport={"width": 320, "height": 640})
    one.context.add_cookies(owner.context.cookies())
    for path in PAGES:
        one.go(path)
        wide = one.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 320, f"{path} is {wide} pixels wide"
        one.picture(f"narrow{path.replace('/', '-') or '-overview'}")
    one.page.focus("#menu")
    one.page.keyboard.press("Space")
    assert one.page.locator("nav[aria-label=Main] a").first.is_visible()


def test_keyboard_reaches_content_first(claimed):
    _, owner = claimed
    owner.go("/messages")
    owner.page.keyboard.press("Tab")
    assert owner.page.evaluate("document.activeElement.className") == "skip"
    owner.page.keyboard.press("Enter")
    assert owner.page.evaluate("location.hash") == "#content"


def test_first_page_is_small(claimed):
    program, owner = claimed
    response = owner.context.request.get(f"{program.url}/console", headers={"Accept-Encoding": "identity"})
    assert len(response.body()) < 50_000 and response.headers["cache-control"] == "no-store"


def dead_letters(program, *rows):
    """Stores reports that can't be applied, as a fault leaves them: each a number and a reason."""
    with sqlite3.connect(f"{program.directory.name}/butt-dial.db", timeout=20) as database:
        for number, reason in rows:
            at = f"2026-11-30T00:00:{number:02}+00:00"
            database.execute(
                "INSERT INTO dead_letters (id, reason, payload, created_at) VALUES (?, ?, ?, ?)",
                (f"ddl_{number:04}", reason, b"x", at),
            )


def test_dead_letters_of_one_cause_are_dropped_after_a_preview(fresh, person):
    owner = person(fresh)
    owner.claim()
    dead_letters(fresh, (1, "unreadable"), (2, "unreadable"), (3, "data"), (4, "unreadable"))
    owner.go("/dead-letters")
    groups = owner.page.locator("section[aria-labelledby=groups] tbody tr")
    assert groups.count() == 1 and "3" in groups.inner_text(), "a group of one is no group"
    owner.picture("dead-letters")
    owner.page.click("button:has-text('Drop all')")
    wait_until(owner.page, "Drop 3 dead letters?")
    dead_letters(fresh, (5, "unreadable"))
    owner.page.click("button:has-text('Drop these 3')")
    owner.confirm()
    wait_until(owner.page, "3 of 3 were dropped.")
    rows = owner.page.locator("section[aria-label='Dead letters'] tbody tr")
    assert rows.count() == 2, "what came after the preview stays"
    owner.go("/dead-letters")
    assert owner.page.locator("section[aria-labelledby=groups]").count() == 0


def test_messages_are_found_by_the_id_at_the_carrier(claimed):
    program, owner = claimed
    token = json.loads(program.command("bootstrap", "--json"))["agentToken"]
    send = {"to": "+14155550177", "channel": "sms", "body": "Hi", "threadId": "thread-9"}
    sent = program.rest("POST", "/api/v1/send-message", token, send)
    program.rest("POST", "/api/v1/send-message", token, {**send, "to": "+14155550178", "threadId": "other"})
    for field, value in [("carrier", sent["providerMessageId"]), ("thread", "thread-9")]:
        owner.go("/messages")
        owner.page.click("summary:has-text('Rule, thread')")
        owner.page.fill(f"#{field}", value)
        owner.page.click("button:has-text('Filter')")
        rows = owner.page.locator("section[aria-label=Messages] tbody tr")
        assert rows.count() == 1 and "+141•••77" in rows.inner_text()
