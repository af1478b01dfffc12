"""Images in archives and layouts, made by the programs that people make them with, or as those are documented to."""

import base64
import contextlib
import gzip
import hashlib
import io
import json
import secrets
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import docker
import oras.client
import oras.layout.layout
from docker.errors import ImageNotFound
from integration import second_engine
from integration.images import archive_of
from integration.registries import REPOSITORY
from registry.client import LocalRegistry

NOWHERE = {"DOCKER_HOST": "tcp://127.0.0.1:9"}
"""No Docker Engine: nothing listens at the port that discards."""
SAYS = "ldconfig"
"""What the images print when they are run."""
_SETUP = Path(__file__).parents[1] / "setup"
_PROGRAM = next(path for path in (Path("/sbin/ldconfig.real"), Path("/sbin/ldconfig")) if path.is_file())
"""A program that needs no other file, which Debian and Ubuntu always have."""


def run(*command: str | Path, folder: Path | None = None) -> bytes:
    """Run a program that has to succeed, and return its output."""
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=100, check=False)
    if done.returncode:
        shown = " ".join(map(str, command))
        raise AssertionError(f"{shown} ended with {done.returncode}:\n{(done.stdout + done.stderr).decode()}")
    return done.stdout


def digest_of(content: bytes) -> str:
    """Return a digest."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class Workshop:
    """A folder in which programs make images, with a store of its own for podman and buildah.

    Attributes:
        folder: The archives and layouts.
        name: Of the image that is made.
    """

    folder: Path
    name: str = field(default_factory=lambda: f"archive-{secrets.token_hex(6)}:1.0")

    def __post_init__(self) -> None:
        """Make what is built from: layers that no registry has seen, and a program to run."""
        # Podman takes no path of more than 50 characters.
        self._store = TemporaryDirectory(prefix="store-")
        self.files = {
            "ldconfig": _PROGRAM.read_bytes(),
            "first": secrets.token_bytes(300_000),
            "second": secrets.token_bytes(50_000),
        }
        self.context = self.folder / "context"
        self.context.mkdir()
        for name, content in self.files.items():
            (self.context / name).write_bytes(content)
            (self.context / name).chmod(0o755)
        lines = ["FROM scratch", "COPY ldconfig first /", "COPY second /", 'CMD ["/ldconfig", "--version"]']
        (self.context / "Dockerfile").write_text("\n".join(lines), "utf-8")

    def close(self) -> None:
        """Leave nothing behind."""
        self._store.cleanup()

    def installed(self, program: str) -> str:
        """Make sure that a program of Debian's is there."""
        run(_SETUP / "apt-install", program)
        return program

    def build(self, *platforms: str) -> str:
        """Build with buildah, for this machine or for several platforms; return the image's name in its store."""
        options = [f"--platform={','.join(platforms)}", f"--manifest={self.name}"] if platforms else ["--layers"]
        tag = [] if platforms else [f"--tag={self.name}"]
        self.buildah("build", "--isolation=chroot", *options, *tag, str(self.context))
        return self.name

    def buildah(self, *command: str) -> bytes:
        """Run buildah."""
        return run(self.installed("buildah"), *self._options, *command)

    def podman(self, *command: str) -> bytes:
        """Run podman, without systemd."""
        options = ("--cgroup-manager=cgroupfs", "--events-backend=file")
        return run(self.installed("podman"), *self._options, *options, *command)

    def skopeo(self, *command: str) -> bytes:
        """Run skopeo."""
        return run(self.installed("skopeo"), "--insecure-policy", *command)

    @property
    def _options(self) -> tuple[str, ...]:
        folders = (f"--root={self._store.name}/root", f"--runroot={self._store.name}/run")
        return (*folders, "--storage-driver=vfs")

    def docker(self, host: str, save: str = "image.tar") -> Path:
        """Build with an Engine, and save the image with the docker command."""
        docker = ("docker", "--host", host)
        # BuildKit is not everywhere, and not what is tested.
        run("env", "DOCKER_BUILDKIT=0", *docker, "build", "--no-cache", "--tag", self.name, self.context)
        run(*docker, "save", "--output", self.folder / save, self.name)
        run(*docker, "image", "rm", "--force", self.name)
        return self.folder / save


class Silent:
    """A log that is not read."""

    def info(self, text: str, /) -> None:
        """Log what happens."""

    def warning(self, text: str, /) -> None:
        """Log what users should know."""

    def debug(self, text: str, /) -> None:
        """Log a detail."""


def by_podman(kind: str) -> Callable[[Workshop], Path]:
    """Save with podman."""

    def make(shop: Workshop) -> Path:
        path = shop.folder / "image"
        shop.podman("save", f"--format={kind}", f"--output={path}", shop.build())
        return path

    return make


def by_buildah(transport: str) -> Callable[[Workshop], Path]:
    """Push to a file or folder with buildah."""

    def make(shop: Workshop) -> Path:
        shop.buildah("push", shop.build(), f"{transport}:{shop.folder}/image")
        return shop.folder / "image"

    return make


