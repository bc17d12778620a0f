"""Programs, clients and people of the checks."""

import asyncio
import contextlib
import dataclasses
import inspect
import itertools
import json
import os
import secrets
import tempfile
import threading
import time
import uuid

import certifi
import httpx
import pytest

from buttdial import AccountsClient, Agent
from deviations import Deviations
from host import Host
from program import LINK, ORCHESTRATOR, Program, kind_of_program

PRODUCT = {
    "logoUrl": "https://acme.example/logo.svg",
    "primaryColor": "#00C9A7",
    "productName": "Acme",
    "supportEmail": "support@acme.example",
}


# --- How a check ends


@pytest.fixture(scope="session", autouse=True)
def one_authority():
    """Each client reads all authorities of the world, which takes longer than its request; no check uses TLS."""
    with open(certifi.where()) as all_authorities, tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        text, end, _ = all_authorities.read().partition("-----END CERTIFICATE-----")
        file.write(f"{text}{end}\n")
        file.flush()
        os.environ["SSL_CERT_FILE"] = file.name
        yield


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """A check fails if it found a deviation, also when it stopped early."""
    want = pyfuncitem.funcargs.get("want")
    try:
        result = yield
    except Exception as error:
        if want and want.found:
            error.add_note(f"before that, deviations from the contract:\n{want.report()}")
        raise
    if want and want.found:
        pytest.fail(f"deviations from the contract: {len(want.found)}\n{want.report()}", pytrace=False)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if (path := os.environ.get("SDK_REPORT")) and (call.when == "call" or report.failed):
        want = item.funcargs.get("want")
        deviations = list(want.found) if want else []
        if call.excinfo and not call.excinfo.errisinstance(pytest.fail.Exception):
            deviations.append({"what": call.when, "answered": str(call.excinfo.value)[:600], "wanted": "no exception"})
        with open(path, "a") as file:
            line = {"check": item.name, "file": item.path.name, "holds": report.passed, "deviations": deviations}
            file.write(json.dumps(line) + "\n")
    return report


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def want():
    return Deviations()


# --- Programs


@pytest.fixture(scope="session")
def programs():
    """All start at the same time. Each is one process, except the first one in a distributed run."""
    started = {
        "program": kind_of_program()(),
        # The prefix of a reverse proxy, terms to accept, all tools listed, and fast repetitions of webhooks.
        "gated": Program(
            BASE_PATH="/bd",
            TERMS_VERSION="2026-11",
            TERMS_URL="https://acme.example/terms",
            TOOL_LISTING="all",
            ACCOUNT_WEBHOOK_RETRY_AFTER_SECONDS="1,1,1,1,1",
        ),
        "guarded": Program(ALLOW_PRIVATE_CALLBACKS=""),
    }
    try:
        yield {name: one.wait_until_ready() for name, one in started.items()}
    finally:
        for one in started.values():
            one.stop()


@pytest.fixture
def program(programs):
    return programs["program"]


@pytest.fixture
def gated(programs):
    return programs["gated"]


@pytest.fixture
def guarded(programs):
    return programs["guarded"]


@pytest.fixture
def simulator(program):
    return program.simulator


@pytest.fixture
async def host():
    async with Host() as host:
        yield host


class QuietStream(threading.Thread):
    """A stream that is open from the start of the run, with no message."""

    def __init__(self, program):
        super().__init__(daemon=True)
        self.program, self.comments, self.is_closed, self.started_at = program, 0, False, time.monotonic()

    def run(self):
        headers = {"Authorization": f"Bearer {self.program.account['agentToken']}", "Accept": "text/event-stream"}
        timeout = httpx.Timeout(10, read=None)
        with contextlib.suppress(httpx.HTTPError):
            with httpx.stream("GET", f"{self.program.url}/sse", headers=headers, timeout=timeout) as response:
                for line in response.iter_lines():
                    self.comments += line.startswith(":")
        self.is_closed = True

    async def wait_for_comment(self):
        while not self.comments and not self.is_closed and time.monotonic() - self.started_at < 31:
            await asyncio.sleep(0.1)

    def state(self):
        seconds = int(time.monotonic() - self.started_at)
        return f"{self.comments} comments in {seconds} s, {'closed' if self.is_closed else 'open'}"


@pytest.fixture(scope="session", autouse=True)
def quiet_stream(programs):
    stream = QuietStream(programs["gated"])
    stream.start()
    return stream


@pytest.fixture(scope="session")
def token_in_grace():
    """Rotated tokens with the time of their rotation. They are good for 30 s, which the last check waits for."""
    return []


