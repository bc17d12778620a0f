"""Causes real failures in a running system, and waits until Prometheus fires the alert for each. The times that an alert waits
(`for`) are three seconds here; the conditions are the delivered ones.

usage: alarms.py BINARY [FAILURE...]     without names: all failures, about eight minutes"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from expressions import RULES
from live import prometheus_config, query
from system import System, free_port, http, wait_for

ANN, OURS = "+14155550123", "+14155550100"


def send(system, number):
    return http("POST", f"{system.gateway(number)}/api/v1/send-message", {"to": ANN, "channel": "sms", "body": f"alarm {time.time()} {number}"},
                system.account["agentToken"])[0]


def many(work, count):
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(work, range(count)))


def over_time(work, count):
    """In rounds: a series that appears with its first value has an increase only between two scrapes."""
    for _ in range(6):
        many(work, count // 6)
        time.sleep(1.2)


def misbehave(system, times, **fault):
    status, answer = http("POST", f"{system.simulator}/misbehave", {"vendor": "twilio", "times": times, **fault})
    assert status < 300, answer


def behave(system):
    http("POST", f"{system.simulator}/behave", {"vendor": "twilio"})


def person(system, number):
    return http("POST", f"{system.simulator}/person-writes", {"channel": "sms", "from": ANN, "to": OURS, "body": f"alarm {number}"})[1]["status"]


@contextlib.contextmanager
def without(system, name, start):
    system.processes[name].stop()
    try:
        yield
    finally:
        start()
        for replica in system.ports:
            system.wait_until_ready(replica)


@contextlib.contextmanager
def restarted(system, replica, **settings):
    """A replica with other settings."""
    def restart(env):
        system.replicas[replica].stop()
        kept, system.env = system.env, env
        system.start_replica(replica)
        system.env = kept
        system.wait_until_ready(replica)
    restart({**system.env, **settings})
    try:
        yield
    finally:
        restart(system.env)


# Each failure yields while it lasts, and names the alerts that must fire.


@contextlib.contextmanager
def relay_ends(system):
    system.replicas["voice-relay-1"].stop()
    yield {"RoleDown", "ReplicaDown"}
    system.start_replica("voice-relay-1")
    system.wait_until_ready("voice-relay-1")


@contextlib.contextmanager
def postgres_stops(system):
    with without(system, "postgres", system.start_postgres):
        over_time(lambda number: send(system, number), 48)
        yield {"BackendDown", "SendErrorRatioHigh", "ApiServerErrors"}


@contextlib.contextmanager
def nats_stops(system):
    with without(system, "nats", system.start_nats):
        over_time(lambda number: person(system, number), 24)
        yield {"BackendDown", "InboundStreamMissing", "WebhookServerErrors"}


@contextlib.contextmanager
def nats_loses_store(system):
    many(lambda number: person(system, number), 20)
    system.processes["nats"].stop()
    shutil.rmtree(os.path.join(system.directory, "nats"))
    system.start_nats()
    wait_for("webhooks are accepted", lambda: person(system, 1) == 200)
    yield {"InboundStreamLostEntries"}


@contextlib.contextmanager
def carrier_refuses_account(system):
    misbehave(system, 60, kind="refuse", status=401, code="20003")
    over_time(lambda number: send(system, number), 60)
    yield {"CarrierAccountRefused", "SendErrorRatioHigh"}
    behave(system)


@contextlib.contextmanager
def carrier_throttles(system):
    misbehave(system, 60, kind="rate_limit")
    over_time(lambda number: send(system, number), 60)
    yield {"CarrierThrottles"}
    behave(system)


@contextlib.contextmanager
def carrier_loses_answers(system):
    misbehave(system, 40, kind="server_error_after_accept")
    over_time(lambda number: send(system, number), 40)
    yield {"SendPendingRatioHigh"}
    behave(system)


@contextlib.contextmanager
def carrier_drops_messages(system):
    # Not accepted, and the answer does not show it: the reconciler finds no message.
    misbehave(system, 20, kind="nonsense")
    over_time(lambda number: send(system, number), 20)
    yield {"SendsUnconfirmed"}
    behave(system)


@contextlib.contextmanager
def secret_is_wrong(system):
    with restarted(system, "webhook-ingest-1", TWILIO_AUTH_TOKEN="f" * 32):
        system.replicas["webhook-ingest-2"].stop()
        over_time(lambda number: person(system, number), 48)
        yield {"WebhookSignaturesRefused"}
    system.start_replica("webhook-ingest-2")
    system.wait_until_ready("webhook-ingest-2")


@contextlib.contextmanager
def tokens_are_guessed(system):
    many(lambda number: http("GET", f"{system.gateway(number)}/api/v1/usage", token=f"bda_{number}"), 1500)
    yield {"AuthFailuresHigh"}


@contextlib.contextmanager
def entry_is_no_event(system):
    with socket.create_connection(("127.0.0.1", system.nats_port), 5) as nats:
        nats.recv(4096)
        nats.sendall(b'CONNECT {"verbose":false}\r\n')
        subject = b"comms.inbound.0" if partitioned(system) else b"comms.inbound"
        nats.sendall(b"PUB " + subject + b" 4\r\njunk\r\nPING\r\n")
        nats.recv(4096)
        yield {"DeadLettersPresent"}
    system.command("dead-letters", "replay", "--all")


def partitioned(system):
    return "bd_inbound_partitions_held" in system.metrics("dispatcher-1")


@contextlib.contextmanager
def table_is_locked(system):
    lock = subprocess.Popen(["psql", "-X", "-q", "-h", "127.0.0.1", "-p", str(system.postgres_port), "-U", "postgres", "butt_dial", "-c",
                             "BEGIN; LOCK TABLE events; SELECT pg_sleep(120)"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(1)
    many(lambda number: person(system, number), 5)
    yield {"InboundBlocked"}
    lock.terminate()
    system.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(120)%' AND pid <> pg_backend_pid()", "postgres")


@contextlib.contextmanager
def replica_is_killed_again_and_again(system):
    for _ in range(5):
        system.replicas["gateway-2"].signal(signal.SIGKILL)
        system.replicas["gateway-2"].stop()
        system.start_replica("gateway-2")
        system.wait_until_ready("gateway-2")
        time.sleep(2.5)
    yield {"ReplicaRestarts"}


@contextlib.contextmanager
def gateway_simulates(system):
    none = {name: "" for name in system.env if name.startswith(("TWILIO_", "RESEND_", "META_", "LINE_"))}
    with restarted(system, "gateway-2", DEMO_MODE="true", **none):
        yield {"CarriersSimulated"}


@contextlib.contextmanager
def collector_is_down(system):
    with restarted(system, "gateway-1", OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{free_port()}"):
        # The increase of a counter is visible between two scrapes.
        for number in range(8):
            send(system, 0)
            time.sleep(2)
        yield {"TraceExportFails"}


FAILURES = [relay_ends, carrier_refuses_account, carrier_throttles, carrier_loses_answers, carrier_drops_messages, secret_is_wrong, entry_is_no_event,
            gateway_simulates, collector_is_down, replica_is_killed_again_and_again, tokens_are_guessed, postgres_stops, nats_stops, table_is_locked,
            nats_loses_store]


def config(system):
    """The delivered rules, with short waits."""
    settings = prometheus_config(system)
    directory = os.path.join(system.directory, "rules")
    for path in RULES.glob("*.yml"):
        with open(os.path.join(directory, path.name), "w") as file:
            file.write(re.sub(r"for: \d+[mh]", "for: 3s", path.read_text()))
    return settings


def firing(system):
    return {sample["metric"]["alertname"] for sample in query(system, 'ALERTS{alertstate="firing"}')[0]}


def main():
    names = set(sys.argv[2:])
    failed = []
    for failure in FAILURES:
        if names and failure.__name__ not in names:
            continue
        # Each failure has a separate system: the windows of the alerts are longer than this test.
        with System(sys.argv[1], roles={"gateway": 2, "webhook-ingest": 2, "voice-relay": 1, "dispatcher": 1}) as system:
            system.start_prometheus(config(system))
            many(lambda number: send(system, number), 10)
            many(lambda number: person(system, number), 10)
            wait_for("Prometheus has read all replicas", lambda: len(query(system, "up == 1")[0] or []) == len(system.ports))
            time.sleep(6)
            # The carriers of this system are simulators of another process.
            before = firing(system) - {"SendSuccessBudgetBurn", "CarriersSimulated"}
            with failure(system) as expected:
                seconds = 100 if failure is table_is_locked else 45
                deadline = time.monotonic() + seconds
                while time.monotonic() < deadline and not expected <= firing(system):
                    time.sleep(1)
                found = firing(system)
            print(f"  {failure.__name__}: {', '.join(sorted(found)) or 'no alert'}" + (f"; before it: {', '.join(sorted(before))}" if before else ""), flush=True)
            if before or not expected <= found:
                failed.append(f"{failure.__name__}: missing {sorted(expected - found)}, before it {sorted(before)}")
    if failed:
        sys.exit("\n".join(failed))
    print("ok")


if __name__ == "__main__":
    main()
