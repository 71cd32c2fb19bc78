"""Requests to Studio: what is sent where, what an answer may be, and what happens when something breaks."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shutil
import ssl
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert import __version__
from convert.errors import ConvertError, InputError, MissingDependencyError, OutputError
from convert.studio.client import KEYS_HINT, Studio, checked_key, read_key
from tests.studio.conftest import MODEL
from tests.studio.server import BLOCK, CDN, KEY, PROJECT, Fault, StudioServer

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

DOWNLOAD = ("LearnApi", "download_learn_model", PROJECT, BLOCK, "tflite-float")


def fetch(studio: Studio, folder: Path) -> bytes:
    studio.download(folder / "model", lambda _part: None, *DOWNLOAD)
    return (folder / "model").read_bytes()


def test_the_key_is_in_one_header_and_in_no_text_of_the_object(server: StudioServer, studio: Studio) -> None:
    answer = studio.answer("ProjectsApi", "list_projects")
    assert answer["projects"][0]["id"] == PROJECT
    ((method, path, body, headers),) = server.log
    assert (method, path, body) == ("GET", "/v1/api/projects", b"")
    assert [name.lower() for name, value in headers.items() if KEY in value] == ["x-api-key"]
    assert f" ei-deepstream/{__version__}" in headers["User-Agent"]
    assert KEY not in repr(studio)


@pytest.mark.parametrize(
    ("fault", "waited"),
    [
        (Fault("projects", 2, 429, {"Retry-After": "7"}), [7.0, 7.0]),
        (Fault("projects", 1, 503, {"Retry-After": "9999"}), [60.0]),
        (Fault("projects", 3, 500, {"Retry-After": "soon"}), [1.0, 2.0, 4.0]),
        (Fault("projects", 1, 502), [1.0]),
        (Fault("projects", 1, 504), [1.0]),
        (Fault("projects", 2, cut=10), [1.0, 2.0]),
    ],
)
def test_what_passes_is_tried_again(
    server: StudioServer, studio: Studio, pauses: list[float], fault: Fault, waited: list[float]
) -> None:
    server.faults = [fault]
    assert studio.answer("ProjectsApi", "list_projects")["success"]
    assert pauses == waited


@pytest.mark.parametrize(
    ("status", "body", "tries", "message", "hint"),
    [
        (503, b"", 5, "Edge Impulse's server answers with HTTP 503", "try again later"),
        (404, b"[]", 1, "Edge Impulse's server answers with HTTP 404", "try again later"),
        (416, b"", 1, "Edge Impulse's server answers with HTTP 416", "try again later"),
        (401, b"", 1, "Edge Impulse's server answers with HTTP 401", KEYS_HINT),
        (403, b'{"error": 7}', 1, "Edge Impulse's server answers with HTTP 403", KEYS_HINT),
        (
            403,
            b'{"error": "Not yours."}',
            1,
            "Edge Impulse refuses: Not yours",
            "look at the project in Studio, or try again later",
        ),
    ],
)
def test_what_does_not_pass_ends(
    server: StudioServer, studio: Studio, status: int, body: bytes, tries: int, message: str, hint: str
) -> None:
    server.faults = [Fault("projects", 99, status, body=body)]
    with pytest.raises(InputError) as caught:
        studio.answer("ProjectsApi", "list_projects")
    assert len(server.log) == tries
    assert (caught.value.message, caught.value.hint) == (message, hint)


@pytest.mark.parametrize(("status", "sent"), [(429, 2), (503, 2), (500, 1), (504, 1)])
def test_a_post_is_sent_again_only_if_nothing_was_done(
    server: StudioServer, studio: Studio, status: int, sent: int
) -> None:
    server.faults = [Fault("cancel", 1, status)]
    if sent == 1:
        with pytest.raises(InputError):
            studio.answer("JobsApi", "cancel_job", PROJECT, 99)
    else:
        studio.answer("JobsApi", "cancel_job", PROJECT, 99)
    assert len(server.log) == sent


@pytest.mark.parametrize(
    ("said", "helped"),
    [
        ("Invalid API key", "Dashboard, Keys"),
        ("ERR_TOTP_TOKEN IS REQUIRED", "2FA"),
        ("This is available on the Enterprise plan only", "plan of the project"),
        ("The model has not been trained yet", "train the impulse"),
        ("Something else", "look at the project"),
        (f"Key {KEY} was revoked\n\x1b[31m", "look at the project"),
    ],
)
def test_an_error_in_a_200_is_a_sentence(server: StudioServer, studio: Studio, said: str, helped: str) -> None:
    server.impulse = {}
    server.answer = lambda *_: {"success": False, "error": said}  # type: ignore[method-assign]
    with pytest.raises(InputError, match="Edge Impulse refuses: ") as caught:
        studio.answer("ImpulseApi", "get_impulse", PROJECT)
    assert helped in (caught.value.hint or "")
    assert KEY not in caught.value.message
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("TOTP", "two-factor", "2FA"), "a login with 2FA is of no use here: " + KEYS_HINT),
        (("API key", "apikey", "Authentication", "Unauthorized", "permission", "JWT"), KEYS_HINT),
        (("Enterprise", "Upgrade", "quota", "compute time"), "look in Studio what the plan of the project includes"),
        (
            ("Not trained", "no trained model", "not been trained", "train it"),
            "train the impulse in Studio, then pull again",
        ),
        (("trained", "two factors"), "look at the project in Studio, or try again later"),
    ],
)
def test_words_of_a_refusal_say_what_helps(words: tuple[str, ...], hint: str) -> None:
    for word in words:
        error = Studio(KEY).refused(f"so: {word}.")
        assert (error.message, error.hint) == (f"Edge Impulse refuses: so: {word}", hint)


@pytest.mark.parametrize(
    ("text", "shown"), [(f"a {KEY} \x1b[1m\tb\n\nc ..", "a (the key) [1m b c "), ("x" * 501, "x" * 500), ("", "")]
)
def test_a_text_of_the_server_is_one_line_without_the_key(text: str, shown: str) -> None:
    assert Studio(KEY).shown(text) == shown


STRANGE = "the answer of Edge Impulse's server is not what its API gives"
PROXY = "is {} the right address (EI_API_ENDPOINT), and no login page or proxy between?"
LATER = "look at the project in Studio, or try again later"


@pytest.mark.parametrize(
    ("body", "message", "hint"),
    [
        (b"<html>log in</html>", STRANGE, PROXY),
        (b"[]", STRANGE, PROXY),
        (b"", STRANGE, PROXY),
        (b"[" * 9999, STRANGE, PROXY),
        (b'{"projects": []}', "Edge Impulse refuses: no reason is given", LATER),
        (b'{"success": 1, "error": "x"}', "Edge Impulse refuses: x", LATER),
    ],
)
def test_other_answers_are_refused(server: StudioServer, studio: Studio, body: bytes, message: str, hint: str) -> None:
    server.faults = [Fault("projects", 1, 200, {}, body)]
    with pytest.raises(InputError) as caught:
        studio.answer("ProjectsApi", "list_projects")
    assert (caught.value.message, caught.value.hint) == (message, hint.format(server.endpoint))


def test_an_answer_that_is_too_large(server: StudioServer, studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    body = b'{"success": true, "projects": []}'
    server.faults = [Fault("projects", 3, 200, {}, body)]
    monkeypatch.setattr("convert.studio.client._LARGEST_ANSWER", len(body))
    assert studio.answer("ProjectsApi", "list_projects")["projects"] == []
    for limit in (len(body) - 1, len(body) - 5):
        monkeypatch.setattr("convert.studio.client._LARGEST_ANSWER", limit)
        with pytest.raises(InputError, match=f"^{STRANGE}"):
            studio.answer("ProjectsApi", "list_projects")


def test_a_slash_behind_the_endpoint_is_left_out(server: StudioServer) -> None:
    assert Studio(KEY, server.endpoint + "//").answer("ProjectsApi", "list_projects")["success"]
    assert server.calls == ["GET /api/projects"]


@pytest.mark.parametrize(
    ("asked", "host", "has_key"),
    [("127.0.0.1", "localhost", False), ("127.0.0.1", "127.0.0.1", True), ("LOCALHOST", "localhost", True)],
)
def test_a_redirect_to_another_host_leaves_the_key_behind(
    server: StudioServer, tmp_path: Path, asked: str, host: str, has_key: bool
) -> None:
    server.files["model.bin"] = MODEL
    server.faults = [Fault("/model/", redirect=f"http://{host}:{server.port}{CDN}model.bin")]
    assert fetch(Studio(KEY, f"http://{asked}:{server.port}/v1"), tmp_path) == MODEL
    *_, (_, path, _, headers) = server.log
    assert path == CDN + "model.bin"
    assert (KEY in str(headers)) == has_key


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("http://example.com/model", "http://example.com is not asked"),
        ("ftp://localhost/model", "ftp://localhost is not asked"),
        ("http://[::1/x", "http://127.0.0.1:.*/v1 cannot be reached: it redirects to no address: "),
    ],
)
def test_a_redirect_is_not_followed_out_of_tls(
    server: StudioServer, studio: Studio, tmp_path: Path, target: str, message: str
) -> None:
    server.faults = [Fault("/model/", redirect=target)]
    with pytest.raises(InputError, match=f"^{message}"):
        fetch(studio, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("endpoint", "shown"),
    [
        ("http://studio.edgeimpulse.com/v1", "http://studio.edgeimpulse.com"),
        ("http://localhost.example.com/v1", "http://localhost.example.com"),
        ("studio", "?://"),
        ("http://[::1/v1", "?://"),
    ],
)
def test_http_only_on_this_machine(endpoint: str, shown: str) -> None:
    with pytest.raises(InputError) as caught:
        Studio(KEY, endpoint)
    assert caught.value.message == f"{shown} is not asked: the connection would not be encrypted"
    assert caught.value.hint == "use an https:// address"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_this_machine_is_asked_without_encryption(host: str) -> None:
    assert Studio(KEY, f"http://{host}:1/v1").endpoint == f"http://{host}:1/v1"


def test_bindings_that_are_missing_or_cannot_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "edgeimpulse_api", None)
    with pytest.raises(MissingDependencyError, match=r"^Edge Impulse's API bindings are not installed$") as caught:
        Studio(KEY).answer("ProjectsApi", "list_projects")
    assert caught.value.hint == 'pip install "ei-deepstream[studio]"'
    monkeypatch.delitem(sys.modules, "edgeimpulse_api")
    (tmp_path / "edgeimpulse_api.py").write_text("raise RuntimeError('of pydantic' + 'x' * 300)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingDependencyError) as caught:
        Studio(KEY).answer("ProjectsApi", "list_projects")
    message = "Edge Impulse's API bindings do not work with this Python: of pydantic"
    assert caught.value.message == f"{message}{'x' * 189}"
    assert caught.value.hint == "use Python 3.11, 3.12 or 3.13"


def test_certificates_are_checked(
    server: StudioServer, tmp_path: Path, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl, to make a certificate with, is not on this machine")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1"]
    more = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", *words, *more], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    encrypted = StudioServer({})
    with encrypted.running(context):
        studio = Studio(KEY, f"https://localhost:{encrypted.port}/v1", pause=pauses.append)
        with pytest.raises(InputError, match="certificate verify failed"):
            studio.answer("ProjectsApi", "list_projects")
        assert (encrypted.log, pauses) == ([], [])
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        studio = Studio(KEY, f"https://localhost:{encrypted.port}/v1", pause=pauses.append)
        assert studio.answer("ProjectsApi", "list_projects")["success"]
    assert server.port


@pytest.mark.parametrize("no_range", [False, True])
def test_a_broken_download_goes_on(server: StudioServer, studio: Studio, tmp_path: Path, no_range: bool) -> None:
    headers = {"no-range": ""} if no_range else {}
    server.faults = [Fault("/model/", 3, cut=10_000, headers=headers)] if not no_range else [
        Fault("/model/", 2, cut=10_000), Fault("/model/", 1, headers=headers)
    ]  # fmt: skip
    seen: list[tuple[int, int | None]] = []
    studio.on_bytes = lambda done, whole: seen.append((done, whole))
    assert fetch(studio, tmp_path) == MODEL
    asked = [headers.get("Range") for _, _, _, headers in server.log]
    assert asked == [None, "bytes=10000-", "bytes=20000-", *([] if no_range else ["bytes=30000-"])]
    assert seen[0] == (10_000, len(MODEL))
    assert seen[-1] == (len(MODEL), len(MODEL))
    assert {whole for _, whole in seen} == {len(MODEL)}


def test_a_download_whose_rest_is_not_there_begins_again(server: StudioServer, studio: Studio, tmp_path: Path) -> None:
    server.faults = [Fault("/model/", 1, cut=10_000), Fault("/model/", 1, 416)]
    assert fetch(studio, tmp_path) == MODEL
    assert [headers.get("Range") for _, _, _, headers in server.log] == [None, "bytes=10000-", None]


@pytest.mark.parametrize("headers", [{}, {"Content-Range": f"bytes 0-{len(MODEL) - 1}/{len(MODEL)}"}])
def test_another_part_than_was_asked_for_is_taken_as_the_whole(
    server: StudioServer, studio: Studio, tmp_path: Path, headers: dict[str, str]
) -> None:
    server.faults = [Fault("/model/", 1, cut=10_000), Fault("/model/", 1, 206, headers, MODEL)]
    assert fetch(studio, tmp_path) == MODEL


@pytest.mark.parametrize("status", [200, 206])
def test_a_file_of_unknown_size(
    server: StudioServer, studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """Without Content-Length, and with 206 without the range that was asked for: it is taken as the whole file."""
    seen: list[tuple[int, int | None]] = []
    studio.on_bytes = lambda done, whole: seen.append((done, whole))
    monkeypatch.setattr(
        "tests.studio.server._Handler._send", lambda self, _status, body, *_: _close(self, status, body)
    )
    assert fetch(studio, tmp_path) == MODEL
    assert seen[-1] == (len(MODEL), None)
    assert server.log


def _close(handler: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    handler.send_response(status)
    handler.end_headers()
    handler.wfile.write(body)


def test_a_file_that_is_too_large(
    server: StudioServer, studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convert.studio.client._LARGEST_FILE", len(MODEL))
    assert fetch(studio, tmp_path) == MODEL
    monkeypatch.setattr("convert.studio.client._LARGEST_FILE", len(MODEL) - 1)
    with pytest.raises(InputError, match=r"^the file is larger than 4 GiB$") as caught:
        fetch(studio, tmp_path)
    assert caught.value.hint == "download it in Studio"
    assert len(server.log) == 2


@pytest.mark.parametrize("more", [1, 2])
def test_a_file_has_at_most_four_gib(server: StudioServer, studio: Studio, tmp_path: Path, more: int) -> None:
    """All but its end is a hole, which the first try leaves behind."""
    almost = 2**32 - 1

    def grow(_done: int, _all: int | None) -> None:
        (part,) = tmp_path.iterdir()
        os.truncate(part, max(part.stat().st_size, almost))

    studio.on_bytes = grow
    server.faults = [
        Fault("/model/", 1, cut=10), Fault("/model/", 1, 206, {"Content-Range": f"bytes {almost}-"}, b"x" * more)
    ]  # fmt: skip
    if more == 1:
        studio.download(tmp_path / "model", lambda _part: None, *DOWNLOAD)
        assert (tmp_path / "model").stat().st_size == 2**32
        return
    with pytest.raises(InputError, match=r"^the file is larger than 4 GiB$"):
        studio.download(tmp_path / "model", lambda _part: None, *DOWNLOAD)


def test_a_download_comes_in_pieces(server: StudioServer, studio: Studio, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    studio.on_bytes = lambda done, whole: seen.append((done, whole))
    server.files["tflite-float"] = bytes(2**19 + 3)
    assert fetch(studio, tmp_path) == bytes(2**19 + 3)
    assert seen == [(done, 2**19 + 3) for done in (2**18, 2**19, 2**19 + 3)]


@pytest.mark.usefixtures("bindings")
def test_how_long_and_how_much_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute without a byte, and 64 MiB of an answer and one byte more."""
    asked: list[float] = []

    def read(size: int) -> bytes:
        asked.append(size)
        return b'{"success": true}'

    def opened(_self: object, _request: object, timeout: float) -> contextlib.AbstractContextManager[object]:
        asked.append(timeout)
        return contextlib.nullcontext(SimpleNamespace(length=0, read=read))

    monkeypatch.setattr("urllib.request.OpenerDirector.open", opened)
    assert Studio(KEY).answer("ProjectsApi", "list_projects") == {"success": True}
    assert asked == [60.0, 2**26 + 1]


