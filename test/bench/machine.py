"""The machine and the versions that a measurement belongs to."""

import os
import platform
import re
from pathlib import Path

from bench.pushes import run


def description(pipe: str) -> dict[str, str]:
    """Describe where this runs.

    Args:
        pipe: The pipe's image.

    Returns:
        What it is, and which.
    """
    processor = _found(r"model name\s*: (.+)", Path("/proc/cpuinfo"))
    memory = int(_found(r"MemTotal:\s+(\d+) kB", Path("/proc/meminfo"))) * 1024
    return {
        "Processor": f"{processor}, {len(os.sched_getaffinity(0))} cores",
        "Memory": f"{memory / 2**30:.0f} GiB",
        "System": f"{platform.freedesktop_os_release()['PRETTY_NAME']}, Linux {platform.release()}",
        "Docker Engine": run("docker", "version", "--format={{.Server.Version}}").stdout.strip()
        + run("docker", "info", "--format=, storage driver {{.Driver}}").stdout.strip(),
        "docker (client)": run("docker", "version", "--format={{.Client.Version}}").stdout.strip(),
        "skopeo": run("skopeo", "--version").stdout.split()[-1],
        "The pipe": run("docker", "run", "--rm", pipe, "--version").stdout.partition(" (")[0].split()[-1]
        + ", "
        + run("docker", "run", "--rm", "--entrypoint=python3", pipe, "--version").stdout.strip(),
    }


def _found(pattern: str, file: Path) -> str:
    match = re.search(pattern, file.read_text(encoding="utf-8"))
    return match[1] if match else "unknown"
