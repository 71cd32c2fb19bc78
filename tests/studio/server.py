"""A stand-in for Studio's API on this machine: what `pull` asks for, with the faults that networks and servers have."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

KEY = "ei_0123456789abcdef0123456789abcdef0123456789abcdef"
PROJECT = 4711
BLOCK = 5
CDN = "/cdn/"
IMPULSE: dict[str, Any] = {
    "id": 1,
    "name": "Impulse #1",
    "type": "default",
    "inputBlocks": [
        {
            "id": 2, "type": "image", "name": "Image data", "title": "Image data",
            "imageWidth": 48, "imageHeight": 48, "resizeMode": "crop", "cropAnchor": "top-left",
        }
    ],
    "dspBlocks": [{"id": 3, "type": "image", "name": "Image", "title": "Image", "axes": ["image"]}],
    "learnBlocks": [
        {"id": BLOCK, "type": "keras-transfer-image", "name": "Transfer learning", "title": "x", "dsp": [3]}
    ],
    "postProcessingBlocks": [],
}  # fmt: skip
TRAINED: dict[str, Any] = {
    "created": "2026-11-29T20:00:00.000Z",
    "layers": [],
    "classNames": ["circle", "square", "star", "triangle"],
    "labels": [],
    "availableModelTypes": ["float32", "int8"],
    "recommendedModelType": "int8",
    "modelValidationMetrics": [],
    "hasTrainedModel": True,
    "mode": "classification",
    "imageInputScaling": "0..1",
    "thresholds": [{"key": "min_score", "description": "Minimum score", "helpText": "", "value": 0.6}],
}


def target(format_: str, **values: Any) -> dict[str, Any]:
    return {
        "name": format_, "format": format_, "supportedEngines": ["tflite-eon", "tflite"],
        "preferredEngine": "tflite-eon", "modelVariants": [{"variant": "int8", "supported": True}],
        "disabledForProject": False, "parameters": [], **values,
    }  # fmt: skip


@dataclass
class Fault:
    """What happens instead of, or to, the answers to the next `times` requests whose path `path` is found in."""

    path: str
    times: int = 1
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: int | None = None
    """Bytes of the body after which the connection is closed."""
    pause: float = 0.0
    """Seconds between the chunks of the body."""
    redirect: str = ""


@dataclass
class StudioServer:
    """Serves one set of projects; `log` has every request: method, path and query, body, header fields."""

    files: dict[str, bytes] = field(repr=False)
    projects: list[tuple[int, str]] = field(default_factory=lambda: [(PROJECT, "Wooden shapes")])
    impulse: dict[str, Any] = field(default_factory=lambda: json.loads(json.dumps(IMPULSE)))
    trained: dict[str, Any] = field(default_factory=lambda: json.loads(json.dumps(TRAINED)))
    targets: list[dict[str, Any]] = field(default_factory=lambda: [target("zip"), target("custom")])
    history: list[dict[str, Any]] = field(default_factory=list)
    job_log: list[str] = field(default_factory=lambda: ["Creating job... OK", "Exporting TensorFlow Lite model..."])
    polls: int = 2
    job_ends: bool | None = True
    kept: int = 99
    """Lines of a job's log that are given."""
    counted: int = 99
    """The most lines that are counted."""
    faults: list[Fault] = field(default_factory=list)
    log: list[tuple[str, str, bytes, dict[str, str]]] = field(default_factory=list, repr=False)
    cancelled: list[int] = field(default_factory=list)
    port: int = 0
    _polled: int = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def calls(self) -> list[str]:
        """Method and path with query, in order; only the API's."""
        return [f"{method} {path.removeprefix('/v1')}" for method, path, _, _ in self.log if path.startswith("/v1")]

    @contextlib.contextmanager
    def running(self, context: ssl.SSLContext | None = None) -> Iterator[StudioServer]:
        class Handler(_Handler):
            studio = self

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # type: ignore[method-assign] # a client that went away
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: bytes) -> dict[str, Any] | bytes:
        """The document, or the file."""
        if path == "/projects":
            rows = [{"id": number, "name": name, "owner": "someone"} for number, name in self.projects]
            return {"success": True, "projects": rows}
        number, _, rest = path.strip("/").partition("/")
        if int(number) not in dict(self.projects):
            return {"success": False, "error": "You do not have permission to access this project"}
        return self._in_project(method, rest, query, json.loads(body or b"{}"))

    def _in_project(  # noqa: PLR0911 - one a call
        self, method: str, rest: str, query: dict[str, list[str]], body: dict[str, Any]
    ) -> dict[str, Any] | bytes:
        if rest == "impulse":
            return {"success": True, **({"impulse": self.impulse} if self.impulse else {})}
        if re.fullmatch(r"training/keras/\d+/metadata", rest):
            return {"success": True, **self.trained}
        if rest == "downloads":
            links = {
                name: f"/v1/api/{PROJECT}/learn-data/{BLOCK}/model/{name}?impulseId=1"
                for name in self.files
                if "tf" in name
            }
            rows = [{"name": "model", "type": f"TensorFlow Lite ({n})", "link": link} for n, link in links.items()]
            return {"success": True, "downloads": rows}
        if (found := re.fullmatch(rf"learn-data/{BLOCK}/model/([\w-]+)", rest)) and found[1] in self.files:
            return self.files[found[1]]
        if rest in {"deployment/targets", "deployment/targets/data-sources"}:
            return {"success": True, "targets": self.targets}
        if rest == "deployment/history":
            listed = self.history[: int(query["limit"][0])]
            return {"success": True, "deployments": listed, "totalDeploymentCount": len(self.history)}
        if re.fullmatch(r"deployment/history/\d+/download|deployment/download", rest):
            return self.files["deployment"]
        if method == "POST" and rest == "jobs/build-ondevice-model":
            self._polled = 0
            self.history.append({
                "deploymentVersion": 8, "deploymentFormat": query["type"][0], "engine": body["engine"],
                "modelType": body.get("modelType"), "impulseHasChangedSinceDeployment": False, "impulseId": 1,
            })  # fmt: skip
            return {"success": True, "id": 99, "deploymentVersion": 8}
        if rest == "jobs/99/status":
            self._polled += 1
            job: dict[str, Any] = {"id": 99, "created": "2026-11-29T21:00:00.000Z"}
            if self._polled >= self.polls and self.job_ends is not None:
                job |= {"finished": "2026-11-29T21:01:00.000Z", "finishedSuccessful": self.job_ends}
            return {"success": True, "job": job}
        if rest == "jobs/99/stdout":
            lines = self.job_log if self._polled >= self.polls else self.job_log[: self._polled]
            items = [
                {
                    "created": f"2026-11-29T21:00:{at:02}.000Z",
                    "data": line,
                    "logLevel": "error" if line.startswith("ERR") else "info",
                }
                for at, line in enumerate(lines)
            ]
            return {"success": True, "stdout": items[-self.kept :][::-1], "totalCount": min(len(items), self.counted)}
        if method == "POST" and rest == "jobs/99/cancel":
            self.cancelled.append(99)
            return {"success": True}
        return {"success": False, "error": f"there is no {method} {rest}"}


