"""Edge Impulse's API: calls, errors, retries, downloads.

Edge Impulse's own bindings (`edgeimpulse-api`, extra [studio]) make each request, so that paths and parameters are
theirs; they are imported at the first call, for 3 s. The requests are sent here, because the bindings read a download
into memory as a whole, carry the key to whatever host an answer redirects to, and check no value of an answer.

The key goes into one header, to one host. It is in no message: texts of the server pass `Studio.shown`.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

from convert import __version__
from convert.errors import ConvertError, InputError, MissingDependencyError, OutputError, pip_install
from convert.files import part_of

if TYPE_CHECKING:
    from pathlib import Path

ENDPOINT: Final = "https://studio.edgeimpulse.com/v1"
KEY: Final = "EI_API_KEY"
"""The environment variable that Edge Impulse's own programs read the key from; `EI_API_ENDPOINT` is another one."""

KEYS_HINT: Final = "the key of a project is in Studio: Dashboard, Keys; give it in EI_API_KEY or --api-key-file FILE"

_T = TypeVar("_T")
_KEY: Final = re.compile(r"[!-~]{8,512}")
_TRIES: Final = 5
_LONGEST_PAUSE: Final = 60.0  # seconds, also where the server asks for more
_TIMEOUT: Final = 60.0  # seconds without a byte
_AGAIN: Final = frozenset({429, 500, 502, 503, 504})
_NOT_DONE: Final = frozenset({429, 503})
"""The answers after which a POST is sent again: the server has not begun with it."""

_PAST_END: Final = 416
_LARGEST_ANSWER: Final = 64 << 20  # bytes; the list of targets has about 300 kB
_LARGEST_FILE: Final = 4 << 30
_CHUNK: Final = 1 << 18
_SPACE: Final = "check free space, or choose another -o"
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

_HINTS: Final = (
    (("totp", "two-factor", "2fa"), "a login with 2FA is of no use here: " + KEYS_HINT),
    (("api key", "apikey", "authent", "authoriz", "permission", "jwt"), KEYS_HINT),
    (("enterprise", "upgrade", "quota", "compute time"), "look in Studio what the plan of the project includes"),
    (("not trained", "no trained", "not been trained", "train "), "train the impulse in Studio, then pull again"),
)
"""Words of an error, in small letters, and what helps; the first row that fits counts."""


def read_key(file: Path | None = None) -> str | None:
    """The API key in `file`, else in the environment; None where neither is given.

    Raises:
        InputError: the file cannot be read, or it is no key.
    """
    if file is None:
        return checked_key(os.environ[KEY], KEY) if os.environ.get(KEY) else None
    try:
        return checked_key(file.read_bytes()[:4096].decode("ascii", "replace"), "the file")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=file, hint=KEYS_HINT) from error


def checked_key(text: str, where: str) -> str:
    """`text` without blanks around it. What a header cannot hold is refused here: http.client's error would show it.

    Raises:
        InputError: it is no key.
    """
    key = text.strip()
    if not _KEY.fullmatch(key):
        raise InputError(f"{where} holds no API key", hint=KEYS_HINT)
    return key


@dataclass(frozen=True, slots=True)
class _Request:
    """What the bindings would have sent."""

    method: str
    url: str
    headers: dict[str, str] = field(repr=False)
    body: bytes | None


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to https only, and leaves the key behind where the host is another one."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        _refuse_plain(newurl)
        made = super().redirect_request(req, fp, code, msg, headers, newurl)
        if made is not None and _origin(newurl) != _origin(req.full_url):
            made.remove_header("X-api-key")
        return made


def _origin(url: str) -> tuple[str, str]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def _refuse_plain(url: str) -> None:
    """Raises InputError for an address whose connection is not encrypted and leaves this machine."""
    try:
        parts = urllib.parse.urlsplit(url)
        scheme, host = parts.scheme, parts.hostname
    except ValueError:
        scheme, host = "", None
    if scheme != "https" and not (scheme == "http" and host in _LOOPBACK):
        shown = f"{scheme or '?'}://{host or ''}"
        raise InputError(f"{shown} is not asked: the connection would not be encrypted", hint="use an https:// address")


