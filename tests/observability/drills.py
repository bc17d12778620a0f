"""Losses and restores on a running system, with counts. docs/OPERATIONS.md states these results.

usage: drills.py BINARY [DRILL...]     without names: all drills, about four minutes"""

import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from system import System, free_port, http, wait_for

ANN = "+14155550123"
LEO = "+14155550127"
OURS = "+14155550100"


def say(text):
    print(f"    {text}", flush=True)


def expect(what, actual, wanted):
    say(f"{what}: {actual}")
    if actual != wanted:
        raise SystemExit(f"{what}: {actual} instead of {wanted}")


def send(system, number, kind="send"):
    return http("POST", f"{system.gateway()}/api/v1/send-message", {
        "to": ANN, "channel": "sms", "body": f"{kind} {number}", "idempotencyKey": f"{kind}-{number}"}, system.account["agentToken"])


def sends(system, numbers, kind="send"):
    for number in numbers:
        status, answer = send(system, number, kind)
        if status != 200:
            raise SystemExit(f"send: {status} {answer}")


def webhooks(system, numbers, kind="inbound"):
    """Returns the statuses that the simulated carrier got."""
    return [http("POST", f"{system.simulator}/person-writes", {"channel": "sms", "from": ANN, "to": OURS, "body": f"{kind} {number}"})[1]["status"]
            for number in numbers]


def messages(system):
    return int(system.psql("SELECT count(*) FROM messages"))


def received(system):
    return int(system.psql("SELECT count(*) FROM events WHERE type = 'message.received'"))


def at_carrier(system):
    return http("GET", f"{system.simulator}/totals")[1]["twilio"]["accepted"]


def settled(system, count):
    wait_for(f"{count} received messages", lambda: received(system) == count, 20)


def drill_restore_all(system):
    """The same, without the removal of scheduled messages that may have been sent."""
    drill_restore(system, repeat_scheduled=True)


def drill_restore(system, repeat_scheduled=False):
    """An older dump of Postgres: what comes back from NATS, and what is lost."""
    sends(system, range(20))
    webhooks(system, range(20))
    settled(system, 20)
    for number, seconds in ((1, 12), (2, 3600)):
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
        status, answer = http("POST", f"{system.gateway()}/api/v1/send-message", {
            "to": ANN, "channel": "sms", "body": f"scheduled {number}", "scheduledAt": at}, system.account["agentToken"])
        if status != 200:
            raise SystemExit(f"schedule: {status} {answer}")
    dump = os.path.join(system.directory, "dump")
    connection = ["-h", "127.0.0.1", "-p", str(system.postgres_port), "-U", "postgres"]
    subprocess.run(["pg_dump", *connection, "-Fc", "-f", dump, "butt_dial"], check=True)
    say("dumped after 20 sends and 20 received messages")
    sends(system, range(20, 35))
    webhooks(system, range(20, 120))
    settled(system, 120)
    wait_for("the first scheduled message is sent", lambda: at_carrier(system) == 36, 30)
    say("then 15 more sends, 100 more received messages, and one of two scheduled messages was sent")
    http("POST", f"{system.simulator}/person-writes", {"channel": "sms", "from": LEO, "to": OURS, "body": "STOP"})
    settled(system, 121)
    for name in system.ports:
        if not name.startswith("webhook-ingest"):
            system.replicas[name].stop()
    subprocess.run(["dropdb", "--force", *connection, "butt_dial"], check=True)
    expect("statuses of 10 webhooks without a database", set(webhooks(system, range(120, 130))), {200})
    subprocess.run(["createdb", *connection, "butt_dial"], check=True)
    subprocess.run(["pg_restore", *connection, "-d", "butt_dial", "--exit-on-error", dump], check=True)
    expect("received messages in the restored database", received(system), 20)
    if not repeat_scheduled:
        system.psql("DELETE FROM scheduled_sends WHERE state = 'scheduled' AND due_at <= now()")
    for name in system.ports:
        if not name.startswith("webhook-ingest"):
            system.start_replica(name)
    for name in system.ports:
        system.wait_until_ready(name)
    wait_for("the dispatcher reads the stream from the restored position", lambda: received(system) == 131, 30)
    expect("received messages after the start of the dispatcher", received(system), 131)
    status, answer = http("POST", f"{system.gateway()}/api/v1/send-message", {"to": LEO, "channel": "sms", "body": "Hello"}, system.account["agentToken"])
    expect("a send to the person that wrote STOP after the dump", answer.get("code"), "CONTACT_OPTED_OUT")
    time.sleep(3)
    expect("messages at the carrier, of which the scheduled one was sent before the loss", at_carrier(system), 37 if repeat_scheduled else 36)
    expect("sends after the restore, of 36", messages(system), 21 if repeat_scheduled else 20)
    expect("scheduled messages that still wait", system.psql("SELECT count(*) FROM scheduled_sends WHERE state = 'scheduled'"), "1")
    before = at_carrier(system)
    status, answer = send(system, 34)
    say(f"a repetition of a lost send with the same idempotency key: {status} {answer['status']}")
    expect("messages at the carrier after it: the person got this message twice", at_carrier(system), before + 1)
    status, answer = send(system, 3)
    say(f"a repetition of a restored send: {status} {answer['status']}")
    expect("messages at the carrier after it", at_carrier(system), before + 1)
    time.sleep(3)
    say(f"dead letters: {system.command('dead-letters', 'list').strip() or 'none'}")


