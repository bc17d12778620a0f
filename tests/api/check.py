"""Runs schemathesis with each kind of token, each against a new program."""

import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "sdk"))

from program import ORCHESTRATOR, Program  # noqa: E402

SECONDS = os.environ.get("API_SECONDS", "35")
TOKENS = {
    "agent": lambda account: account["agentToken"],
    "team": lambda account: account["teamToken"],
    "orchestrator": lambda account: ORCHESTRATOR,
}
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
]
# They would end the token of the run, or suspend its owner.
ENDING = "rotate|rotation|revoke|regenerate|erasure|abandon|deprovision|team_status|agent_status|client_status|update_profile"
# They wait for a call or a message.
WAITING = "attend_call"


def check(kind):
    """Returns whether the program keeps its document for this kind of token."""
    program = Program(LOG_LEVEL="warn")
    try:
        program.wait_until_ready()
        with tempfile.TemporaryDirectory(prefix="butt-dial-api-") as folder:
            ended = subprocess.run(command(program, TOKENS[kind](program.account)), cwd=folder, check=False)
        if ended.returncode:
            print(program.tail(), end="", file=sys.stderr)
        return ended.returncode == 0
    finally:
        program.stop()


def command(program, token):
    schemathesis = os.path.join(os.path.dirname(sys.executable), "st")
    return [
        *(schemathesis, "run", f"{program.url}/openapi.json", "--no-color", "--continue-on-failure"),
        *("--header", f"Authorization: Bearer {token}"),
        # Wrong tokens would lock out the address of the run.
        *("--generation-with-security-parameters", "false"),
        # A reply in a call waits for the next turn, at most 50 seconds.
        *("--phases", "coverage,fuzzing", "--max-time", SECONDS, "--request-timeout", "60"),
        *("--generation-deterministic", "--suppress-health-check", "all"),
        *("--checks", ",".join(CHECKS), "--warnings", "off"),
        *("--exclude-operation-id-regex", f"{ENDING}|{WAITING}"),
    ]


def main():
    kinds = sys.argv[1:] or list(TOKENS)
    unknown = [kind for kind in kinds if kind not in TOKENS]
    if unknown:
        sys.exit(f"tests/api/run: {unknown[0]} is none of {', '.join(TOKENS)}")
    failed = []
    for kind in kinds:
        print(f"==> requests with the token of the {kind}", flush=True)
        if not check(kind):
            failed.append(kind)
    if failed:
        sys.exit(f"tests/api/run: the program differs from its OpenAPI document for: {', '.join(failed)}")


main()
