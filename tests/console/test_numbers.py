"""The sizes of pages, the time to the first one, and the cost of many open consoles."""

import asyncio
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import statistics
import sys
import time
import urllib.request

import pytest

from program import BINARY
from test_console import PAGES

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "observability"))
import system  # noqa: E402

# Compressed, in bytes.
MAX_PAGE = 50_000


def cookie(person):
    return "; ".join(f"{one['name']}={one['value']}" for one in person.context.cookies())


def fetch(url, cookies, encoding="br"):
    """Returns the response as it is sent, and its headers."""
    request = urllib.request.Request(url, headers={"Accept-Encoding": encoding, "Cookie": cookies})
    with urllib.request.urlopen(request, timeout=20) as response:
        return response.read(), response.headers


def test_pages_of_a_filled_organization_are_small(claimed):
    program, owner = claimed
    owner.go("/keys")
    agent = re.search(r"agent token\s+(\S+)", program.said())[1]
    for number in range(60):
        body = {"to": f"+1415555{2000 + number}", "channel": "sms", "body": f"Message {number}"}
        program.rest("POST", "/api/v1/send-message", agent, body)
    cookies, sizes = cookie(owner), {}
    for path in PAGES:
        page, headers = fetch(f"{program.url}/console{path}", cookies)
        assert headers["Content-Encoding"] == "br", path
        sizes[path] = len(page)
    assert max(sizes.values()) < MAX_PAGE, sizes
    plain, headers = fetch(f"{program.url}/console", cookies, "identity")
    assert headers["Content-Encoding"] is None
    files = set(re.findall(rb'(?:href|src)="(/console/assets/[^"]+)"', plain))
    assert len(files) >= 4
    first = sizes[""] + sum(len(fetch(f"{program.url}{file.decode()}", cookies)[0]) for file in files)
    print(f"first page with its files: {first} bytes; largest page: {max(sizes.values())} bytes")
    assert first < MAX_PAGE


def test_tokens_differ_in_each_answer_and_all_count(claimed):
    program, owner = claimed
    token = re.compile(rb'name="_token" value="(\w+)"')
    pages = [fetch(f"{program.url}/console/account", cookie(owner), "identity")[0] for _ in range(2)]
    first, second = (token.search(page)[1].decode() for page in pages)
    assert first != second
    for one in (first, second):
        posted = owner.context.request.post(
            f"{program.url}/console/organization",
            form={"_token": one, "org": "org_unknown"},
            headers={"Sec-Fetch-Site": "same-origin"},
        )
        assert posted.status == 404, "the token counts, the organization does not exist"
    wrong = ("0" if first[-1] != "0" else "1").join([first[:-1], ""])
    refused = owner.context.request.post(
        f"{program.url}/console/organization",
        form={"_token": wrong, "org": "org_unknown"},
        headers={"Sec-Fetch-Site": "same-origin"},
    )
    assert refused.status == 403


def test_streams_are_not_compressed(claimed):
    program, owner = claimed
    request = urllib.request.Request(
        f"{program.url}/console/live/overview", headers={"Accept-Encoding": "br", "Cookie": cookie(owner)}
    )
    with urllib.request.urlopen(request, timeout=20) as response:
        assert response.headers["Content-Encoding"] is None
        assert response.readline().startswith(b"data:")


