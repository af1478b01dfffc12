#!/usr/bin/env bash
# pyoci 0.2.1 (PyPI): with `--cache-dir`, the layer of the application's files is taken from an earlier build if their
# names, sizes and times are the same, as its README has it. That is all that is compared, although more goes into the
# layer: a build with another `--workdir` makes an image that starts in the new folder and has its files in the old one,
# and a file that has become executable is not executable there. The exit code is 0; `--no-cache` makes the right image.
# The index.json of the layout has the image's name as an annotation of its own, not of the entry, as OCI has it, so
# skopeo 1.9.3 (Debian 12, 1.9.3+ds1-1+b10) and whoever else reads OCI layouts cannot find the image by it.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

python pyoci==0.2.1 trustme==1.2.1
# A base image without layers, and what returns it over TLS, on which pyoci insists.
mkdir --parents base/v2/base/{blobs,manifests} app
printf '{"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}}' >config
cp config "base/v2/base/blobs/$(digest config)"
kind=application/vnd.oci.image
printf '{"schemaVersion": 2, "mediaType": "%s", "config": {"mediaType": "%s", "digest": "%s", "size": %s}, "layers": []}' \
    "$kind.manifest.v1+json" "$kind.config.v1+json" "$(digest config)" "$(stat --format=%s config)" >base/v2/base/manifests/1
cat >serve.py <<'PYTHON'
import functools, http.server, ssl
import trustme

authority = trustme.CA()
authority.cert_pem.write_to_path("ca.pem")
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
authority.issue_cert("127.0.0.1").configure_cert(context)
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory="base")
with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
    server.socket = context.wrap_socket(server.socket, server_side=True)
    print(server.server_port, flush=True)
    server.serve_forever()
PYTHON
exec {ports}< <(exec venv/bin/python serve.py 2>server.log)
# shellcheck disable=SC2064 # the id of now
trap "kill $!; rm -rf '$folder'" EXIT
read -r port <&"$ports"

echo content >app/run
# build ARGUMENT...: build the application, and print the code, the working directory and the file in its last layer.
build() {
    rm -rf dist
    SSL_CERT_FILE=ca.pem venv/bin/pyoci build --tag app:1 --base-image "127.0.0.1:$port/base:1" --context app \
        --cache-dir cache "$@" >build.log 2>&1 && local code=$?
    python3 - "$code" <<'PYTHON'
import json, pathlib, sys, tarfile


def path(descriptor):
    return pathlib.Path("dist/image/blobs/sha256") / descriptor["digest"].removeprefix("sha256:")


[entry] = json.loads(pathlib.Path("dist/image/index.json").read_text())["manifests"]
manifest = json.loads(path(entry).read_text())
with tarfile.open(path(manifest["layers"][-1])) as layer:
    files = [f"{file.name} ({file.mode:o})" for file in layer]
print(f"(code {sys.argv[1]}) starts in", json.loads(path(manifest["config"]).read_text())["config"]["WorkingDir"], "with", *files)
PYTHON
}
expect '(code 0) starts in /app with app/run (644)' "$(build)"
chmod +x app/run
expect '(code 0) starts in /srv with app/run (644)' "an executable file, and --workdir /srv: $(build --workdir /srv)"
expect '(code 0) starts in /srv with srv/run (755)' "the same, and --no-cache: $(build --workdir /srv --no-cache)"
expect 'no descriptor found for reference' "$(skopeo inspect oci:dist/image:app:1 || true)"
