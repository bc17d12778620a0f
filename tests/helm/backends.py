"""Real backends on free ports, for the time of a test: Postgres, NATS with JetStream, Redis."""

import os
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def find_program(name):
    # Debian installs the programs of Postgres in a folder of its version, and some links to them elsewhere.
    candidates = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = str(candidates[-1]) if candidates else shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    assert found, f"{name} is missing: tests/run installs it"
    return found


def wait_for_port(port, process, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert process.poll() is None, f"{process.args[0]} ended with {process.returncode}"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"{process.args[0]} does not listen")


@contextmanager
def running(arguments, port, folder, **options):
    with open(folder / f"{Path(arguments[0]).name}.log", "wb") as log:
        process = subprocess.Popen(arguments, stdout=log, stderr=log, **options)
        try:
            wait_for_port(port, process)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def backends(folder):
    """Starts the backends. Yields their URLs: database, nats, redis."""
    with ExitStack() as stack:
        options = {}
        postgres = folder / "postgres"
        postgres.mkdir()
        if os.geteuid() == 0:
            # Postgres refuses to run as root. The folders above must be open to the other user.
            options = {"user": "postgres", "group": "postgres", "extra_groups": []}
            shutil.chown(postgres, "postgres", "postgres")
            for parent in (folder, *folder.parents):
                if parent == folder or parent.name.startswith("pytest-"):
                    parent.chmod(0o755)
        data = postgres / "data"
        initialize = [find_program("initdb"), "-D", data, "-U", "butt_dial", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"]
        result = subprocess.run(initialize, capture_output=True, text=True, cwd=postgres, **options)
        assert result.returncode == 0, result.stderr
        port = free_port()
        server = [find_program("postgres"), "-D", data, "-p", str(port), "-k", postgres, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        stack.enter_context(running(server, port, folder, cwd=postgres, **options))
        database = f"postgres://butt_dial@127.0.0.1:{port}/postgres"
        port = free_port()
        server = [find_program("nats-server"), "-js", "-sd", str(folder / "nats"), "-a", "127.0.0.1", "-p", str(port)]
        stack.enter_context(running(server, port, folder))
        nats = f"nats://127.0.0.1:{port}"
        port = free_port()
        server = [find_program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
        stack.enter_context(running(server, port, folder))
        yield {"database": database, "nats": nats, "redis": f"redis://127.0.0.1:{port}"}
