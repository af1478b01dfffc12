"""A web application of one page."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Greeting(BaseHTTPRequestHandler):
    """Answers every request with the same line."""

    def do_GET(self) -> None:
        """Answer one."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"Hello from a container that a pipe has pushed.\n")


if __name__ == "__main__":
    ThreadingHTTPServer(("", 8080), Greeting).serve_forever()
