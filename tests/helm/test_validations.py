"""Contradictory and missing values are refused with a remedy."""

import pytest

from conftest import CHART, errors, helm

INVALID = [
    ("minimal", 'publicUrl=""', "publicUrl: set the public URL"),
    ("minimal", 'publicUrl="https://a.example/path"', "without a path"),
    ("minimal", 'publicUrl="http://a.example"', "must begin with https://"),
    ("minimal", 'database.existingSecret=""', "database.existingSecret: name the Secret"),
    ("minimal", 'redis.url="redis://redis:6379"', "not both"),
    ("schema-owner", 'nats.url="nats://a:4222,nats://user:secret@b:4222"', "nats.url contains credentials"),
    ("schema-owner", 'redis.url="redis://:secret@redis:6379"', "redis.url contains credentials"),
    ("minimal", 'encryptionKey.existingSecret=""', "keep a copy outside of the cluster"),
    ("external-migrations", 'nats.credentials.existingSecret="nats"', "nats: set either credentials"),
    ("schema-owner", 'nats.tls.privateKeyKey=""', "nats.tls: set both"),
    ("minimal", 'attachments.url="s3://bucket"', "attachments.existingSecret"),
    ("schema-owner", 'attachments.url="s3://bucket"', "not both"),
    ("schema-owner", 'caCertificates.existingSecret="other"', "caCertificates"),
    ("minimal", 'settings.twilio_account_sid="AC1"', "TWILIO_ACCOUNT_SID is in settings and in vendors.twilio.keys"),
    ("minimal", 'secretSettings={"LOG_LEVEL": {"secret": "a", "key": "b"}}', "LOG_LEVEL is in settings and in secretSettings"),
    ("full", 'secretSettings={"SESSIONS_PER_AGENT": {"secret": "a", "key": "b"}}', "SESSIONS_PER_AGENT"),
    ("ingress-nginx", "trustedProxies=[]", "trustedProxies: list the addresses"),
    ("ingress-nginx", "networkPolicy.gatewayFrom=[]", "networkPolicy.gatewayFrom"),
    ("minimal", 'gateway.service.type="LoadBalancer"', "networkPolicy.gatewayFrom"),
    ("minimal", 'console.service.type="LoadBalancer"', "networkPolicy.gatewayFrom"),
    ("gateway-api", "gatewayApi.parentRefs=[]", "gatewayApi.parentRefs"),
    ("ingress-nginx", "streamTimeoutSeconds=600", "streamTimeoutSeconds"),
    ("ingress-nginx", "streamTimeoutSeconds=7200", "more than call_longest_seconds (7200)"),
    ("minimal", "metrics.port=3100", "metrics.port: must differ"),
    ("monitoring", "networkPolicy.metricsFrom=[]", "networkPolicy.metricsFrom"),
    ("minimal", "gateway.terminationGracePeriodSeconds=25", "gateway.terminationGracePeriodSeconds: must be more than 25"),
    ("minimal", "settings.shutdown_timeout_seconds=60", "dispatcher.terminationGracePeriodSeconds: must be more than 65"),
    ("minimal", "voiceRelay.preStopSleepSeconds=70", "voiceRelay.terminationGracePeriodSeconds"),
    ("autoscaling-hpa", "gateway.autoscaling.minReplicas=30", "minReplicas is more than maxReplicas"),
    ("autoscaling-hpa", "voiceRelay.autoscaling.metrics=[]", "set targetCPUUtilizationPercentage or metrics"),
    ("autoscaling-hpa", 'defaults.resources.requests={"memory": "1Mi", "cpu": null}', "resources.requests.cpu"),
    ("autoscaling-keda", 'defaults.autoscaling.keda.serverAddress=""', "keda.serverAddress"),
    ("autoscaling-keda", "webhookIngest.autoscaling.targetCPUUtilizationPercentage=0", "webhookIngest.autoscaling: set keda.query"),
    ("trial", 'vendors.twilio.existingSecret=""', "simulator.enabled: name a Secret"),
    ("trial", 'settings.twilio_api_url="http://other"', "the simulator replaces it"),
    ("trial", 'devBackends.postgres.existingSecret=""', "POSTGRES_PASSWORD"),
]


@pytest.mark.parametrize("name, value, expected", INVALID, ids=[f"{name} {value}" for name, value, _ in INVALID])
def test_refuses(name, value, expected):
    assert expected in errors(name, set=(value,))


def test_reports_all_errors_at_once():
    message = helm("template", "r", CHART, check=False).stderr
    for value in ("publicUrl", "database.existingSecret", "nats.existingSecret", "redis.existingSecret", "encryptionKey"):
        assert f"- {value}" in message
    assert "kubectl create secret" in message
