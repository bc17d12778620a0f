"""The sizes of pages, and what their compression must not give away."""

import re
import urllib.request

from test_console import PAGES

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
