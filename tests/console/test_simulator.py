"""The simulated telephones and the playground of operations."""

import json
import time

from test_console import wait_until

EVIL = "<script>document.title='pwned'</script><img src=x onerror=\"document.title='pwned'\">"
PERSON = "+14155550190"


def write(page, text, person=PERSON):
    page.goto(f"/console/simulator?person=%2B{person[1:]}")
    page.fill("#text", text)
    page.click("form[data-clear=text] button:has-text('Send')")


def until(is_met):
    """Waits for what another part of the program does."""
    deadline = time.monotonic() + 20
    while not is_met():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.1)


def agent_token(program):
    return json.loads(program.command("bootstrap", "--json"))["agentToken"]


def test_person_and_agent_write_to_each_other(claimed):
    program, owner = claimed
    page, token = owner.page, agent_token(program)
    write(page, "Is the shop open?")
    wait_until(page, "Is the shop open?")
    until(lambda: page.input_value("#text") == "")
    assert "/console/simulator" in page.url, "the page was not left"
    until(lambda: "Is the shop open?" in json.dumps(program.rest("GET", "/api/v1/waiting-messages", token)))
    program.rest("POST", "/api/v1/send-message", token, {"to": PERSON, "channel": "sms", "body": f"Until six. {EVIL}"})
    wait_until(page, "Until six.")
    wait_until(page, "delivered")
    assert EVIL in page.inner_text(".thread") and "pwned" not in page.title()
    assert page.locator(".thread script, .thread img").count() == 0
    assert page.locator(f".people a:has-text('{PERSON}')").count() == 1
    owner.picture("simulator")
    assert not owner.problems, owner.problems


def test_telephone_works_without_scripts(claimed, person):
    program, owner = claimed
    one = person(program, java_script_enabled=False)
    one.context.add_cookies(owner.context.cookies())
    write(one.page, "Written without scripts", "+14155550191")
    wait_until(one.page, "Written without scripts")
    one.page.click("button:has-text('Call')")
    wait_until(one.page, "Call to", reload=True)
    wait_until(one.page, "in-progress", reload=True)
    one.page.click("button:has-text('Hang up')")
    wait_until(one.page, "completed", reload=True)


def test_call_is_heard_word_by_word(claimed):
    program, owner = claimed
    page, token = owner.page, agent_token(program)
    page.goto("/console/simulator?person=%2B14155550192")
    assert not page.locator("#spoken").is_visible(), "nothing to say without a call"
    page.click("button:has-text('Call')")
    page.wait_for_selector("#spoken", state="visible")
    wait_until(page, "in-progress")
    calls = program.rest("GET", "/api/v1/calls?live=true", token)
    call = next(call for call in calls["calls"] if call["from"] == "+14155550192")["callId"]
    sentence = "one two three four five six seven eight nine ten eleven twelve"
    program.rest("POST", f"/api/v1/calls/{call}/say", token, {"text": sentence})
    page.wait_for_selector(".hearing:has-text('three')")
    assert "twelve" not in page.inner_text(".thread")
    owner.picture("simulator-call")
    page.fill("#spoken", f"Stop, please {EVIL}")
    page.click("button:has-text('Interrupt')")
    wait_until(page, "Stop, please")
    until(lambda: page.input_value("#spoken") == "")
    heard = page.inner_text(".thread")
    assert "twelve" not in heard and EVIL in heard, heard
    # The page of the call shows what the person did not hear.
    watcher = owner.context.new_page()
    watcher.goto(f"/console/calls/{call}")
    watcher.locator(".unheard:has-text('twelve')").wait_for()
    watcher.close()
    page.click("summary:has-text('Keypad')")
    page.click("button[aria-label='Key 5']")
    page.click("button:has-text('Hang up')")
    wait_until(page, "completed")
    page.wait_for_selector("#spoken", state="hidden")
    owner.go(f"/calls/{call}")
    page.locator(".unheard:has-text('twelve')").wait_for()
    owner.picture("call-ended")
    assert "pwned" not in page.title()


