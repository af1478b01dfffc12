#!/usr/bin/env bash
# urllib3 2.8.0 (PyPI) over TLS 1.3: a connection that is opened ahead of its first request counts as dropped as soon as
# the server's session tickets have arrived, since `is_connected` is false if the socket is readable. A pool would close
# it and connect again. Over TLS 1.2, or after an answer was read, which reads the tickets too, it counts as connected.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

python urllib3==2.8.0 trustme==1.2.1
found=$(venv/bin/python - <<'PYTHON'
import select, socket, ssl, threading
import trustme, urllib3
from urllib3.connection import HTTPSConnection

authority = trustme.CA()
certificate = authority.issue_cert("127.0.0.1")


def serve(listener, context):
    connection, _ = listener.accept()
    with context.wrap_socket(connection, server_side=True) as tls:
        while tls.recv(65536):
            tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = version
    certificate.configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener, context), daemon=True).start()
        trusting = ssl.create_default_context()
        authority.configure_trust(trusting)
        client = HTTPSConnection("127.0.0.1", listener.getsockname()[1], ssl_context=trusting)
        client.connect()
        # Until the tickets are there, or two seconds if none are sent.
        select.select([client.sock], [], [], 2)
        before = client.is_connected
        client.request("GET", "/")
        status = client.getresponse().status
        print(f"{client.sock.version()}: connected before: {before}, status: {status}, after: {client.is_connected}")
        client.close()
PYTHON
)
expect "TLSv1.2: connected before: True, status: 200, after: True
TLSv1.3: connected before: False, status: 200, after: True" "$found"
