#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A stand-in for the Anthropic messages API, on loopback, for tests that run the real Claude CLI.

As a program:   model_api.py [--port N] [--script FILE] [--port-file FILE] [--log FILE]
In a test:      with ModelApi(rules) as api: ... api.url ...

A script is a JSON array of rules; the first that matches answers, and one with "times" is used at most so often:

    {"match": {...}, "times": 2, "reply": {...}}

match (all that are given must hold; texts are regular expressions that are searched for):
    user         newest text of the user          system      the system prompt
    tool_result  true, false or a text: the newest message brings results of tools
    tool         name of a tool that is offered   model       name of the model
    session      the CLI's session id             main        true: a turn of the conversation (tools are offered)
    nth          this is the n-th request (from 1)

reply:
    text "..."            repeat N (the text so often)        thinking "..."
    tool_use [{"name","input"}]                               stop_reason "..."
    usage {"input_tokens","output_tokens"}
    latency_ms N          before the headers                  chunk_ms N, chunk_chars N   pace of the stream
    error {"status","type","message","retry_after"}
    hang "headers" | "stream"   says nothing more (until POST /__standin/release, which cuts it, or the client goes)
    pause true            says nothing in the middle of the answer until POST /__standin/release, and then the rest
    cut true              the connection is reset in the middle of the answer
    stream_error {"type","message"}   an SSE error event in the middle of the answer
    raw "..."             these bytes as the body
Texts may hold {{user}}, {{tool_result}}, {{n}} (number of the request), {{history}} (all texts of the user, joined with |) and
{{in N}} (the time N seconds from then on, as a number of seconds).