def test_a_full_disk_is_no_fault_of_the_network(server: StudioServer, studio: Studio, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OutputError, match=r"^cannot write: File too large$") as caught:
            fetch(studio, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (caught.value.path, caught.value.hint) == (str(tmp_path), "check free space, or choose another -o")
    assert len(server.log) == 1
    assert not list(tmp_path.iterdir())


def test_json_instead_of_a_file(server: StudioServer, studio: Studio, tmp_path: Path) -> None:
    headers = {"Content-Type": "application/json"}
    server.faults = [Fault("/model/", 1, 200, headers, b'{"success": true}')]
    with pytest.raises(InputError, match=r"^Edge Impulse's server answers with JSON instead of a file$") as caught:
        fetch(studio, tmp_path)
    assert caught.value.hint == "try again later"


def test_a_download_that_stays_short_is_no_file(server: StudioServer, studio: Studio, tmp_path: Path) -> None:
    server.faults = [Fault("/model/", 99, cut=100)]
    with pytest.raises(InputError, match=f"^{server.endpoint} cannot be reached: IncompleteRead") as caught:
        fetch(studio, tmp_path)
    assert caught.value.hint == "check the network, HTTPS_PROXY, and EI_API_ENDPOINT where it is set"
    assert not list(tmp_path.iterdir())


def test_an_error_instead_of_a_file(server: StudioServer, studio: Studio, tmp_path: Path) -> None:
    del server.files["tflite-float"]
    with pytest.raises(InputError, match="there is no GET"):
        fetch(studio, tmp_path)


def test_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EI_API_KEY", raising=False)
    assert read_key() is None
    (tmp_path / "key").write_text(f"  {KEY}\n")
    assert read_key(tmp_path / "key") == KEY
    (tmp_path / "near").write_bytes(KEY.rjust(4096).encode())
    assert read_key(tmp_path / "near") == KEY
    (tmp_path / "far").write_bytes(KEY.rjust(4096 + len(KEY)).encode())
    (tmp_path / "strange").write_bytes(b"\xff" * 50)
    monkeypatch.setenv("EI_API_KEY", f"{KEY}\r\n")
    assert read_key() == KEY
    monkeypatch.setenv("EI_API_KEY", "a b")
    for file, message, path in (
        (tmp_path, "cannot be read: Is a directory", str(tmp_path)),
        (tmp_path / "far", "the file holds no API key", None),
        (tmp_path / "strange", "the file holds no API key", None),
        (None, "EI_API_KEY holds no API key", None),
    ):
        with pytest.raises(InputError) as caught:
            read_key(file)
        assert (caught.value.message, caught.value.hint, caught.value.path) == (message, KEYS_HINT, path)


@pytest.mark.parametrize(("length", "is_one"), [(7, False), (8, True), (512, True), (513, False)])
def test_how_long_a_key_is(length: int, is_one: bool) -> None:
    with contextlib.nullcontext() if is_one else pytest.raises(InputError):
        assert checked_key("k" * length, "it") == "k" * length


@given(st.text())
def test_no_text_is_a_key_that_a_header_cannot_hold(text: str) -> None:
    with contextlib.suppress(ConvertError):
        assert re.fullmatch(r"[!-~]{8,}", checked_key(text, "it"))