def pytest_collection_modifyitems(items):
    """The check of the quiet stream and of rotated tokens comes last, and the one that rotates a token first."""

    def order(item):
        fixtures = inspect.signature(item.function).parameters
        return ("quiet_stream" in fixtures) - ("token_in_grace" in fixtures and "quiet_stream" not in fixtures)

    items.sort(key=order)


# --- Clients

addresses = itertools.count(2)


def new_address():
    number = next(addresses)
    return FromAddress(f"127.1.{number // 250}.{number % 250 + 1}")


def client_of(program, team_token=None):
    """A client with an address of its own, so that failures and registrations of others do not count against it."""
    return AccountsClient(program.url, team_token=team_token, transport=new_address())


class FromAddress(httpx.AsyncBaseTransport):
    """Connects from this address of the local network for each request."""

    def __init__(self, address):
        self.address = address

    async def handle_async_request(self, request):
        async with httpx.AsyncHTTPTransport(local_address=self.address) as transport:
            response = await transport.handle_async_request(request)
            content = b"".join([part async for part in response.stream])
        return httpx.Response(response.status_code, headers=response.headers, stream=httpx.ByteStream(content))


@pytest.fixture
def orchestrator(program):
    return client_of(program, ORCHESTRATOR)


@pytest.fixture
def team(program):
    """The first organization."""
    return client_of(program, program.account["teamToken"])


@pytest.fixture
def agent(program):
    """The agent of the first organization, which has a number for SMS and WhatsApp, and a mail address."""
    return Agent(program.url, agent_id=program.account["agentId"], agent_token=program.account["agentToken"])


async def new_agent(program, team, name="Yuna", **extra):
    """Registers an agent, without channels."""
    agent_id = str(uuid.uuid4())
    registered = await team.register_agent(agent_id, name, **extra)
    return Agent(program.url, agent_id=agent_id, agent_token=registered["token"])


@pytest.fixture
async def admin(program, team):
    """An agent with the scope of an administrator."""
    return await new_agent(program, team, "Administrator", scope="org-admin")


# --- Organizations


@dataclasses.dataclass
class Organization:
    id: str
    client: AccountsClient
    mail: str
    registered: dict
    verified: dict

    @property
    def secret(self):
        return self.registered["webhookSecret"]


def new_mail(name="alice"):
    return f"{name}@{secrets.token_hex(6)}.example"


async def register(program, name="Acme Inc", mail=None, client=None, **options):
    """Registers an organization; returns the mail address of its owner, the answer, and the token of the link."""
    mail = mail or new_mail()
    options = {"branding": PRODUCT, "return_url": "https://acme.example/welcome", **options}
    answer = await (client or client_of(program)).register(name, mail, **options)
    return mail, answer, await secret_of(program, answer, "devVerificationToken", mail, LINK)


async def secret_of(program, answer, name, to, pattern):
    """Returns the secret that a person gets: from the answer where the program shows it, else from the person's messages."""
    return answer.get(name) or "none" if program.shows_secrets else await program.simulator.new_secret(to, pattern)


async def new_organization(program, **options):
    """Registers an organization and verifies its mail address."""
    client = client_of(program)
    options.setdefault("webhook_url", "https://acme.example/butt-dial")
    mail, registered, token = await register(program, client=client, **options)
    verified = await client.verify(token)
    return Organization(registered["orgId"], client.with_token(verified["team_token"]), mail, registered, verified)


# --- People

numbers = itertools.count(int(secrets.token_hex(2), 16) * 10 + 2_000_000)


def new_person():
    """A telephone number that no other check uses."""
    return f"+1415{next(numbers) % 7_000_000 + 2_000_000:07d}"


async def new_contact(program):
    """A person who has just written to the first agent by WhatsApp, so that any message may be sent to them."""
    person, account = new_person(), program.account
    await program.simulator.person_writes("whatsapp", person, account["whatsappNumber"], "Hello!")
    agent = Agent(program.url, agent_token=account["agentToken"])
    for _ in range(50):
        if (await agent.get_contact_profile(person)).get("lastInboundAt"):
            return person
        await asyncio.sleep(0.1)
    raise AssertionError("the message of the person did not arrive")


async def request(program, method, path, token=None, body=None, headers=None, prefix="", **options):
    """A request without the client, for what it hides. Uses an address of its own."""
    headers = {"User-Agent": "buttdial-python/0.9.0", **(headers or {})}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    async with httpx.AsyncClient(transport=new_address(), timeout=15) as client:
        return await client.request(method, program.url + prefix + path, headers=headers, json=body, **options)
