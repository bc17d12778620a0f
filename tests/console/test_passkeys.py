"""Passkeys, with the virtual authenticator of the browser: two devices, and what must not admit."""

import json
import urllib.parse

import pytest

from conftest import EMAIL, PASSWORD, Person
from program import Program, free_port
from test_console import wait_until


@pytest.fixture
def program():
    # Browsers have passkeys for names only, and localhost is one.
    port = free_port()
    program = Program(PORT=str(port))
    program.url = f"http://localhost:{program.environment['PORT']}"
    yield program
    program.stop()


class Device:
    """An authenticator that is built into the device of a person."""

    def __init__(self, person, verified=True):
        self.session = person.context.new_cdp_session(person.page)
        self.session.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": verified,
            "automaticPresenceSimulation": True,
        }
        self.id = self.session.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]

    def keys(self):
        return self.session.send("WebAuthn.getCredentials", {"authenticatorId": self.id})["credentials"]

    def take(self, key):
        self.session.send("WebAuthn.addCredential", {"authenticatorId": self.id, "credential": key})


def claim(owner):
    owner.go("/claim")
    owner.page.fill("#key", owner.program.key)
    owner.page.fill("#email", EMAIL)
    owner.picture("passkey-claim")
    owner.page.click("text=Use a passkey instead")
    owner.page.wait_for_url("**/setup")


def sign_in(person, wait=True):
    person.go("/sign-in")
    person.page.click("text=Sign in with a passkey")
    if wait:
        person.page.wait_for_selector("nav[aria-label=Main]")


def sign_out(person):
    person.page.click("text=Sign out")
    person.page.wait_for_url("**/sign-in")


def test_claim_and_sign_in_with_a_passkey(program, person):
    owner = person(program)
    device = Device(owner)
    claim(owner)
    assert len(device.keys()) == 1 and device.keys()[0]["isResidentCredential"]
    sign_out(owner)
    sign_in(owner)
    owner.go("/account")
    row = owner.page.locator("#passkeys tbody tr")
    assert row.count() == 1 and "never" not in row.inner_text()
    owner.picture("passkey-account")
    owner.page.click("button:has-text('Remove')")
    wait_until(owner.page, "This passkey is your only way in")


def test_further_passkey_is_removed_and_admits_no_more(program, person):
    owner = person(program)
    Device(owner)
    owner.claim()
    owner.go("/account")
    owner.page.fill("#passkey-name", "Key <b>one</b>")
    owner.page.click("text=Add a passkey")
    owner.picture("passkey-new")
    owner.page.click("text=Create the passkey")
    wait_until(owner.page, "Key <b>one</b>")
    sign_out(owner)
    sign_in(owner)
    owner.go("/account")
    owner.page.click("button[aria-label='Remove the passkey Key <b>one</b>']")
    wait_until(owner.page, "No passkey yet")
    sign_out(owner)
    sign_in(owner, wait=False)
    wait_until(owner.page, "This passkey is not accepted here")
    owner.sign_in()
    assert owner.page.locator("nav[aria-label=Main]").count() == 1


def test_invited_person_joins_with_a_passkey(program, person):
    owner = person(program)
    owner.claim()
    # Without a public address, links are for the number of this machine.
    link = owner.invite("bob@example.com", "viewer").replace("127.0.0.1", "localhost")
    bob = person(program)
    Device(bob)
    bob.page.goto(link)
    bob.picture("passkey-invitation")
    bob.page.click("text=Use a passkey instead")
    bob.page.wait_for_selector("nav[aria-label=Main]")
    sign_out(bob)
    sign_in(bob)
    assert "bob@example.com" in bob.page.inner_text(".side-foot")


def test_passkey_confirms_actions(program, person):
    owner = person(program)
    Device(owner)
    claim(owner)
    owner.go("/account")
    # The form of an action that needs a proof, as it is when the last one is old.
    token = owner.page.get_attribute("input[name=_token]", "value")
    program_form = """(fields) => {
      const form = document.createElement("form");
      form.method = "post";
      form.action = "/console/confirm?to=%2Fconsole%2Faccount";
      for (const [name, value] of Object.entries(fields)) {
        const field = document.createElement("input");
        field.name = name;
        field.value = value;
        form.append(field);
      }
      document.body.append(form);
      form.submit();
    }"""
    owner.page.evaluate(program_form, {"_token": token, "do": "new-passkey", "name": "Phone", "_password": "wrong"})
    wait_until(owner.page, "Confirm that it is you")
    assert owner.page.locator("#_password").count() == 0, "the person has no password"
    owner.picture("passkey-confirm")
    owner.page.click("text=Confirm with a passkey")
    wait_until(owner.page, "Add a passkey")
    assert owner.page.input_value("#name") == "Phone"