def drill_stream(system):
    """NATS loses its store: unread webhooks are lost, the stream is created again."""
    dispatchers = [name for name in system.ports if name.startswith("dispatcher")]
    for name in dispatchers:
        system.replicas[name].stop()
    before = received(system)
    expect("statuses of 10 webhooks without a dispatcher", set(webhooks(system, range(10), "unread")), {200})
    system.processes["nats"].stop()
    shutil.rmtree(os.path.join(system.directory, "nats"))
    say(f"a webhook without NATS: {webhooks(system, [1], 'away')}")
    system.start_nats()
    started = time.monotonic()

    def accepted():
        return webhooks(system, [int(time.time() * 1000)], "again") == [200]

    wait_for("webhooks are accepted again", accepted, 30)
    say(f"webhooks are accepted {time.monotonic() - started:.1f} s after the start of an empty NATS")
    for name in dispatchers:
        system.start_replica(name)
    for name in dispatchers:
        system.wait_until_ready(name)
    time.sleep(8)
    expect("received messages: none of the 10 unread ones, only the one that NATS accepted after its start", received(system) - before, 1)
    expect("statuses of 5 later webhooks", set(webhooks(system, range(5), "later")), {200})
    settled(system, before + 6)
    say("later webhooks are applied")


def drill_redis(system):
    """Redis loses its data."""
    token, gateway = system.account["agentToken"], system.gateway()
    for _ in range(11):
        status, answer = http("GET", f"{gateway}/api/v1/usage", token="bda_wrong")
    say(f"eleven unknown tokens: {status} {answer['code']}")
    subprocess.run(["redis-cli", "-p", str(system.redis_port), "FLUSHALL"], check=True, stdout=subprocess.DEVNULL)
    time.sleep(1.5)
    status, answer = http("GET", f"{gateway}/api/v1/usage", token="bda_wrong")
    say(f"an unknown token after the loss: {status} {answer['code']}: the lock-out is forgotten")
    status, answer = send(system, 1, "after-redis")
    say(f"a send after the loss: {status} {answer['status']}")


def drill_redis_call(system):
    """Redis restarts empty during a call."""
    status, call = http("POST", f"{system.simulator}/phone-calls", {"from": ANN, "to": OURS, "steps": [
        {"do": "wait_for_speech"}, {"do": "stay_silent", "for_ms": 6000}, {"do": "say", "text": "My name is Ann."}, {"do": "wait_for_speech"}, {"do": "hang_up"}]})
    wait_for("the call is answered", lambda: http("GET", f"{system.simulator}/phone-calls/{call['id']}")[1]["sessions"], 20)
    time.sleep(2)
    subprocess.run(["redis-cli", "-p", str(system.redis_port), "FLUSHALL"], check=True, stdout=subprocess.DEVNULL)
    wait_for("the call ends", lambda: http("GET", f"{system.simulator}/phone-calls/{call['id']}")[1]["ended_ms"], 60)
    state = http("GET", f"{system.simulator}/phone-calls/{call['id']}")[1]
    said = [line["text"] for line in state["transcript"] if line["who"] == "us"]
    say(f"the call ended as {state['status']} with {len(state['sessions'])} session, spoken after the loss: {said[-1:]}")