def by_skopeo(transport: str) -> Callable[[Workshop], Path]:
    """Copy to a file or folder with skopeo."""

    def make(shop: Workshop) -> Path:
        source = by_buildah("oci")(shop)
        name = "" if transport == "dir" else f":{shop.name}"
        shop.skopeo("copy", f"oci:{source}", f"{transport}:{shop.folder}/copy{name}")
        return shop.folder / "copy"

    return make


def by_umoci(shop: Workshop) -> Path:
    """Put together with umoci."""
    path = shop.folder / "image"
    umoci = shop.installed("umoci")
    tag = f"--image={path}:1.0"
    run(umoci, "init", f"--layout={path}")
    run(umoci, "new", tag)
    for name in shop.files:
        run(umoci, "insert", tag, shop.context / name, f"/{name}")
    run(umoci, "config", tag, "--config.cmd=/ldconfig", "--config.cmd=--version")
    return path


def by_buildx(shop: Workshop, host: str, *platforms: str, **output: str) -> Path:
    """Build with buildx, in a file or folder.

    Args:
        shop: Has what is built from.
        host: The Engine whose BuildKit builds, with a containerd image store.
        platforms: One or several.
        output: What buildx writes, such as `type="oci"`.
    """
    path = shop.folder / "buildx.tar"
    buildx = second_engine.root() / "usr/libexec/docker/cli-plugins/docker-buildx"
    options = ",".join(f"{name}={value}" for name, value in ({"dest": str(path), "name": shop.name} | output).items())
    environment = (f"DOCKER_HOST={host}", f"BUILDX_CONFIG={shop.folder}/buildx")
    command = ("build", f"--platform={','.join(platforms)}", f"--output={options}")
    run("env", *environment, buildx, *command, shop.context)
    return path


def by_skopeo_all(shop: Workshop) -> Path:
    """Copy an index and all its images to skopeo's own form of a folder."""
    index = shop.folder / "index"
    shop.buildah("manifest", "push", "--all", shop.build("linux/amd64", "linux/arm64"), f"oci:{index}")
    shop.skopeo("copy", "--all", f"oci:{index}", f"dir:{shop.folder}/copy")
    return shop.folder / "copy"


def by_containerify(shop: Workshop, registry: LocalRegistry, tag: str, output: str) -> Path:
    """Add files to a base image in a registry with containerify, of npm.

    Args:
        shop: Has the files.
        registry: Has the base image.
        tag: Of the base image.
        output: The option that names the file to write.
    """
    npm = "npm" if shutil.which("npm") else shop.installed("npm")
    tool = shop.folder / "containerify"
    shutil.copytree(_SETUP / "containerify", tool)
    run(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=tool)
    (shop.context / "package.json").write_text('{"name": "app", "version": "1.0.0"}', "utf-8")
    token = registry.bearer("reader", f"{REPOSITORY}:pull")["Authorization"].removeprefix("Bearer ")
    path = shop.folder / "image.tar"
    run(
        tool / "node_modules/.bin/containerify",
        *("--fromRegistry", f"http://{registry.host}/v2/", "--fromImage", f"{REPOSITORY}:{tag}"),
        *("--fromToken", token, "--allowInsecureRegistries"),
        *("--folder", shop.context, "--customContent", "second", "--toImage", shop.name, output, path),
    )
    return path


def python_tools(shop: Workshop) -> Path:
    """Install the programs of PyPI that write images; return the folder to find them in."""
    tools = shop.folder / "tools"
    options = ("--disable-pip-version-check", "--no-deps", "--require-hashes", "--quiet", f"--target={tools}")
    run(sys.executable, "-m", "pip", "install", *options, "--requirement", _SETUP / "archive-tools.txt")
    return tools


def by_pyoci(shop: Workshop, registry: LocalRegistry, authority: Path, tag: str) -> Path:
    """Add a Python project to a base image in a registry with pyoci.

    Args:
        shop: Its folder gets the project.
        registry: Has the base image, and speaks TLS.
        authority: Of the registry's certificate.
        tag: Of the base image.
    """
    project, home = shop.folder / "project", shop.folder / "home"
    (project / "app").mkdir(parents=True)
    (project / "pyproject.toml").write_text('[project]\nname = "app"\nversion = "1.0"\n', "utf-8")
    (project / "app/__main__.py").write_text("print()\n", "utf-8")
    (home / ".docker").mkdir(parents=True)
    login = base64.b64encode(b"reader:reader-token").decode()
    (home / ".docker/config.json").write_text(json.dumps({"auths": {registry.host: {"auth": login}}}), "utf-8")
    environment = (f"HOME={home}", f"SSL_CERT_FILE={authority}", f"PYTHONPATH={python_tools(shop)}")
    base = ("--base-image", f"{registry.host}/{REPOSITORY}:{tag}")
    command = (sys.executable, "-m", "pyoci.cli", "build", "--context", ".", "--tag", "app:1.0", *base)
    run("env", *environment, *command, folder=project)
    return project / "dist/image"


