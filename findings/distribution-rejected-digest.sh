#!/usr/bin/env bash
# Distribution 2.8.2 (docker-registry 2.8.2+ds1-1, Debian 12): a PUT that ends an upload with a wrong digest returns
# 400 DIGEST_INVALID, yet the upload stays open. If the bytes came by PATCH, a second PUT to the same Location with the
# right digest returns 201; so a client that gives up after the 400 must DELETE the upload, or the registry keeps it.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

distribution
printf content >blob
printf other >other
to=$(location --request POST "$registry/v2/app/blobs/uploads/")
to=$(location --request PATCH --header 'Content-Type: application/octet-stream' --data-binary @blob "$to")
found=$(request --request PUT "$to&digest=$(digest other)")
expect '400 Bad Request' "wrong digest: ${found%%$'\n'*}"
expect DIGEST_INVALID "$(tail --lines=1 <<<"$found")"
expect '204 No Content' "status: $(request "$to" | head --lines=1)"
expect '201 Created' "right digest: $(request --request PUT "$to&digest=$(digest blob)" | head --lines=1)"
expect content "$(curl --silent "$registry/v2/app/blobs/$(digest blob)")"