def drill_backends(system):
    """What works without each backend."""
    token = system.account["agentToken"]

    def probe():
        readiness = {name.rsplit("-", 1)[0]: http("GET", f"http://127.0.0.1:{ports[0]}/health/ready", timeout=10)[0] for name, ports in system.ports.items()}
        started = time.monotonic()
        try:
            status, answer = http("POST", f"{system.gateway()}/api/v1/send-message",
                                  {"to": ANN, "channel": "sms", "body": f"probe {time.time()}"}, token, timeout=15)
        except OSError as error:
            status, answer = 0, {"code": str(error)}
        seconds = time.monotonic() - started
        hook = webhooks(system, [time.time()], "probe")[0]
        return f"ready: {readiness}; send: {status} {answer.get('code') or answer.get('status')} after {seconds:.1f} s; webhook: {hook}"

    say(f"all backends: {probe()}")
    for backend, start in (("postgres", system.start_postgres), ("nats", system.start_nats), ("redis", system.start_redis)):
        system.processes[backend].stop()
        time.sleep(2)
        say(f"without {backend}: {probe()}")
        start()
        started = time.monotonic()
        for name in system.ports:
            system.wait_until_ready(name)
        say(f"ready again {time.monotonic() - started:.1f} s after the start of {backend}")
    system.psql("ALTER DATABASE butt_dial SET default_transaction_read_only = on")
    system.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'butt_dial' AND pid <> pg_backend_pid()", "postgres")
    time.sleep(1)
    say(f"read-only Postgres: {probe()}")
    subprocess.run(["psql", "-X", "-q", "-h", "127.0.0.1", "-p", str(system.postgres_port), "-U", "postgres", "-c",
                    "ALTER DATABASE butt_dial RESET default_transaction_read_only", "postgres"], check=True)
    system.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'butt_dial' AND pid <> pg_backend_pid()", "postgres")
    for name in system.ports:
        system.wait_until_ready(name)


def drill_key(system):
    """A wrong key, and a lost one."""
    code, output = system.command("doctor", check=False, env={"CREDENTIALS_ENCRYPTION_KEY": "x" * 40})
    say(f"doctor with another key: exit code {code}: {output.strip().splitlines()[-1][:300]}")


def drill_migrations(system):
    """The migrations that are applied, and a failed one."""
    say(f"migrate --verify: {system.command('migrate', '--verify').strip()}")
    say(system.psql("SELECT count(*), max(version), bool_and(success) FROM _sqlx_migrations"))
    system.psql("UPDATE _sqlx_migrations SET success = false WHERE version = (SELECT max(version) FROM _sqlx_migrations)")
    for arguments in (("migrate", "--verify"), ("migrate",)):
        code, output = system.command(*arguments, check=False)
        say(f"{' '.join(arguments)} with a failed migration: exit code {code}: {output.strip().splitlines()[-1][:300]}")
    system.psql("UPDATE _sqlx_migrations SET success = true WHERE NOT success")
    system.psql("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'of a newer release', true, '', 0)")
    code, output = system.command("migrate", check=False)
    say(f"migrate of an older release after a newer migration: exit code {code}: {output.strip().splitlines()[-1][:200]}")
    system.psql("DELETE FROM _sqlx_migrations WHERE version = 9999")


def drill_rotation(system):
    """The token that signs Twilio's webhooks is rotated."""
    ingest, signing = "webhook-ingest-1", system.env["TWILIO_AUTH_TOKEN"]

    def restart(**settings):
        system.replicas[ingest].stop()
        env = dict(system.env)
        system.env.update(settings)
        system.start_replica(ingest)
        system.env = env
        system.wait_until_ready(ingest)
        status = webhooks(system, [time.time()], "rotation")[0]
        metrics = [line for line in system.metrics(ingest).splitlines() if line.startswith("bd_webhook_notices_total") and "twilio" in line]
        return status, metrics

    status, _ = restart(TWILIO_AUTH_TOKEN="f" * 32, TWILIO_AUTH_TOKEN_SECONDARY=signing)
    expect("a webhook with the old signature, the old token is the secondary one", status, 200)
    status, metrics = restart(TWILIO_AUTH_TOKEN="f" * 32)
    expect("a webhook with the old signature, only the new token is known", status, 403)
    say(metrics[-1])
    status, _ = restart()
    expect("a webhook after the return", status, 200)


def drill_connections(system):
    """Connections to Postgres."""
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'butt-dial'"
    say(f"connections at rest of {len(system.ports)} replicas: {system.psql(count)}")
    say(system.psql("SELECT application_name, count(*) FROM pg_stat_activity WHERE datname = 'butt_dial' GROUP BY 1"))


def drill_pgbouncer(system):
    """PgBouncer in session and in transaction mode."""
    if not shutil.which("pgbouncer"):
        return say("pgbouncer is not installed")
    for mode in ("session", "transaction"):
        port = free_port()
        path = os.path.join(system.directory, f"pgbouncer-{mode}.ini")
        with open(path, "w") as file:
            file.write(f"[databases]\n* = host=127.0.0.1 port={system.postgres_port} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
                       f"auth_type = any\npool_mode = {mode}\ndefault_pool_size = 40\nunix_socket_dir =\n"
                       "ignore_startup_parameters = extra_float_digits\n")
        system.spawn(f"pgbouncer-{mode}", ["pgbouncer", path], prefix=system.as_postgres())
        time.sleep(1)
        url = f"postgres://postgres@127.0.0.1:{port}/butt_dial"
        code, output = system.command("doctor", check=False, env={"DATABASE_URL": url})
        say(f"doctor through pool_mode={mode}: {[line for line in output.splitlines() if line.startswith(('database', 'Start'))]}")
        if mode == "session":
            system.replicas["gateway-1"].stop()
            env = dict(system.env)
            system.env["DATABASE_URL"] = url
            system.start_replica("gateway-1")
            system.env = env
            system.wait_until_ready("gateway-1")
            status, answer = send(system, 1, "pgbouncer")
            say(f"a send of a gateway through pool_mode={mode}: {status} {answer['status']}")


