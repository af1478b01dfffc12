#!/usr/bin/env bash
# Distribution 2.8.2 (docker-registry 2.8.2+ds1-1, Debian 12): it ignores the Content-Range of a PATCH. The OCI
# distribution specification demands 416 for a chunk that does not start at the end of the last one; here a first chunk
# of `5-9` and a second one of `0-4` are both accepted (202), and appended in the order of arrival.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

distribution
octets='Content-Type: application/octet-stream'
to=$(location --request POST "$registry/v2/app/blobs/uploads/")
for chunk in 5-9=world 0-4=hello; do
    found=$(request --request PATCH --header "$octets" --header "Content-Range: ${chunk%=*}" --data-binary "${chunk#*=}" "$to")
    expect 'HTTP/1.1 202 Accepted' "$chunk: ${found%%$'\n'*}"
    to=$(sed --quiet 's/^Location: //p' <<<"$found")
done
printf worldhello >blob
expect 'HTTP/1.1 201 Created' "$(request --request PUT "$to&digest=$(digest blob)" | head --lines=1)"
expect worldhello "$(curl --silent "$registry/v2/app/blobs/$(digest blob)")"
