#!/usr/bin/env bash
# httpx 0.28.1 (PyPI) and `fetch` of Deno 2.9.6 (npm): a server may send a body with `Content-Encoding: gzip` that has
# several members (RFC 1952, section 2.2), as an object store does with an eStargz layer that was stored so. Both return
# the content of the first member only, with status 200 and without an error: nothing, if that member is empty. The
# Content-Length matches what was sent, so it does not show the loss. urllib3 2.8.0 and aiohttp 3.14.5 return everything.
# Several zstd frames: httpx, urllib3 and aiohttp return everything.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

python httpx==0.28.1 urllib3==2.8.0 aiohttp==3.14.5 zstandard==0.25.0 backports.zstd==1.8.0
javascript deno@2.9.6
debian zstd=1.5.4+dfsg2-5

for word in one two ''; do
    printf %s "$word" | gzip --no-name >"member-$word"
    printf %s "$word" | root/usr/bin/zstd --quiet >"frame-$word"
done
cat member-one member-two >two.gzip
cat member- member-one >empty-first.gzip
cat frame-one frame-two >two.zstd
echo 'console.log(new Uint8Array(await (await fetch(Deno.args[0])).arrayBuffer()).length, "bytes")' >fetch.mjs
found=$(DENO_DIR=$folder/deno DENO_NO_UPDATE_CHECK=1 venv/bin/python - <<'PYTHON'
import asyncio, http.server, subprocess, threading
import aiohttp, httpx, urllib3


class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = open(self.path[1:], "rb").read()
        self.send_response(200)
        self.send_header("Content-Encoding", self.path.partition(".")[2])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


async def get(url):
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return await response.read()


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
deno = ["node_modules/.bin/deno", "run", "--allow-net", "fetch.mjs"]
for name in ("two.gzip", "empty-first.gzip", "two.zstd"):
    url = "http://{}:{}/{}".format(*server.server_address, name)
    others = [urllib3.request("GET", url).data, asyncio.run(get(url))]
    print(f"{name}: httpx", httpx.get(url).content, "others", *others, end="")
    print(" Deno", subprocess.check_output([*deno, url], text=True).strip() if "gzip" in name else "")
PYTHON
)
expect "two.gzip: httpx b'one' others b'onetwo' b'onetwo' Deno 3 bytes
empty-first.gzip: httpx b'' others b'one' b'one' Deno 0 bytes
two.zstd: httpx b'onetwo' others b'onetwo' b'onetwo'" "$found"
