"""Images that further programs write: charliecloud, crane, mkosi and oras."""

import io
import os
import shutil
import sys
import tarfile
from pathlib import Path

from integration import second_engine
from integration.archives import Workshop, run, run_oras
from integration.registries import REPOSITORY
from registry.client import LocalRegistry


def by_mkosi(shop: Workshop) -> Path:
    """Put a directory into an OCI layout with mkosi."""
    tree = shop.folder / "tree"
    for folder in ("boot", "etc", "usr/lib"):
        (tree / folder).mkdir(parents=True)
    (tree / "usr/lib/os-release").write_text("ID=custom\n", "utf-8")
    for name in shop.files:
        shutil.copy(shop.context / name, tree)
    library = f"PYTHONPATH={second_engine.root()}/usr/lib/python3/dist-packages"
    options = ("--distribution=custom", "--format=oci", "--build-sources=", f"--base-tree={tree}")
    places = ("--output=image", f"--output-directory={shop.folder}", f"--workspace-directory={shop.folder}")
    run("env", library, sys.executable, "-m", "mkosi", *options, *places, "build", folder=shop.folder)
    return shop.folder / "image"


def by_charliecloud(shop: Workshop, host: str) -> Path:
    """Convert a directory to an Engine's image with charliecloud, and save that."""
    tree = _root(shop)
    shop.installed("charliecloud-builders")
    run("env", f"DOCKER_HOST={host}", "ch-convert", "-i", "dir", "-o", "docker", tree, shop.name)
    run("docker", "--host", host, "save", "--output", shop.folder / "image.tar", shop.name)
    run("docker", "--host", host, "image", "rm", "--force", shop.name)
    return shop.folder / "image.tar"


def by_charliecloud_as_files(shop: Workshop) -> Path:
    """Convert a directory to a tar of its files with charliecloud: no image."""
    tree, path = _root(shop), shop.folder / "image.tar.gz"
    shop.installed("charliecloud-builders")
    run("ch-convert", "-i", "dir", "-o", "tar", tree, path)
    return path


def by_docker_export(shop: Workshop, host: str) -> Path:
    """Export the files of a container, which people take for `docker save`."""
    docker, path = ("docker", "--host", host), shop.folder / "container.tar"
    run("env", "DOCKER_BUILDKIT=0", *docker, "build", "--no-cache", "--tag", shop.name, shop.context)
    container = run(*docker, "create", shop.name).decode().strip()
    run(*docker, "export", "--output", path, container)
    run(*docker, "rm", container)
    run(*docker, "image", "rm", "--force", shop.name)
    return path


def _root(shop: Workshop) -> Path:
    """Make the files of a container that has a shell, as charliecloud demands."""
    tree = shop.folder / "tree"
    (tree / "bin").mkdir(parents=True)
    shop.installed("busybox-static")
    for name in ("busybox", "sh", "chmod"):
        shutil.copy("/bin/busybox", tree / "bin" / name)
    for name in shop.files:
        shutil.copy(shop.context / name, tree)
    return tree


def by_crane(shop: Workshop, registry: LocalRegistry, kind: str, *tags: str) -> Path:
    """Pull with crane from a registry.

    Args:
        shop: Gets the archive or layout.
        registry: Has the images.
        kind: What crane's `--format` is: `tarball`, `legacy` or `oci`.
        tags: Of the images.
    """
    path = shop.folder / f"crane-{kind}"
    names = [f"{registry.host}/{REPOSITORY}:{tag}" for tag in tags]
    home = shop.folder / "home"
    login = ("auth", "login", "--username=reader", "--password=reader-token", registry.host)
    for command in (login, ("pull", "--insecure", f"--format={kind}", *names, str(path))):
        run("env", f"HOME={home}", second_engine.root() / "usr/bin/crane", *command)
    return path


def by_crane_append(shop: Workshop) -> Path:
    """Make an image of one layer with crane, without a registry."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as layer:
        for name in shop.files:
            layer.add(shop.context / name, name)
    (shop.folder / "layer.tar").write_bytes(content.getvalue())
    crane, path = second_engine.root() / "usr/bin/crane", shop.folder / "image.tar"
    run(
        *(crane, "append", "--oci-empty-base", "--new_tag", shop.name),
        *("--new_layer", shop.folder / "layer.tar", "--output", path),
    )
    return path


def by_oras_backup(shop: Workshop, registry: LocalRegistry, tag: str, *options: str) -> Path:
    """Back an image up with oras, which writes an OCI layout: a directory, or a tar."""
    path = shop.folder / "backup.tar"
    access = ("--plain-http", "--username=reader", "--password=reader-token")
    run_oras("backup", *access, *options, f"--output={path}", f"{registry.host}/{REPOSITORY}:{tag}", folder=shop.folder)
    return path


HOST = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
"""The Engine in use."""