@dataclass
class Studio:
    """One endpoint of the API, with one key.

    Attributes:
        on_bytes: called while a file is downloaded, with the bytes so far and all of them (None: not known).
        pause: called with seconds to wait.

    Raises:
        InputError: the endpoint is neither https:// nor on this machine.
    """

    key: str = field(repr=False)
    endpoint: str = field(default_factory=lambda: os.environ.get("EI_API_ENDPOINT") or ENDPOINT)
    on_bytes: Callable[[int, int | None], None] = field(default=lambda _done, _all: None, repr=False)
    pause: Callable[[float], None] = field(default=time.sleep, repr=False)

    def __post_init__(self) -> None:
        self.endpoint = self.endpoint.rstrip("/")
        _refuse_plain(self.endpoint)
        plain = self.endpoint.startswith("http:")  # this machine is not asked through a proxy, which would see the key
        self._opener = urllib.request.build_opener(_Redirects, *([urllib.request.ProxyHandler({})] if plain else ()))

    @cached_property
    def _bindings(self) -> tuple[Any, Any]:
        """The package, and its client, which makes requests and sends none.

        Raises:
            MissingDependencyError: it is not installed, or does not go with this Python.
        """
        try:
            import edgeimpulse_api as bindings
        except ImportError as error:
            raise MissingDependencyError(
                "Edge Impulse's API bindings are not installed", hint='pip install "ei-deepstream[studio]"'
            ) from error
        except Exception as error:  # of pydantic, whose old interface they use
            message = f"Edge Impulse's API bindings do not work with this Python: {str(error)[:200]}"
            raise MissingDependencyError(message, hint="use Python 3.11, 3.12 or 3.13") from error
        client = bindings.ApiClient(
            bindings.Configuration(host=self.endpoint, api_key={"ApiKeyAuthentication": self.key})
        )
        client.request = _request
        client.user_agent += f" ei-deepstream/{__version__}"
        return bindings, client

    def _made(self, api: str, call: str, *arguments: Any, **options: Any) -> _Request:
        bindings, client = self._bindings
        try:
            request = getattr(getattr(bindings, api)(client), call)(*arguments, _preload_content=False, **options)
        except ValueError as error:  # of pydantic: an engine that is newer than the bindings, for example
            message = f"Edge Impulse's API bindings refuse to ask: {self.shown(str(error))}"
            raise InputError(message, hint=pip_install("edgeimpulse-api") + " --upgrade") from None
        assert isinstance(request, _Request)
        return request

    def answer(self, api: str, call: str, *arguments: Any, **options: Any) -> dict[str, Any]:
        """The JSON object that a call of the bindings is answered with: `answer("ProjectsApi", "list_projects")`.

        Raises:
            InputError: the server cannot be reached, or answers with something else, or refuses.
        """
        request = self._made(api, call, *arguments, **options)
        return self._sent(lambda: request, lambda response: self._parsed(_whole(response)))

    def _sent(
        self,
        made: Callable[[], _Request],
        receive: Callable[[http.client.HTTPResponse], _T],
        restart: Callable[[], object] | None = None,
    ) -> _T:
        """What `receive` makes of the response; both are called for each try, `restart` where there is nothing more."""
        for left in reversed(range(_TRIES)):
            request, asked = made(), ""
            sent = urllib.request.Request(  # noqa: S310 - `_refuse_plain` has seen the address
                request.url, request.body, request.headers, method=request.method
            )
            is_repeatable = request.method == "GET"
            try:
                with self._opener.open(sent, timeout=_TIMEOUT) as response:
                    return receive(response)
            except urllib.error.HTTPError as error:
                with error:
                    is_past_end = error.code == _PAST_END and restart is not None
                    if not left or not (is_past_end or error.code in (_AGAIN if is_repeatable else _NOT_DONE)):
                        body = b""
                        with suppress(OSError, http.client.HTTPException):
                            body = error.read(_CHUNK)
                        raise self._refusal(error.code, body) from None
                    if restart is not None and is_past_end:
                        restart()
                    asked = error.headers.get("Retry-After", "")
            except (OSError, http.client.HTTPException) as error:
                reason = getattr(error, "reason", error)
                if not left or not is_repeatable or isinstance(reason, ssl.SSLCertVerificationError):
                    raise self._unreachable(reason) from None
            except ValueError as error:  # of urllib
                raise self._unreachable(f"it redirects to no address: {error}") from None
            self.pause(min(float(asked), _LONGEST_PAUSE) if asked.isdecimal() else 2.0 ** (_TRIES - 1 - left))
        raise AssertionError  # the last try returns or raises

    def _parsed(self, data: bytes) -> dict[str, Any]:
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            document = None
        if len(data) > _LARGEST_ANSWER or not isinstance(document, dict):
            message = "the answer of Edge Impulse's server is not what its API gives"
            hint = f"is {self.endpoint} the right address (EI_API_ENDPOINT), and no login page or proxy between?"
            raise InputError(message, hint=hint)
        if document.get("success") is not True:
            raise self.refused(str(document.get("error") or "no reason is given"))
        return document

    def refused(self, reason: str) -> ConvertError:
        """The error for a refusal in the server's words."""
        text = self.shown(reason)
        hint = next((hint for words, hint in _HINTS if any(word in text.lower() for word in words)), None)
        return InputError(
            f"Edge Impulse refuses: {text}", hint=hint or "look at the project in Studio, or try again later"
        )

    def _refusal(self, status: int, data: bytes) -> ConvertError:
        """The error for an HTTP status, whose body may have the reason in JSON."""
        with suppress(ValueError, RecursionError):
            document = json.loads(data)
            if isinstance(document, dict) and isinstance(document.get("error"), str):
                return self.refused(document["error"])
        hint = KEYS_HINT if status in {401, 403} else "try again later"
        return InputError(f"Edge Impulse's server answers with HTTP {status}", hint=hint)

    def _unreachable(self, reason: object) -> ConvertError:
        return InputError(
            f"{self.endpoint} cannot be reached: {self.shown(str(reason) or type(reason).__name__)}",
            hint="check the network, HTTPS_PROXY, and EI_API_ENDPOINT where it is set",
        )

    def shown(self, text: str) -> str:
        """A text of the server as it may be printed: a line without control characters and without the key."""
        line = "".join(each if each.isprintable() else " " for each in text.replace(self.key, "(the key)"))
        return " ".join(line.split()).rstrip(".")[:500]

    def download(self, path: Path, check: Callable[[Path], None], api: str, call: str, *arguments: Any) -> None:
        """Write the file that a call of the bindings gives to `path`, once it is whole and `check` has raised nothing.

        A download that breaks off goes on where it stopped, if the server can.

        Raises:
            InputError: as `answer`; the file has another size than the server says.
            OutputError: it cannot be written.
        """
        request = self._made(api, call, *arguments)
        with part_of(path) as part:
            part.touch()

            def rest() -> _Request:
                done = part.stat().st_size
                return replace(request, headers={**request.headers, "Range": f"bytes={done}-"}) if done else request

            self._sent(rest, lambda response: self._receive(response, part), lambda: part.write_bytes(b""))
            check(part)

    def _receive(self, response: http.client.HTTPResponse, part: Path) -> None:
        """Append what is missing of `part`; raises HTTPException where it breaks off."""
        if "json" in response.headers.get_content_type():
            self._parsed(response.read(_CHUNK))
            raise InputError("Edge Impulse's server answers with JSON instead of a file", hint="try again later")
        done = part.stat().st_size
        if response.status != 206 or not response.headers.get("Content-Range", "").startswith(f"bytes {done}-"):
            done = 0
        total = None if response.length is None else done + response.length
        with part.open("r+b") as file:
            file.truncate(done)
            file.seek(done)
            while data := response.read(_CHUNK):
                try:
                    file.write(data)
                    file.flush()
                except OSError as error:  # else it would count as one of the network
                    raise OutputError(f"cannot write: {error.strerror}", path=part.parent, hint=_SPACE) from error
                done += len(data)
                self.on_bytes(done, total)
                if done > _LARGEST_FILE:
                    raise InputError("the file is larger than 4 GiB", hint="download it in Studio")
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)


def _whole(response: http.client.HTTPResponse) -> bytes:
    """The body, of an answer that is not too large; raises HTTPException where it breaks off."""
    data = response.read(_LARGEST_ANSWER + 1)
    if response.length and len(data) <= _LARGEST_ANSWER:
        raise http.client.IncompleteRead(data, response.length)
    return data


def _request(method: str, url: str, **parts: Any) -> _Request:
    """What the bindings call to send: nothing is sent."""
    body = None if parts.get("body") is None else json.dumps(parts["body"]).encode()
    return _Request(method, url, dict(parts.get("headers") or {}), body)
