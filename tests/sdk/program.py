"""Starts the program, and reaches its simulated carriers."""

import asyncio
import contextlib
import datetime
import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time

import httpx

# The program refuses settings that it does not know.
BINARY = os.environ.pop("BUTT_DIAL_BINARY")
ORCHESTRATOR = "sdk-acceptance-orchestrator-token-of-this-run"
START_SECONDS = 60
NO_LIMITS = {
    f"DEFAULT_MAX_{limit}": "none"
    for limit in ("ACTIONS_PER_MINUTE", "ACTIONS_PER_HOUR", "ACTIONS_PER_DAY", "SPEND_PER_DAY", "SPEND_PER_MONTH")
}


def free_port():
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Simulator:
    """The carriers, and the people behind them."""

    def __init__(self, url):
        self.url, self.seen = url, set()

    async def post(self, path, body):
        async with httpx.AsyncClient(timeout=20) as client:
            response = await client.post(self.url + path, json=body)
            assert response.is_success, f"{path}: {response.status_code} {response.text}"
            return response.json() if response.content else None

    async def get(self, path, **parameters):
        async with httpx.AsyncClient(timeout=20) as client:
            return (await client.get(self.url + path, params=parameters)).json()

    async def person_writes(self, channel, sender, to, body="", **fields):
        await self.post("/person-writes", {"channel": channel, "from": sender, "to": to, "body": body, **fields})

    async def messages(self, to):
        """What this person received, the newest last."""
        found = await self.get("/messages", to=to)
        return sorted(found["messages"], key=lambda message: message["sequence"])

    async def newest(self, to, seconds=5.0, more_than=0):
        """Waits for a message to this person."""
        found = []
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = await self.messages(to)
            if len(found) > more_than:
                return found[-1]
            await asyncio.sleep(0.05)
        return None

    async def new_secret(self, to, pattern, seconds=5.0):
        """Waits for a secret in a message to this person, and returns each one once."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for message in reversed(await self.messages(to)):
                found = secret_in(message, pattern)
                if found and (to, found) not in self.seen:
                    self.seen.add((to, found))
                    return found
            await asyncio.sleep(0.05)
        return "none"


class Program:
    """One process on SQLite. `account` has the first organization and its agent."""

    # With carriers that are simulated in the process, answers contain the secrets that a person gets.
    shows_secrets = True
    # The simulated vendors have random credentials.
    credentials = None

    async def settle(self):
        """Waits until every replica has noticed a change."""

    def expire(self, table, condition):
        """Lets secrets expire, which takes at least ten minutes otherwise."""
        with contextlib.closing(
            sqlite3.connect(os.path.join(self.folder.name, "butt-dial.db"), timeout=10)
        ) as database:
            with database:
                return database.execute(expiry(table, condition)).rowcount

    def __init__(self, **settings):
        self.folder = tempfile.TemporaryDirectory(prefix="butt-dial-sdk-")
        self.port, simulator_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.simulator = Simulator(f"http://127.0.0.1:{simulator_port}")
        self.env = {
            "DATA_DIR": self.folder.name,
            "PORT": str(self.port),
            "SIMULATOR_PORT": str(simulator_port),
            "ORCHESTRATOR_SECURITY_TOKEN": ORCHESTRATOR,
            "ALLOW_PRIVATE_CALLBACKS": "true",
            **NO_LIMITS,
            **settings,
        }
        # An empty value removes the setting.
        self.env = {name: value for name, value in self.env.items() if value}
        self.log_path = os.path.join(self.folder.name, "program.log")
        self.log = open(self.log_path, "wb")
        self.process = subprocess.Popen(
            [BINARY, "serve"], env=self.environment(), cwd=self.folder.name, stdout=self.log, stderr=self.log
        )
        self.account = None

    def environment(self):
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
        return {**kept, **self.env}

    def wait_until_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready():
            assert self.process.poll() is None and time.monotonic() < deadline, self.tail()
            time.sleep(0.05)
        done = subprocess.run(
            [BINARY, "bootstrap", "--json"],
            env={**self.environment(), "LOG_LEVEL": "error"},
            cwd=self.folder.name,
            capture_output=True,
            text=True,
            check=True,
        )
        self.account = json.loads(done.stdout)
        return self

    def is_ready(self):
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/health/ready").status_code == 200
        return False

    def tail(self):
        with open(self.log_path, errors="replace") as file:
            return "".join(file.readlines()[-20:])

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()
        self.folder.cleanup()


class Replicas:
    """Several processes on Postgres, NATS and Redis, behind one address. For them the carriers are real ones elsewhere."""

    shows_secrets = False

    async def settle(self):
        await asyncio.sleep(1)

    def expire(self, table, condition):
        return len(self.system.psql(f"{expiry(table, condition)} RETURNING 1").splitlines())

    def __init__(self, **settings):
        sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "observability"))
        import system

        self.system = system.System(
            BINARY,
            roles={"gateway": 2, "webhook-ingest": 1, "voice-relay": 1, "dispatcher": 2},
            settings={
                "ORCHESTRATOR_SECURITY_TOKEN": ORCHESTRATOR,
                "REGISTRATION": "open",
                "MAIL_DOMAIN": "example.com",
                "INSTALLATION_EMAIL": "installation@example.com",
                "INSTALLATION_PHONE": "+14155550190",
                **settings,
            },
        )

    def wait_until_ready(self):
        try:
            self.system.__enter__()
        except SystemExit as error:
            raise AssertionError(str(error)) from error
        self.account = self.system.account
        self.url = f"http://127.0.0.1:{self.system.proxy.port}"
        self.simulator = Simulator(self.system.simulator)
        env = self.system.env
        self.credentials = {
            "twilio": {"accountSid": env["TWILIO_ACCOUNT_SID"], "authToken": env["TWILIO_AUTH_TOKEN"]},
            "resend": {"apiKey": env["RESEND_API_KEY"]},
        }
        return self

    def stop(self):
        self.system.stop()


def expiry(table, condition):
    past = (datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=1)).isoformat(timespec="microseconds")
    return f"UPDATE {table} SET expires_at = '{past}' WHERE {condition}"


def kind_of_program():
    return Replicas if os.environ.get("TEST_DISTRIBUTED") == "1" else Program


LINK = re.compile(r"/verify#token=([A-Za-z0-9._~%-]+)")
CODE = re.compile(r"(?<!\d)(\d{6})(?!\d)")


def secret_in(message, pattern):
    """Returns the secret in a message, such as the token of its link."""
    texts = [message[part] for part in ("body", "html") if message.get(part)]
    found = pattern.search("\n".join(texts))
    return found[1] if found else None
