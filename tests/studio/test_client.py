"""Requests to Studio: what is sent where, what an answer may be, and what happens when something breaks."""

from __future__ import annotations

import contextlib
import re
import shutil
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.errors import ConvertError, InputError
from convert.studio.client import KEYS_HINT, Studio, checked_key, read_key
from tests.studio.conftest import MODEL
from tests.studio.server import BLOCK, CDN, KEY, PROJECT, Fault, StudioServer

if TYPE_CHECKING:
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
    assert KEY not in repr(studio)


@pytest.mark.parametrize(
    ("fault", "waited"),
    [
        (Fault("projects", 2, 429, {"Retry-After": "7"}), [7.0, 7.0]),
        (Fault("projects", 1, 503, {"Retry-After": "9999"}), [60.0]),
        (Fault("projects", 3, 500, {"Retry-After": "soon"}), [1.0, 2.0, 4.0]),
        (Fault("projects", 1, 502), [1.0]),
    ],
)
def test_what_passes_is_tried_again(
    server: StudioServer, studio: Studio, pauses: list[float], fault: Fault, waited: list[float]
) -> None:
    server.faults = [fault]
    assert studio.answer("ProjectsApi", "list_projects")["success"]
    assert pauses == waited


@pytest.mark.parametrize(("status", "tries"), [(503, 5), (404, 1), (401, 1)])
def test_what_does_not_pass_ends(server: StudioServer, studio: Studio, status: int, tries: int) -> None:
    server.faults = [Fault("projects", 99, status)]
    with pytest.raises(InputError, match=f"HTTP {status}") as caught:
        studio.answer("ProjectsApi", "list_projects")
    assert len(server.log) == tries
    assert (caught.value.hint == KEYS_HINT) == (status == 401)


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


@pytest.mark.parametrize("body", [b"<html>log in</html>", b"[]", b"", b'{"projects": []}', b"[" * 9999])
def test_other_answers_are_refused(server: StudioServer, studio: Studio, body: bytes) -> None:
    server.faults = [Fault("projects", 1, 200, {}, body)]
    with pytest.raises(InputError):
        studio.answer("ProjectsApi", "list_projects")


def test_a_redirect_leaves_the_key_behind(server: StudioServer, studio: Studio, tmp_path: Path) -> None:
    server.files["model.bin"] = MODEL
    elsewhere = server.endpoint.replace("127.0.0.1", "localhost").removesuffix("/v1") + CDN + "model.bin"
    server.faults = [Fault("/model/", redirect=elsewhere)]
    assert fetch(studio, tmp_path) == MODEL
    *_, (_, path, _, headers) = server.log
    assert path == CDN + "model.bin"
    assert KEY not in str(headers)


@pytest.mark.parametrize("target", ["http://example.com/model", "ftp://localhost/model", "http://[::1/x"])
def test_a_redirect_is_not_followed_out_of_tls(
    server: StudioServer, studio: Studio, tmp_path: Path, target: str
) -> None:
    server.faults = [Fault("/model/", redirect=target)]
    with pytest.raises(InputError):
        fetch(studio, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("endpoint", ["http://studio.edgeimpulse.com/v1", "http://localhost.example.com/v1", "studio"])
def test_http_only_on_this_machine(endpoint: str) -> None:
    with pytest.raises(InputError, match="not be encrypted"):
        Studio(KEY, endpoint)


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
    assert seen[-1] == (len(MODEL), len(MODEL))


def test_a_download_that_stays_short_is_no_file(server: StudioServer, studio: Studio, tmp_path: Path) -> None:
    server.faults = [Fault("/model/", 99, cut=100)]
    with pytest.raises(InputError, match="cannot be reached"):
        fetch(studio, tmp_path)
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
    monkeypatch.setenv("EI_API_KEY", f"{KEY}\r\n")
    assert read_key() == KEY
    with pytest.raises(InputError, match="cannot be read"):
        read_key(tmp_path)


@given(st.text())
def test_no_text_is_a_key_that_a_header_cannot_hold(text: str) -> None:
    with contextlib.suppress(ConvertError):
        assert re.fullmatch(r"[!-~]{8,}", checked_key(text, "it"))
