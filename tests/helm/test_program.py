"""Runs the program as the rendered containers would: with their arguments, environment and files of secrets, and sends the
requests of their probes. Needs `tests/helm/run --binary PATH`."""

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from backends import backends, find_program, free_port, running
from conftest import CHART, CI_NAMES, ROOT, deployments, environment, find, of_kind, program, render, secret_files

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
    "RULES_DIR": ROOT / "deploy" / "rules",
    "ANOMALIES_FILE": ROOT / "deploy" / "anomalies.toml",
}
# The contents of the Secrets that the files of ci/ name, by setting.
CONTENTS = {
    "CREDENTIALS_ENCRYPTION_KEY": "k" * 40,
    "CREDENTIALS_ENCRYPTION_KEYS": "k" * 40,
    "ORCHESTRATOR_SECURITY_TOKEN": "o" * 40,
    "METRICS_TOKEN": "m" * 40,
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_SUBACCOUNT_TOKENS": "AC" + "1" * 32 + ":token",
    "RESEND_WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}


def request(url, headers=None, body=None):
    """Returns the status and the body; (None, reason) without a response."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers or {}), timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return None, str(error)


class Container:
    """A container of the program: the command with the files of its secrets in a folder."""

    def __init__(self, objects, spec, folder, urls=None):
        self.folder = folder
        folder.mkdir(parents=True)
        urls = urls or {name: f"{scheme}://127.0.0.1:1/x" for name, scheme in
                        (("database", "postgres"), ("nats", "nats"), ("redis", "redis"))}
        contents = {
            **CONTENTS,
            "DATABASE_URL": urls["database"],
            "DATABASE_READ_URL": urls["database"],
            "NATS_URL": urls["nats"],
            "REDIS_URL": urls["redis"],
        }
        for name in secret_files(spec):
            (folder / name).write_text(contents.get(name, "made-up") + "\n")
        self.arguments = program(spec)["args"]
        self.port, self.metrics_port = free_port(), free_port()
        self.environment = {
            name: value.replace(MOUNT, str(folder)) for name, value in environment(objects, spec).items()
        }
        # The containers have a network of their own, this test has not.
        self.environment |= {"PORT": str(self.port), "METRICS_PORT": str(self.metrics_port)}
        # Of the backends for trials, this machine does not know the names.
        plain = {"NATS_URL": urls["nats"], "REDIS_URL": urls["redis"]}
        self.environment |= {name: url for name, url in plain.items() if name in self.environment}
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

    def get(self, path, port=None, headers=None, body=None):
        return request(f"http://127.0.0.1:{port or self.port}{path}", headers, body)

    def wait_for(self, probe, status, seconds=60):
        end = time.monotonic() + seconds
        answer = (None, "")
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text()
            answer = self.get(self.probes[probe])
            if answer[0] == status:
                return answer
            time.sleep(0.2)
        raise AssertionError(f"{probe}: {answer}\n{self.log.read_text()[-3000:]}")


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


def check_queries_of_autoscaling(containers, folder, stack):
    """A Prometheus with the labels that the ServiceMonitor sets answers the queries of the ScaledObjects."""
    monitor = find(render("monitoring"), "ServiceMonitor")["spec"]
    services = {
        service["metadata"]["labels"]["app.kubernetes.io/component"]: service["metadata"]["labels"][monitor["jobLabel"]]
        for service in of_kind(render("monitoring"), "Service")
        if "butt-dial/metrics" in service["metadata"]["labels"]
    }
    jobs = [
        {
            "job_name": services[role],
            "metrics_path": monitor["endpoints"][0]["path"],
            "authorization": {"type": "Bearer", "credentials": CONTENTS["METRICS_TOKEN"]},
            "static_configs": [{"targets": [f"127.0.0.1:{container.metrics_port}"], "labels": {"namespace": "ns"}}],
        }
        for role, container in containers.items()
    ]
    configuration = folder / "prometheus.yml"
    configuration.write_text(yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}))
    port = free_port()
    server = [shutil.which("prometheus"), f"--config.file={configuration}", f"--storage.tsdb.path={folder / 'prometheus'}",
              f"--web.listen-address=127.0.0.1:{port}"]
    stack.enter_context(running(server, port, folder))
    triggers = [trigger for value in of_kind(render("autoscaling-keda"), "ScaledObject") for trigger in value["spec"]["triggers"]]
    queries = [trigger["metadata"]["query"] for trigger in triggers if trigger["type"] == "prometheus"]
    assert len(queries) == 3
    for query in queries:
        end = time.monotonic() + 30
        result = []
        while not result and time.monotonic() < end:
            # Series of requests exist from the first request. Probes are none.
            containers["gateway"].get("/api/v1/me")
            time.sleep(0.5)
            url = f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
            result = json.loads(request(url)[1] or "{}").get("data", {}).get("result", [])
        assert len(result) == 1, f"{query}: {result}"


def test_installation_starts_migrates_serves_and_stops(tmp_path):
    # All carriers and backends are out of reach or local: the test sends nothing. The delay leaves time for requests.
    objects = render("minimal", set=('metrics.token.existingSecret="butt-dial"', 'orchestratorToken.existingSecret="butt-dial"',
                                     "settings.shutdown_delay_seconds=8"))
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

        if shutil.which("prometheus"):
            check_queries_of_autoscaling(containers, tmp_path, stack)

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
            container.wait_for("readinessProbe", 503, 7)
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


GRANTS = """
CREATE ROLE pods LOGIN;
GRANT USAGE ON SCHEMA public TO pods;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO pods;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO pods;
"""


def test_pods_need_no_right_to_create_tables(tmp_path):
    """Only the Job has the URL of the schema's owner. The rights are those that the README of the chart grants."""
    objects = render("schema-owner", set=('nats.credentials.existingSecret=""', 'nats.tls.existingSecret=""',
                                          'attachments.existingClaim=""'))
    assert GRANTS.strip() in (CHART / "README.md").read_text()
    with ExitStack() as stack:
        owner = stack.enter_context(backends(tmp_path))
        subprocess.run([find_program("psql"), "-q", "-v", "ON_ERROR_STOP=1", "-c", GRANTS, owner["database"]], check=True)
        pods = {**owner, "database": owner["database"].replace("butt_dial@", "pods@")}
        containers = {}
        for role, deployment in deployments(objects).items():
            container = Container(objects, deployment["spec"]["template"]["spec"], tmp_path / role, pods)
            container.start()
            stack.callback(container.process.kill)
            containers[role] = container
        # The Job's file has the name of the same setting, and another Secret.
        spec = find(objects, "Job")["spec"]["template"]["spec"]
        assert secret_files(spec)["DATABASE_URL"][0] == "schema-owner"
        code, output = Container(objects, spec, tmp_path / "wrong", pods).run()
        assert code != 0 and "permission denied" in output, output
        code, output = Container(objects, spec, tmp_path / "job", owner).run()
        assert code == 0, output
        for container in containers.values():
            container.wait_for("readinessProbe", 200)
        code, output = containers["gateway"].run("bootstrap", "--json", "--phone-number", "+14155550100")
        assert code == 0, output


def test_trial_sends_to_the_simulator(tmp_path):
    """A gateway with the rendered settings sends a message to the rendered simulator."""
    objects = render("trial")
    spec = find(objects, "Deployment", "-simulator")["spec"]["template"]["spec"]
    service = find(objects, "Service", "-simulator")["metadata"]["name"]
    port = free_port()
    arguments = [f"--port={port}" if argument.startswith("--port=") else argument for argument in program(spec)["args"]]
    # The Secret of both.
    secret = {"TWILIO_ACCOUNT_SID": CONTENTS["TWILIO_ACCOUNT_SID"], "TWILIO_AUTH_TOKEN": "made-up"}
    variables = {entry["name"]: secret[entry["valueFrom"]["secretKeyRef"]["key"]] for entry in program(spec)["env"]}
    with ExitStack() as stack:
        stack.enter_context(running([BINARY, *arguments], port, tmp_path, env=variables, cwd="/"))
        status, page = request(f"http://127.0.0.1:{port}/", headers={"Host": f"{service}:3102"})
        assert status == 200, page
        assert request(f"http://127.0.0.1:{port}/", headers={"Host": "other.example"})[0] != 200

        urls = stack.enter_context(backends(tmp_path))
        job = Container(objects, find(objects, "Job")["spec"]["template"]["spec"], tmp_path / "job", urls)
        assert job.run()[0] == 0
        gateway = Container(objects, deployments(objects)["gateway"]["spec"]["template"]["spec"], tmp_path / "gateway", urls)
        address = gateway.environment["TWILIO_API_URL"]
        assert address == f"http://{service}:3102/twilio"
        # This machine does not know the name of the Service.
        gateway.environment["TWILIO_API_URL"] = f"http://localhost:{port}/twilio"
        gateway.start()
        stack.callback(gateway.process.kill)
        gateway.wait_for("readinessProbe", 200)
        code, output = gateway.run("bootstrap", "--json", "--phone-number", "+14155550100")
        assert code == 0, output
        created = json.loads(next(line for line in output.splitlines() if line.startswith("{")))
        body = json.dumps({"to": "+14155550123", "channel": "sms", "body": "Hello from the chart"}).encode()
        headers = {"Authorization": f"Bearer {created['agentToken']}", "Content-Type": "application/json"}
        status, answer = gateway.get("/api/v1/send-message", headers=headers, body=body)
        assert status == 200 and '"accepted"' in answer, answer
        status, messages = request(f"http://localhost:{port}/messages")
        assert status == 200 and "Hello from the chart" in messages
        gateway.begin_to_stop()
        assert gateway.wait_for_end()[0] == 0
