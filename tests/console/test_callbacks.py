"""The requests to callbacks."""

import http.server
import json
import threading

from program import Program
from test_console import wait_until
from test_simulator import agent_token, until, write

PERSON = "+14155550170"


class Host(http.server.BaseHTTPRequestHandler):
    """A callback that refuses the first request."""

    seen = []

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200 if Host.seen else 503)
        self.end_headers()
        Host.seen.append(self.headers["webhook-id"])

    def log_message(self, *_):
        pass


def test_requests_to_a_callback_are_listed(person):
    program = Program(ALLOW_PRIVATE_CALLBACKS="true", CALLBACK_RETRY_AFTER_SECONDS="1,1")
    host = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Host)
    threading.Thread(target=host.serve_forever, daemon=True).start()
    try:
        owner = person(program)
        owner.claim()
        owner.go("/callbacks")
        assert owner.page.locator("text=No requests yet").count() == 1
        token = agent_token(program)
        url = f"http://127.0.0.1:{host.server_port}/hook"
        program.rest("PUT", "/api/v1/callback-url", token, {"callbackUrl": url})
        write(owner.page, "Ring", PERSON)
        until(lambda: len(Host.seen) >= 2)
        owner.go("/callbacks")
        wait_until(owner.page, "delivered", reload=True)
        shown = owner.page.inner_text("section[aria-labelledby=requests]")
        assert "503" in shown and "200" in shown and "failed" in shown, shown
        owner.picture("callbacks")
        owner.page.click("text=Without success only")
        assert "200" not in owner.page.inner_text("section[aria-labelledby=requests] tbody")
        owner.page.click("section[aria-labelledby=requests] a:text-is('All')")
        owner.page.click("section[aria-labelledby=requests] tbody a:has-text('message.received') >> nth=0")
        assert owner.page.locator("section[aria-labelledby=requests] tbody tr").count() == 2
        team = json.loads(program.command("bootstrap", "--json"))["teamToken"]
        attempts = program.rest("GET", "/api/v1/callback-attempts", team)["attempts"]
        assert [(one["outcome"], one["httpStatus"]) for one in attempts] == [("delivered", 200), ("failed", 503)]
        owner.go("/callbacks")
        owner.page.click("button:has-text('Deliver again now')")
        wait_until(owner.page, "0 waiting events are delivered again now")
        owner.page.click("section[aria-label=Callbacks] tbody a >> nth=0")
        owner.page.fill("[name=url]", f"{url}/other")
        owner.page.click("form:has([name=url]) button:has-text('Save')")
        assert owner.page.locator("main [role=alert]").count() == 0
        owner.go("/callbacks")
        wait_until(owner.page, f"{url}/other")
    finally:
        host.shutdown()
        program.stop()
