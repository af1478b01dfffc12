#!/usr/bin/env bash
# crpy 0.4.0 (PyPI): `list_repositories`, which is documented to retrieve all pages unless a size is given, returns two
# pages at most, without an error. Distribution 2.8.2 (docker-registry 2.8.2+ds1-1, Debian 12) returns 100 repositories
# a page, so of a registry with 250 the last 50 are missing, also from a copy or a clean-up that goes by the list. crpy
# does ask for the third page, and drops it: of the pages that follow, a call returns the first one only.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

distribution
python crpy==0.4.0
cat >pages.py <<'PYTHON'
import asyncio, hashlib, json, sys
import aiohttp, crpy

KIND = "application/vnd.oci.image.manifest.v1+json"
CONFIG = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": f"sha256:{hashlib.sha256(b'{}').hexdigest()}", "size": 2}
MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": KIND, "config": CONFIG, "layers": []})


async def push(session, name):
    async with session.post(f"/v2/{name}/blobs/uploads/") as answer:
        upload = answer.headers["Location"]
    headers = {"Content-Type": "application/octet-stream"}
    async with session.put(upload, params={"digest": CONFIG["digest"]}, data=b"{}", headers=headers) as answer:
        answer.raise_for_status()
    async with session.put(f"/v2/{name}/manifests/1", data=MANIFEST, headers={"Content-Type": KIND}) as answer:
        answer.raise_for_status()


async def pages(session):
    path, sizes = "/v2/_catalog", []
    while path:
        async with session.get(path) as answer:
            sizes.append(len((await answer.json(content_type=None))["repositories"]))
            path = answer.links["next"]["url"] if "next" in answer.links else None
    return sizes


async def main():
    async with aiohttp.ClientSession(sys.argv[1]) as session:
        for number in range(250):
            await push(session, f"app{number:03}")
        print("pages of the registry:", *await pages(session))
    listed = await crpy.RegistryInfo.from_url(sys.argv[1]).list_repositories()
    print(f"crpy: {len(listed)}, the last one is {listed[-1]}")


asyncio.run(main())
PYTHON
expect 'pages of the registry: 100 100 50
crpy: 200, the last one is app199' "$(venv/bin/python pages.py "$registry")"
