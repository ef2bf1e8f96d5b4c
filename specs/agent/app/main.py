"""Takes Python snippets over HTTP, runs each in the workspace, and answers what it printed.

POST /run with a snippet as the body; GET /health says that it is up.
"""

import argparse
import json
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TIME_LIMIT_SECS = 60
BODY_LIMIT_BYTES = 1 << 20


class Tasks(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200 if self.path == "/health" else 404, {"ok": self.path == "/health"})

    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        if self.path != "/run" or length > BODY_LIMIT_BYTES:
            self.answer(404 if self.path != "/run" else 413, {"ok": False})
            return
        self.answer(200, run(self.rfile.read(length).decode(), self.server.workspace))

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def run(snippet, workspace):
    try:
        done = subprocess.run(
            [sys.executable, "-c", snippet], cwd=workspace, capture_output=True, text=True, timeout=TIME_LIMIT_SECS
        )
    except subprocess.TimeoutExpired:
        return {"ok": False, "error": f"it took longer than {TIME_LIMIT_SECS} seconds"}
    return {"ok": done.returncode == 0, "status": done.returncode, "output": done.stdout, "errors": done.stderr}


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--workspace", required=True)
    arguments.add_argument("--port", type=int, required=True)
    options = arguments.parse_args()
    server = ThreadingHTTPServer(("127.0.0.1", options.port), Tasks)
    server.workspace = options.workspace
    server.serve_forever()


main()
