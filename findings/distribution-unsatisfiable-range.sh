#!/usr/bin/env bash
# Distribution 2.8.2 (docker-registry 2.8.2+ds1-1, Debian 12): a GET of a blob of 12 bytes with `Range: bytes=12-`
# returns 416, as it should, but with the blob's Content-Length of 12 and no body. A client reports a broken connection
# instead of the 416: curl fails with code 18, and Python's http.client raises IncompleteRead.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

distribution
printf 'twelve bytes' >blob
upload blob
url=$registry/v2/app/blobs/$(digest blob)
expect '416 Requested Range Not Satisfiable' "$(request --range 12- "$url")"
expect 'Content-Length: 12' "$(request --range 12- "$url" | grep '^Content-Length')"
found=$(curl --silent --show-error --range 12- "$url" 2>&1) || found+=" (code $?)"
expect 'transfer closed with 12 bytes remaining to read (code 18)' "$found"
found=$(python3 -c '
import http.client, sys, urllib.parse
url = urllib.parse.urlsplit(sys.argv[1])
client = http.client.HTTPConnection(url.netloc)
client.request("GET", url.path, headers={"Range": "bytes=12-"})
answer = client.getresponse()
try:
    answer.read()
except http.client.IncompleteRead as error:
    print(f"{answer.status}: {error!r}")' "$url")
expect '416: IncompleteRead(0 bytes read, 12 more expected)' "$found"
