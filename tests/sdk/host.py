"""The program of a customer: a real web server with the client's routers, which records every request."""

import asyncio
import contextlib
import dataclasses
import time

import uvicorn
from fastapi import FastAPI, Request, Response

from buttdial import InboundHandler
from buttdial.webhooks import verify_webhook_signature
from program import free_port


@dataclasses.dataclass
class Recorded:
    path: str
    headers: dict
    body: bytes
    at: float
    status: int = 0
    answer: bytes = b""

    def is_signed_with(self, secret):
        return verify_webhook_signature(
            self.body,
            timestamp_header=self.headers.get("x-bd-timestamp"),
            signature_header=self.headers.get("x-bd-signature"),
            secret=secret,
        )


class Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self):
        # pytest handles them.
        yield


class Host:
    """`{url}/hook/...` is the client's router, `{url}/account/{name}` takes webhooks of accounts."""

    def __init__(self):
        self.requests, self.messages, self.receipts = [], [], []
        self.changed = asyncio.Condition()
        self.account_statuses = {}
        self.handler = InboundHandler(whatsapp_verify_token="verify-me")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.callback = f"{self.url}/hook/whatsapp"
        self.generic_callback = f"{self.url}/hook/butt-dial"

        @self.handler.on_message()
        async def keep_message(message):
            self.messages.append(message)

        @self.handler.on_delivery_receipt()
        async def keep_receipt(receipt):
            self.receipts.append(receipt)

        app = FastAPI()
        app.include_router(self.handler.router, prefix="/hook")
        app.add_api_route("/account/{name}", self.take_account_event, methods=["POST"])
        app.middleware("http")(self.record)
        self.server = Server(uvicorn.Config(app, host="127.0.0.1", port=self.port, log_level="error", lifespan="off"))

    async def take_account_event(self, name: str, request: Request):
        """Answers with the next of the listed statuses, and then with 200."""
        statuses = self.account_statuses.get(name) or [200]
        return Response(status_code=statuses.pop(0) if len(statuses) > 1 else statuses[0])

    async def record(self, request: Request, call_next):
        recorded = Recorded(request.url.path, dict(request.headers), await request.body(), time.time())
        response = await call_next(request)
        recorded.status = response.status_code
        recorded.answer = b"".join([part async for part in response.body_iterator])
        self.requests.append(recorded)
        async with self.changed:
            self.changed.notify_all()
        return Response(recorded.answer, response.status_code, dict(response.headers))

    async def wait(self, find, seconds=8.0):
        """Waits until `find()` returns something, and returns it."""
        deadline = time.monotonic() + seconds
        while not (found := find()) and (left := deadline - time.monotonic()) > 0:
            async with self.changed:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.changed.wait(), min(left, 0.5))
        return found

    def requests_to(self, path):
        return [request for request in self.requests if request.path == path]

    async def __aenter__(self):
        self.task = asyncio.create_task(self.server.serve())
        while not self.server.started:
            await asyncio.sleep(0.01)
        return self

    async def __aexit__(self, *_):
        self.server.should_exit = self.server.force_exit = True
        await self.task
