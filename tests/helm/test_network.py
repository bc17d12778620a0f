"""Services, routes and network policies."""

import pytest

from conftest import CI_NAMES, ROLES, deployments, find, identity, of_kind, pod_specs, render

PUBLIC = {"webhook-ingest", "voice-relay"}


def selects(selector, labels):
    return all(labels.get(key) == value for key, value in selector.items())


@pytest.mark.parametrize("name", CI_NAMES)
def test_services_select_the_pods_of_their_role(name):
    objects = render(name)
    templates = {role: value["spec"]["template"]["metadata"]["labels"] for role, value in deployments(objects).items()}
    for service in of_kind(objects, "Service"):
        component = service["metadata"]["labels"].get("app.kubernetes.io/component")
        if component in templates:
            matched = {role for role, labels in templates.items() if selects(service["spec"]["selector"], labels)}
            assert matched == {component}
    names = {value["metadata"]["name"] for value in of_kind(objects, "Service")}
    assert not [name for name in names if name.endswith("-dispatcher")], "no client connects to dispatchers"


@pytest.mark.parametrize("name", [name for name in CI_NAMES if name != "external-migrations"])
def test_only_two_roles_are_open_to_all(name):
    objects = render(name)
    policies = of_kind(objects, "NetworkPolicy")
    open_roles, covered = set(), set()
    for policy in policies:
        component = policy["metadata"]["labels"].get("app.kubernetes.io/component")
        covered.add(tuple(sorted(policy["spec"]["podSelector"]["matchLabels"].items())))
        assert "Ingress" in policy["spec"]["policyTypes"]
        for rule in policy["spec"].get("ingress", []):
            ports = {port["port"] for port in rule["ports"]}
            if "from" not in rule or not rule["from"]:
                assert ports == {"http"}, "metrics are never open to all"
                open_roles.add(component)
            else:
                assert {} not in rule["from"]
    assert open_roles == PUBLIC
    # Each pod of the release is selected by a policy.
    for value in objects:
        template = value["spec"]["template"] if value["kind"] in ("Deployment", "StatefulSet", "Job") else value
        if template.get("kind", "Pod") == "Pod" and "containers" in template.get("spec", {}):
            labels = template["metadata"]["labels"]
            assert any(selects(dict(items), labels) for items in covered), identity(value)


def test_peers_of_the_gateways_and_of_the_metrics():
    objects = render("monitoring")
    gateway = find(objects, "NetworkPolicy", "-gateway")["spec"]["ingress"]
    assert gateway[0] == {"ports": [{"port": "http", "protocol": "TCP"}], "from": [{"podSelector": {}}]}
    for role in ROLES.values():
        rules = find(objects, "NetworkPolicy", f"-{role}")["spec"]["ingress"]
        (metrics,) = [rule for rule in rules if rule["ports"][0]["port"] == "metrics"]
        assert metrics["from"][0]["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}
    assert len(find(objects, "NetworkPolicy", "-dispatcher")["spec"]["ingress"]) == 1, "only metrics"
    public = find(render("ingress-nginx"), "NetworkPolicy", "-gateway")["spec"]["ingress"][0]["from"]
    assert {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}} in public


def test_egress():
    for role in ROLES.values():
        policy = find(render("full"), "NetworkPolicy", f"-{role}")["spec"]
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        assert {port["port"] for rule in policy["egress"] for port in rule["ports"]} == {53, 443, 5432, 4222, 6379}
        assert "Egress" not in find(render("minimal"), "NetworkPolicy", f"-{role}")["spec"]["policyTypes"]


def backends(ingress):
    (rule,) = ingress["spec"]["rules"]
    return {path["path"]: path["backend"]["service"] for path in rule["http"]["paths"]}


def test_ingress_routes_and_time_outs():
    objects = render("ingress-nginx")
    ingresses = {value["metadata"]["labels"]["app.kubernetes.io/component"]: value for value in of_kind(objects, "Ingress")}
    assert set(ingresses) == {"gateway", "console", "webhook-ingest", "voice-relay"}
    for role, ingress in ingresses.items():
        service = find(objects, "Service", f"-{role}")
        for backend in backends(ingress).values():
            assert backend == {"name": service["metadata"]["name"], "port": {"name": "http"}}
        assert ingress["spec"]["rules"][0]["host"] == "butt-dial.example.com"
        assert ingress["spec"]["tls"] == [{"hosts": ["butt-dial.example.com"], "secretName": "r-butt-dial-tls"}]
        assert ingress["metadata"]["annotations"]["cert-manager.io/cluster-issuer"] == "letsencrypt"
    assert set(backends(ingresses["console"])) == {"/console"}
    assert set(backends(ingresses["webhook-ingest"])) == {"/webhooks"} and set(backends(ingresses["voice-relay"])) == {"/relay"}
    prefix = "nginx.ingress.kubernetes.io/"
    relay = ingresses["voice-relay"]["metadata"]["annotations"]
    # A call may last 7200 s here, and its socket is idle in silence.
    assert relay[prefix + "proxy-read-timeout"] == relay[prefix + "proxy-send-timeout"] == "7260"
    gateway = ingresses["gateway"]["metadata"]["annotations"]
    assert gateway[prefix + "proxy-buffering"] == "off" and gateway[prefix + "proxy-read-timeout"] == "7260"
    assert gateway[prefix + "proxy-next-upstream"] == "off"
    assert ingresses["webhook-ingest"]["metadata"]["annotations"][prefix + "proxy-read-timeout"] == "20"


