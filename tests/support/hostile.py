"""An upstream that says what would steer a terminal, wherever it can say anything; and what that is."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SEQUENCES = {
    "clipboard": "\x1b]52;c;ZXZpbA==\x07",
    "clipboard, ended by ST": "\x1b]52;c;ZXZpbA==\x1b\\",
    "hyperlink": "\x1b]8;;https://evil.example/\x07click\x1b]8;;\x07",
    "window title": "\x1b]0;evil\x07",
    "icon name": "\x1b]1;evil\x07",
    "title by PM": "\x1bkevil\x1b\\",
    "title reported": "\x1b[21t",
    "palette": "\x1b]4;0;rgb:00/00/00\x07",
    "background": "\x1b]11;#ff0000\x07",
    "notification": "\x1b]9;evil\x07",
    "notification of another kind": "\x1b]777;notify;evil;evil\x07",
    "working directory": "\x1b]7;file://evil/\x07",
    "shell integration": "\x1b]133;C\x07",
    "file transfer": "\x1b]1337;File=inline=1:ZXZpbA==\x07",
    "clear screen": "\x1b[2J",
    "clear scrollback": "\x1b[3J",
    "cursor home": "\x1b[H",
    "cursor up and overwrite": "\x1b[1A\x1b[2Kok: 0 problems",
    "reset": "\x1bc",
    "soft reset": "\x1b[!p",
    "colour that stays": "\x1b[31;5m",
    "concealed": "\x1b[8m",
    "alternate screen": "\x1b[?1049h",
    "mouse": "\x1b[?1000h\x1b[?1006h",
    "bracketed paste": "\x1b[?2004h",
    "focus": "\x1b[?1004h",
    "no cursor": "\x1b[?25l",
    "keys as applications have them": "\x1b[?1h\x1b=",
    "answerback": "\x05",
    "status reported": "\x1b[6n\x1b[c",
    "scroll region": "\x1b[1;1r",
    "keyboard locked": "\x1b[2h",
    "window moved": "\x1b[3;0;0t",
    "device control": "\x1bP$q q\x1b\\",
    "sixel": "\x1bPq#0;2;0;0;0~\x1b\\",
    "picture": "\x1b_Gf=24;ZXZpbA==\x1b\\",
    "application": "\x1b_evil\x1b\\",
    "privacy": "\x1b^evil\x1b\\",
    "start of string": "\x1bXevil\x1b\\",
    "C1 CSI": "\x9b2J",
    "C1 OSC": "\x9d0;evil\x9c",
    "C1 DCS": "\x90q\x9c",
    "C1 APC": "\x9fevil\x9c",
    "C1 PM": "\x9eevil\x9c",
    "other character set": "\x1b(0\x0e\x0f",
    "bell": "\x07",
    "backspaces": "no\x08\x08ok",
    "carriage return": "bad\rgood",
    "form feed": "\x0c\x0b",
    "delete": "\x7f\x7f",
    "right to left": "\u202eevil\u202c",
    "isolate": "\u2066evil\u2069",
    "marks of direction": "\u200e\u200f\u061c",
    "nothing that is seen": "\u200b\u2060\ufeff",
    "end of line to some": "a\u2028b\u2029c\x85d",
    "letters for machines": "\U000e0065\U000e0076\U000e0069\U000e006c",
    "nul": "\x00",
    "markup": "[red]danger[/red] [link=https://evil.example]here[/link] [/] [bold",
}
EVIL = " ".join(SEQUENCES.values())
SEEN = ("\\x1b]52;c;", "\\x9b2J", "\\u202eevil", "\\x7f\\x7f", "[red]danger[/red]")
"""What a person should see of it."""


class Hostile:
    """Speaks the wire of OpenAI on 127.0.0.1, with `EVIL` in every place that holds text.

    Of Ollama's it has what manages models: their list, their details, and pulls.

    `act` says what comes of a chat: `answer`, `tool`, `refusal`, `error`, `late error`, `headers`, `nonsense`.
    """

    def __init__(self) -> None:
        self.act = "answer"
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if self.path == "/api/tags":
                    self._json(200, {"models": [{"name": EVIL, "model": EVIL, "size": 1, "details": {}}]})
                    return
                self._json(200, {"object": "list", "data": [{"id": f"m{EVIL}", "object": "model"}]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if self.path == "/api/pull":
                    self._send(200, _pull(owner.act), "application/x-ndjson")
                elif self.path == "/api/show":
                    self._json(
                        200, {"details": {"family": EVIL, "parameter_size": EVIL}, "capabilities": [EVIL]}
                    )
                elif owner.act == "nonsense":
                    self._send(200, EVIL.encode(), "text/html")
                elif owner.act in ("error", "headers"):
                    self._json(400, _error(), {"x-request-id": f"req-{owner.act}"})
                elif "input" in body:
                    self._json(200, _embeddings())
                elif body.get("stream"):
                    self._send(200, _stream(owner.act), "text/event-stream")
                else:
                    self._json(200, _whole(owner.act))

            def _json(self, status: int, body: object, headers: Mapping[str, str] | None = None) -> None:
                self._send(status, json.dumps(body).encode(), "application/json", headers)

            def _send(
                self, status: int, body: bytes, kind: str, headers: Mapping[str, str] | None = None
            ) -> None:
                self.send_response_only(status)
                for name, value in {"content-type": kind, **(headers or {})}.items():
                    self.send_header(name, value)
                if owner.act == "headers":
                    self._headers_buffer.append(f"x-evil: {EVIL.replace(chr(13), '')}\r\n".encode())
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.root = f"http://127.0.0.1:{self._server.server_port}"
        self.base_url = f"{self.root}/v1"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _error() -> dict[str, Any]:
    return {"error": {"message": EVIL, "type": f"type{EVIL}", "code": f"code{EVIL}", "param": EVIL}}


def _pull(act: str) -> bytes:
    steps: list[dict[str, Any]] = [
        {"status": f"pulling {EVIL}"},
        {"status": f"part {EVIL}", "digest": EVIL, "total": 10, "completed": 5},
        {"error": EVIL} if act == "error" else {"status": "success"},
    ]
    return b"".join(json.dumps(each).encode() + b"\n" for each in steps)


def _embeddings() -> dict[str, Any]:
    data = [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}]
    return {"object": "list", "data": data, "model": EVIL, "usage": {"prompt_tokens": 1, "total_tokens": 1}}


def _tool_calls() -> list[dict[str, Any]]:
    function = {"name": f"tool{EVIL}", "arguments": json.dumps({"a": EVIL}, ensure_ascii=False)}
    return [{"index": 0, "id": f"call{EVIL}", "type": "function", "function": function}]


def _message(act: str) -> tuple[dict[str, Any], str]:
    match act:
        case "tool":
            return {"role": "assistant", "tool_calls": _tool_calls()}, "tool_calls"
        case "refusal":
            return {"role": "assistant", "refusal": EVIL}, "content_filter"
    return {"role": "assistant", "content": EVIL, "reasoning_content": EVIL}, "stop"


def _whole(act: str) -> dict[str, Any]:
    message, finish = _message(act)
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {"id": f"id{EVIL}", "object": "chat.completion", "model": EVIL, "choices": [choice]}


def _stream(act: str) -> bytes:
    delta, finish = _message(act)
    pieces: list[dict[str, Any]] = [delta]
    if "content" in delta:  # one character at a time: no sequence is ever seen whole
        pieces = [{"content": each} for each in delta["content"]]
    head = {"id": f"id{EVIL}", "object": "chat.completion.chunk", "model": EVIL}
    events: list[dict[str, Any]] = [
        {**head, "choices": [{"index": 0, "delta": each, "finish_reason": None}]} for each in pieces
    ]
    if act == "late error":
        events.append(_error())
    else:
        events.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    return b"".join(f"data: {json.dumps(each)}\n\n".encode() for each in events) + b"data: [DONE]\n\n"
