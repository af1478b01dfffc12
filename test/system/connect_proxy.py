"""An HTTP proxy on port 3128 that only connects (CONNECT), and logs every request to standard error."""

import select
import socket
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = 3128
PIECE = 64 * 1024
CONNECT_SECONDS = 10


class Handler(BaseHTTPRequestHandler):
    """Any other request than CONNECT is refused, and logged as well."""

    def do_CONNECT(self) -> None:
        """Connect, and hand on bytes both ways until one side ends."""
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port)), CONNECT_SECONDS) as server:
            self.send_response(HTTPStatus.OK)
            self.end_headers()
            other = {self.connection: server, server: self.connection}
            while True:
                for reader in select.select(list(other), [], [])[0]:
                    piece = reader.recv(PIECE)
                    if not piece:
                        return
                    other[reader].sendall(piece)


print("ready", flush=True)
ThreadingHTTPServer(("", PORT), Handler).serve_forever()
