#!/usr/bin/env bash
# semver 7.8.6 (npm): `coerce`, which its README calls very forgiving, returns null as soon as one of the first three
# numbers has a leading zero. So the tags of Ubuntu (`22.04`) and of many that are named by date (`2024.01.02`) have no
# version, while `2024.1.2` does, and a tag that holds no version at all, such as `sha256-1234567890abcdef`, becomes 256.0.0.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

javascript semver@7.8.6
cat >coerce.mjs <<'JAVASCRIPT'
import semver from 'semver'

for (const tag of ['22.10', '22.04', '24.04.1', '2024.1.2', '2024.01.02', 'sha256-1234567890abcdef']) {
  console.log(tag, '->', String(semver.coerce(tag)))
}
JAVASCRIPT
expect '22.10 -> 22.10.0
22.04 -> null
24.04.1 -> null
2024.1.2 -> 2024.1.2
2024.01.02 -> null
sha256-1234567890abcdef -> 256.0.0' "$(node coerce.mjs)"
