#!/usr/bin/env bash
# oras 0.2.43 (PyPI): the login that a program sets (`auth.set_basic_auth`) is replaced by one for that registry that is
# saved in ~/.docker/config.json, without a word. So a program pushes as somebody else on a machine on which somebody
# has logged in, such as a self-hosted runner. DOCKER_CONFIG, by which others choose the file, is not read: neither is a
# login found there, nor does it keep the one in the home folder away.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

python oras==0.2.43
cat >ask.py <<'PYTHON'
import base64, http.server, json, os, pathlib, threading
import oras.client, oras.logger

oras.logger.logger.quiet = True


class Registry(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        host = self.headers["Host"]
        if self.path.startswith("/token"):
            users.append(base64.b64decode(self.headers["Authorization"].split()[1]).decode().split(":")[0])
            self.answer(200, json.dumps({"token": "t"}))
        elif self.headers.get("Authorization") != "Bearer t":
            self.answer(401, "{}", f'Bearer realm="http://{host}/token",service="registry"')
        else:
            self.answer(200, json.dumps({"schemaVersion": 2, "layers": []}))

    def answer(self, status, body, challenge=None):
        self.send_response(status)
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


users = []
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
threading.Thread(target=server.serve_forever, daemon=True).start()
registry = f"127.0.0.1:{server.server_port}"
saved = json.dumps({"auths": {registry: {"auth": base64.b64encode(b"saved:secret").decode()}}})


def user(home, chosen):
    for folder, content in ((".docker", home), ("chosen", chosen)):
        pathlib.Path(folder).mkdir(exist_ok=True)
        pathlib.Path(folder, "config.json").write_text(content)
    os.environ |= {"HOME": os.getcwd(), "DOCKER_CONFIG": os.path.abspath("chosen")}
    client = oras.client.OrasClient(hostname=registry, insecure=True, auth_backend="token")
    client.auth.set_basic_auth("program", "token")
    client.get_manifest(f"{registry}/app:1")
    return users.pop()


print("no saved login:", user("{}", "{}"))
print("one in ~/.docker:", user(saved, "{}"))
print("one in DOCKER_CONFIG:", user("{}", saved))
PYTHON
expect 'no saved login: program
one in ~/.docker: saved
one in DOCKER_CONFIG: program' "$(venv/bin/python ask.py)"