def drill_storage(system, count=1000):
    """The space that messages take."""
    def measure():
        system.psql("VACUUM FULL", "butt_dial")
        tables = system.psql("SELECT sum(pg_total_relation_size(relid)) FROM pg_stat_user_tables")
        stream = http("GET", f"http://127.0.0.1:{system.nats_monitor}/jsz")[1]
        redis = subprocess.run(["redis-cli", "-p", str(system.redis_port), "info", "memory"], text=True, stdout=subprocess.PIPE).stdout
        return int(tables), stream["bytes"], int(re.search(r"used_memory:(\d+)", redis)[1])

    def in_parallel(work):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: work(system, [number]), range(count)))

    system.psql("UPDATE agents SET callback_url = NULL")
    empty = measure()
    started = time.monotonic()
    in_parallel(sends)
    say(f"{count} sends took {time.monotonic() - started:.0f} s")
    wait_for("all receipts are applied", lambda: http("GET", f"http://127.0.0.1:{system.nats_monitor}/jsz")[1]["messages"] >= 2 * count, 60)
    time.sleep(3)
    sent = measure()
    in_parallel(webhooks)
    settled(system, count)
    time.sleep(1)
    received_all = measure()
    for what, before, after in (("send with two receipts", empty, sent), ("received message of 13 characters that waits for its agent", sent, received_all)):
        postgres, nats, redis = ((after[i] - before[i]) / count for i in range(3))
        say(f"a {what}: {postgres:.0f} bytes in Postgres, {nats:.0f} in NATS, {redis:.0f} in Redis")


def drill_drain(system):
    """A relay is stopped during a call."""
    token = system.account["agentToken"]
    status, call = http("POST", f"{system.simulator}/phone-calls", {"from": ANN, "to": OURS, "steps": [
        {"do": "wait_for_speech"}, {"do": "say", "text": "My name is Ann."}, {"do": "wait_for_speech"},
        {"do": "stay_silent", "for_ms": 4000}, {"do": "say", "text": "Please call me."}, {"do": "wait_for_speech"}, {"do": "hang_up"}]})
    wait_for("the call is answered", lambda: http("GET", f"{system.simulator}/phone-calls/{call['id']}")[1]["sessions"], 20)
    system.ports["voice-relay-2"] = (system.ports["voice-relay-1"][0] + 1, system.ports["voice-relay-1"][1] + 1)
    system.start_replica("voice-relay-2")
    system.wait_until_ready("voice-relay-2")
    system.proxy.upstreams["/relay"] = [system.ports["voice-relay-2"][0]]
    started = time.monotonic()
    system.replicas["voice-relay-1"].stop()
    say(f"the relay ended {time.monotonic() - started:.1f} s after SIGTERM with exit code {system.replicas['voice-relay-1'].child.returncode}")
    wait_for("the call ends", lambda: http("GET", f"{system.simulator}/phone-calls/{call['id']}")[1]["ended_ms"], 90)
    state = http("GET", f"{system.simulator}/phone-calls/{call['id']}")[1]
    calls = http("GET", f"{system.gateway()}/api/v1/calls", token=token)[1]["calls"]
    say(f"the call ended as {state['status']} over {len(state['sessions'])} sessions; record: {[c['status'] for c in calls][:1]}")


def main():
    binary, names = sys.argv[1], sys.argv[2:]
    drills = {name.removeprefix("drill_"): drill for name, drill in globals().items() if name.startswith("drill_")}
    for name in names or drills:
        drill = drills[name]
        print(f"==> {name}: {drill.__doc__.splitlines()[0]}", flush=True)
        roles = {"gateway": 1, "webhook-ingest": 1, "voice-relay": 1, "dispatcher": 2 if name == "stream" else 1}
        # Limits are off in this system, except where the drill shows what a limit needs.
        settings = {"DEFAULT_MAX_ACTIONS_PER_MINUTE": "1000"} if name == "backends" else {}
        with System(binary, roles=roles, settings=settings) as system:
            drill(system)
    print("ok")


if __name__ == "__main__":
    main()
