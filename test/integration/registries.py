"""The registry's side of a push."""

from pathlib import Path
from typing import Protocol

from registry.client import Entry, LocalRegistry, Registry, Tls

WORLD = (Path(__file__).parent / "world.yaml").read_text("utf-8")
REPOSITORY = "demo-workspace/my-container-app"
MEDIA_TYPES = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
)
BY_ENGINE = "docker/*"
"""User agents of the Engine."""
BY_PIPE = "bbc-packages-push-container-image/*"
"""User agents of the pipe."""


class StartRegistry(Protocol):
    """Starts a registry with the tests' world and options of its own."""

    def __call__(self, tls: Tls | None = None, **options: str) -> LocalRegistry:
        """Start it; it is gone after the test."""


def digest_in(registry: Registry, tag: str, repository: str = REPOSITORY) -> str | None:
    """Ask the registry itself what a tag names; None where it names nothing."""
    headers = {
        **registry.bearer("reader", f"{repository}:pull"),
        "Accept": ", ".join(MEDIA_TYPES),
    }
    with registry.session() as session:
        answer = session.head(f"{registry.url}/v2/{repository}/manifests/{tag}", headers=headers, timeout=10)
    if answer.status_code == 404:
        return None
    answer.raise_for_status()
    return answer.headers["Docker-Content-Digest"]


def asked(registry: LocalRegistry, user_agent: str = "*") -> list[Entry]:
    """List requests, except `GET /v2/`: it is sent while the image is being found, and shows no credentials."""
    found = registry.requests(user_agent=user_agent)
    assert all(entry.account == "" for entry in found if entry.path == "/v2/")
    return [entry for entry in found if entry.path != "/v2/"]
