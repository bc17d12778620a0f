"""Pods: security, probes, the end of a pod, and extensions."""

import re

import pytest

from conftest import CHART, CI, CI_NAMES, ROLES, ROOT, config, deployments, environment, find, of_kind, pod_specs, program, render


@pytest.mark.parametrize("name", CI_NAMES)
def test_pods_satisfy_the_restricted_standard(name):
    """The rules of the Pod Security Standard `restricted`, and a read-only root."""
    objects = render(name)
    for pod, spec in pod_specs(objects):
        context = spec["securityContext"]
        assert context["runAsNonRoot"] is True and context["runAsUser"] > 0, pod
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, pod
        assert not spec.get("hostNetwork") and not spec.get("hostPID") and not spec.get("hostIPC"), pod
        for container in spec["containers"] + spec.get("initContainers", []):
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False and own["capabilities"] == {"drop": ["ALL"]}, pod
            assert own["readOnlyRootFilesystem"] is True and not own.get("privileged"), pod
            assert "memory" in container["resources"]["limits"] and "cpu" in container["resources"]["requests"], pod
            assert not [port for port in container.get("ports", []) if "hostPort" in port], pod
        kinds = {key for volume in spec.get("volumes", []) for key in volume if key != "name"}
        assert kinds <= {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}, pod


