#!/usr/bin/env bash
# Distribution 2.8.2 (docker-registry 2.8.2+ds1-1, Debian 12): an upload depends on the Content-Type of its requests.
# - PATCH: any type but `application/octet-stream` returns 500 UNKNOWN, not 415, even `application/octet-stream;
#   charset=binary`. No type at all is accepted.
# - PUT: `text/html` is accepted, but with `application/x-www-form-urlencoded`, which `curl --data-binary` sends by
#   default, the server reads the blob as a form, finds nothing left to store, and returns 400 DIGEST_INVALID.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

distribution
printf content >blob
# send METHOD TYPE: upload the blob in one request, and print the first and the last line of the answer.
send() {
    local to
    to=$(location --request POST "$registry/v2/app/blobs/uploads/")
    [[ $1 == PATCH ]] || to+="&digest=$(digest blob)"
    echo "$1, ${2:-no type}: $(request --request "$1" --header "Content-Type: $2" --data-binary @blob "$to" | sed --quiet '1p; $p')"
}
for kind in '' application/octet-stream; do expect '202 Accepted' "$(send PATCH "$kind")"; done
for kind in 'application/octet-stream; charset=binary' application/x-tar; do
    expect '500 Internal Server Error
{"errors":[{"code":"UNKNOWN"' "$(send PATCH "$kind")"
done
for kind in '' application/octet-stream text/html; do expect '201 Created' "$(send PUT "$kind")"; done
expect '400 Bad Request
{"errors":[{"code":"DIGEST_INVALID"' "$(send PUT application/x-www-form-urlencoded)"
