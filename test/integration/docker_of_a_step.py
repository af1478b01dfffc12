#!/usr/bin/env python3
"""The docker command of a step that `foreign_runner.py` runs: it starts a pipe as Pipelines would.

Pipelines' Engine has the step's folders at the same paths, its own client, and the name host.docker.internal;
here the folders are another container's, and the Engine is the one whose service shares the step's network.
The pipe gets the machine's network, since the tests' registry listens on loopback.
"""

import os
import socket
import sys

PIPE = "--label=org.bitbucket.pipelines.system=true"


def arguments_of_a_pipe(given: list[str], step: str, address: str) -> list[str]:
    """Say in this Engine's words how Pipelines starts a pipe."""
    kept = [each for each in given if not each.startswith("--volume=/opt/atlassian/pipelines/")]
    kept[-1] = kept[-1].removeprefix("docker://")
    ours = [f"--volumes-from={step}", f"--add-host=host.docker.internal:{address}", "--network=host"]
    return [kept[0], *ours, *kept[1:]]


def main() -> None:
    """Become the real docker command."""
    given = sys.argv[1:]
    if PIPE in given:
        address = socket.gethostbyname(socket.gethostname())
        given = arguments_of_a_pipe(given, os.environ["STEP_CONTAINER"], address)
    os.execv("/usr/local/libexec/docker", ["docker", *given])  # noqa: S606 - no shell is wanted


main()
