#!/usr/bin/env bash
# oras 0.2.43 and docker 7.2.0 (PyPI), docker-parse-image 3.0.1 (npm): in `localhost/app:1` the part `localhost` is a
# registry's host, as Docker's reference grammar has it, and as docker (Python) reads it. oras takes it for a namespace
# of docker.io, and sends its requests there, not to the local machine; docker-parse-image takes it for a
# namespace too. With a port (`localhost:5000/app:1`) all three agree.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

python oras==0.2.43 docker==7.2.0
javascript docker-parse-image@3.0.1
found=$(venv/bin/python - <<'PYTHON'
import docker.auth, oras.container

for name in ("localhost/app", "localhost:5000/app"):
    print("docker:", docker.auth.resolve_repository_name(name))
    print("oras:", oras.container.Container(f"{name}:1").manifest_url())
PYTHON
)
expect "docker: ('localhost', 'app')
oras: docker.io/v2/localhost/app/manifests/1
docker: ('localhost:5000', 'app')
oras: localhost:5000/v2/app/manifests/1" "$found"
cat >parse.mjs <<'JAVASCRIPT'
import parse from 'docker-parse-image'

for (const name of ['localhost/app:1', 'localhost:5000/app:1']) {
  const { registry, namespace } = parse(name)
  console.log(`docker-parse-image: registry ${registry}, namespace ${namespace}`)
}
JAVASCRIPT
expect 'docker-parse-image: registry null, namespace localhost
docker-parse-image: registry localhost:5000, namespace null' "$(node parse.mjs)"