def test_call_of_an_agent_rings_at_the_open_telephone(claimed):
    program, owner = claimed
    page, token = owner.page, agent_token(program)
    page.goto("/console/simulator?person=%2B14155550193")
    wait_until(page, "Nothing was said yet")
    program.rest("POST", "/api/v1/calls", token, {"to": "+14155550193", "greeting": "Good morning."})
    wait_until(page, "Call from")
    page.wait_for_selector("#spoken", state="visible")
    wait_until(page, "Good morning.")
    page.click("button:has-text('Hang up')")
    wait_until(page, "completed")


def test_faults_fail_the_next_send_and_are_shown(claimed):
    program, owner = claimed
    page, token = owner.page, agent_token(program)
    page.goto("/console/simulator")
    page.click("summary:has-text('Faults')")
    page.select_option("#kind", "server_error_after_accept")
    page.click("button:has-text('Inject')")
    wait_until(page, "fails 1 more send")
    sent = program.rest("POST", "/api/v1/send-message", token, {"to": "+14155550194", "channel": "sms", "body": "Hi"})
    assert sent["status"] == "pending", sent
    page.goto("/console/simulator?person=%2B14155550194")
    assert page.locator("text=fails 1 more send").count() == 0
    page.click("summary:has-text('Faults')")
    page.select_option("#copies", "2")
    page.select_option("#delay", "0")
    page.click("button:has-text('Set receipts')")
    wait_until(page, "each webhook comes 2 times")
    page.select_option("#copies", "1")
    page.click("button:has-text('Set receipts')")
    write(page, "Hello", "+14155550194")
    page.goto("/console/audit?action=simulator.change")
    assert "simulator.change" in page.inner_text("tbody")


def test_wrong_number_is_refused_and_the_text_is_kept(claimed):
    _, owner = claimed
    page = owner.page
    page.goto("/console/simulator?person=abc")
    assert page.locator("text=can write").count() == 1
    page.goto("/console/simulator?person=%2B1")
    page.fill("#text", "Text that must not be lost")
    page.click("form[data-clear=text] button:has-text('Send')")
    page.wait_for_selector("#outcome [role=alert]")
    assert page.input_value("#text") == "Text that must not be lost"


def test_playground_runs_an_operation_and_shows_the_call(claimed):
    program, owner = claimed
    page = owner.page
    page.goto("/console/playground")
    page.select_option("#agent", label="First agent")
    page.click("main button:has-text('Choose')")
    page.fill("#arg-to", "+14155550195")
    page.select_option("#arg-channel", "sms")
    page.fill("#arg-body", f"It's {EVIL}")
    page.click("main button:has-text('Run as')")
    page.wait_for_selector("#result-json, main [role=alert]")
    assert page.locator("main [role=alert]").count() == 0, page.inner_text("main [role=alert]")
    result = json.loads(page.inner_text("#result-json"))
    assert result["to"] == "+14155550195" and page.locator("[role=status]:has-text(' ms')").count() == 1
    mcp = json.loads(page.inner_text("#as-mcp"))
    assert mcp["params"]["name"] == "comms_send_message" and mcp["params"]["arguments"]["body"] == f"It's {EVIL}"
    assert "send-message" in page.inner_text("#as-curl") and "agent.call_tool(" in page.inner_text("#as-python")
    compile(page.inner_text("#as-python"), "example", "exec")
    assert "pwned" not in page.title() and page.locator("main img").count() == 0
    owner.picture("playground")
    page.goto("/console/audit?action=playground.run")
    assert "playground.run" in page.inner_text("tbody")
    page.goto("/console/playground?tool=comms_list_events")
    page.fill("#arg-limit", "many")
    page.click("main button:has-text('Run as')")
    page.wait_for_selector("main [role=alert]:has-text('whole number')")
    assert page.get_attribute("#arg-limit", "aria-invalid") == "true"


