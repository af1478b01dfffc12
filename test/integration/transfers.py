"""The pipe's transfer of blobs to the local registry, without an Engine and without a process of its own."""

import gzip
import hashlib
import json
import random
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from integration.registries import REPOSITORY
from registry.client import Registry as LocalRegistry
from unit.fakes import REQUEST, SETTINGS
from unit.runs import encoder

from pipe.config.settings import Credentials
from pipe.oci.descriptor import Descriptor
from pipe.oci.image import Image
from pipe.push.clocks import Clocks
from pipe.push.context import Context, Timing
from pipe.push.progress import ProgressTracker
from pipe.push.reuse import Candidates
from pipe.push.transfer import Transfer
from pipe.registry.client import Client
from pipe.source.blob import SourceBlob, in_memory


@dataclass
class Listener:
    """Keeps the lines of the log."""

    lines: list[str] = field(default_factory=list)

    def info(self, text: str) -> None:
        """Keep a line."""
        self.lines.append(text)

    warning = debug = info

    def hide(self, secret: str) -> None:
        """Keep nothing."""


def random_blob(size: int, name: str = "a blob") -> SourceBlob:
    """Make a stored blob of random bytes, of a seed that is printed."""
    seed = secrets.randbits(48)
    print(f"{name} of {size} bytes from seed {seed}")
    return in_memory(name, "application/octet-stream", random.Random(seed).randbytes(size))


def client(registry: LocalRegistry) -> Client:
    """Make the pipe's client of a local registry."""
    credentials = Credentials("pipeline", "pipeline-token")
    return Client(registry.host, credentials, "bbc-packages-push-container-image/test", Listener())


def transfer(registry: LocalRegistry, *blobs: SourceBlob, timeout: float = 60.0) -> dict[str, Descriptor]:
    """Send blobs to a local registry; return those that it has afterwards."""
    repository = client(registry).repository(REPOSITORY)
    settings = SETTINGS._replace(registry=registry.host, upload_timeout=timeout)
    request = REQUEST._replace(registry=registry.host, repository=REPOSITORY)
    context = Context(settings, request, repository, Listener(), Timing(time.monotonic, time.sleep, random.random))
    image = Image("", 0, ())
    clocks = Clocks(ProgressTracker(image), timeout, time.monotonic, Listener())
    found = Transfer(context, image, clocks, encoder())
    assert found.run(lambda: blobs, Candidates(repository, {}), replayable=True)
    return found.known


def stored(registry: LocalRegistry, digest: str) -> bytes | None:
    """Read a blob out of a local registry, past the pipe."""
    with registry.session() as session:
        headers = registry.bearer("reader", f"{REPOSITORY}:pull")
        answer = session.get(f"{registry.url}/v2/{REPOSITORY}/blobs/{digest}", headers=headers, timeout=30)
    return answer.content if answer.status_code == 200 else None


def manifest_of(registry: LocalRegistry, tag: str) -> dict[str, object]:
    """Read a manifest past the pipe."""
    headers = registry.bearer("reader", f"{REPOSITORY}:pull")
    accept = "application/vnd.docker.distribution.manifest.v2+json"
    with registry.session() as session:
        url = f"{registry.url}/v2/{REPOSITORY}/manifests/{tag}"
        answer: dict[str, object] = session.get(url, headers=headers | {"Accept": accept}, timeout=10).json()
    return answer


def config_of(registry: LocalRegistry, tag: str) -> str:
    """Tell which image a tag holds."""
    config = manifest_of(registry, tag)["config"]
    assert isinstance(config, dict)
    return str(config["digest"])


def put_manifest(registry: LocalRegistry, tag: str, manifest: dict[str, object]) -> None:
    """Put a manifest past the pipe."""
    headers = registry.bearer("pipeline", f"{REPOSITORY}:pull,push") | {"Content-Type": str(manifest["mediaType"])}
    with registry.session() as session:
        url = f"{registry.url}/v2/{REPOSITORY}/manifests/{tag}"
        session.put(url, data=json.dumps(manifest), headers=headers, timeout=10).raise_for_status()


def unpacked(registry: LocalRegistry, tag: str) -> list[str]:
    """List the digests of a tag's layers, unpacked as a client that pulls does."""
    manifest: Any = manifest_of(registry, tag)
    layers = [gzip.decompress(stored(registry, layer["digest"]) or b"") for layer in manifest["layers"]]
    return [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]


def diff_ids(registry: LocalRegistry, tag: str) -> list[str]:
    """List the diffIDs of a tag's image."""
    config = json.loads(stored(registry, config_of(registry, tag)) or b"{}")
    return list(config["rootfs"]["diff_ids"])