def test_answer_counts_once_and_from_its_origin_only(program, person):
    owner = person(program)
    device = Device(owner)
    claim(owner)
    sign_out(owner)
    answers = []
    owner.page.on("request", lambda request: answers.append(request.post_data) if request.method == "POST" else None)
    sign_in(owner)
    answer = next(text for text in answers if text and "_passkey=" in text)
    sign_out(owner)
    fields = dict(urllib.parse.parse_qsl(answer))
    # The same answer a second time.
    origin = {"Origin": program.url, "Sec-Fetch-Site": "same-origin"}
    again = owner.context.request.post("/console/sign-in", form=fields, headers=origin, max_redirects=0)
    assert again.status == 403 and "answered already" in again.text()
    # The same device at another origin of the same host: another program there asks this one for a challenge.
    options = owner.context.request.post("/console/passkey", form={"for": "sign-in"}, headers=origin).json()
    elsewhere = Program(PORT=str(free_port()))
    other_origin = f"http://localhost:{elsewhere.environment['PORT']}"
    stranger = person(elsewhere)
    Device(stranger).take(device.keys()[0])
    stranger.page.goto(f"{other_origin}/console/sign-in")
    stolen = stranger.page.evaluate(
        "async (options) => JSON.stringify(await assertion(options))", {**options, "allowCredentials": []}
    )
    assert json.loads(stolen)["signature"]
    refused = owner.context.request.post(
        "/console/sign-in", form={"_passkey": stolen, "next": ""}, headers=origin, max_redirects=0
    )
    assert refused.status == 403 and "not accepted here" in refused.text()
    elsewhere.stop()


def test_device_that_verifies_no_person_is_refused(program, person):
    owner = person(program)
    Device(owner, verified=False)
    owner.go("/claim")
    owner.page.fill("#key", program.key)
    owner.page.fill("#email", EMAIL)
    owner.page.click("text=Use a passkey instead")
    wait_until(owner.page, "No passkey was used")
    owner.page.fill("#password", PASSWORD)
    owner.page.click("text=Continue")
    owner.enrol()


def test_pages_say_where_passkeys_work(program, person, chromium):
    program.url = f"http://127.0.0.1:{program.environment['PORT']}"
    visitor = Person(chromium, program)
    visitor.go("/sign-in")
    wait_until(visitor.page, "Passkeys work at http://localhost:")
    assert not visitor.page.is_visible("text=Sign in with a passkey")
    visitor.close()
    without = person(program, java_script_enabled=False)
    without.go("/sign-in")
    assert not without.page.is_visible("text=Sign in with a passkey")


def test_administrator_sees_and_ends_what_a_member_uses(program, person):
    owner = person(program)
    owner.claim()
    link = owner.invite("bob@example.com", "viewer").replace("127.0.0.1", "localhost")
    bob = person(program)
    Device(bob)
    bob.page.goto(link)
    bob.page.click("text=Use a passkey instead")
    bob.page.wait_for_selector("nav[aria-label=Main]")
    owner.go("/members")
    owner.page.click("a:has-text('bob@example.com')")
    owner.picture("member")
    assert "Chrome on" in owner.page.inner_text("section[aria-labelledby=sessions]")
    owner.page.click("button:has-text('Remove')")
    wait_until(owner.page, "only way in of the member")
    owner.go("/members?person=bob%40example.com")
    owner.page.click("text=Sign out everywhere")
    wait_until(owner.page, "Not signed in")
    bob.go("/messages")
    assert "/sign-in" in bob.page.url
    owner.go("/audit")
    row = owner.page.locator("tr:has-text('member.end-sessions')")
    assert "Console" in row.inner_text() and "net " in row.inner_text()
    owner.picture("audit")
    sign_in(bob)
    assert bob.go("/members?person=bob%40example.com").status == 403
