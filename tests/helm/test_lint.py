"""The chart as a package, and its generated files."""

import json
import re
import shutil
import tarfile

import pytest
import yaml

import generate
from conftest import CHART, CI, CI_NAMES, ROOT, errors, helm, identity, render


@pytest.mark.parametrize("path", CI, ids=CI_NAMES)
def test_lint(path):
    helm("lint", "--strict", CHART, "--values", path)


def test_generated_files_are_current():
    assert generate.stale() == [], "run tests/helm/run --generate"


def test_every_value_is_documented():
    """Each value has a comment, or is part of one that has."""
    text = (CHART / "values.yaml").read_text()
    documented = {row[1] for row in generate.rows(text) if row[0] == "value"}

    def undocumented(value, path):
        if path in documented:
            return []
        if isinstance(value, dict) and value:
            return [name for key, child in value.items() for name in undocumented(child, (*path, key))]
        return [".".join(path)]

    # The lines of a group share the comment of its first line.
    group = {"defaults.autoscaling.maxReplicas", "ingress.consoleAnnotations", "ingress.webhookIngestAnnotations", "ingress.voiceRelayAnnotations"}
    assert set(undocumented(yaml.safe_load(text), ())) <= group


def test_every_value_has_a_schema():
    schema = json.loads((CHART / "values.schema.json").read_text())

    def missing(value, part, path):
        part = schema["definitions"][part["$ref"].split("/")[-1]] if "$ref" in part else part
        if not isinstance(value, dict) or "properties" not in part:
            return []
        return [
            name
            for key, child in value.items()
            for name in (
                missing(child, part["properties"][key], (*path, key))
                if key in part["properties"]
                else [".".join((*path, key))]
            )
        ]

    assert missing(yaml.safe_load((CHART / "values.yaml").read_text()), schema, ()) == []


@pytest.mark.parametrize(
    "value",
    ["gateway.replicaz=1", "gateway.replicas=-1", 'settings.log_levle="info"', "settings.port=1", 'image.digest="sha256:1"',
     "ingres.enabled=true", 'migrations.mode="never"', 'settings.metrics_token="secret"', 'settings.shutdown_delay_seconds="long"'],
)
def test_schema_refuses(value):
    assert "schema" in errors("minimal", set=(value,))


def test_package_contains_what_the_chart_renders(tmp_path):
    """A package has no link to files outside of it, and renders the same."""
    helm("package", CHART, "--destination", tmp_path)
    (package,) = tmp_path.glob("*.tgz")
    with tarfile.open(package) as archive:
        members = archive.getmembers()
    assert not [member.name for member in members if member.issym() or member.islnk()]
    names = {member.name for member in members}
    rules = ROOT / "deploy" / "observability" / "rules"
    for path in rules.glob("*.yml"):
        assert f"butt-dial/files/observability/rules/{path.name}" in names
    assert not [name for name in names if "/ci/" in name or name.endswith(".in") or "/grafana/" in name]
    # The files of a release are stored in a Secret, which has at most 1 MiB.
    assert package.stat().st_size < 500_000
    for name in ("full", "monitoring", "trial"):
        assert render(name, chart=package) == render(name)


@pytest.mark.parametrize("name", CI_NAMES)
def test_helm_3_renders_the_same(name):
    def by_identity(objects):
        return sorted(objects, key=identity)

    assert by_identity(render(name, binary="helm3")) == by_identity(render(name))


def test_notes(tmp_path):
    def notes(name):
        shown = helm("install", "r", CHART, "--dry-run=client", "--values", CHART / "ci" / f"{name}-values.yaml").stdout
        return shown.split("NOTES:\n")[1]

    minimal = notes("minimal")
    assert "SIMULATED" not in minimal and "r-butt-dial-migrate-1" in minimal
    assert "exec deploy/r-butt-dial-gateway -- butt-dial bootstrap" in minimal
    # 5 roles, 2 replicas each and 1 more in an update, 10 connections each, and 2 of the migration.
    assert "max_connections of more than 152" in minimal
    assert "ConfigMap of the HAProxy controller" in notes("ingress-haproxy")
    assert "configure it at the Gateway" in notes("gateway-api")
    trial = notes("trial")
    assert "SIMULATED" in trial and "port-forward svc/r-butt-dial-simulator 3102" in trial
    assert "more dispatchers than partitions" not in minimal
    assert "external" not in minimal and "butt-dial migrate" in notes("external-migrations")


def test_files_of_ci_use_every_value():
    """Each value of the chart is in a file of ci/, so that the other tests meet it."""
    used = set()

    def collect(value, path):
        used.add(path)
        if isinstance(value, dict):
            for key, child in value.items():
                collect(child, (*path, key))

    for path in CI:
        collect(yaml.safe_load(path.read_text()), ())
    roles = ("gateway", "console", "webhookIngest", "voiceRelay", "dispatcher")
    used |= {("defaults", *path[1:]) for path in used if path and path[0] in roles}
    groups = {path[:-1] for path in used if path}
    documented = {row[1] for row in generate.rows((CHART / "values.yaml").read_text()) if row[0] == "value"}
    missing = sorted(".".join(path) for path in documented if path not in used and path not in groups)
    assert missing == []


def test_values_of_the_readme_are_valid(tmp_path):
    text = (CHART / "README.md").read_text()
    (values,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    path = tmp_path / "values.yaml"
    path.write_text(values)
    helm("lint", "--strict", CHART, "--values", path)


def test_chart_versions():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    workspace = re.search(r'^version = "([^"]+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
    assert chart["appVersion"] == workspace


def test_renders_without_observability_files(tmp_path):
    """The chart renders without the observability files, as in a checkout without them."""
    copy = tmp_path / "butt-dial"
    shutil.copytree(CHART, copy, symlinks=False, ignore_dangling_symlinks=True)
    shutil.rmtree(copy / "files", ignore_errors=True)
    kinds = {kind for kind, _ in map(identity, render("monitoring", chart=copy))}
    assert "ServiceMonitor" in kinds and "PrometheusRule" not in kinds
