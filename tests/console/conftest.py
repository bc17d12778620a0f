"""The browser, and programs with an owner."""

import os
import pathlib

import pytest
from playwright.sync_api import sync_playwright

from program import Authenticator, Program

EMAIL, PASSWORD = "ada@example.com", "correct horse battery"


@pytest.fixture(scope="session")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ["CHROMIUM"], args=["--no-sandbox", "--disable-gpu", "--disable-quic"]
        )
        yield browser
        browser.close()


@pytest.fixture
def fresh():
    """A program without an owner."""
    program = Program()
    yield program
    program.stop()


@pytest.fixture(scope="session")
def claimed(chromium):
    """A program with an owner, shared by the checks that do not change it much. Returns it with the owner."""
    # All checks together send more in a minute than an agent may by default.
    program = Program(DEFAULT_MAX_ACTIONS_PER_MINUTE="1000")
    owner = Person(chromium, program)
    owner.claim()
    yield program, owner
    owner.close()
    program.stop()


class Person:
    """A person with a browser of one's own."""

    def __init__(self, chromium, program, **options):
        self.program = program
        self.context = chromium.new_context(base_url=program.url, **options)
        self.context.set_default_timeout(15_000)
        self.page = self.context.new_page()
        self.problems = []
        self.page.on("console", self.note)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.authenticator = None
        # The path that a proxy adds.
        self.base = ""

    def note(self, message):
        # A refusal that a check asks for is in the console of the browser too.
        if message.type == "error" and "status of" not in message.text:
            self.problems.append(message.text)

    def go(self, path):
        return self.page.goto(f"{self.base}/console{path}")

    def claim(self, key=None, email=EMAIL):
        self.go("/claim")
        self.page.fill("#key", key or self.program.key)
        self.page.fill("#email", email)
        self.page.fill("#password", PASSWORD)
        self.page.click("text=Continue")
        self.enrol()

    def enrol(self):
        secret = self.page.text_content("#otp-secret")
        self.authenticator = Authenticator(secret)
        self.page.fill("#code", self.authenticator.code())
        self.page.click("text=Confirm")
        self.recovery = self.page.locator("#codes li").all_text_contents()
        self.page.click("text=I have kept them")

    def invite(self, email, role):
        """Returns the link of an invitation."""
        self.go("/members")
        self.page.fill("#email", email)
        self.page.select_option("#role", role)
        self.page.click("text=Make an invitation link")
        self.confirm()
        return self.page.text_content("#link").strip()

    def join(self, link, password):
        """Accepts an invitation as a new member."""
        self.page.goto(link)
        self.page.fill("#password", password)
        self.page.click("text=Accept")
        self.enrol()

    def sign_in(self, email=EMAIL, password=PASSWORD, code=None):
        self.go("/sign-in")
        self.page.fill("#email", email)
        self.page.fill("#password", password)
        self.page.fill("#code", code if code is not None else self.authenticator.code())
        self.page.click("main button:has-text('Sign in')")

    def confirm(self):
        """Proves again who it is, where a page asks for it."""
        if self.page.locator("h1:has-text('Confirm that it is you')").count():
            self.page.fill("#_password", PASSWORD)
            self.page.click("button:has-text('Confirm')")

    def picture(self, name):
        if folder := os.environ.get("PICTURES"):
            pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=f"{folder}/{name}.png", full_page=True)

    def close(self):
        self.context.close()


@pytest.fixture
def person(chromium):
    """Makes people; their browsers close at the end, and none may have reported a problem."""
    people = []

    def make(program, **options):
        people.append(Person(chromium, program, **options))
        return people[-1]

    yield make
    problems = [problem for one in people for problem in one.problems]
    for one in people:
        one.close()
    assert not problems, problems