def by_docker_squash(shop: Workshop, host: str) -> Path:
    """Squash an Engine's image with docker-squash, of PyPI."""
    tool, path = python_tools(shop), shop.folder / "squashed.tar"
    before = f"{shop.name}-before"
    run("env", "DOCKER_BUILDKIT=0", "docker", "--host", host, "build", "--no-cache", "--tag", before, shop.context)
    squash = (sys.executable, "-m", "docker_squash.cli", "--tag", shop.name, "--output-path", path, before)
    try:
        run("env", f"DOCKER_HOST={host}", f"PYTHONPATH={tool}", *squash)
    finally:
        run("docker", "--host", host, "image", "rm", "--force", before, shop.name)
    return path


def run_oras(*command: str | Path, folder: Path) -> bytes:
    """Run oras of Debian trixie."""
    return run(second_engine.root() / "usr/bin/oras", *command, folder=folder)


def gzipped(make: Callable[[Workshop], Path]) -> Callable[[Workshop], Path]:
    """Gzip an archive as a whole, as nix does."""

    def make_gzipped(shop: Workshop) -> Path:
        path = make(shop)
        with path.open("rb") as plain, gzip.open(f"{path}.gz", "wb", 1) as packed:
            shutil.copyfileobj(plain, packed)
        return Path(f"{path}.gz")

    return make_gzipped


def unpacked(make: Callable[[Workshop], Path]) -> Callable[[Workshop], Path]:
    """Unpack an archive into a folder."""

    def make_unpacked(shop: Workshop) -> Path:
        path = make(shop)
        with tarfile.open(path) as archive:
            archive.extractall(f"{path}.folder", filter="data")
        return Path(f"{path}.folder")

    return make_unpacked


def as_documented(config_name: str, layer_name: str) -> Callable[[Workshop], Path]:
    """Write a docker archive of gzipped layers as a program is documented to.

    Args:
        config_name: Of the configuration, with its digest's digits as `{}`.
        layer_name: Of each layer, likewise.
    """

    def make(shop: Workshop) -> Path:
        path = shop.folder / "image.tar"
        path.write_bytes(documented(shop, config_name, layer_name))
        return path

    return make


def documented(shop: Workshop, config_name: str, layer_name: str) -> bytes:
    """Return the bytes of such an archive."""
    first, second = {name: shop.files[name] for name in ("ldconfig", "first")}, {"second": shop.files["second"]}
    layers = [_executable(first), _executable(second)]
    packed = {layer_name.format(digest_of(data)[7:]): data for data in (gzip.compress(each, 6) for each in layers)}
    config = _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["/ldconfig", "--version"]},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]},
            "history": [{"created_by": "COPY ldconfig first /"}, {"created_by": "COPY second /"}],
        }
    )
    name = config_name.format(digest_of(config)[7:])
    manifest = _json([{"Config": name, "RepoTags": [shop.name], "Layers": [*packed]}])
    return archive_of({name: config, **packed, "manifest.json": manifest})


def by_oras(shop: Workshop, registry: LocalRegistry, tag: str) -> Path:
    """Pull a layout with oras-py, of PyPI."""
    client = oras.client.OrasClient(hostname=registry.host, insecure=True, auth_backend="token")
    client.auth.set_basic_auth("reader", "reader-token")
    path = shop.folder / "layout"
    oras.layout.layout.NewLayoutFromRegistry(str(path), client, f"{registry.host}/{REPOSITORY}:{tag}")
    return path


def printed(engine: docker.DockerClient, reference: str, *command: str) -> str:
    """Pull an image with an Engine, run it, and return what it prints."""
    auth = {"username": "reader", "password": "reader-token"}
    engine.api.pull(reference, auth_config=auth)
    try:
        ran = engine.containers.run(reference, list(command) or None, network_mode="none", remove=True)
        return bytes(ran).decode()
    finally:
        with contextlib.suppress(ImageNotFound):
            engine.images.remove(reference, force=True)


def raw(shop: Workshop, registry: LocalRegistry, reference: str) -> bytes:
    """Read what a tag or digest names with skopeo."""
    access = ("--tls-verify=false", "--creds=reader:reader-token")
    separator = "@" if ":" in reference else ":"
    return shop.skopeo("inspect", "--raw", *access, f"docker://{registry.host}/{REPOSITORY}{separator}{reference}")


def documented_outcomes() -> dict[str, str]:
    """Return what docs/archives.md says that the pipe does, by the name of the test."""
    page = (Path(__file__).parents[2] / "docs/archives.md").read_text("utf-8")
    rows = [line.split("|") for line in page.splitlines() if "|" in line]
    return {cells[-2].strip(): cells[-3].strip() for cells in rows}


def config_of(path: Path) -> bytes:
    """Read the configuration in a docker archive."""
    with tarfile.open(path) as archive:
        manifest = archive.extractfile("manifest.json")
        assert manifest
        config = archive.extractfile(json.loads(manifest.read())[0]["Config"])
        assert config
        return config.read()


def _executable(files: Mapping[str, bytes]) -> bytes:
    """Make a layer whose files may be run."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o755
            archive.addfile(member, io.BytesIO(data))
    return content.getvalue()


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
