"""Settings and secrets reach the containers."""

import re
import subprocess

import pytest
import yaml

import generate
from conftest import CHART, CI_NAMES, ROLES, TOOLS, config, deployments, environment, find, pod_specs, program, render, secret_files


def test_accepted_settings_are_those_of_the_program():
    accepted = set(generate.accepted_settings())
    all_settings = set(generate.program_settings()) | set(generate.vendor_settings())
    assert accepted.isdisjoint(generate.secret_settings())
    assert all_settings - accepted - generate.secret_settings() == set(generate.OWNED)
    for setting in ("database_url", "credentials_encryption_key", "orchestrator_security_token", "metrics_token"):
        assert setting not in accepted
    assert generate.secret_settings() >= {"credentials_encryption_key", "orchestrator_security_token", "metrics_token",
                                          "s3_secret_access_key", "twilio_auth_token"}


def full_settings():
    return yaml.safe_load((CHART / "ci" / "full-values.yaml").read_text())["settings"]


def test_full_values_change_every_setting():
    """The values of `full` differ from the program's defaults, so that a setting that does not arrive is found."""
    accepted = set(generate.accepted_settings())
    given = full_settings()
    # Their values are in Secrets.
    assert accepted - set(given) == {"twilio_account_sid", "meta_phone_number_id"}
    defaults = generate.program_settings()
    assert [name for name, value in given.items() if name in defaults and str(defaults[name]) == str(value)] == []


