"""Pages without a login: the verification of an owner, the terms, and the link that decides about a held message."""

import json
import pathlib
import re
import time
import urllib.request

import pytest

from conftest import Person
from program import Program, free_port

RULES = pathlib.Path(__file__).parent.parent / "rules"
OWNER = "grace@example.com"


@pytest.fixture(scope="module")
def program():
    program = Program(
        REGISTRATION="open",
        TERMS_VERSION="2026-11",
        TERMS_URL="https://comms.example/terms",
        RULES_DIR=str(RULES),
        SIMULATOR_PORT=str(free_port()),
    )
    yield program
    program.stop()


@pytest.fixture
def visitor(chromium, program):
    visitor = Person(chromium, program)
    yield visitor
    visitor.close()


def link_in_mail(program, to, pattern):
    """Waits for a mail that the simulator has received, and returns the link in it."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        url = f"http://127.0.0.1:{program.environment['SIMULATOR_PORT']}/messages"
        with urllib.request.urlopen(url, timeout=5) as response:
            messages = json.load(response)
        for message in reversed(messages.get("messages", messages) if isinstance(messages, dict) else messages):
            if message["to"] == to and (found := re.search(pattern, message["body"])):
                return found[0]
        time.sleep(0.1)
    raise AssertionError(f"no mail to {to} with {pattern}")


@pytest.fixture(scope="module")
def team(chromium, program):
    """An owner registers, verifies and accepts the terms in the browser. Returns the team token that the page shows."""
    body = json.dumps({"orgName": "Flowers <b>&</b> Co", "ownerEmail": OWNER}).encode()
    request = urllib.request.Request(
        f"{program.url}/api/orgs/register", data=body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=20) as response:
        assert response.status == 200
    visitor = Person(chromium, program)
    page = visitor.page
    page.goto(link_in_mail(program, OWNER, r"http://\S+/verify#token=\w+"))
    page.wait_for_url("**/onboarding?s=*")
    assert page.text_content("h1") == "Accept the terms"
    assert "Flowers <b>&</b> Co" in page.text_content("body"), "the name is text"
    assert page.get_attribute("a", "href") == "https://comms.example/terms"
    visitor.picture("onboarding")
    page.click("#accept")
    page.locator("#secret", has_text=re.compile(r"\w")).wait_for()
    visitor.picture("verified")
    assert page.text_content("h1") == "Your organization is active"
    assert not page.is_visible("#request")
    token = page.text_content("#secret")
    assert visitor.problems == []
    visitor.close()
    return token


def test_owner_verifies_and_accepts_the_terms(program, team):
    assert program.rest("GET", "/api/orgs/me", team)["name"] == "Flowers <b>&</b> Co"


def test_used_and_incomplete_links_say_what_to_do(program, team, visitor):
    for path, words in [("/verify", "This link is not complete"), ("/verify#token=0", "Not confirmed")]:
        visitor.page.goto("about:blank")
        visitor.page.goto(f"{program.url}{path}")
        visitor.page.locator("#status", has_text=words).wait_for()
        assert visitor.page.url == f"{program.url}/verify", "the secret leaves the address bar"
    visitor.page.goto(f"{program.url}/onboarding?s=used")
    assert visitor.page.text_content("h1") == "This link is not valid"
    assert visitor.problems == []


@pytest.mark.parametrize("decision", ["Approve", "Reject"])
def test_link_in_an_alert_decides_about_a_held_message(program, team, visitor, decision):
    address = f"{decision.lower()}@example.com"
    route = program.rest(
        "POST", "/api/v1/alert-routes", team, {"kind": "email", "address": address, "severity": "high"}
    )
    agent = program.rest("POST", "/api/v1/agents", team, {"displayName": f"Ada who will {decision}"})
    program.rest("POST", f"/api/v1/agents/{agent['agentId']}/comm-channels", team, {"channel_type": "email"})
    held = program.rest(
        "POST",
        "/api/v1/send-message",
        agent["token"],
        {"to": "ann@example.com", "channel": "email", "subject": "Roses", "body": "<i>Twenty</i> percent off.", "purpose": "marketing"},
    )
    assert held["status"] == "pending_approval", held
    page = visitor.page
    link = link_in_mail(program, address, r"http://\S+/approvals/\S+")
    page.goto(link)
    assert page.text_content("h1") == "A message waits for your approval"
    assert page.text_content("blockquote") == "<i>Twenty</i> percent off."
    visitor.picture(f"approval-{decision}")
    page.click(f"button:has-text('{decision}')")
    page.wait_for_load_state()
    assert page.text_content("h1") in ("Approved", "Rejected")
    page.goto(link)
    assert page.text_content("h1") == "No message waits for this approval"
    assert visitor.problems == []
    urllib.request.urlopen(
        urllib.request.Request(
            f"{program.url}/api/v1/alert-routes/{route['id']}", method="DELETE", headers={"Authorization": f"Bearer {team}"}
        ),
        timeout=20,
    )