@pytest.mark.parametrize("name", CI_NAMES)
def test_pods_have_no_token_and_no_service_links(name):
    for pod, spec in pod_specs(render(name)):
        assert spec["automountServiceAccountToken"] is False, pod
        assert spec["enableServiceLinks"] is False, pod
    for account in of_kind(render(name), "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


@pytest.mark.parametrize("name", CI_NAMES)
@pytest.mark.parametrize("role", ROLES.values())
def test_probes(name, role):
    objects = render(name)
    container = program(deployments(objects)[role]["spec"]["template"]["spec"])
    assert container["args"] == [role]
    paths = {probe: container[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    # Liveness must not depend on backends: their failure would restart all pods.
    assert paths == {"startupProbe": "/health", "livenessProbe": "/health", "readinessProbe": "/health/ready"}
    for probe in paths:
        assert container[probe]["httpGet"]["port"] == "http"
        # The readiness probe may take 2 s when a backend hangs.
        assert container[probe]["timeoutSeconds"] > 2
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 60
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    env = environment(objects, deployments(objects)[role]["spec"]["template"]["spec"])
    assert ports == {"http": int(env["PORT"]), "metrics": int(env["METRICS_PORT"])}


@pytest.mark.parametrize("name", CI_NAMES)
@pytest.mark.parametrize("role", ROLES.values())
def test_grace_period_is_longer_than_the_shutdown(name, role):
    objects = render(name)
    spec = deployments(objects)[role]["spec"]["template"]["spec"]
    env = environment(objects, spec)
    sleep = program(spec).get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    shutdown = int(env["SHUTDOWN_DELAY_SECONDS"]) + int(env["SHUTDOWN_TIMEOUT_SECONDS"])
    assert spec["terminationGracePeriodSeconds"] > sleep + shutdown


def test_default_grace_periods():
    specs = {role: value["spec"]["template"]["spec"] for role, value in deployments(render("minimal")).items()}
    periods = {role: spec["terminationGracePeriodSeconds"] for role, spec in specs.items()}
    assert periods == {"gateway": 35, "console": 35, "webhook-ingest": 35, "voice-relay": 90, "dispatcher": 35}
    assert program(specs["voice-relay"])["lifecycle"] == {"preStop": {"sleep": {"seconds": 60}}}
    assert "lifecycle" not in program(specs["gateway"])
    assert int(config(render("minimal"))["SHUTDOWN_DELAY_SECONDS"]) >= 5, "load balancers need seconds"


@pytest.mark.parametrize("role", ROLES.values())
def test_updates_keep_all_replicas(role):
    spec = deployments(render("minimal"))[role]["spec"]
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert spec["replicas"] >= 2
    budget = find(render("minimal"), "PodDisruptionBudget", f"-{role}")["spec"]
    assert budget["maxUnavailable"] == 1 and "minAvailable" not in budget
    assert budget["selector"] == spec["selector"]
    full = find(render("full"), "PodDisruptionBudget", f"-{role}")["spec"]
    assert full["minAvailable"] == 2 and "maxUnavailable" not in full


@pytest.mark.parametrize("role", ROLES.values())
def test_pods_are_spread(role):
    spec = deployments(render("minimal"))[role]["spec"]
    constraints = spec["template"]["spec"]["topologySpreadConstraints"]
    assert {constraint["topologyKey"] for constraint in constraints} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    for constraint in constraints:
        assert constraint["labelSelector"] == spec["selector"]


@pytest.mark.parametrize("role", ROLES.values())
def test_extensions_reach_the_pod(role):
    objects = render("full")
    deployment = deployments(objects)[role]
    template = deployment["spec"]["template"]
    spec = template["spec"]
    container = program(spec)
    assert deployment["spec"]["replicas"] == (4 if role == "gateway" else 3)
    assert deployment["metadata"]["annotations"] == {"reloader.stakater.com/auto": "true"}
    assert template["metadata"]["annotations"]["example.com/scrape"] == "false"
    assert template["metadata"]["labels"]["tier"] == "communications"
    assert container["resources"]["requests"] == {"cpu": "500m", "memory": "256Mi"}
    assert container["startupProbe"]["failureThreshold"] == 60 and container["livenessProbe"]["periodSeconds"] == 20
    assert container["readinessProbe"]["failureThreshold"] == 3
    assert spec["securityContext"]["runAsUser"] == 70000 and container["securityContext"]["runAsGroup"] == 70000
    assert {"name": "OTEL_RESOURCE_ATTRIBUTES", "value": "deployment.environment.name=test"} in container["env"]
    assert {"configMapRef": {"name": "more", "optional": True}} in container["envFrom"]
    assert {"name": "phrases", "mountPath": "/etc/butt-dial/phrases", "readOnly": True} in container["volumeMounts"]
    assert {"name": "phrases", "configMap": {"name": "phrases"}} in spec["volumes"]
    assert [other["name"] for other in spec["containers"]] == ["butt-dial", "sidecar"]
    assert [first["name"] for first in spec["initContainers"]] == ["first"]
    assert spec["priorityClassName"] == "high" and spec["runtimeClassName"] == "gvisor"
    assert spec["nodeSelector"] == {"kubernetes.io/arch": "amd64"} and spec["tolerations"][0]["key"] == "dedicated"
    assert "nodeAffinity" in spec["affinity"]
    assert spec["topologySpreadConstraints"][0]["whenUnsatisfiable"] == "DoNotSchedule"
    assert spec["terminationGracePeriodSeconds"] == (180 if role == "voice-relay" else 60)
    assert spec["serviceAccountName"] == "comms"


def test_a_role_replaces_defaults_also_by_false():
    values = ("gateway.podDisruptionBudget.enabled=false", "gateway.securityContext.readOnlyRootFilesystem=false",
              "gateway.topologySpreadConstraints=[]")
    objects = render("minimal", set=values)
    assert len(of_kind(objects, "PodDisruptionBudget")) == 4
    specs = {role: value["spec"]["template"]["spec"] for role, value in deployments(objects).items()}
    assert "topologySpreadConstraints" not in specs["gateway"] and "topologySpreadConstraints" in specs["dispatcher"]
    roots = {role: program(spec)["securityContext"]["readOnlyRootFilesystem"] for role, spec in specs.items()}
    assert roots == {"gateway": False, "console": True, "webhook-ingest": True, "voice-relay": True, "dispatcher": True}


def test_image():
    for pod, spec in pod_specs(render("gateway-api")):
        assert program(spec)["image"].startswith("registry.example/butt-dial@sha256:9f86d0"), pod
        assert spec["imagePullSecrets"] == [{"name": "registry"}], pod
        assert spec["serviceAccountName"] == "workloads", pod
    for pod, spec in pod_specs(render("minimal", set=('image.tag="1.2.3"',))):
        assert program(spec)["image"] == "butt-dial:1.2.3", pod


def test_migrations():
    objects = render("minimal")
    job = find(objects, "Job")
    assert job["metadata"]["name"] == "r-butt-dial-migrate-1"
    assert job["metadata"]["annotations"]["argocd.argoproj.io/hook"] == "Sync"
    # As a hook of Helm it would run before its ConfigMap exists.
    assert not [key for key in job["metadata"]["annotations"] if key.startswith("helm.sh/")]
    assert program(job["spec"]["template"]["spec"])["args"] == ["migrate"]
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "OnFailure"
    for name, mode, has_job in (("minimal", "verify", True), ("external-migrations", "verify", False), ("full", "auto", False)):
        objects = render(name)
        assert bool(of_kind(objects, "Job")) == has_job
        for role, deployment in deployments(objects).items():
            assert environment(objects, deployment["spec"]["template"]["spec"])["MIGRATE"] == mode, role


def test_helm_test_runs_the_doctor():
    pods = {value["metadata"]["name"]: value for value in of_kind(render("minimal"), "Pod")}
    assert {name: program(pod["spec"])["args"] for name, pod in pods.items()} == {
        "r-butt-dial-test-doctor": ["doctor"], "r-butt-dial-test-migrations": ["migrate", "--verify"]
    }
    for pod in pods.values():
        assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test" and pod["spec"]["restartPolicy"] == "Never"


def test_autoscaling():
    objects = render("autoscaling-hpa")
    found = deployments(objects)
    assert "replicas" not in found["gateway"]["spec"] and "replicas" in found["dispatcher"]["spec"]
    gateway = find(objects, "HorizontalPodAutoscaler", "-gateway")["spec"]
    assert gateway["scaleTargetRef"]["name"] == found["gateway"]["metadata"]["name"] and gateway["maxReplicas"] == 20
    relay = find(objects, "HorizontalPodAutoscaler", "-voice-relay")["spec"]
    assert [metric["type"] for metric in relay["metrics"]] == ["Pods"]
    assert relay["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 600

    objects = render("autoscaling-keda")
    assert not of_kind(objects, "HorizontalPodAutoscaler")
    triggers = {role: find(objects, "ScaledObject", f"-{role}")["spec"]["triggers"][0] for role in ROLES.values()}
    assert 'bd_calls_active{namespace="ns", job="voice-relay"}' in triggers["voice-relay"]["metadata"]["query"]
    assert 'bd_inbound_unread{namespace="ns", job="dispatcher"}' in triggers["dispatcher"]["metadata"]["query"]
    assert triggers["webhook-ingest"]["type"] == "cpu" and "rate(" in triggers["gateway"]["metadata"]["query"]
    gateway = find(objects, "ScaledObject", "-gateway")["spec"]
    assert gateway["pollingInterval"] == 30 and [trigger["type"] for trigger in gateway["triggers"]] == ["prometheus", "cron"]
    assert find(objects, "ScaledObject", "-dispatcher")["spec"]["minReplicaCount"] == 1
    assert triggers["voice-relay"]["authenticationRef"] == {"name": "prometheus"}
    for role, deployment in deployments(objects).items():
        assert "replicas" not in deployment["spec"], role


def test_metrics_of_the_queries_exist():
    sources = "".join(path.read_text() for folder in ("shared", "services") for path in (ROOT / folder).rglob("*.rs"))
    text = (CHART / "values.yaml").read_text() + "".join(path.read_text() for path in CI)
    names = set(re.findall(r"\bbd_[a-z_]+", text))
    assert {"bd_calls_active", "bd_inbound_unread"} <= names
    for name in names:
        assert f'"{name.removesuffix("_count")}"' in sources, name


def test_extra_resources():
    objects = render("full")
    assert find(objects, "ConfigMap", "r-extra")["data"] == {"url": "https://butt-dial.example.com"}
    assert find(objects, "ConfigMap", "text")["metadata"]["namespace"] == "ns"


def test_backends_for_trials_are_off():
    names = {value["metadata"]["name"] for name in CI_NAMES if name != "trial" for value in render(name)}
    assert not [name for name in names if "-dev-" in name]
    trial = {value["metadata"]["name"] for value in of_kind(render("trial"), "StatefulSet")}
    assert trial == {"r-dev-postgres", "r-dev-nats", "r-dev-redis"}
    data = config(render("trial"))
    assert data["NATS_URL"] == "nats://r-dev-nats:4222" and data["REDIS_URL"] == "redis://r-dev-redis:6379"
