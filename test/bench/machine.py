"""The machine and the versions that a measurement belongs to."""

import os
import platform
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from bench.contenders import Pipe
from bench.running import run


def description(pipes: Sequence[Pipe]) -> dict[str, str]:
    """Return the facts about this machine and what is measured, by name.

    Args:
        pipes: All that are measured.
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
        "skopeo": run("skopeo", "--version").stdout.split()[-1] if shutil.which("skopeo") else "none",
        **{f"{pipe.name[0].upper()}{pipe.name[1:]}": pipe.version() for pipe in pipes},
    }


def _found(pattern: str, file: Path) -> str:
    match = re.search(pattern, file.read_text(encoding="utf-8"))
    return match[1] if match else "unknown"


def processor_seconds() -> float:
    """Return the seconds that all processors together have worked; source: proc_stat(5)."""
    user, nice, system, _idle, _iowait, interrupts, soft = map(
        int, _found(r"cpu +(.*)", Path("/proc/stat")).split()[:7]
    )
    return (user + nice + system + interrupts + soft) / os.sysconf("SC_CLK_TCK")
