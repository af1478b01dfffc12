"""Commands that must succeed."""

import subprocess
from collections.abc import Mapping


def run(*command: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command that must succeed.

    Args:
        command: The program and its arguments.
        environment: All of its variables; None for those of this process.

    Raises:
        RuntimeError: It failed; contains its output.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done
