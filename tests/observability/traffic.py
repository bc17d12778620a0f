"""Traffic on a running system: sends over REST and MCP, webhooks, calls with the voicemail and with an agent, and mistakes."""

import http.server
import itertools
import json
import threading
import time
import urllib.error
import urllib.request

from system import free_port, http as request

ANN, BOB, BUSY = "+14155550123", "+14155550124", "+14155550125"
OURS = "+14155550100"
CALLER = [{"do": "wait_for_speech"}, {"do": "say", "text": "My name is Ann."}, {"do": "wait_for_speech"},
          {"do": "barge_in", "after_ms": 300, "text": "Please tell her to call me."}, {"do": "wait_for_speech"}, {"do": "hang_up"}]


class Mcp:
    """A minimal client of Streamable HTTP."""

    def __init__(self, base, token):
        self.url, self.token, self.session, self.ids = f"{base}/mcp", token, None, itertools.count(1)
        self.post("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "traffic", "version": "1"}})
        self.post("notifications/initialized", None)

    def post(self, method, params):
        body = {"jsonrpc": "2.0", "method": method}
        if params is not None:
            body |= {"id": next(self.ids), "params": params}
        message = urllib.request.Request(self.url, data=json.dumps(body).encode(), headers={
            "content-type": "application/json", "accept": "application/json, text/event-stream",
            "authorization": f"Bearer {self.token}", "mcp-protocol-version": "2025-06-18",
            **({"mcp-session-id": self.session} if self.session else {})})
        with urllib.request.urlopen(message, timeout=60) as response:
            self.session = response.headers.get("mcp-session-id") or self.session
            return response.read()

    def call(self, tool, **arguments):
        return self.post("tools/call", {"name": tool, "arguments": arguments})


class Callback:
    """The agent's host: accepts every event."""

    def __init__(self):
        self.received = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers.get("content-length", 0)))
                outer.received += 1
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", free_port()), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/events"


class Traffic:
    def __init__(self, system):
        self.system, self.token = system, system.account["agentToken"]
        self.stop = threading.Event()
        self.counts = {}
        self.threads = []
        self.lock = threading.Lock()

    def count(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def api(self, method, path, body=None, token=None, timeout=60):
        status, answer = request(method, self.system.gateway(int(time.time() * 1000)) + path, body, token or self.token, timeout=timeout)
        return status, answer

    def simulator(self, path, body):
        status, answer = request("POST", self.system.simulator + path, body)
        if status >= 300:
            raise RuntimeError(f"the simulator answers {status} to {path}: {answer}")
        return answer

    def run(self, seconds):
        self.prepare()
        for work, pause in ((self.rest, 0.3), (self.mcp, 0.4), (self.people, 0.5), (self.mistakes, 1.0), (self.phones, 3.0), (self.agent, 0.1)):
            thread = threading.Thread(target=self.repeat, args=(work, pause), daemon=True)
            thread.start()
            self.threads.append(thread)
        time.sleep(seconds)
        self.stop.set()
        for thread in self.threads:
            thread.join(30)
        return self.counts

    def repeat(self, work, pause):
        for number in itertools.count():
            if self.stop.wait(pause):
                return
            try:
                work(number)
            except (OSError, RuntimeError, LookupError) as error:
                self.count(f"error of {work.__name__}: {error!r}")

    def prepare(self):
        self.callback = Callback()
        status, answer = self.api("PUT", "/api/v1/callback-url", {"callbackUrl": self.callback.url})
        assert status == 200, answer
        self.client = Mcp(self.system.gateway(), self.token)
        # Speech takes a tenth of its real time.
        self.simulator("/pace", {"factor": 0.1})

    def rest(self, number):
        channel, to = (("sms", ANN), ("email", "ann@example.com"), ("sms", BOB))[number % 3]
        body = {"to": to, "channel": channel, "body": f"Hello {number}", "subject": "Hello"}
        if channel == "sms":
            body.pop("subject")
        status, answer = self.api("POST", "/api/v1/send-message", body)
        self.count(f"send {status}")
        if number % 10 == 5:
            body["scheduledAt"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
            self.api("POST", "/api/v1/send-message", body)
        if status == 200 and number % 4 == 0:
            self.api("GET", f"/api/v1/messages/{answer['messageId']}")

    def mcp(self, number):
        self.client.call("comms_send_message", to=ANN, channel="sms", body=f"Hello over MCP {number}")
        self.client.call("comms_get_usage_dashboard")
        self.count("mcp calls")

    def people(self, number):
        person = (ANN, BOB)[number % 2]
        self.simulator("/person-writes", {"channel": "sms", "from": person, "to": OURS, "body": f"Answer {number}"})
        self.count("webhooks")

    def mistakes(self, number):
        if number == 8:
            self.reach_limit()
        kind = number % 6
        if kind == 0:
            self.api("GET", "/api/v1/usage", token="bda_wrong")
        elif kind == 1:
            self.simulator("/misbehave", {"vendor": "twilio", "kind": "server_error_after_accept"})
        elif kind == 2:
            self.api("POST", "/api/v1/send-message", {"to": "+1", "channel": "sms", "body": "x"})
        elif kind == 3:
            self.simulator("/misbehave", {"vendor": "twilio", "kind": "refuse", "status": 400, "code": "21211"})
        elif kind == 4:
            request("POST", f"{self.system.env['WEBHOOK_BASE_URL']}/webhooks/twilio/sms", {"From": ANN})
        else:
            self.simulator("/misbehave", {"vendor": "twilio", "kind": "rate_limit"})
        self.count("mistakes")

    def reach_limit(self):
        team = self.system.account["teamToken"]
        limits = {"agentId": self.system.account["agentId"], "limits": {"maxActionsPerMinute": 1}}
        status, answer = self.api("POST", "/api/v1/client-limits", limits, token=team)
        if status != 200:
            raise RuntimeError(f"limits: {status} {answer}")
        # Replicas keep the profile of an agent for 0.8 s.
        time.sleep(1)
        self.api("POST", "/api/v1/send-message", {"to": ANN, "channel": "sms", "body": "first"})
        status, answer = self.api("POST", "/api/v1/send-message", {"to": ANN, "channel": "sms", "body": "second"})
        self.count(f"send over the limit {status}")
        self.api("POST", "/api/v1/client-limits", {**limits, "limits": {"maxActionsPerMinute": None}}, token=team)

    def phones(self, number):
        # Every other call is for the voicemail, the others for the agent.
        self.attends = number % 2 == 1
        if number % 3 == 2:
            status, _ = self.api("POST", "/api/v1/calls", {"to": BOB, "greeting": "Hello, this is a test."})
            self.count(f"outbound call {status}")
        else:
            self.simulator("/phone-calls", {"from": ANN, "to": OURS, "steps": CALLER})
            self.count("inbound calls")

    def agent(self, _):
        """Attends calls and answers their turns."""
        if not getattr(self, "attends", False):
            return
        status, answer = self.api("POST", "/api/v1/calls/attend", {"waitMs": 3000})
        while status == 200 and answer.get("status") == "turn" and not self.stop.is_set():
            self.count("turns")
            call = answer.get("callId") or answer["next"]["callId"]
            status, answer = self.api("POST", f"/api/v1/calls/{call}/reply", {"text": "I will take care of it.", "waitMs": 5000})
            answer.setdefault("callId", call)
