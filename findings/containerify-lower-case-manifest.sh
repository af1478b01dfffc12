#!/usr/bin/env bash
# containerify 4.1.0 (npm): `--toTar` writes a docker archive whose manifest.json has the keys `config`, `repoTags` and
# `layers`. Docker documents `Config`, `RepoTags` and `Layers`. Readers written in Go do not notice, since Go matches
# JSON keys in any case; a reader in another language must do the same.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

javascript containerify@4.1.0

cat >registry.py <<'PYTHON'
import gzip, hashlib, http.server, io, json, tarfile


def digest(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def described(data, kind):
    return {"mediaType": f"application/vnd.docker.{kind}", "digest": digest(data), "size": len(data)}


output = io.BytesIO()
tarfile.open(fileobj=output, mode="w").close()
layer = gzip.compress(output.getvalue())
rootfs = {"type": "layers", "diff_ids": [digest(output.getvalue())]}
config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs, "history": []}).encode()
manifest = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
    "config": described(config, "container.image.v1+json"),
    "layers": [described(layer, "image.rootfs.diff.tar.gzip")],
}
blobs = {digest(data): data for data in (config, layer)}


class Registry(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = blobs.get(self.path.rpartition("/")[2], json.dumps(manifest).encode())
        self.send_response(200)
        self.send_header("Content-Type", manifest["mediaType"])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
print(server.server_port, flush=True)
server.serve_forever()
PYTHON
coproc REGISTRY { python3 registry.py; }
registry=$!
trap 'kill "$registry"; rm -rf "$folder"' EXIT
read -r port <&"${REGISTRY[0]}"

mkdir app
echo '{"name": "app", "version": "1.0.0"}' >app/package.json
echo 'a file' >app/file
node_modules/.bin/containerify --fromRegistry "http://127.0.0.1:$port/v2/" --fromImage library/base:1 \
    --fromToken 'Bearer none' --allowInsecureRegistries --folder "$PWD/app" --customContent file \
    --toImage app:1 --toTar "$PWD/image.tar" >/dev/null
expect '[{"config":"config.json","repoTags":["app:1"],"layers":[' "$(tar --extract --to-stdout --file image.tar manifest.json)"
