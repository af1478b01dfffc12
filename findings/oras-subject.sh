#!/usr/bin/env bash
# oras 0.2.43 (PyPI): push() with a `subject` stores the artifact, but writes no list of referrers in a registry that has
# none of its own (Distribution 2.8.2, docker-registry 2.8.2+ds1-1 of Debian 12: 404 for the referrers API). OCI's
# distribution specification ("Pushing Manifests with Subject") demands then that the client updates the index under the
# tag sha256-<digest>. Nothing that looks for the artifacts of the image finds this one.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

distribution
python oras==0.2.43
printf '{}' >config
upload config
cat >push.py <<'EOT'
import sys
import oras.client, oras.oci

digest, size, target = sys.argv[1], int(sys.argv[2]), sys.argv[3]
subject = oras.oci.Subject("application/vnd.oci.image.manifest.v1+json", digest, size)
client = oras.client.OrasClient(hostname=target.partition("/")[0], insecure=True)
answer = client.push(target=target, files=["signature"], subject=subject, disable_path_validation=True)
print(answer.status_code, answer.json() if answer.content else "")
EOT
type=application/vnd.oci.image.manifest.v1+json
printf '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"%s","digest":"%s","size":2},"layers":[]}' "$type" \
    application/vnd.oci.image.config.v1+json "$(digest config)" >image
request --output /dev/null --request PUT --header "Content-Type: $type" --data-binary @image "$registry/v2/app/manifests/1.0"
echo signed >signature
subject=$(digest image)
expect 201 "$(venv/bin/python push.py "$subject" "$(stat --format=%s image)" "${registry#http://}/app:signature" 2>&1)"
expect "\"digest\":\"$subject\"" "$(curl --silent --header "Accept: $type" "$registry/v2/app/manifests/signature" | tr --delete ' \n')"
expect '404 Not Found' "$(request "$registry/v2/app/referrers/$subject" | head --lines 1)"
expect '404 Not Found' "$(request --header 'Accept: application/vnd.oci.image.index.v1+json' \
    "$registry/v2/app/manifests/${subject/:/-}" | head --lines 1)"
