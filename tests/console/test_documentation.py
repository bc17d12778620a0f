"""The page of the API, /docs/."""

import json


def operation(page):
    """Opens the description of the operation that sends messages."""
    page.click("#operations-tag-Messages")
    page.click("#operations-Messages-comms_send_message .opblock-summary-control")
    return page.locator("#operations-Messages-comms_send_message")


def test_example_sends_at_first_click(claimed, person):
    program, _ = claimed
    token = json.loads(program.command("bootstrap", "--json"))["agentToken"]
    reader = person(program)
    page = reader.page
    page.goto("/docs/")
    page.locator(".opblock-tag").first.wait_for()
    groups = page.locator(".opblock-tag").all_text_contents()
    assert len(groups) == 10 and groups[0].startswith("Messages"), groups
    page.click(".btn.authorize")
    page.fill(".auth-container input", token)
    page.click(".auth-btn-wrapper .authorize")
    page.click(".btn-done")
    sending = operation(page)
    sending.locator("button.execute").click()
    sending.locator(".live-responses-table .response-col_status:has-text('200')").wait_for()
    reader.picture("docs")
    assert '"messageId"' in sending.locator(".live-responses-table").inner_text()
    # The browser keeps the token. A reload would open the group that was open before.
    page.goto("about:blank")
    page.goto("/docs/")
    sending = operation(page)
    sending.locator("button.execute").click()
    sending.locator(".live-responses-table .response-col_status:has-text('200')").wait_for()
    assert not reader.problems, reader.problems
