#!/usr/bin/env bash
# urllib3 2.8.0 and requests 2.34.2 (PyPI): a PUT is redirected by 307, which keeps method and body, as registries do
# with uploads. `PoolManager.request` sends a file to the second address as an empty body, although the file can be
# rewound (`HTTPConnectionPool.request` of the same library rewinds it); requests does so with the body of a generator.
# Both return the second server's 201, without an error. httpx 0.28.1 raises StreamConsumed for a generator.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

python urllib3==2.8.0 requests==2.34.2 httpx==0.28.1
found=$(venv/bin/python - <<'PYTHON'
import http.server, io, threading
import httpx, requests, urllib3

bodies = []


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        bodies.append(body)
        self.send_response(307 if self.path == "/first" else 201)
        self.send_header("Location", "/second")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
server.handle_error = lambda *_: None  # httpx closes the connection in its second request.
threading.Thread(target=server.serve_forever, daemon=True).start()
host, port = server.server_address
url = f"http://{host}:{port}/first"


def generator():
    yield b"con"
    yield b"tent"


def file():
    return io.BytesIO(b"content")


pool = urllib3.HTTPConnectionPool(host, port)
clients = {
    "urllib3 HTTPConnectionPool, file": lambda: pool.request("PUT", "/first", body=file()).status,
    "urllib3 PoolManager, file": lambda: urllib3.PoolManager().request("PUT", url, body=file()).status,
    "requests, generator": lambda: requests.put(url, data=generator()).status_code,
    "httpx, generator": lambda: httpx.put(url, content=generator(), follow_redirects=True).status_code,
}
for name, put in clients.items():
    bodies.clear()
    try:
        status = put()
    except httpx.StreamConsumed as error:
        status = type(error).__name__
    print(f"{name}: {status} {bodies[:2]}")
PYTHON
)
expect "urllib3 HTTPConnectionPool, file: 201 [b'content', b'content']
urllib3 PoolManager, file: 201 [b'content', b'']
requests, generator: 201 [b'content', b'']
httpx, generator: StreamConsumed [b'content'" "$found"