def as_text(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize("role", ROLES.values())
def test_every_setting_reaches_the_container(role):
    objects = render("full")
    env = environment(objects, deployments(objects)[role]["spec"]["template"]["spec"])
    own = {"gateway": {"sessions_per_agent": 500}}.get(role, {})
    for name, value in {**full_settings(), **own}.items():
        assert env.get(name.upper()) == as_text(value), name


def test_large_numbers_are_not_in_exponential_form():
    assert config(render("full"))["NATS_STREAM_MAX_BYTES"] == "10000000000"
    data = config(render("minimal", set=("settings.scheduled_bytes_per_agent=123456789",)))
    assert data["SCHEDULED_BYTES_PER_AGENT"] == "123456789"


def test_values_that_own_settings():
    data = config(render("full"))
    assert data["HOST"] == "::" and data["PORT"] == "8080" and data["METRICS_PORT"] == "9464"
    assert data["WEBHOOK_BASE_URL"] == "https://butt-dial.example.com"
    assert data["MIGRATE"] == "auto" and data["DEMO_MODE"] == "false"
    assert data["BLOB_URL"] == "s3://attachments/butt-dial"
    assert data["S3_REGION"] == "eu-central-1" and data["S3_ENDPOINT"] == "https://s3.internal"
    data = config(render("ingress-nginx"))
    assert data["WEBHOOK_BASE_URL"] == "https://butt-dial.example.com", "without a trailing slash"
    assert data["TRUSTED_PROXIES"] == "10.0.0.0/8,fd00::/8"
    hosts = config(render("ingress-haproxy"))["ALLOWED_HOSTS"].split(",")
    assert {"r-butt-dial-gateway", "r-butt-dial-gateway.ns.svc.cluster.local", "gateways.internal"} <= set(hosts)
    data = config(render("schema-owner"))
    assert data["NATS_URL"].count("nats://") == 3 and data["REDIS_URL"] == "rediss://redis.example:6379"
    assert data["SSL_CERT_FILE"] == "/etc/butt-dial/ca/ca-bundle.crt" and data["BLOB_URL"] == "/var/lib/butt-dial/blobs"


SECRETS_OF_FULL = {
    "CREDENTIALS_ENCRYPTION_KEYS": ("keys", "all"),
    "DATABASE_URL": ("backends", "postgres"),
    "DATABASE_READ_URL": ("backends", "postgres-replica"),
    "NATS_URL": ("backends", "nats"),
    "REDIS_URL": ("backends", "redis"),
    "CREDENTIALS_ENCRYPTION_KEY": ("keys", "contents"),
    "METRICS_TOKEN": ("keys", "metrics"),
    "S3_ACCESS_KEY_ID": ("s3", "id"),
    "S3_SECRET_ACCESS_KEY": ("s3", "secret"),
    "TWILIO_ACCOUNT_SID": ("twilio", "sid"),
    "TWILIO_AUTH_TOKEN": ("twilio", "token"),
    "TWILIO_AUTH_TOKEN_SECONDARY": ("twilio", "token2"),
    "TWILIO_SUBACCOUNT_TOKENS": ("twilio", "others"),
    "RESEND_API_KEY": ("resend", "RESEND_API_KEY"),
    "RESEND_WEBHOOK_SECRET": ("resend", "RESEND_WEBHOOK_SECRET"),
    "META_ACCESS_TOKEN": ("meta", "META_ACCESS_TOKEN"),
    "META_APP_SECRET": ("meta", "META_APP_SECRET"),
    "META_VERIFY_TOKEN": ("meta", "META_VERIFY_TOKEN"),
    "META_PHONE_NUMBER_ID": ("meta", "phone"),
    "LINE_CHANNEL_ACCESS_TOKEN": ("line", "LINE_CHANNEL_ACCESS_TOKEN"),
    "LINE_CHANNEL_SECRET": ("line", "LINE_CHANNEL_SECRET"),
    "ANTHROPIC_API_KEY": ("models", "ANTHROPIC_API_KEY"),
    "OPENAI_API_KEY": ("models", "OPENAI_API_KEY"),
    "ELEVENLABS_API_KEY": ("models", "ELEVENLABS_API_KEY"),
    "DEEPGRAM_API_KEY": ("models", "DEEPGRAM_API_KEY"),
}


@pytest.mark.parametrize("role", ROLES.values())
def test_secrets_are_files_of_named_secrets(role):
    objects = render("full")
    expected = dict(SECRETS_OF_FULL)
    if role == "gateway":
        expected["ORCHESTRATOR_SECURITY_TOKEN"] = ("keys", "orchestrator")
    assert secret_files(deployments(objects)[role]["spec"]["template"]["spec"]) == expected


def test_vendor_secrets_of_the_program_can_be_given():
    """The names of the files are settings of the program, and all its secrets are among them."""
    all_settings = set(generate.program_settings()) | set(generate.vendor_settings())
    others = {"orchestrator_security_token", "nats_credentials", "nats_nkey_seed"}
    given = {name.lower() for name in SECRETS_OF_FULL} | others
    assert given <= all_settings
    assert generate.secret_settings() <= given


@pytest.mark.parametrize("name", CI_NAMES)
def test_each_secret_file_has_its_variable(name):
    """Each file has a variable `<NAME>_FILE` with its path, and no secret is in the environment."""
    objects = render(name)
    for pod, spec in pod_specs(objects):
        if not any(volume["name"] == "secrets" for volume in spec.get("volumes", [])):
            continue
        container = program(spec)
        mount = next(mount for mount in container["volumeMounts"] if mount["name"] == "secrets")
        env = environment(objects, spec)
        files = {key: value for key, value in env.items() if key.endswith("_FILE") and value.startswith(mount["mountPath"])}
        assert files == {f"{name}_FILE": f"{mount['mountPath']}/{name}" for name in secret_files(spec)}, pod
        assert mount["readOnly"] is True
        secrets = {name.upper() for name in generate.secret_settings()}
        assert secrets.isdisjoint(env), pod
        # The program refuses a setting that is set in both ways.
        assert not [name for name in secret_files(spec) if env.get(name)], pod
        assert not [entry for entry in container["env"] if "secretKeyRef" in str(entry)], pod


def test_migration_job_may_have_its_own_rights():
    objects = render("schema-owner")
    job = find(objects, "Job")["spec"]["template"]["spec"]
    assert secret_files(job)["DATABASE_URL"] == ("schema-owner", "url")
    for role, deployment in deployments(objects).items():
        assert secret_files(deployment["spec"]["template"]["spec"])["DATABASE_URL"] == ("butt-dial", "database-url"), role


def test_no_secret_is_generated():
    for name in CI_NAMES:
        assert not [value for value in render(name) if value["kind"] == "Secret"], name
    # A second rendering has the same values.
    assert render("trial", set=("simulator.enabled=true",)) == render("trial")


def test_templates_have_no_random_or_looked_up_values():
    pattern = re.compile(r"\b(lookup|rand[A-Z]\w*|genPrivateKey|genCA|genSelfSignedCert|genSignedCert|uuidv4|now|derivePassword)\b")
    code = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
    for path in [*CHART.rglob("templates/**/*.yaml"), *CHART.rglob("templates/*.tpl")]:
        found = [match for action in code.findall(path.read_text()) if not action.strip("- ").startswith("/*")
                 for match in pattern.findall(re.sub(r'"[^"]*"', "", action))]
        assert not found, f"{path}: {found}"


def test_simulator_gets_the_credentials_and_the_roles_its_address():
    objects = render("trial", set=("vendors.resend.existingSecret=\"made-up-resend\"",))
    simulator = program(find(objects, "Deployment", "-simulator")["spec"]["template"]["spec"])
    refs = {entry["name"]: entry["valueFrom"]["secretKeyRef"]["name"] for entry in simulator["env"]}
    assert refs["TWILIO_AUTH_TOKEN"] == "made-up-twilio" and refs["RESEND_WEBHOOK_SECRET"] == "made-up-resend"
    service = find(objects, "Service", "-simulator")
    data = config(objects)
    assert data["TWILIO_API_URL"] == f"http://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}/twilio"
    assert data["RESEND_API_URL"].endswith("/resend") and "META_API_URL" not in data
    assert f"--allowed-host={service['metadata']['name']}" in simulator["args"]
    assert data["DEMO_MODE"] == "false", "a role never simulates carriers in its process"
    assert not [value for value in render("minimal") if value["metadata"]["name"].endswith("simulator")]


def test_ca_certificates_are_mounted():
    for name, kind, path in (("schema-owner", "configMap", "ca-bundle.crt"), ("external-migrations", "secret", "ca.pem")):
        objects = render(name)
        for pod, spec in pod_specs(objects):
            volume = next(volume for volume in spec["volumes"] if volume["name"] == "ca")
            assert volume[kind]["items"] == [{"key": path, "path": path}], pod
            mount = next(mount for mount in program(spec)["volumeMounts"] if mount["name"] == "ca")
            assert f"{mount['mountPath']}/{path}" == config(objects)["SSL_CERT_FILE"], pod


def test_credentials_and_certificates_of_nats():
    objects = render("schema-owner")
    data = config(objects)
    for pod, spec in pod_specs(objects):
        assert secret_files(spec)["NATS_CREDENTIALS"] == ("nats", "user.creds"), pod
        volume = next(volume for volume in spec["volumes"] if volume["name"] == "nats-tls")["secret"]
        mount = next(mount for mount in program(spec)["volumeMounts"] if mount["name"] == "nats-tls")["mountPath"]
        files = {f"{mount}/{item['path']}": item["key"] for item in volume["items"]}
        paths = [data[f"NATS_{name}_PATH"] for name in ("CA", "CLIENT_CERTIFICATE", "CLIENT_KEY")]
        assert [files[path] for path in paths] == ["authority.crt", "tls.crt", "tls.key"], pod
        assert volume["secretName"] == "nats-client"
    for pod, spec in pod_specs(render("external-migrations")):
        assert secret_files(spec)["NATS_NKEY_SEED"] == ("nats", "seed"), pod


def test_resource_of_traces_names_the_pod():
    def attributes(name):
        spec = deployments(render(name))["gateway"]["spec"]["template"]["spec"]
        return [entry for entry in program(spec)["env"] if entry["name"] == "OTEL_RESOURCE_ATTRIBUTES"]

    (entry,) = attributes("monitoring")
    assert entry["value"] == "k8s.namespace.name=ns,k8s.pod.name=$(POD_NAME),k8s.node.name=$(NODE_NAME)"
    assert attributes("minimal") == []
    assert [entry["value"] for entry in attributes("full")] == ["deployment.environment.name=test"], "the operator's"


def test_tools_are_those_of_the_requirements():
    version = subprocess.run([TOOLS / "helm", "version", "--short"], capture_output=True, text=True).stdout
    assert version.startswith("v4.")
