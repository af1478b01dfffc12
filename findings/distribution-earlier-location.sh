#!/usr/bin/env bash
# Distribution 2.8.2 (docker-registry 2.8.2+ds1-1, Debian 12): each PATCH of an upload returns a new Location. A GET of
# an earlier Location, which is all that a client has if the answer to its PATCH is lost, returns 404
# BLOB_UPLOAD_INVALID, although the upload is alive: a GET of the newest Location returns 204 and the Range. So a lost
# answer cannot be repaired by asking for the status; the blob must be uploaded from its first byte.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

distribution
first=$(location --request POST "$registry/v2/app/blobs/uploads/")
second=$(location --request PATCH --header 'Content-Type: application/octet-stream' --data-binary hello "$first")
expect 'HTTP/1.1 404 Not Found' "earlier Location: $(request "$first")"
expect 'BLOB_UPLOAD_INVALID' "$(request "$first" | tail --lines=1)"
newest=$(request "$second")
expect 'HTTP/1.1 204 No Content' "newest Location: ${newest%%$'\n'*}"
expect 'Range: 0-4' "$(grep '^Range' <<<"$newest")"