def test_viewer_neither_writes_nor_runs(claimed, person):
    program, owner = claimed
    link = owner.invite("vito@example.com", "viewer")
    viewer = person(program)
    viewer.join(link, "quiet observer of things")
    viewer.go("/simulator")
    assert viewer.page.locator("#text, #spoken, #kind").count() == 0
    token = viewer.page.get_attribute("input[name=_token] >> nth=0", "value")
    for path, form in [
        ("simulator", {"do": "write", "person": PERSON, "to": "sms +14155550100", "text": "x"}),
        ("simulator", {"do": "fault", "carrier": "twilio", "kind": "slow", "times": "1"}),
        ("playground", {"tool": "comms_send_message", "agent": "x", "arg-to": PERSON}),
    ]:
        answer = viewer.context.request.post(
            f"{program.url}/console/{path}",
            form={**form, "_token": token},
            headers={"Sec-Fetch-Site": "same-origin"},
        )
        assert "does not include this" in answer.text(), path


def run_scenario(page, title, person):
    """Opens a scenario, and returns what runs its steps."""
    page.goto(f"/console/scenarios?person=%2B{person[1:]}")
    page.click(f"a[aria-label='Begin: {title}']")

    def run(expected=None):
        page.click("#step button:has-text('Run')")
        page.wait_for_selector("#step [role=status]")
        text = page.inner_text("#step [role=status]")
        if expected:
            assert expected in text, text
        if page.locator("#step a:has-text('Next step')").count():
            page.click("#step a:has-text('Next step')")
        return text

    return run


def test_scenarios_run_step_by_step(claimed):
    _, owner = claimed
    page = owner.page
    page.goto("/console/scenarios")
    assert page.locator("a:has-text('Begin')").count() == 7
    owner.picture("scenarios")
    run = run_scenario(page, "STOP, and what a send then gets", "+14155550181")
    run("Done")
    until(lambda: "STOP" in page.inner_text(".thread"))
    owner.picture("scenario")
    run("CONTACT_OPTED_OUT")
    run("revoked")
    run("Done")
    page.wait_for_timeout(500)
    run("messageId")
    wait_until(page, "Welcome back.")
    run = run_scenario(page, "A one-time code", "+14155550182")
    run("challengeId")
    run("Code")
    assert len(page.input_value("[name=arg-code]")) == 6
    run("verified")
    run()
    assert not owner.problems, owner.problems


def test_scenarios_show_fallback_and_reconciliation(claimed):
    program, owner = claimed
    page = owner.page
    run = run_scenario(page, "A carrier fails, another channel takes over", "+14155550183")
    run("Done")
    page.wait_for_timeout(500)
    run("Done")
    run('"insteadOf": "whatsapp"')
    run = run_scenario(page, "A lost answer, and how it is reconciled", "+14155550184")
    run("Done")
    run("pending")
    run()
    settled = lambda: (page.click("#step button:has-text('Run')"), page.inner_text("#step [role=status]"))[1]
    until(lambda: "delivered" in settled() or "accepted" in settled())
    page.click("#step a:has-text('The message')")
    page.click("summary:has-text('Stages of the send')")
    wait_until(page, "Request to the carrier")
    owner.picture("message-stages")
    token = agent_token(program)
    assert token


def test_scenarios_run_calls_without_scripts(claimed, person):
    program, owner = claimed
    one = person(program, java_script_enabled=False)
    one.context.add_cookies(owner.context.cookies())
    run = run_scenario(one.page, "A call with an interruption", "+14155550185")
    run("callId")
    # The telephone rings first.
    status = "#step [role=status]"
    until(lambda: (one.page.click("#step button:has-text('Run')"), "spoken" in one.page.inner_text(status))[1])
    one.page.click("#step a:has-text('Next step')")
    run("Done")
    one.page.wait_for_timeout(1_000)
    assert "Seven is fine" in run()
    run("Done")
    # A value that a person types stays text.
    one.page.goto("/console/scenarios?name=text&step=0&person=%3Cb%3Ex&agent=%3Cscript%3E")
    assert one.page.locator("main script").count() == 0 and one.page.locator("main b").count() == 0
