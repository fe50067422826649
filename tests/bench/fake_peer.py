#!/usr/bin/env python3
"""A server that streams token ids as vLLM and llama.cpp do, without a model: token i of an answer is
1000 × the first id of the prompt + i. As llama.cpp it tells every third token but by its count.

usage: fake_peer.py PORT [--fault start] [--child]

Its answers come in pieces that heed neither chunks nor events.
"""

import argparse
import http.server
import json
import subprocess
import sys
import threading
import time


class Peer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port, pace=0.0):
        super().__init__(("127.0.0.1", port), Handler)
        self.pace = pace    # seconds between tokens
        self.fault = None   # refuse, cut, hang, error-event: what goes wrong at the third token
        self.ended = threading.Event()
        self.lock = threading.Lock()
        self.bodies, self.running, self.most = [], 0, 0

    def handle_error(self, *_):
        pass  # who asked has gone


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self):
        peer = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with peer.lock:
            peer.bodies.append(body)
            peer.running += 1
            peer.most = max(peer.most, peer.running)
        whole = False
        try:
            whole = self._answer(body, peer)
        finally:
            with peer.lock:
                peer.running -= 1
        if whole:
            self._chunk(b"")  # now the client may begin another

    def _answer(self, body, peer):
        if peer.fault == "refuse":
            self.send_error(400, "no such adapter")
            return False
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        openai = self.path == "/v1/completions"
        count = body["max_tokens" if openai else "n_predict"]
        for i in range(count):
            if i == 2 and peer.fault == "cut":
                self.close_connection = True
                return False
            if i == 2 and peer.fault == "hang":
                peer.ended.wait(60)
            if i == 2 and peer.fault == "error-event":
                self._event({"error": {"message": "out of memory"}})
                break
            time.sleep(peer.pace)
            token = 1000 * body["prompt"][0] + i
            if openai:
                self._event({"choices": [{"index": 0, "text": "é\n\n", "token_ids": [token],
                                          "finish_reason": None}]})
            elif i % 3 != 2:
                self._event({"index": 0, "content": "é\r\n", "tokens": [token], "stop": False,
                             "tokens_predicted": i + 1})
        if openai:
            self._event({"choices": [{"index": 0, "text": "", "token_ids": [],
                                      "finish_reason": "length"}]})
            self._chunk(b"data: [DONE]\n\n")
        else:
            self._event({"content": "", "tokens": [], "stop": True, "tokens_predicted": count})
        return True

    def _event(self, event):
        self._chunk(b"data: " + json.dumps(event).encode() + b"\n\n")

    def _chunk(self, content):
        raw = b"%x\r\n" % len(content) + content + b"\r\n"
        self.wfile.write(raw[:7])
        self.wfile.flush()
        self.wfile.write(raw[7:])
        self.wfile.flush()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--fault")
    parser.add_argument("--child", action="store_true")
    options = parser.parse_args()
    if options.fault == "start":
        sys.exit("fake_peer: no model there")
    if options.child:
        subprocess.Popen(["sleep", "600"])
    Peer(options.port).serve_forever()


if __name__ == "__main__":
    main()
