#!/usr/bin/env bash
# skopeo 1.9.3 (Debian 12, 1.9.3+ds1-1+b10): a docker archive whose layer is compressed by `zstd` is copied; the same
# layer compressed by `pzstd`, whose files start with a skippable frame (RFC 8878, section 3.1.2), is taken for an
# uncompressed one, and the copy fails: "Digest did not match".
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

debian zstd=1.5.4+dfsg2-5

cat >archive.py <<'PYTHON'
import hashlib, io, json, subprocess, sys, tarfile


def tar(files):
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return output.getvalue()


program = sys.argv[1]
plain = tar({"file": b"x" * 1000})
packed = subprocess.run([f"root/usr/bin/{program}", "--quiet", "--stdout"], input=plain, capture_output=True, check=True)
diff_id = f"sha256:{hashlib.sha256(plain).hexdigest()}"
config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [diff_id]}}
listed = [{"Config": "config.json", "RepoTags": ["app:1"], "Layers": ["layer.tar"]}]
files = {"config.json": json.dumps(config).encode(), "layer.tar": packed.stdout}
open(f"{program}.tar", "wb").write(tar(files | {"manifest.json": json.dumps(listed).encode()}))
PYTHON

for program in zstd pzstd; do
    python3 archive.py "$program"
    found=$(skopeo copy "docker-archive:$program.tar" "oci:$program:x") &&
        found+=$'\nexit code 0'
    [[ $program == zstd ]] && expect 'exit code 0' "$program: $found"
    [[ $program == zstd ]] || expect 'Digest did not match' "$program: $found"
done