def usage(pid):
    """Returns the seconds of CPU of a process, and its memory in bytes."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    ticks = int(fields[11]) + int(fields[12])
    resident = int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    return ticks / os.sysconf("SC_CLK_TCK"), resident


async def open_streams(port, secrets, path):
    """Opens a stream for each session, and waits for its first part."""

    async def one(secret):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nCookie: bd_console={secret}\r\n\r\n".encode())
        await writer.drain()
        await asyncio.wait_for(reader.readuntil(b"data:"), 60)
        return reader, writer

    return await asyncio.gather(*(one(secret) for secret in secrets))


@pytest.mark.skipif("CONSOLES" not in os.environ, reason="a measurement: CONSOLES=500 tests/console/run -s -k open_consoles")
def test_cost_of_open_consoles(chromium):
    count = int(os.environ["CONSOLES"])
    with system.System(BINARY, roles={"gateway": 1, "webhook-ingest": 1, "voice-relay": 1, "dispatcher": 1, "console": 2}) as running:
        from conftest import Person

        class Replica:
            url = f"http://127.0.0.1:{running.ports['console-1'][0]}"
            key = running.command("console-key").strip()

        owner = Person(chromium, Replica)
        owner.claim()
        user, org = running.psql("SELECT user_id, org_id FROM console_sessions LIMIT 1").split("|")
        secrets = [f"measured-{number}" for number in range(count)]
        rows = ",".join(
            f"('{hashlib.sha256(secret.encode()).hexdigest()}', '{user}', '{org}', now(), now(), now() + interval '1 day', now(), 'x', 'x')"
            for secret in secrets
        )
        running.psql(
            "INSERT INTO console_sessions (id_hash, user_id, org_id, created_at, seen_at, expires_at, confirmed_at, address, browser)"
            f" VALUES {rows}"
        )
        cookies, first = cookie(owner), []
        for _ in range(20):
            started = time.monotonic()
            fetch(f"{Replica.url}/console/messages", cookies)
            first.append(1000 * (time.monotonic() - started))
        pid = running.replicas["console-1"].child.pid
        port = running.ports["console-1"][0]
        time.sleep(5)
        cpu, memory = usage(pid)
        time.sleep(20)
        idle = (usage(pid)[0] - cpu) / 20

        async def measure():
            streams = await open_streams(port, secrets, "/console/live/overview")
            await asyncio.sleep(10)
            cpu, _ = usage(pid)
            await asyncio.sleep(30)
            after, resident = usage(pid)
            for _, writer in streams:
                assert not writer.is_closing()
                writer.close()
            return (after - cpu) / 30, resident - memory

        # The browser has the event loop of this thread.
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            share, growth = thread.submit(lambda: asyncio.run(measure())).result()
        print(f"\npage: {statistics.median(first):.0f} ms (median of 20, with the connection)")
        print(f"{count} consoles: {100 * (share - idle):.1f} % of a core (idle {100 * idle:.1f} %), {growth / 1e6:.1f} MB")
        owner.close()


@pytest.mark.skipif("CONSOLES" not in os.environ, reason="a measurement, see above")
def test_delay_of_facts_on_open_consoles(chromium):
    with system.System(BINARY, roles={"gateway": 1, "webhook-ingest": 1, "voice-relay": 1, "dispatcher": 1, "console": 2}) as running:
        from conftest import Person

        class Replica:
            url = f"http://127.0.0.1:{running.ports['console-1'][0]}"
            key = running.command("console-key").strip()

        owner = Person(chromium, Replica)
        owner.claim()
        token = running.account["agentToken"]
        status, call = system.http(
            "POST", f"{running.gateway()}/api/v1/calls", {"to": "+14155550172", "greeting": "Good day."}, token
        )
        assert status < 300, call
        delays, team = [], running.account["teamToken"]

        def when_known(word):
            """Returns when the interface of the other replica knows the sentence: it is spoken first."""
            url = f"{running.gateway()}/api/v1/organization/calls/{call['callId']}"
            while word not in json.dumps(system.http("GET", url, token=team)[1]):
                time.sleep(0.01)
            return time.monotonic()

        request = urllib.request.Request(
            f"http://127.0.0.1:{running.ports['console-2'][0]}/console/live/calls/{call['callId']}",
            headers={"Cookie": cookie(owner)},
        )
        with urllib.request.urlopen(request, timeout=30) as stream:
            while b"Good day." not in stream.readline():
                pass
            for number in range(10):
                word = f"Sentence number {number}."
                said = f"{running.gateway()}/api/v1/calls/{call['callId']}/say"
                assert system.http("POST", said, {"text": word}, token)[0] < 300
                with concurrent.futures.ThreadPoolExecutor(1) as thread:
                    known = thread.submit(when_known, word)
                    while word.encode() not in stream.readline():
                        pass
                    shown = time.monotonic()
                    delays.append(1000 * (shown - known.result()))
        print(f"\nfact on another replica: {statistics.median(delays):.0f} ms median, {max(delays):.0f} ms longest of {len(delays)}")
        owner.close()
