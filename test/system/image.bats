#!/usr/bin/env bats
# The image itself: what is in it, what is not, and that it can be built everywhere.

load helpers

setup_file() {
    export ROOT=$BATS_FILE_TMPDIR/root
    mkdir "$ROOT"
    local container
    container=$(docker create "$PIPE_IMAGE")
    docker export "$container" | tar --extract --directory "$ROOT" --exclude='dev/*'
    docker rm "$container"
}

setup() {
    cd "$BATS_TEST_DIRNAME/../.." || return
}

label() {
    docker image inspect --format "{{index .Config.Labels \"org.opencontainers.image.$1\"}}" "$PIPE_IMAGE"
}

# The name and version that pipe.yml states.
stated() {
    sed -nE 's|^image: (.*/)?||p' pipe.yml
}

@test "--version prints name, version and revision, also where nothing can be written" {
    run_container 0 --read-only --network none "$PIPE_IMAGE" --version
    expect_equal stdout "$(stated | tr : ' ') ($(label revision | cut -c1-7))" "$output"
    expect_equal stderr "" "$stderr"
}

@test "labels say what it is" {
    expect_equal title "$(stated | cut -d: -f1)" "$(label title)"
    expect_equal version "$(stated | cut -d: -f2)" "$(label version)"
    expect_equal licenses Apache-2.0 "$(label licenses)"
    [[ $(label description) && $(label source) == https://* ]]
}

@test "the entry point is python3 -m pipe" {
    expect_equal "entry point" '["python3","-m","pipe"]' "$(docker image inspect --format '{{json .Config.Entrypoint}}' "$PIPE_IMAGE")"
}

@test "the only programs are Python's" {
    # What the Engine puts into every container is empty.
    expect_equal programs python3 \
        "$(find "$ROOT" -type f -perm /111 ! -empty ! -name '*.so*' -printf '%f\n' | sed 's/3\..*/3/' | sort -u)"
    expect_equal "packages that install" "" "$(find "$ROOT" -iname 'pip*' -path '*-packages*' ! -name 'pipe*')"
}

@test "at most 60 MB unpacked" {
    local size
    size=$(docker image inspect --format '{{.Size}}' "$PIPE_IMAGE")
    echo "# $size bytes unpacked" >&3
    ((size <= 60000000)) || differs "bytes unpacked" "at most 60000000" "$size"
}

@test "at most 16 MB compressed" {
    local size
    # As a release compresses it, which is Docker's way.
    run_pipe 0 --env IMAGE_NAME="$PIPE_IMAGE" --env PACKAGE_NAME=my-container-app --env TAGS=pipe --env UPLOADER=engine
    size=$(controls manifest my-container-app pipe | json 'sum(layer["size"] for layer in it["layers"])')
    echo "# $size bytes compressed" >&3
    ((size <= 16000000)) || differs "bytes compressed" "at most 16000000" "$size"
}

@test "the process ends well while threads are at work" {
    local attempt
    # Of some threads one wants to go on while Python ends, and is ended; most often, so it is tried a few times.
    for attempt in 1 2 3 4; do
        run -0 python_in_image <<'PYTHON'
import threading
import time


def work(sleep=time.sleep):  # by then, a module's own names are gone
    while True:
        sleep(0.001)


for _ in range(10):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.1)
PYTHON
        expect_equal "what it says at attempt $attempt" "" "$output"
    done
}

@test "every codec compresses" {
    run python_in_image <<'PYTHON'
import gzip
from backports import zstd
from pipe.encoding.codecs import COMPRESSIONS
for name, compression in COMPRESSIONS.items():
    unpack = zstd.decompress if name == "zstd" else gzip.decompress
    packed = [b"".join(codec.compress([memoryview(b"layer" * 1000)])) for codec in compression.codecs]
    print(name, {unpack(each) == b"layer" * 1000 for each in packed})
PYTHON
    expect_equal "what comes back is what went in" \
        "$(printf '%s {True}\n' auto fast small zstd)" "$output"
}

@test "every module has its byte code" {
    local bare
    bare=$(find "$ROOT" -name '*.py' | while read -r source; do
        compgen -G "${source%/*}/__pycache__/$(basename "$source" .py).*.pyc" >/dev/null || echo "$source"
    done)
    expect_equal "sources without byte code" "" "$bare"
    [[ -e $(echo "$ROOT"/usr/lib/python3.*/json/decoder.pyc) ]]
}

@test "a run that finds everything up to date imports little, and all of it from the bundle" {
    local program
    program=$(cat <<'PYTHON'
import os, runpy, sys

def report(code, end=os._exit):
    added = {name: module for name, module in sys.modules.items() if name not in before}
    files = [name for name, module in added.items() if type(module.__spec__.loader).__name__.startswith("Source")]
    print("files:", *sorted(files), flush=True)
    print("parsers:", *sorted(added.keys() & {"ast", "dataclasses", "dis", "inspect", "tokenize"}), flush=True)
    print("modules:", len(added), flush=True)
    end(code)

before = set(sys.modules)
os._exit = report
runpy.run_module("pipe", run_name="__main__", alter_sys=True)
PYTHON
    )
    run_pipe 0 --env PACKAGE_NAME=my-container-app --env TAGS=bundle
    run_container 0 "${GOOD_PUSH[@]}" --env PACKAGE_NAME=my-container-app --env TAGS=bundle --entrypoint python3 \
        "$PIPE_IMAGE" -c "$program"
    expect "Up to date: bundle"
    expect --stdout $'files: contextlib pipe pipe.bundle signal\n' $'parsers:\n'
    ((${output##*modules: } <= 370)) || differs "imported modules" "at most 370" "${output##*modules: }"
}

@test "requests does without a package that guesses character sets, and does not warn" {
    run python_in_image <<<'import requests; print(requests.compat.chardet)'
    expect_equal "exit code" 0 "$status"
    expect_equal "package, and no warning" None "$output"
}

@test "no module of the packages misses one of the standard library" {
    run python_in_image <<'PYTHON'
import importlib, pkgutil, sys

for package in "backports.zstd", "certifi", "colorlog", "deflate", "docker", "idna", "isal", "pipe", "requests", "urllib3", "yaml":
    path = importlib.import_module(package).__path__
    for module in pkgutil.walk_packages(path, f"{package}.", onerror=lambda name: None):
        try:
            importlib.import_module(module.name)
        except ImportError as error:
            if (error.name or "").partition(".")[0] in sys.stdlib_module_names:
                print(module.name, "misses", error.name)
        except SystemExit:
            pass
PYTHON
    expect_equal "exit code" 0 "$status"
    expect_equal "modules that miss one" "" "$(grep misses <<<"$output")"
}

@test "the certificate authorities are those of the locked certifi, for Python and for requests" {
    local bundle=etc/ssl/certs/ca-certificates.crt
    cmp "$(python -c 'import certifi; print(certifi.where())')" "$ROOT/$bundle"
    expect_equal "files with certificates" "./$bundle" \
        "$(cd "$ROOT" && grep --recursive --files-with-matches --binary-files=text -e '-----BEGIN CERTIFICATE-----[[:space:]]*$' .)"
    run python_in_image <<'PYTHON'
import os, ssl, certifi, requests
print({os.path.realpath(path) for path in (ssl.get_default_verify_paths().cafile, certifi.where(), requests.certs.where())})
print(len(ssl.create_default_context().get_ca_certs()) > 100)
PYTHON
    expect_equal "bundle in use" "{'/$bundle'}"$'\nTrue' "$output"
}

@test "the SBOM is valid, and lists what is installed and locked" {
    local sbom=$ROOT/usr/share/sbom/python-packages.cdx.json part listed
    python - "$sbom" <<'PYTHON'
import sys, pathlib
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(pathlib.Path(sys.argv[1]).read_text("utf-8"))
sys.exit(str(error) if error else None)
PYTHON
    listed=$(json "'\n'.join(sorted(f\"{part['name']}=={part['version']}\".lower() for part in it['components']))" <"$sbom")
    run python_in_image <<'PYTHON'
from importlib.metadata import distributions
print("\n".join(sorted(f"{part.name}=={part.version}".lower() for part in distributions())))
PYTHON
    expect_equal packages "$output" "$listed"
    for part in $listed; do
        grep --quiet "^$part " requirements.txt || differs requirements.txt "$part" "another version, or none"
    done
}

@test "it runs beside any locale, and finds names in /etc/hosts" {
    run_container 0 --env LC_ALL=POSIX --add-host somewhere:192.0.2.1 --entrypoint python3 "$PIPE_IMAGE" \
        -c 'import socket; print("✔", socket.gethostbyname("somewhere"))'
    expect_equal stdout "✔ 192.0.2.1" "$output"
}

# Build the image with $1 as DOCKER_BUILDKIT, with the first docker client that can.
builds_with() {
    local base client
    base=$(test/setup/base)
    while read -r client; do
        if DOCKER_BUILDKIT=$1 "$client" build --build-arg BASE="$base" --tag "$NAME-$1" .; then
            docker run --rm "$NAME-$1" --version
            docker image rm "$NAME-$1"
            return
        fi
    done < <(type -ap docker)
    return 1
}
bats_test_function --description "it builds with the classic builder" -- builds_with 0
bats_test_function --description "it builds with BuildKit" -- builds_with 1
