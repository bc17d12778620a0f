"""The console as replicas of its own, beside the other roles on Postgres, NATS and Redis."""

import pathlib
import sys
import time

import pytest

from conftest import EMAIL, Person
from program import BINARY
from test_passkeys import Device

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "observability"))
import system  # noqa: E402

ROLES = {"gateway": 1, "webhook-ingest": 1, "voice-relay": 1, "dispatcher": 1, "console": 2}


class Replica:
    """One of the consoles, as a person's browser sees it."""

    def __init__(self, running, name):
        self.running = running
        self.url = f"http://127.0.0.1:{running.ports[name][0]}"
        self.key = running.command("console-key").strip()


@pytest.fixture(scope="module")
def running():
    # Browsers have passkeys for names only.
    with system.System(BINARY, roles=ROLES, host="localhost") as running:
        yield running


@pytest.fixture(scope="module")
def owner(running, chromium):
    owner = Person(chromium, Replica(running, "console-1"))
    owner.claim()
    yield owner
    assert not owner.problems, owner.problems
    owner.close()


def send(running, **message):
    token = running.account["agentToken"]
    status, sent = system.http("POST", f"{running.gateway()}/api/v1/send-message", {"channel": "sms", **message}, token)
    assert status == 200, sent
    return sent


def test_passkey_admits_on_another_replica(running, chromium, owner):
    at_home = Replica(running, "console-1")
    at_home.url = f"http://localhost:{running.proxy.port}"
    person = Person(chromium, at_home)
    person.authenticator = owner.authenticator
    device = Device(person)
    person.sign_in()
    person.go("/account")
    person.page.fill("#passkey-name", "Laptop")
    person.page.click("text=Add a passkey")
    person.page.click("text=Create the passkey")
    person.page.wait_for_selector("#passkeys td:has-text('Laptop')")
    assert len(device.keys()) == 1
    person.page.click("text=Sign out")
    person.page.wait_for_url("**/sign-in")
    own = {"Sec-Fetch-Site": "same-origin"}
    first, second = (f"http://127.0.0.1:{running.ports[name][0]}/console" for name in ("console-1", "console-2"))
    options = person.context.request.post(f"{first}/passkey", form={"for": "sign-in"}, headers=own).json()
    answer = person.page.evaluate("async (options) => JSON.stringify(await assertion(options))", options)
    form = {"_passkey": answer, "next": ""}
    admitted = person.context.request.post(f"{second}/sign-in", form=form, headers=own, max_redirects=0)
    assert admitted.status == 303 and "bd_console=" in admitted.headers["set-cookie"]
    again = person.context.request.post(f"{first}/sign-in", form=form, headers=own, max_redirects=0)
    assert again.status == 403, "each answer counts once, on all replicas together"
    person.close()


def test_session_counts_on_every_replica(running, owner):
    other = Replica(running, "console-2")
    page = owner.context.new_page()
    # Cookies belong to the host, whatever its port is.
    page.goto(f"{other.url}/console/messages")
    page.wait_for_selector("text=No messages yet")

    sent = send(running, to="+14155550170", body="Hello")
    page.reload()
    before = page.locator("tbody tr").count()
    assert before == 1
    send(running, to="+14155550171", body="Hello again")
    page.wait_for_selector("text=1 new since this page", timeout=5_000)
    page.goto(f"{other.url}/console/messages/{sent['messageId']}")
    page.wait_for_selector("text=The agent was told: delivered")

    token = running.account["agentToken"]
    status, call = system.http("POST", f"{running.gateway()}/api/v1/calls", {"to": "+14155550172", "greeting": "Good day."}, token)
    assert status < 300, call
    page.goto(f"{other.url}/console/calls/{call['callId']}")
    page.wait_for_selector("text=Good day.")
    said = f"{running.gateway()}/api/v1/calls/{call['callId']}/say"
    assert system.http("POST", said, {"text": "The relay is another process."}, token)[0] < 300
    page.wait_for_selector("text=The relay is another process.")

    page.goto(f"{other.url}/console")
    owner.page.click("text=Sign out")
    signed_out = time.monotonic()
    page.wait_for_url("**/sign-in*", timeout=5_000)
    assert time.monotonic() - signed_out < 2.5


def test_administrator_ends_sessions_over_rest(running, chromium, owner):
    org, team = running.account["orgId"], running.account["teamToken"]
    url = f"{running.gateway()}/api/orgs/{org}"

    def sessions():
        status, listed = system.http("GET", f"{url}/console-sessions", token=team)
        assert status == 200 and listed["count"] == len(listed["sessions"]), listed
        return listed["sessions"]

    before = {session["id"] for session in sessions()}
    other = Person(chromium, Replica(running, "console-2"))
    other.authenticator = owner.authenticator
    other.sign_in()
    other.page.wait_for_selector("nav[aria-label=Main]")
    # A page with a stream.
    other.go("/messages")
    [newest] = [session for session in sessions() if session["id"] not in before]
    assert before, "the session of the owner is listed as well"
    assert newest["email"] == EMAIL and newest["address"] == "this machine" and newest["browser"].startswith("Chrome")
    assert len(newest["id"]) == 16
    status, ended = system.http("DELETE", f"{url}/console-sessions/{newest['id']}", token=team)
    assert status == 200, ended
    other.page.wait_for_url("**/sign-in*", timeout=5_000)
    assert system.http("DELETE", f"{url}/console-sessions/{newest['id']}", token=team)[0] == 404
    agent = running.account["agentToken"]
    assert system.http("GET", f"{url}/console-sessions", token=agent)[0] == 403
    assert system.http("GET", f"{running.gateway()}/api/orgs/org_other/console-sessions", token=team)[0] == 404
    assert system.http("GET", f"{url}/members/{EMAIL}/passkeys", token=team)[0] == 200
    other.close()
