"""A distributed Butt-Dial on this machine: private Postgres, NATS, Redis and Prometheus, simulated carriers in a process of
their own, replicas of every role, and a front proxy. Everything runs in one temporary directory and ends with the context."""

import asyncio
import atexit
import contextlib
import glob
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

START_SECONDS = 60
ROLES = {"gateway": 2, "webhook-ingest": 2, "voice-relay": 1, "dispatcher": 2}


def free_port():
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(what, check, seconds=START_SECONDS):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            result = check()
        except (OSError, urllib.error.URLError, subprocess.CalledProcessError):
            result = None
        if result:
            return result
        time.sleep(0.1)
    raise SystemExit(f"no success within {seconds} s: {what}")


def http(method, url, body=None, token=None, headers=None, timeout=30):
    """Returns the status and the body, parsed if it is JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
    if data is not None:
        request.add_header("content-type", "application/json")
    if token:
        request.add_header("authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            status, text = response.status, response.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text.decode(errors="replace")


class Process:
    """A child process with its log in the directory."""

    def __init__(self, directory, name, command, env=None, stop=signal.SIGTERM, prefix=()):
        self.name, self.stop_signal = name, stop
        self.log_path = os.path.join(directory, f"{name}.log")
        log = open(self.log_path, "ab")
        environment = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TMPDIR")}
        environment.update(env or {})
        self.child = subprocess.Popen(
            [*prefix, *command], stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment, cwd=directory
        )
        log.close()

    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def check_runs(self):
        if self.child.poll() is not None:
            tail = "\n".join(self.log().splitlines()[-20:])
            raise SystemExit(f"{self.name} ended with code {self.child.returncode}:\n{tail}")

    def signal(self, number):
        if self.child.poll() is None:
            self.child.send_signal(number)

    def stop(self, seconds=25):
        self.signal(self.stop_signal)
        try:
            self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


class FrontProxy:
    """Sends the first request of each connection to the role of its path, with the address of the client, and then copies
    bytes: the public address of the installation, for webhooks and for the sockets of calls."""

    def __init__(self, upstreams):
        self.upstreams, self.next = upstreams, 0
        self.port = free_port()
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()

        async def main():
            self.server = await asyncio.start_server(self.serve, "127.0.0.1", self.port)
            ready.set()

        def run():
            asyncio.set_event_loop(self.loop)
            self.loop.run_until_complete(main())
            self.loop.run_forever()

        threading.Thread(target=run, daemon=True).start()
        ready.wait()

    async def serve(self, reader, writer):
        upstream = None
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            client = writer.get_extra_info("peername")[0]
            head = head.replace(b"\r\n", f"\r\nX-Forwarded-For: {client}\r\n".encode(), 1)
            path = head.split(b" ", 2)[1].decode(errors="replace")
            prefix = next((p for p in self.upstreams if path.startswith(p)), None)
            if prefix is None:
                writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                return
            ports = self.upstreams[prefix]
            self.next += 1
            for attempt in range(len(ports)):
                try:
                    upstream_reader, upstream = await asyncio.open_connection(
                        "127.0.0.1", ports[(self.next + attempt) % len(ports)]
                    )
                    break
                except OSError:
                    continue
            if upstream is None:
                writer.write(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                return
            upstream.write(head)
            await asyncio.gather(self.copy(reader, upstream), self.copy(upstream_reader, writer))
        except (OSError, asyncio.IncompleteReadError, IndexError):
            pass
        finally:
            for end in (writer, upstream):
                if end is not None:
                    end.close()

    @staticmethod
    async def copy(reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)


def postgres_program(name):
    found = shutil.which(name) or next(iter(sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), reverse=True)), None)
    if not found:
        raise SystemExit(f"{name} is missing: install the package postgresql")
    return found


class System:
    def __init__(self, binary, roles=None, settings=None, host="127.0.0.1"):
        # The host of the public address.
        self.host = host
        self.binary = os.path.abspath(binary)
        self.role_counts = roles or ROLES
        self.settings = settings or {}
        self.directory = tempfile.mkdtemp(prefix="butt-dial-observability-")
        os.chmod(self.directory, 0o755)
        self.processes, self.replicas = {}, {}
        self.proxy = None
        atexit.register(self.stop)
        # SIGTERM would end this process without the handlers of its end.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    def __enter__(self):
        self.start_backends()
        self.start_program()
        return self

    def __exit__(self, *_):
        self.stop()

    # --- Backends

    def as_postgres(self):
        """Postgres refuses to run as root."""
        return ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups") if os.getuid() == 0 else ()

    def start_backends(self):
        self.postgres_port, self.nats_port, self.nats_monitor, self.redis_port = (free_port() for _ in range(4))
        data = os.path.join(self.directory, "postgres")
        os.mkdir(data, 0o700)
        if os.getuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(data, account.pw_uid, account.pw_gid)
        subprocess.run(
            [*self.as_postgres(), postgres_program("initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
             "--no-locale", "--no-sync"],
            check=True, stdout=subprocess.DEVNULL,
        )
        self.start_postgres()
        self.start_nats()
        self.start_redis()
        self.database_url = f"postgres://postgres@127.0.0.1:{self.postgres_port}/butt_dial"
        wait_for("Postgres answers", lambda: self.psql("SELECT 1", "postgres"))
        self.psql("CREATE DATABASE butt_dial", "postgres")
        wait_for("NATS answers", lambda: http("GET", f"http://127.0.0.1:{self.nats_monitor}/healthz")[0] == 200)

    def start_postgres(self):
        data = os.path.join(self.directory, "postgres")
        self.spawn("postgres", [postgres_program("postgres"), "-D", data, "-k", data, "-p", str(self.postgres_port),
                                "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200", "-c", "fsync=off"],
                   stop=signal.SIGINT, prefix=self.as_postgres())

    def start_nats(self):
        self.spawn("nats", ["nats-server", "-js", "-a", "127.0.0.1", "-p", str(self.nats_port), "-m",
                            str(self.nats_monitor), "-sd", os.path.join(self.directory, "nats")])

    def start_redis(self):
        self.spawn("redis", ["redis-server", "--bind", "127.0.0.1", "--port", str(self.redis_port), "--appendonly", "yes",
                             "--save", "", "--dir", self.directory])

    def psql(self, sql, database="butt_dial"):
        done = subprocess.run(
            ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.postgres_port),
             "-U", "postgres", "-c", sql, database],
            check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        return done.stdout.strip() or "ok"

    # --- The program

    def spawn(self, name, command, **options):
        self.processes[name] = Process(self.directory, name, command, **options)
        return self.processes[name]

    def start_program(self):
        self.simulator_port = free_port()
        settings = os.path.join(self.directory, "simulator.env")
        simulator = self.spawn("simulator", [
            self.binary, "simulator", "--port", str(self.simulator_port), "--settings-file", settings])
        self.simulator = f"http://127.0.0.1:{self.simulator_port}"
        wait_for("the simulator answers", lambda: http("GET", f"{self.simulator}/totals")[0] == 200)
        wait_for("the simulator has written its settings", lambda: "butt-dial bootstrap" in simulator.log(), 5)
        with open(settings) as file:
            vendors = dict(line.strip().split("=", 1) for line in file)
        self.ports = {
            f"{role}-{number}": (free_port(), free_port())
            for role, count in self.role_counts.items() for number in range(1, count + 1)
        }
        of = lambda role: [ports[0] for name, ports in self.ports.items() if name.rsplit("-", 1)[0] == role]
        self.proxy = FrontProxy({"/webhooks": of("webhook-ingest"), "/relay": of("voice-relay"), "/console": of("console"), "/": of("gateway")})
        self.env = {
            **vendors,
            "DATABASE_URL": self.database_url,
            # No replica, so lists stay on the primary. Its metrics are there.
            "DATABASE_READ_URL": self.database_url,
            "NATS_URL": f"nats://127.0.0.1:{self.nats_port}",
            "REDIS_URL": f"redis://127.0.0.1:{self.redis_port}",
            "CREDENTIALS_ENCRYPTION_KEY": "observability-test-key-of-this-run-only",
            "ORCHESTRATOR_SECURITY_TOKEN": "observability-test-orchestrator-token",
            "WEBHOOK_BASE_URL": f"http://{self.host}:{self.proxy.port}",
            "TRUSTED_PROXIES": "127.0.0.1",
            "ALLOW_PRIVATE_CALLBACKS": "true",
            "BLOB_URL": os.path.join(self.directory, "blobs"),
            "DATA_DIR": os.path.join(self.directory, "data"),
            **{f"DEFAULT_MAX_{limit}": "none" for limit in (
                "ACTIONS_PER_MINUTE", "ACTIONS_PER_HOUR", "ACTIONS_PER_DAY", "SPEND_PER_DAY", "SPEND_PER_MONTH")},
            "CARRIER_TIMEOUT_SECONDS": "1",
            "RECONCILE_AFTER_SECONDS": "1,2,3",
            **self.settings,
        }
        self.command("migrate")
        for name in self.ports:
            self.start_replica(name)
        for name in self.ports:
            self.wait_until_ready(name)
        status, answer = http("POST", f"{self.simulator}/call-back-to", {"base_url": self.env["WEBHOOK_BASE_URL"]})
        if status >= 300:
            raise SystemExit(f"the simulator does not take the address of webhooks: {status} {answer}")
        self.account = json.loads(self.command(
            "bootstrap", "--json", "--phone-number", "+14155550100", "--whatsapp-number", "+14155550100",
            "--email-address", "agent@example.com"))

    def start_replica(self, name):
        port, metrics = self.ports[name]
        env = {**self.env, "HOST": "127.0.0.1", "PORT": str(port), "METRICS_PORT": str(metrics)}
        self.replicas[name] = self.spawn(name, [self.binary, name.rsplit("-", 1)[0]], env=env)

    def wait_until_ready(self, name):
        def ready():
            self.replicas[name].check_runs()
            return http("GET", f"http://127.0.0.1:{self.ports[name][0]}/health/ready", timeout=5)[0] == 200
        wait_for(f"{name} is ready", ready)

    def command(self, *arguments, check=True, env=None):
        environment = {**os.environ, **self.env, "LOG_LEVEL": "error", "PORT": "0", **(env or {})}
        done = subprocess.run([self.binary, *arguments], env=environment, cwd=self.directory, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        if check and done.returncode != 0:
            raise SystemExit(f"butt-dial {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout if check else (done.returncode, done.stdout + done.stderr)

    def gateway(self, number=0):
        gateways = [name for name in self.ports if name.startswith("gateway")]
        return f"http://127.0.0.1:{self.ports[gateways[number % len(gateways)]][0]}"

    def metrics(self, name):
        status, text = http("GET", f"http://127.0.0.1:{self.ports[name][1]}/metrics")
        if status != 200:
            raise SystemExit(f"{name}: /metrics answers {status}")
        return text

    # --- Prometheus

    def start_prometheus(self, config_text):
        path = os.path.join(self.directory, "prometheus.yml")
        with open(path, "w") as file:
            file.write(config_text)
        port = free_port()
        self.prometheus = f"http://127.0.0.1:{port}"
        self.spawn("prometheus", ["prometheus", f"--config.file={path}", f"--web.listen-address=127.0.0.1:{port}",
                                  f"--storage.tsdb.path={os.path.join(self.directory, 'prometheus')}", "--log.level=warn"])
        wait_for("Prometheus answers", lambda: http("GET", f"{self.prometheus}/-/ready")[0] == 200)

    def stop(self):
        for name in reversed(list(self.processes)):
            self.processes[name].signal(self.processes[name].stop_signal)
        for name in reversed(list(self.processes)):
            self.processes.pop(name).stop()
        if self.proxy:
            self.proxy.stop()
            self.proxy = None
        shutil.rmtree(self.directory, ignore_errors=True)
