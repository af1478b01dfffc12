"""What the system tests' shell asks of the local registry.

controls.py serve TOKEN                   run one in which `pipeline` has TOKEN, until standard input ends;
                                          prints its host and its container's name
controls.py fault HOST JSON               add a fault
controls.py clear HOST                    remove every fault, and forget the requests so far
controls.py requests HOST [METHOD]        print the requests whose method matches, one a line
controls.py layers HOST                   print the uploads in which some of a layer was sent, one a line
controls.py wait HOST METHOD              wait until such a request has sent some of a layer
controls.py quiet HOST                    wait until nothing has moved for two seconds
controls.py manifest HOST NAME REFERENCE  print a manifest of demo-workspace
"""

import json
import sys

from registry.client import Registry, build_image, local_registry

WORKSPACE = "demo-workspace"
LAYER = 100_000
"""Bytes that only a layer has."""
PACKAGES = ("my-container-app", "staging", "bbc-packages-push-container-image")
MEDIA_TYPES = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
)


def serve(token: str) -> None:
    """Run a registry until standard input ends."""
    build_image()
    with local_registry(world=_world(token)) as registry:
        print(registry.host, registry.container.name, flush=True)
        sys.stdin.read()


def _world(token: str) -> str:
    """Make a world of the tests' own: the packages, and a step's token that is awkward to quote."""
    roles = {"roles": {f"{WORKSPACE}/repository": "write"}}
    return json.dumps(
        {
            "workspaces": {
                WORKSPACE: {
                    "projects": {"DEMO": ["repository"]},
                    "packages": [{"name": name, "repository": "repository"} for name in PACKAGES],
                }
            },
            "accounts": {
                "admin": {"token": "admin-token", "operator": True, "roles": {f"{WORKSPACE}/repository": "admin"}},
                "reader": {"token": "reader-token", "roles": {f"{WORKSPACE}/repository": "read"}},
                "pipeline": {"token": token, "scope": "write:package:bitbucket", **roles},
            },
        }
    )


def fault(host: str, description: str) -> None:
    """Add a fault."""
    Registry(host).fault(**json.loads(description))


def clear(host: str) -> None:
    """Start anew."""
    Registry(host).clear()


def requests(host: str, method: str = "*") -> None:
    """Print what was asked of the registry."""
    for entry in Registry(host).requests(method=method):
        print(entry.method, entry.path, entry.status)


def layers(host: str) -> None:
    """Print where layers were sent to."""
    for path in sorted({entry.path for entry in Registry(host).requests(method="PATCH", received=LAYER)}):
        print(path)


def wait(host: str, method: str) -> None:
    """Wait for a request that has brought more than a configuration, or one byte to find out about chunks, would."""
    Registry(host).wait_for(received=LAYER, method=method)


def quiet(host: str) -> None:
    """Wait until the registry is left alone, or fail."""
    if not Registry(host).quiet():
        sys.exit("requests went on")


def manifest(host: str, name: str, reference: str) -> None:
    """Print a manifest, whatever its kind."""
    registry = Registry(host)
    path = f"{WORKSPACE}/{name}"
    headers = {"Accept": ", ".join(MEDIA_TYPES), **registry.bearer("admin", f"{path}:pull")}
    answer = registry.session().get(f"{registry.url}/v2/{path}/manifests/{reference}", headers=headers, timeout=10)
    answer.raise_for_status()
    print(answer.text)


COMMANDS = {command.__name__: command for command in (serve, fault, clear, requests, layers, wait, quiet, manifest)}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
