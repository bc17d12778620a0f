"""Runs the program as the rendered containers would: with their arguments, environment and files of secrets, and sends the
requests of their probes. Needs `tests/helm/run --binary PATH`."""

import os
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest

from backends import backends, free_port
from conftest import CI_NAMES, ROOT, deployments, environment, find, of_kind, program, render, secret_files

BINARY = os.environ.get("BUTT_DIAL_BINARY")
pytestmark = pytest.mark.skipif(not BINARY, reason="no program is given (--binary)")

MOUNT = "/etc/butt-dial/secrets"
# Files that the operator provides in other volumes.
FILES = {
    "SSL_CERT_FILE": Path("/etc/ssl/certs/ca-certificates.crt"),
    "NATS_CA_PATH": Path("/etc/ssl/certs/ca-certificates.crt"),
    "NATS_CLIENT_CERTIFICATE_PATH": Path("/etc/ssl/certs/ca-certificates.crt"),
    "NATS_CLIENT_KEY_PATH": Path("/etc/ssl/certs/ca-certificates.crt"),
    "CALL_PHRASES_FILE": ROOT / "deploy" / "phrases.toml",
}
# The contents of the Secrets that the files of ci/ name, by setting.
CONTENTS = {
    "CREDENTIALS_ENCRYPTION_KEY": "k" * 40,
    "ORCHESTRATOR_SECURITY_TOKEN": "o" * 40,
    "METRICS_TOKEN": "m" * 40,
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_SUBACCOUNT_TOKENS": "AC" + "1" * 32 + ":token",
    "RESEND_WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}


class Container:
    """A container of the program: the command with the files of its secrets in a folder."""

    def __init__(self, objects, spec, folder, urls=None):
        self.folder = folder
        folder.mkdir(parents=True)
        urls = urls or {name: f"{scheme}://127.0.0.1:1/x" for name, scheme in
                        (("database", "postgres"), ("nats", "nats"), ("redis", "redis"))}
        contents = {**CONTENTS, "DATABASE_URL": urls["database"], "NATS_URL": urls["nats"], "REDIS_URL": urls["redis"]}
        for name in secret_files(spec):
            (folder / name).write_text(contents.get(name, "made-up") + "\n")
        self.arguments = program(spec)["args"]
        self.port, self.metrics_port = free_port(), free_port()
        self.environment = {
            name: value.replace(MOUNT, str(folder)) for name, value in environment(objects, spec).items()
        }
        # The containers have a network of their own, this test has not.
        self.environment |= {"PORT": str(self.port), "METRICS_PORT": str(self.metrics_port)}
        self.environment |= {name: str(path) for name, path in FILES.items() if name in self.environment}
        self.probes = {name: probe["httpGet"]["path"] for name, probe in program(spec).items() if name.endswith("Probe")}
        self.process = None

    def run(self, *arguments):
        """Runs a command in the container to its end. Returns its exit code and output."""
        command = [BINARY, *(arguments or self.arguments)]
        result = subprocess.run(command, env=self.environment, cwd="/", capture_output=True, text=True, timeout=60)
        return result.returncode, result.stdout + result.stderr

    def start(self):
        self.log = self.folder / "log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([BINARY, *self.arguments], env=self.environment, cwd="/", stdout=log, stderr=log)

    def begin_to_stop(self):
        """Sends SIGTERM, as the kubelet does. A second one would abort the shutdown."""
        self.process.terminate()
        self.stopping_since = time.monotonic()

    def wait_for_end(self):
        """Returns the exit code and the seconds since SIGTERM."""
        try:
            code = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        return code, time.monotonic() - self.stopping_since

    def get(self, path, port=None, headers=None):
        """Returns the status and the body; (None, reason) without a response."""
        request = urllib.request.Request(f"http://127.0.0.1:{port or self.port}{path}", headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return None, str(error)

    def wait_for(self, probe, status, seconds=60):
        end = time.monotonic() + seconds
        answer = (None, "")
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text()
            answer = self.get(self.probes[probe])
            if answer[0] == status:
                return answer
            time.sleep(0.2)
        raise AssertionError(f"{probe}: {answer}\n{self.log.read_text()}")


@pytest.mark.parametrize("name", CI_NAMES)
def test_program_accepts_the_settings(name, tmp_path):
    """The program reads the settings of each role. Without a server, it then reports that none answers."""
    objects = render(name)
    for role, deployment in deployments(objects).items():
        container = Container(objects, deployment["spec"]["template"]["spec"], tmp_path / role)
        code, output = container.run("health", "--live")
        assert code == 1 and "does not answer" in output, f"{role}: {output}"


def test_program_refuses_wrong_settings(tmp_path):
    """The test above can fail."""
    objects = render("minimal", set=('settings.allow_private_callbacks="maybe"',))
    container = Container(objects, deployments(objects)["gateway"]["spec"]["template"]["spec"], tmp_path / "gateway")
    code, output = container.run("health", "--live")
    assert code == 1 and "ALLOW_PRIVATE_CALLBACKS" in output.upper() and "does not answer" not in output


def test_installation_starts_migrates_serves_and_stops(tmp_path):
    # All carriers and backends are out of reach or local: the test sends nothing.
    objects = render("minimal", set=('metrics.token.existingSecret="butt-dial"', 'orchestratorToken.existingSecret="butt-dial"'))
    with ExitStack() as stack:
        urls = stack.enter_context(backends(tmp_path))
        containers = {}
        for role, deployment in deployments(objects).items():
            container = Container(objects, deployment["spec"]["template"]["spec"], tmp_path / role, urls)
            container.start()
            stack.callback(container.process.kill)
            containers[role] = container

        # The pods start before the Job: they are alive, and not ready.
        for role, container in containers.items():
            container.wait_for("startupProbe", 200)
            container.wait_for("livenessProbe", 200)
            assert container.get(container.probes["readinessProbe"])[0] == 503, role

        job = Container(objects, find(objects, "Job")["spec"]["template"]["spec"], tmp_path / "job", urls)
        code, output = job.run()
        assert code == 0, output
        for container in containers.values():
            container.wait_for("readinessProbe", 200)
            container.wait_for("livenessProbe", 200)

        # Metrics: with the token on their own port, for no other client.
        for role, container in containers.items():
            token = {"Authorization": f"Bearer {CONTENTS['METRICS_TOKEN']}"}
            status, text = container.get("/metrics", container.metrics_port, token)
            assert status == 200 and "bd_" in text, role
            assert container.get("/metrics", container.metrics_port)[0] == 401, role
            assert container.get("/metrics")[0] == 401, role

        # `helm test`.
        pods = {value["metadata"]["name"]: value["spec"] for value in of_kind(objects, "Pod")}
        code, output = Container(objects, pods["r-butt-dial-test-migrations"], tmp_path / "verify", urls).run()
        assert code == 0, output
        code, output = Container(objects, pods["r-butt-dial-test-doctor"], tmp_path / "doctor", urls).run()
        # Without the internet it can't check the account at the carrier.
        for line in ("Settings    ok", "database    ok", "bus         ok", "kv          ok"):
            assert line in output, output
        # The command of the notes.
        code, output = containers["gateway"].run("bootstrap", "--json", "--phone-number", "+14155550100")
        assert code == 0 and "oken" in output, output

        # The end of the pods: at first they are not ready and still serve, so that load balancers lose no request.
        for container in containers.values():
            container.begin_to_stop()
        for role, container in containers.items():
            container.wait_for("readinessProbe", 503, 4)
            assert container.get(container.probes["livenessProbe"])[0] == 200, role
        assert containers["gateway"].get("/openapi.json")[0] == 200
        stopped = {}
        for role, container in containers.items():
            spec = deployments(objects)[role]["spec"]["template"]["spec"]
            code, seconds = container.wait_for_end()
            stopped[role] = round(seconds, 1)
            sleep = program(spec).get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            assert code == 0, container.log.read_text()
            assert seconds + sleep < spec["terminationGracePeriodSeconds"], role
        print("seconds until the end:", stopped)


def test_simulator_accepts_its_arguments(tmp_path):
    objects = render("trial")
    spec = find(objects, "Deployment", "-simulator")["spec"]["template"]["spec"]
    container = program(spec)
    if "--allowed-host" not in subprocess.run([BINARY, "simulator", "--help"], capture_output=True, text=True).stdout:
        pytest.fail("`butt-dial simulator` has no --allowed-host")
    port = free_port()
    arguments = [f"--port={port}" if argument.startswith("--port=") else argument for argument in container["args"]]
    given = {entry["name"]: "AC" + "0" * 32 if entry["name"].endswith("SID") else "made-up-token" for entry in container["env"]}
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen([BINARY, *arguments], env=given, cwd="/", stdout=log, stderr=log)
    try:
        host = find(objects, "Service", "-simulator")["metadata"]["name"]
        end = time.monotonic() + 20
        status = None
        while status is None and time.monotonic() < end:
            request = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"Host": f"{host}:3102"})
            try:
                status = urllib.request.urlopen(request, timeout=5).status
            except urllib.error.HTTPError as error:
                status = error.code
            except OSError:
                time.sleep(0.2)
        assert status == 200, (tmp_path / "log").read_text()
    finally:
        process.terminate()
        process.wait(20)