class _Handler(BaseHTTPRequestHandler):
    studio: StudioServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        studio = self.studio
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        studio.log.append((self.command, self.path, body, dict(self.headers.items())))
        self.close_connection = True
        fault = next((each for each in studio.faults if each.times and re.search(each.path, self.path)), Fault(""))
        fault.times -= 1
        if fault.status or fault.redirect:
            headers = {"Location": fault.redirect} if fault.redirect else fault.headers
            self._send(fault.status or 302, fault.body, headers)
            return
        parts = urlsplit(self.path)
        if parts.path.startswith(CDN):
            answer: dict[str, Any] | bytes = studio.files[parts.path.removeprefix(CDN)]
        elif self.headers.get("x-api-key") != KEY:
            answer = {"success": False, "error": "Invalid API key ei_wrong"}
        else:
            path = parts.path.removeprefix("/v1/api")
            answer = studio.answer(self.command, path, parse_qs(parts.query), body)
        if isinstance(answer, bytes):
            self._file(answer, fault)
        else:
            self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json; charset=utf-8"}, fault)

    do_POST = do_GET  # noqa: N815 - http.server's name

    def _file(self, data: bytes, fault: Fault) -> None:
        start = 0
        headers = {"Content-Disposition": "attachment; filename=x.zip", "Content-Type": "application/octet-stream"}
        if (wanted := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))) and "no-range" not in fault.headers:
            start = int(wanted[1])
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self._send(206 if start else 200, data[start:], headers, fault)

    def _send(self, status: int, body: bytes, headers: dict[str, str], fault: Fault | None = None) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body)), "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):
            if fault and fault.pause:
                for at in range(0, len(body), 4096):
                    self.wfile.write(body[at : at + 4096])
                    self.wfile.flush()
                    time.sleep(fault.pause)
            else:
                self.wfile.write(body if fault is None or fault.cut is None else body[: fault.cut])
