"""An upgrade changes only what its values concern."""

import re
import shutil

import pytest
import yaml

from conftest import CHART, CI_NAMES, ROLES, identity, of_kind, render

DEPLOYMENTS = {("Deployment", f"r-butt-dial-{role}") for role in ROLES.values()}
COMMANDS = {("Job", "r-butt-dial-migrate-1"), ("Pod", "r-butt-dial-test-doctor"), ("Pod", "r-butt-dial-test-migrations")}
CONFIG = {("ConfigMap", "r-butt-dial")}
GATEWAY = {("Deployment", "r-butt-dial-gateway")}


def named(kind, *components):
    return {(kind, f"r-butt-dial-{component}") for component in components}


CHANGES = [
    ("minimal", 'settings.log_level="debug"', CONFIG | DEPLOYMENTS),
    ("minimal", 'trustedProxies=["10.0.0.0/8"]', CONFIG | DEPLOYMENTS),
    ("minimal", "port=3200", CONFIG | DEPLOYMENTS),
    ("minimal", "gateway.settings.sessions_per_agent=5", GATEWAY),
    ("minimal", "gateway.replicas=5", GATEWAY),
    ("minimal", "voiceRelay.terminationGracePeriodSeconds=300", named("Deployment", "voice-relay")),
    ("minimal", 'dispatcher.resources.limits.memory="1Gi"', named("Deployment", "dispatcher")),
    ("minimal", 'webhookIngest.podAnnotations={"a": "b"}', named("Deployment", "webhook-ingest")),
    ("minimal", 'webhookIngest.service.annotations={"a": "b"}', named("Service", "webhook-ingest")),
    ("minimal", "voiceRelay.podDisruptionBudget.maxUnavailable=2", named("PodDisruptionBudget", "voice-relay")),
    ("minimal", 'orchestratorToken.existingSecret="butt-dial"', GATEWAY),
    ("minimal", 'vendors.resend.existingSecret="resend"', DEPLOYMENTS | COMMANDS),
    ("minimal", 'image.tag="2.0.0"', DEPLOYMENTS | COMMANDS),
    ("minimal", 'migrations.database.existingSecret="owner"', {("Job", "r-butt-dial-migrate-1")}),
    ("minimal", 'networkPolicy.metricsFrom=[{"podSelector": {}}]', named("NetworkPolicy", *ROLES.values())),
    ("minimal", 'networkPolicy.gatewayFrom=[{"podSelector": {}}]', named("NetworkPolicy", "gateway", "console")),
    ("minimal", "metrics.serviceMonitor.enabled=true", {("ServiceMonitor", "r-butt-dial")}),
    ("minimal", "gateway.autoscaling.enabled=true", GATEWAY | named("HorizontalPodAutoscaler", "gateway")),
    ("minimal", "serviceAccount.annotations={\"a\": \"b\"}", {("ServiceAccount", "r-butt-dial")}),
    ("ingress-nginx", "streamTimeoutSeconds=10000", named("Ingress", "gateway", "voice-relay")),
    ("ingress-nginx", 'ingress.voiceRelayAnnotations={"a": "b"}', named("Ingress", "voice-relay")),
    ("ingress-nginx", 'publicUrl="https://other.example"',
     CONFIG | DEPLOYMENTS | named("Ingress", "gateway", "console", "webhook-ingest", "voice-relay")),
    ("monitoring", 'metrics.rules.exclude=["CarriersSimulated", "RoleDown"]', {("PrometheusRule", "r-butt-dial-role-down")}),
]


def by_identity(objects):
    return {identity(value): value for value in objects}


@pytest.mark.parametrize("name, change, expected", CHANGES, ids=[change for _, change, _ in CHANGES])
def test_change_of_one_value(name, change, expected):
    before, after = by_identity(render(name)), by_identity(render(name, set=(change,)))
    assert {key for key in before | after if before.get(key) != after.get(key)} == expected


def selectors(objects):
    found = {}
    for value in objects:
        spec = value.get("spec", {})
        if value["kind"] in ("Deployment", "StatefulSet", "PodDisruptionBudget"):
            found[identity(value)] = spec["selector"]["matchLabels"]
        elif value["kind"] == "Service":
            found[identity(value)] = spec["selector"]
    return found


@pytest.mark.parametrize("name", CI_NAMES)
def test_selectors_never_change(name):
    """Not with the values and not with the version: the selector of a Deployment can't change."""
    names = {"r-comms": "comms"}
    for (kind, found), selector in selectors(render(name)).items():
        if "-dev-" in found:
            continue
        label = next((label for prefix, label in names.items() if found.startswith(prefix)), "butt-dial")
        assert set(selector) == {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"}
        assert selector["app.kubernetes.io/name"] == label and selector["app.kubernetes.io/instance"] == "r"
        assert found.removesuffix("-metrics").endswith(selector["app.kubernetes.io/component"]), (kind, found)


def test_a_new_version_of_the_chart_restarts_no_pod(tmp_path):
    """A change of the chart's version alone changes labels of objects, not the pods and the selectors."""
    copy = tmp_path / "butt-dial"
    shutil.copytree(CHART, copy)
    chart = copy / "Chart.yaml"
    chart.write_text(re.sub(r"^version: .*", "version: 9.9.9", chart.read_text(), flags=re.MULTILINE))
    before, after = render("minimal"), render("minimal", chart=copy)
    assert selectors(before) == selectors(after)
    for kind in ("Deployment", "Job"):
        assert [value["spec"] for value in of_kind(before, kind)] == [value["spec"] for value in of_kind(after, kind)]
    assert before != after


def test_job_is_named_by_revision():
    """The template of a Job can't change, so each revision has another Job."""
    text = (CHART / "templates" / "migrate.yaml").read_text()
    assert 'printf "migrate-%d" .Release.Revision' in text
    assert yaml.safe_load((CHART / "values.yaml").read_text())["migrations"]["mode"] == "job"


def test_pods_restart_when_the_config_changes():
    def checksums(objects):
        return {value["spec"]["template"]["metadata"]["annotations"]["checksum/config"] for value in of_kind(objects, "Deployment")}

    one, other = checksums(render("minimal")), checksums(render("minimal", set=("settings.waits_per_agent=7",)))
    assert len(one) == len(other) == 1 and one != other
