"""The figures as a table, saved filters, and edits of two people at the same time."""

import csv
import io
import json

from test_console import wait_until
from test_simulator import EVIL


def test_figures_are_a_table(claimed):
    program, owner = claimed
    team = json.loads(program.command("bootstrap", "--json"))
    program.rest(
        "POST", "/api/v1/send-message", team["agentToken"], {"to": "+14155550161", "channel": "sms", "body": "Hi"}
    )
    owner.go("")
    with owner.page.expect_download() as download:
        owner.page.click("a:has-text('CSV')")
    with open(download.value.path(), newline="") as file:
        rows = list(csv.DictReader(file))
    sent = [row for row in rows if row["figure"] == "messages_24h" and row["channel"] == "sms"]
    assert sum(int(row["value"]) for row in sent) >= 1
    assert {"live_calls", "spend_today", "spend_this_month", "usage", "cost"} <= {row["figure"] for row in rows}
    answer = owner.context.request.get(
        f"{program.url}/api/v1/overview/export", headers={"Authorization": f"Bearer {team['teamToken']}"}
    )
    assert answer.headers["content-type"].startswith("text/csv")
    assert next(csv.reader(io.StringIO(answer.text()))) == ["figure", "day", "channel", "status", "value", "unit"]


def test_filter_is_saved_and_forgotten(claimed):
    _, owner = claimed
    page, name = owner.page, "<b>Failed</b>"
    owner.go("/messages?status=failed&contact=%2B14155550161")
    page.fill("#filter-name", name)
    page.click("button:has-text('Save filter')")
    owner.go("/messages")
    page.click(f".saved a:has-text('{name}')")
    assert page.input_value("#status") == "failed" and page.input_value("#contact") == "", "addresses are not saved"
    assert page.locator("#filter-name").count() == 0, "it is saved already"
    owner.picture("saved-filter")
    page.click(f"button[aria-label='Forget the filter {name}']")
    assert page.locator(".saved").count() == 0
    owner.go("/messages?status=failed")
    page.fill("#filter-name", EVIL[:40])
    page.click("button:has-text('Save filter')")
    assert "pwned" not in page.title() and page.locator(".saved script, .saved img").count() == 0
    page.click("button[aria-label^='Forget the filter']")


def test_edits_of_two_people_are_both_shown(claimed):
    program, owner = claimed
    page = owner.page
    agent = json.loads(program.command("bootstrap", "--json"))["agentId"]
    owner.go(f"/agents/{agent}?tab=limits")
    page.fill("#maxActionsPerDay", "111")
    other = owner.context.new_page()
    other.goto(f"/console/agents/{agent}?tab=limits")
    other.fill("#maxActionsPerDay", "222")
    other.click("main button:has-text('Save')")
    wait_until(other, "Saved.")
    page.click("main button:has-text('Save')")
    wait_until(page, "It has changed meanwhile")
    shown = page.inner_text("table")
    assert "111" in shown and "222" in shown
    owner.picture("conflict")
    page.click("button:has-text('Save mine')")
    wait_until(page, "Saved.")
    other.reload()
    assert other.input_value("#maxActionsPerDay") == "111"
    other.close()
    owner.go("/spend")
    page.fill("#maxActionsPerDay", "9000")
    page.click("main button:has-text('Save')")
    wait_until(page, "The limits are saved")
