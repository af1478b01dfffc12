"""What holds for every test: unit tests open no socket, and nothing is skipped where that is forbidden."""

import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

UNIT_TESTS = Path(__file__).parent / "unit"


def _may_unshare() -> bool:
    """Tell whether this is root, and not in a container that may not do what root does."""
    return (
        shutil.which("unshare") is not None
        and not subprocess.run(["unshare", "--mount", "--net", "true"], capture_output=True, check=False).returncode
    )


def _engine_is_local() -> bool:
    """Tell whether the Engine can mount files of this machine, from any folder."""
    return sys.platform == "linux" and os.environ.get("DOCKER_HOST", "unix://").startswith("unix://")


SKIPS_FORBIDDEN = bool(os.environ.get("FORBID_SKIPS"))
MISSING = {
    "root": "" if _may_unshare() else "needs root that may make namespaces",
    "local_engine": "" if _engine_is_local() else "needs an Engine at a socket of this machine",
    "private_engine": "" if shutil.which("dockerd") else "needs dockerd, for an Engine of its own",
}
"""Why tests with a marker cannot run here; nothing where they can."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Apply what markers and folders say."""
    for item in items:
        if item.path.is_relative_to(UNIT_TESTS):
            item.add_marker("disable_socket")
        for marker, reason in MISSING.items():
            if reason and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Look at what became of a test."""
    report = yield
    _forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Look at what became of a file of tests."""
    report = yield
    _forbid_skip(report)
    return report


def _forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Make a skip a failure where every test has to run."""
    if SKIPS_FORBIDDEN and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which FORBID_SKIPS does not allow: {report.longrepr}"
