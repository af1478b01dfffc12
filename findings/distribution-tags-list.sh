#!/usr/bin/env bash
# Distribution 2.8.2 (docker-registry 2.8.2+ds1-1, Debian 12): `tags/list?n=1` is documented as the first page of tags in
# lexical order, with a header Link to the next one. It returns all tags, without Link, and `last` is ignored as well.
# `_catalog?n=1` of the same server does return one repository and a Link.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

distribution
printf '{"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}' >config
upload config
kind=application/vnd.oci.image
printf '{"schemaVersion": 2, "config": {"mediaType": "%s", "digest": "%s", "size": %s}, "layers": []}' \
    "$kind.config.v1+json" "$(digest config)" "$(stat --format=%s config)" >manifest
for tag in a b c; do
    request --request PUT --header "Content-Type: $kind.manifest.v1+json" --data-binary @manifest --output /dev/null \
        "$registry/v2/app/manifests/$tag"
done
for query in 'n=1' 'n=1&last=c'; do
    found=$(request "$registry/v2/app/tags/list?$query")
    expect "$query: a b c, 0 Link" "$query: $(grep --only-matching '"[abc]"' <<<"$found" | sort | tr --delete '"' | paste --serial --delimiters=' '), $(grep --count '^Link' <<<"$found" || true) Link"
done

for repository in one two; do
    to=$(location --request POST "$registry/v2/$repository/blobs/uploads/")
    request --request PUT --header 'Content-Type: application/octet-stream' --data-binary @config --output /dev/null \
        "$to&digest=$(digest config)"
    request --request PUT --header "Content-Type: $kind.manifest.v1+json" --data-binary @manifest --output /dev/null \
        "$registry/v2/$repository/manifests/a"
done
found=$(request "$registry/v2/_catalog?n=1")
expect '{"repositories":["app"]}' "_catalog: $(tail --lines=1 <<<"$found")"
expect 'rel="next"' "$(grep '^Link' <<<"$found")"
