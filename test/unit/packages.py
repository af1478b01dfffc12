"""A registry with several packages, each a `FakeRegistryServer` of its own, between which blobs can be mounted."""

from unit.http import FakeHTTP, FakeRegistryServer, Reply, Sent, error_reply, json_reply

from pipe.oci.manifest import Manifest


class Packages(FakeHTTP):
    """Several packages in one registry.

    Attributes:
        packages: By path.
        mounts: Whether blobs can be mounted; if not, a mount opens an upload.
    """

    def __init__(self, *paths: str) -> None:
        super().__init__()
        self.packages = {path: FakeRegistryServer() for path in paths}
        self.mounts = True

    def __getitem__(self, path: str) -> FakeRegistryServer:
        """Return a package."""
        return self.packages[path]

    def reply(self, sent: Sent) -> Reply:
        """Reply as the package that the request is about."""
        if sent.path == "/v2/":
            return json_reply(200, {})
        path = "/".join(sent.path.split("/")[2:4])
        package = self.packages.get(path)
        if package is None:
            return error_reply(404, "NAME_UNKNOWN", f"package {path} does not exist in this workspace")
        source, digest = self.packages.get(sent.query.get("from", "")), sent.query.get("mount", "")
        if self.mounts and source is not None and digest in source.blobs:
            package.mountable[sent.query["from"], digest] = source.blobs[digest]
        if sent.method == "PUT" and "/manifests/" in sent.path:
            return self._put_manifest(package, sent)
        return package.reply(sent)

    @staticmethod
    def _put_manifest(package: FakeRegistryServer, sent: Sent) -> Reply:
        """Store a manifest, unless the package lacks what it names, as registries check it."""
        manifest = Manifest.parse("", sent.body)
        blobs = [each for each in (manifest.config_descriptor, *manifest.layers) if each is not None and not each.urls]
        lacking = [each for each in blobs if each.digest not in package.blobs]
        lacking += [each for each in manifest.manifests if each.digest not in package.manifests]
        if lacking:
            return error_reply(400, "MANIFEST_BLOB_UNKNOWN")
        return package.reply(sent)

    def written(self) -> list[str]:
        """Return the requests that changed something, without the uploads' addresses."""
        return [
            f"{each.method} {each.path.rpartition('/')[2] if '/manifests/' in each.path else 'upload'}"
            for each in self.sent
            if each.method in {"PUT", "PATCH"}
        ]
