"""A program in an empty directory, with simulated carriers, and the people who use its console."""

import base64
import hashlib
import hmac
import json
import os
import re
import socket
import struct
import subprocess
import tempfile
import time
import urllib.request


# The program refuses settings that it does not know.
BINARY = os.environ.pop("BUTT_DIAL_BINARY")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Program:
    """One process on SQLite."""

    def __init__(self, **settings):
        self.directory = tempfile.TemporaryDirectory()
        self.port = settings.get("PORT") or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        environment = {
            "PATH": os.environ["PATH"],
            "DATA_DIR": self.directory.name,
            "PORT": str(self.port),
            "SIMULATOR_PORT": "0",
            "LOG_LEVEL": "warn",
            **settings,
        }
        self.environment = environment
        self.output = tempfile.NamedTemporaryFile("w+", suffix=".log")
        self.process = subprocess.Popen(
            [BINARY, "serve"],
            cwd=self.directory.name,
            env=environment,
            stdout=self.output,
            stderr=subprocess.STDOUT,
        )
        self.wait()

    def wait(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the program ended:\n{self.said()}")
            try:
                with urllib.request.urlopen(f"{self.url}/health/ready", timeout=2):
                    pass
                if "set-up key" in self.said():
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise RuntimeError(f"the program is not ready:\n{self.said()}")

    def said(self):
        with open(self.output.name) as file:
            return file.read()

    @property
    def key(self):
        return re.search(r"set-up key\s+(\S+)", self.said())[1]

    def command(self, *arguments):
        """Runs a command of the program on the same data."""
        done = subprocess.run(
            [BINARY, *arguments],
            cwd=self.directory.name,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def rest(self, method, path, token, body=None):
        request = urllib.request.Request(
            f"{self.url}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=20) as response:
            return json.load(response)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.output.close()
        self.directory.cleanup()


def code_of(secret, at=None):
    """Computes the code of an authenticator (RFC 6238)."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    counter = struct.pack(">Q", int(at or time.time()) // 30)
    digest = hmac.new(key, counter, hashlib.sha1).digest()
    offset = digest[-1] & 15
    number = struct.unpack(">I", digest[offset : offset + 4])[0] & 0x7FFFFFFF
    return f"{number % 1_000_000:06}"


class Authenticator:
    """Gives each code once, as the server accepts each once."""

    def __init__(self, secret):
        self.secret, self.last = secret, 0

    def code(self):
        # The server accepts the codes of the neighbouring steps as well, so nothing waits for a new one.
        step = max(int(time.time()) // 30 - 1, self.last + 1)
        assert step <= int(time.time()) // 30 + 1, "too many codes within a minute"
        self.last = step
        return code_of(self.secret, step * 30)
