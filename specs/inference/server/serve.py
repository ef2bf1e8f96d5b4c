"""Lists the models of a folder in the form that OpenAI-compatible clients read: GET /v1/models."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODELS = os.environ["MODELS"]


class Api(BaseHTTPRequestHandler):
    def do_GET(self):
        answers = {"/health": lambda: {"ok": True}, "/v1/models": models}
        answer = answers.get(self.path)
        body = json.dumps(answer() if answer else {"error": "no such path"}).encode()
        self.send_response(200 if answer else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def models():
    names = sorted(name for name in os.listdir(MODELS) if name.endswith((".gguf", ".safetensors")))
    return {"object": "list", "data": [{"id": name, "object": "model", "owned_by": "local"} for name in names]}


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Api).serve_forever()
