#!/usr/bin/env bash
# umoci 0.4.7 (Debian 12, 0.4.7+ds-3+b7): it cannot unpack an image if a layer has a global PAX header (POSIX.1-2001,
# typeflag `g`): "unknown typeflag". `git archive` of a commit writes one, with the commit's id, so its output cannot be
# a layer; that of a tree has none, and is unpacked. GNU tar and Python's tarfile read both.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

debian umoci=0.4.7+ds-3+b7

git init --quiet source
echo content >source/file
git -C source add file
git -C source -c user.name=name -c user.email=mail@example.org commit --quiet --message first
git -C source archive --output ../commit.tar HEAD
git -C source archive --output ../tree.tar 'HEAD^{tree}'
umoci=root/usr/bin/umoci
$umoci init --layout layout
for name in tree commit; do
    expect 'GNU tar: file' "$name, GNU tar: $(tar --list --file "$name.tar")"
    expect "tarfile: ['file']" "$name, tarfile: $(python3 -c 'import sys, tarfile; print(tarfile.open(sys.argv[1]).getnames())' "$name.tar")"
    $umoci new --image "layout:$name"
    $umoci raw add-layer --image "layout:$name" "$name.tar"
    found=$($umoci unpack --rootless --image "layout:$name" "$name" 2>&1) && found+="code 0, $(cat "$name/rootfs/file")"
    [[ $name == commit ]] || expect 'code 0, content' "$name, umoci: $found"
    [[ $name == tree ]] || expect "pax_global_header: unknown typeflag '\\x67'" "$name, umoci: $found"
done