Control: GET /__standin/health|stats|log, POST /__standin/script|reset|release|quit.
stats: requests, main, head, count_tokens, unmatched, by_rule [uses], prompts {newest user text: {"sent": main requests whose newest
message is that text, "answered": those that got a model's answer}}.
"""
import argparse
import json
import os
import re
import socket
import struct
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DEFAULT_RULES = [{"match": {}, "reply": {"text": "You said: {{user}}"}}]


def blocks(content):
    """Content of a message as a list of blocks."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [b for b in content or [] if isinstance(b, dict)]


def said(message):
    """Texts that a person wrote in a message: without the reminders that the CLI adds."""
    return [b["text"] for b in blocks(message.get("content"))
            if b.get("type") == "text" and not b.get("text", "").lstrip().startswith("<system-reminder>")]


def result_text(block):
    return "".join(b.get("text", "") for b in blocks(block.get("content")))


class Request:
    """What a rule can ask about a request for a message."""

    def __init__(self, body, headers, n):
        self.n = n
        self.body = body
        self.model = body.get("model", "")
        self.stream = bool(body.get("stream"))
        self.tools = [t.get("name") for t in body.get("tools") or []]
        self.main = bool(self.tools)
        self.system = "".join(b.get("text", "") for b in blocks(body.get("system")))
        users = [m for m in body.get("messages") or [] if m.get("role") == "user"]
        self.history = [t for m in users for t in said(m)]
        self.user = self.history[-1] if self.history else ""
        newest = users[-1] if users else {}
        results = [b for b in blocks(newest.get("content")) if b.get("type") == "tool_result"]
        self.tool_result = "\n".join(result_text(b) for b in results) if results else None
        self.session = headers.get("x-claude-code-session-id", "")
        if not self.session:
            try:
                self.session = json.loads(body["metadata"]["user_id"]).get("session_id", "")
            except (KeyError, TypeError, ValueError, AttributeError):
                pass

    def matches(self, match):
        for key, want in match.items():
            if key in ("user", "system", "model", "session"):
                ok = re.search(want, getattr(self, key), re.S) is not None
            elif key == "tool_result" and isinstance(want, bool):
                ok = (self.tool_result is not None) == want
            elif key == "tool_result":
                ok = self.tool_result is not None and re.search(want, self.tool_result, re.S) is not None
            elif key == "tool":
                ok = want in self.tools
            elif key == "main":
                ok = self.main == want
            elif key == "nth":
                ok = self.n == want
            else:
                raise ValueError("unknown key of match: " + key)
            if not ok:
                return False
        return True

    def fill(self, text):
        text = re.sub(r"\{\{in (\d+)\}\}", lambda m: str(int(time.time()) + int(m[1])), text)
        return (text.replace("{{user}}", self.user).replace("{{tool_result}}", self.tool_result or "")
                .replace("{{n}}", str(self.n)).replace("{{history}}", "|".join(self.history)))


class Cut(Exception):
    """The connection is to be reset now."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def send_json(self, status, obj, headers=()):
        data = json.dumps(obj).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.send_header("request-id", "req_" + uuid.uuid4().hex[:24])
        for k, v in headers:
            self.send_header(k, v)
        self.end_headers()
        self.wfile.write(data)

    def read_body(self):
        if "chunked" in (self.headers.get("transfer-encoding") or ""):
            out = b""
            while True:
                size = int(self.rfile.readline().split(b";")[0], 16)
                out += self.rfile.read(size)
                self.rfile.readline()
                if size == 0:
                    return out
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def do_HEAD(self):
        self.server.api.count("head")
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_GET(self):
        api, path = self.server.api, self.path.split("?")[0]
        if path == "/__standin/health":
            self.send_json(200, {"ok": True})
        elif path == "/__standin/stats":
            self.send_json(200, api.stats())
        elif path == "/__standin/log":
            self.send_json(200, api.log())
        else:
            self.send_json(404, {"type": "error", "error": {"type": "not_found_error", "message": path}})

    def do_POST(self):
        api, path = self.server.api, self.path.split("?")[0]
        raw = self.read_body()
        if path == "/__standin/script":
            api.script(json.loads(raw))
            self.send_json(200, {"ok": True})
        elif path in ("/__standin/reset", "/__standin/release", "/__standin/quit"):
            getattr(api, path.rsplit("/", 1)[1])()
            self.send_json(200, {"ok": True})
        elif path == "/v1/messages/count_tokens":
            api.count("count_tokens")
            self.send_json(200, {"input_tokens": 100})
        elif path == "/v1/messages":
            try:
                self.answer(api, api.take(json.loads(raw), self.headers))
            except Cut:
                # A reset rather than an orderly end: what a broken network does.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True
        else:
            self.send_json(404, {"type": "error", "error": {"type": "not_found_error", "message": path}})

    def answer(self, api, taken):
        rq, reply = taken
        if reply.get("latency_ms"):
            time.sleep(reply["latency_ms"] / 1000)
        if reply.get("hang") == "headers":
            api.hang()
            raise Cut
        error = reply.get("error")
        if error:
            status = error.get("status", 500)
            headers = [("retry-after", str(error["retry_after"]))] if "retry_after" in error else []
            self.send_json(status, {"type": "error", "error": {
                "type": error.get("type", "api_error"), "message": rq.fill(error.get("message", "error"))}}, headers)
            return
        if "raw" in reply:
            data = reply["raw"].encode()
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            return
        api.answered(rq)
        if rq.stream:
            self.answer_stream(api, rq, reply)
        else:
            self.send_json(200, self.message(rq, reply))

    @staticmethod
    def content(rq, reply):
        out = []
        if "thinking" in reply:
            out.append({"type": "thinking", "thinking": rq.fill(reply["thinking"]), "signature": "c2ln"})
        if "text" in reply:
            out.append({"type": "text", "text": rq.fill(reply["text"]) * reply.get("repeat", 1)})
        for t in reply.get("tool_use", []):
            data = json.loads(rq.fill(json.dumps(t.get("input", {})))) if rq.user.isprintable() and '"' not in rq.user \
                else t.get("input", {})
            out.append({"type": "tool_use", "id": "toolu_" + uuid.uuid4().hex[:24], "name": t["name"], "input": data})
        return out

    def message(self, rq, reply):
        content = self.content(rq, reply)
        usage = {"input_tokens": 100, "output_tokens": 20, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
        usage.update(reply.get("usage", {}))
        stop = reply.get("stop_reason") or ("tool_use" if reply.get("tool_use") else "end_turn")
        return {"id": "msg_" + uuid.uuid4().hex[:24], "type": "message", "role": "assistant", "model": rq.model, "content": content,
                "stop_reason": stop, "stop_sequence": None, "usage": usage}

    def event(self, kind, **fields):
        data = ("event: %s\ndata: %s\n\n" % (kind, json.dumps(dict(type=kind, **fields)))).encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def answer_stream(self, api, rq, reply):
        msg = self.message(rq, reply)
        content, usage = msg["content"], msg["usage"]
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.send_header("request-id", "req_" + uuid.uuid4().hex[:24])
        self.end_headers()
        start = dict(msg, content=[], stop_reason=None, usage=dict(usage, output_tokens=1))
        self.event("message_start", message=start)
        if not content:
            self.disturb(api, reply)
        for i, block in enumerate(content):
            self.stream_block(api, reply, i, block)
        self.event("message_delta", delta={"stop_reason": msg["stop_reason"], "stop_sequence": None}, usage=usage)
        self.event("message_stop")
        self.wfile.write(b"0\r\n\r\n")

    def disturb(self, api, reply):
        """What goes wrong in the middle of a stream, when that is asked for."""
        if reply.get("hang") == "stream":
            api.hang()
            raise Cut
        if reply.get("pause"):
            api.hang()
        if reply.get("cut"):
            raise Cut
        if reply.get("stream_error"):
            e = reply["stream_error"]
            self.event("error", error={"type": e.get("type", "overloaded_error"), "message": e.get("message", "error")})
            self.wfile.write(b"0\r\n\r\n")
            raise Cut

    def stream_block(self, api, reply, i, block):
        kind = block["type"]
        if kind == "tool_use":
            self.event("content_block_start", index=i, content_block=dict(block, input={}))
            text = json.dumps(block["input"])
            deltas = [{"type": "input_json_delta", "partial_json": text}]
        elif kind == "thinking":
            self.event("content_block_start", index=i, content_block={"type": "thinking", "thinking": "", "signature": ""})
            deltas = [{"type": "thinking_delta", "thinking": block["thinking"]},
                      {"type": "signature_delta", "signature": block["signature"]}]
        else:
            self.event("content_block_start", index=i, content_block={"type": "text", "text": ""})
            size = reply.get("chunk_chars") or max(20, len(block["text"]) // 200)
            deltas = [{"type": "text_delta", "text": block["text"][k:k + size]} for k in range(0, len(block["text"]), size)]
        for k, delta in enumerate(deltas):
            if k == len(deltas) // 2:
                self.disturb(api, reply)
            self.event("content_block_delta", index=i, delta=delta)
            if reply.get("chunk_ms"):
                time.sleep(reply["chunk_ms"] / 1000)
        self.event("content_block_stop", index=i)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass  # a client that went away is what many tests are about


class ModelApi:
    """The server in a thread of this process."""

    def __init__(self, rules=None, port=0, log_file=None):
        self.lock = threading.Condition()
        self.log_file = log_file
        self.rules = []
        self.reset()
        self.script(rules if rules is not None else DEFAULT_RULES)
        self.server = Server(("127.0.0.1", port), Handler)
        self.server.api = self
        self.port = self.server.server_address[1]
        self.url = "http://127.0.0.1:%d" % self.port
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)

    def start(self):
        self.thread.start()
        return self

    def stop(self):
        self.release()
        self.server.shutdown()
        self.server.server_close()

    quit = lambda self: threading.Thread(target=self.stop, daemon=True).start()  # noqa: E731

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()

    def script(self, rules):
        for r in rules:
            unknown = set(r) - {"match", "times", "reply", "comment"}
            if unknown or "reply" not in r:
                raise ValueError("a rule needs a reply, and knows no %s" % sorted(unknown))
        with self.lock:
            self.rules = rules
            self.used = [0] * len(rules)

    def reset(self):
        """Forget all counts, and let go who hangs."""
        self.release()
        with self.lock:
            self.used = [0] * len(self.rules)
            self.counts = {"requests": 0, "main": 0, "head": 0, "count_tokens": 0, "unmatched": 0}
            self.prompts = {}
            self.entries = []
            self.hanging = 0

    def release(self):
        with self.lock:
            self.epoch = getattr(self, "epoch", 0) + 1
            self.lock.notify_all()

    def hang(self):
        with self.lock:
            epoch = self.epoch
            self.hanging += 1
            self.lock.notify_all()
            self.lock.wait_for(lambda: self.epoch != epoch)

    def wait(self, cond, timeout=60):
        """Wait until cond(self) holds; it is looked at after every request."""
        with self.lock:
            if not self.lock.wait_for(lambda: cond(self), timeout):
                raise TimeoutError("the stand-in saw only %r" % (self.entries,))

    def count(self, what):
        with self.lock:
            self.counts[what] += 1

    def take(self, body, headers):
        """Count the request, find its rule; returns (request, reply)."""
        with self.lock:
            self.counts["requests"] += 1
            rq = Request(body, headers, self.counts["requests"])
            rule = next((i for i, r in enumerate(self.rules)
                         if self.used[i] < r.get("times", float("inf")) and rq.matches(r.get("match", {}))), None)
            if rule is None:
                self.counts["unmatched"] += 1
                reply = {"text": "no rule"} if not rq.main else {
                    "error": {"status": 400, "type": "invalid_request_error", "message": "the stand-in has no rule for this"}}
            else:
                self.used[rule] += 1
                reply = self.rules[rule]["reply"]
            if rq.main:
                self.counts["main"] += 1
                if rq.tool_result is None:
                    self.prompts.setdefault(rq.user, {"sent": 0, "answered": 0})["sent"] += 1
            entry = {"n": rq.n, "rule": rule, "main": rq.main, "model": rq.model, "session": rq.session, "user": rq.user[:2000],
                     "history": rq.history, "tool_result": rq.tool_result, "tools": rq.tools, "system": rq.system,
                     "roles": [m.get("role") for m in rq.body.get("messages") or []], "time": time.time()}
            self.entries.append(entry)
            if self.log_file:
                with open(self.log_file, "a") as f:
                    f.write(json.dumps(entry) + "\n")
            self.lock.notify_all()
            return rq, reply

    def answered(self, rq):
        with self.lock:
            if rq.main and rq.tool_result is None:
                self.prompts[rq.user]["answered"] += 1

    def stats(self):
        with self.lock:
            return dict(self.counts, hanging=self.hanging, by_rule=list(self.used),
                        prompts={k: dict(v) for k, v in self.prompts.items()})

    def log(self):
        with self.lock:
            return list(self.entries)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--port", type=int, default=0)
    ap.add_argument("--script")
    ap.add_argument("--port-file")
    ap.add_argument("--log")
    args = ap.parse_args()
    rules = None
    if args.script:
        with open(args.script) as f:
            rules = json.load(f)
    api = ModelApi(rules, args.port, args.log).start()
    if args.port_file:
        with open(args.port_file + ".new", "w") as f:
            f.write("%d\n" % api.port)
        os.rename(args.port_file + ".new", args.port_file)
    print(api.url, flush=True)
    try:
        api.thread.join()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
