#!/usr/bin/env bash
# Distribution 2.8.2 (docker-registry 2.8.2+ds1-1, Debian 12): a blob that is uploaded with a digest of SHA-512 is
# accepted, but Location and Docker-Content-Digest of the answers to PUT and HEAD name its SHA-256. The blob can be read
# by both digests. A client that compares the header with the digest it sent takes a good upload for a corrupt one.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

distribution
printf content >blob
sha512=sha512:$(sha512sum blob | cut --delimiter=' ' --fields=1)
to=$(location --request POST "$registry/v2/app/blobs/uploads/")
found=$(request --request PUT --header 'Content-Type: application/octet-stream' --data-binary @blob "$to&digest=$sha512")
expect '201 Created' "PUT: $(head --lines=1 <<<"$found")"
expect "Docker-Content-Digest: $(digest blob)" "$(grep '^Docker-Content-Digest' <<<"$found")"
expect "/blobs/$(digest blob)" "$(grep '^Location' <<<"$found")"
found=$(request --head "$registry/v2/app/blobs/$sha512")
expect '200 OK' "HEAD ${sha512:0:20}: $(head --lines=1 <<<"$found")"
expect "Docker-Content-Digest: $(digest blob)" "$(grep '^Docker-Content-Digest' <<<"$found")"
expect '200 OK' "HEAD $(digest blob): $(request --head "$registry/v2/app/blobs/$(digest blob)" | head --lines=1)"