def test_readiness_and_metrics_are_not_public():
    paths = backends(find(render("ingress-nginx"), "Ingress", "-gateway"))
    assert {"/mcp", "/sse", "/messages", "/api", "/media", "/docs"} <= set(paths)
    assert not {"/health/ready", "/metrics", "/webhooks", "/relay", "/console"} & set(paths)
    assert paths["/health"], "the doctor asks it"
    (rule,) = find(render("ingress-nginx"), "Ingress", "-gateway")["spec"]["rules"]
    assert {"path": "/", "pathType": "Exact"}.items() <= next(p for p in rule["http"]["paths"] if p["path"] == "/").items()


def test_gateways_and_consoles_may_have_no_route():
    objects = render("ingress-haproxy")
    ingresses = {value["metadata"]["labels"]["app.kubernetes.io/component"]: value for value in of_kind(objects, "Ingress")}
    assert set(ingresses) == PUBLIC
    assert ingresses["voice-relay"]["metadata"]["annotations"]["haproxy.org/timeout-server"] == "5400s"
    assert ingresses["voice-relay"]["spec"]["tls"][0]["secretName"] == "wildcard"


def test_gateway_api_route():
    route = find(render("gateway-api"), "HTTPRoute")["spec"]
    assert route["hostnames"] == ["butt-dial.example.com"] and route["parentRefs"][0]["name"] == "public"
    rules = {rule["matches"][0]["path"]["value"]: rule for rule in route["rules"]}
    webhooks, relay, gateway, console = rules["/webhooks"], rules["/relay"], rules["/mcp"], rules["/console"]
    assert console["backendRefs"][0]["name"] == "communications-console" and console["timeouts"] == {"request": "0s"}
    assert webhooks["backendRefs"][0]["name"] == "communications-webhook-ingest"
    assert relay["backendRefs"][0]["name"] == "communications-voice-relay" and relay["timeouts"] == {"request": "3660s"}
    assert gateway["backendRefs"][0]["name"] == "communications-gateway" and gateway["timeouts"] == {"request": "0s"}
    for rule in rules.values():
        (backend,) = rule["backendRefs"]
        service = find(render("gateway-api"), "Service", backend["name"])
        assert backend["port"] == service["spec"]["ports"][0]["port"]
    assert find(render("gateway-api"), "Service", "-voice-relay")["spec"]["ports"][0]["appProtocol"] == "kubernetes.io/ws"


def test_services_may_be_public_without_ingress():
    service = find(render("external-migrations"), "Service", "-voice-relay")["spec"]
    assert service["type"] == "LoadBalancer" and service["ports"][0]["port"] == 443
    assert service["externalTrafficPolicy"] == "Local" and service["loadBalancerSourceRanges"] == ["192.0.2.0/24"]
    ports = {port["name"] for value in of_kind(render("external-migrations"), "Service") if value["spec"]["type"] == "LoadBalancer"
             for port in value["spec"]["ports"]}
    assert ports == {"http"}, "metrics are not on the public Services"


def test_names_are_short_enough():
    """A release has at most 53 characters, and names of Services and of pods at most 63."""
    for name in ("monitoring", "trial"):
        for value in render(name, release="x" * 53):
            most = 253 if value["kind"] in ("PrometheusRule", "ConfigMap") else 63
            assert len(value["metadata"]["name"]) <= most, identity(value)
            for label in value["metadata"].get("labels", {}).values():
                assert len(label) <= 63, identity(value)


@pytest.mark.parametrize("name", CI_NAMES)
def test_names_are_unique_and_namespaced(name):
    objects = render(name)
    assert len({identity(value) for value in objects}) == len(objects)
    for value in objects:
        assert value["metadata"].get("namespace") == "ns", identity(value)
    assert len(list(pod_specs(objects))) >= 6
