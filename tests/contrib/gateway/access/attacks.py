"""One hundred ways and more to get past the access of a gateway, as bytes on a socket.

`Attack.at` names the gateway that it is tried on (see `test_attacks`):
`locked` takes keys and tokens alone, `open` whoever is on this machine, `behind` is one behind a trusted proxy,
`small` takes bodies of 64 KiB from holders of a key.
"""

from __future__ import annotations

import hmac
import json
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec import Struct

CI, ROOT, OTHER = "ci-" + "k" * 32, "root-" + "k" * 32, "other-" + "k" * 32
SECRET = "s" * 40
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
STRANGER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
ISSUER, PARTNER = "https://id.example.com", "https://partner.example.com"

SAY = b'{"model":"assistant","text":"Why?"}'
STATUS, RELOAD = "/admin/v1/status", "/admin/v1/reload"


class Attack(Struct, frozen=True):
    """What is sent.

    Attributes:
        bytes: all of it, or what makes it of the secrets of a session: (cookie, token).
        hidden: what no answer to it may hold; by default none may succeed at all.
    """

    name: str
    at: str
    bytes: bytes | Callable[[str, str], bytes]
    hidden: str = ""


def request(
    method: str = "POST",
    target: str = "/v1/say",
    body: bytes | None = SAY,
    *,
    host: str | None = "127.0.0.1",
    lines: tuple[str, ...] = (),
    length: str | None = None,
    media: str | None = "application/json",
) -> bytes:
    head = [f"{method} {target} HTTP/1.1"]
    head += [] if host is None else [f"Host: {host}"]
    head += lines
    if body is not None and method not in ("GET", "HEAD"):
        head += [] if media is None else [f"Content-Type: {media}"]
        head.append(f"Content-Length: {len(body)}" if length is None else length)
    sent = b"" if body is None or method in ("GET", "HEAD") else body
    return "\r\n".join(["\r\n".join(each for each in head if each), "", ""]).encode("latin-1") + sent


def bearer(key: str) -> tuple[str, ...]:
    return (f"Authorization: Bearer {key}",)


def attacks() -> list[Attack]:
    """All of them."""
    groups: dict[str, Iterator[tuple[str, Any]]] = {
        "locked": _locked(),
        "open": _open(),
        "behind": _behind(),
        "small": _small(),
    }
    return [
        Attack(name, at, what[0], what[1]) if isinstance(what, tuple) else Attack(name, at, what)
        for at, group in groups.items()
        for name, what in group
    ]


# ── keys, tokens, sessions, models, operators ────────────────────────────────────────────────────────


def _locked() -> Iterator[tuple[str, Any]]:
    yield from _keys()
    yield from _two_credentials()
    yield from ((f"token: {name}", request(lines=bearer(token))) for name, token in tokens().items())
    operating = {
        "operator by a part of a word": token(roles="administrator"),
        "operator by a mapping": token(roles={"admin": True}),
        "operator by another claim": token(scope="admin"),
    }
    for name, each in operating.items():
        yield f"token: {name}", request("GET", STATUS, lines=bearer(each))
    yield from _models()
    yield from _operators()
    yield from _paths()


def _keys() -> Iterator[tuple[str, Any]]:
    wrong = {
        "none": (),
        "an empty one": ("Authorization: Bearer ",),
        "a wrong one": bearer("sk-" + "x" * 40),
        "the beginning of one": bearer(CI[:-1]),
        "one and more": bearer(CI + "k"),
        "one in capitals": bearer(CI.upper()),
        "one in Basic": (f"Authorization: Basic {b64encode(f'{CI}:'.encode()).decode()}",),
        "Bearer twice": bearer(f"Bearer {CI}"),
        "another scheme": (f"Authorization: Digest {CI}",),
        "a tab for a space": (f"Authorization: Bearer\t{CI}",),
        "a list of two": (f"x-api-key: nothing, {CI}",),
        "what stands for one in reprs": bearer("***"),
        "one of 20,000 letters": bearer("k" * 20_000),
        "of another field": (f"x-key: {CI}",),
        "with an underscore": (f"x_api_key: {CI}",),
        "for a proxy": (f"Proxy-Authorization: Bearer {CI}",),
        "as a cookie": (f"Cookie: x-api-key={CI}; api_key={CI}; authorization=Bearer {CI}",),
        "as a session": (f"Cookie: pointsman_session={CI}",),
        "an empty session": ("Cookie: pointsman_session=",),
        "in letters beyond ASCII": (f"x-api-key: \xef\xbc\xa3{CI[1:]}",),
    }
    for name, lines in wrong.items():
        yield f"key: {name}", request(lines=lines)
    for name in ("key", "api_key", "access_token", "x-api-key", "authorization", "token", "ticket"):
        yield f"key in the query as {name}", request(target=f"/v1/say?{name}={CI}")
    yield "key in the path", request(target=f"/{CI}/v1/say")
    yield "key in the target", request(target=f"http://x:{CI}@127.0.0.1/v1/say")
    yield "key in the body", request(body=SAY[:-1] + f',"api_key":"{CI}","key":"{CI}"}}'.encode())
    yield (
        "key in a trailer",
        request(body=None, lines=("Transfer-Encoding: chunked", "Content-Type: application/json"))
        + b"%x\r\n%b\r\n0\r\nx-api-key: %b\r\n\r\n" % (len(SAY), SAY, CI.encode()),
    )


def _two_credentials() -> Iterator[tuple[str, Any]]:
    wrong = "w" * 40
    both = {
        "two keys": (*bearer(CI), f"x-api-key: {ROOT}"),
        "two keys in other fields": (f"api-key: {CI}", f"x-goog-api-key: {OTHER}"),
        "a key and a token": (f"x-api-key: {CI}", *bearer(token())),
        "two lines, the right one last": (*bearer(wrong), *bearer(CI)),
        "two lines, the right one first": (*bearer(CI), *bearer(wrong)),
        "the same line twice": (*bearer(CI), *bearer(CI)),
        "two lines of x-api-key": (f"x-api-key: {CI}", f"X-API-Key: {ROOT}"),
        "two wrong ones": (*bearer(wrong), f"x-api-key: {wrong[::-1]}x"),
    }
    for name, lines in both.items():
        yield f"two credentials: {name}", request(lines=lines)
    yield (
        "two credentials: a session and a key",
        lambda cookie, csrf: request(
            lines=(f"x-api-key: {CI}", f"Cookie: {cookie}", f"x-pointsman-csrf: {csrf}")
        ),
    )
    yield (
        "two credentials: two sessions",
        lambda cookie, csrf: request(
            lines=(f"Cookie: {cookie}; pointsman_session=other", f"x-pointsman-csrf: {csrf}")
        ),
    )


def claims(**other: Any) -> dict[str, Any]:
    now = time.time()
    said = {"iss": ISSUER, "aud": "pointsman", "sub": "alice", "exp": now + 300, "nbf": now - 5, **other}
    return {name: value for name, value in said.items() if value is not None}


def token(
    key: Any = RSA, algorithm: str = "RS256", head: Mapping[str, Any] | None = None, **other: Any
) -> str:
    """A token whose claims nobody has checked."""
    return jwt.api_jws.encode(
        json.dumps(claims(**other)).encode(), key, algorithm, headers=None if head is None else dict(head)
    )


def tokens() -> dict[str, str]:
    """Tokens of which none is good."""
    now = time.time()
    good = token()
    head, body, signature = good.split(".")
    return {
        "expired": token(exp=now - 61),
        "never ends": token(exp=None),
        "ends at infinity": _signed(json.dumps(claims()).replace(str(claims()["exp"])[:6], "1e9999999")),
        "ends at a word": token(exp="tomorrow"),
        "begins later": token(nbf=now + 120),
        "never begins": token(nbf=None),
        "issued in the future": token(iat=now + 3600),
        "for somebody else": token(aud="other"),
        "for nobody": token(aud=None),
        "for a list of others": token(aud=["a", "b"]),
        "for a mapping": token(aud={"pointsman": 1}),
        "of nobody": token(iss=None),
        "of a list of issuers": token(iss=[ISSUER]),
        "of an issuer with a slash more": token(iss=ISSUER + "/"),
        "of one issuer with the secret of another": token(SECRET, "HS256"),
        "of the partner with the key of the first": token(RSA, "RS256", iss=PARTNER),
        "names nobody": token(sub=None),
        "names an empty text": token(sub=" "),
        "names a line break": token(sub="alice\nroot"),
        "names a key of the configuration": token(sub="root"),
        "alg none": _unsigned("none"),
        "alg None": _unsigned("NoNe"),
        "alg none with a signature": _unsigned("none", signature),
        "alg left out": _unsigned(None, signature),
        "alg a list": _unsigned(["RS256"], signature),  # type: ignore[arg-type]
        "the public key as a secret": _with_public_key(),
        "signed by a stranger": token(STRANGER),
        "signed by a stranger, whose key it brings": token(STRANGER, head={"jwk": _jwk(STRANGER)}),
        "signed by a stranger, whose key set it names": token(STRANGER, head={"jku": "http://127.0.0.1/set"}),
        "signed by a stranger, with a certificate": token(
            STRANGER, head={"x5c": ["MIIB"], "x5u": "http://x"}
        ),
        "another algorithm of the same key": token(RSA, "PS256"),
        "a path for a key": token(STRANGER, head={"kid": "../../../../dev/null"}),
        "a query for a key": token(STRANGER, head={"kid": "x' UNION SELECT 'secret"}),
        "extensions": token(head={"crit": ["exp"], "exp": 1}),
        "a body that is not encoded": token(head={"b64": False, "crit": ["b64"]}),
        "without signature": f"{head}.{body}.",
        "another body": f"{head}.{_part(claims(sub='root'))}.{signature}",
        "two signatures": f"{good}.{signature}",
        "encrypted": ".".join((_part({"alg": "dir", "enc": "A256GCM"}), "", "a", "b", "c")),
        "a claim twice": _signed(json.dumps(claims())[:-1] + ',"sub":"root"}'),
        "deep": f"{head}.{urlsafe_b64encode(b'[' * 6000).decode()}.{signature}",
        "no JSON": f"{head}.bm9uZQ.{signature}",
    }


def _part(value: Any) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _signed(body: str) -> str:
    return jwt.api_jws.encode(body.encode(), RSA, "RS256")


def _unsigned(algorithm: str | None, signature: str = "") -> str:
    return f"{_part({} if algorithm is None else {'alg': algorithm})}.{_part(claims())}.{signature}"


def _with_public_key() -> str:
    signing = f"{_part({'alg': 'HS256'})}.{_part(claims())}"
    signature = hmac.digest(PEM.encode(), signing.encode(), "sha256")
    return f"{signing}.{urlsafe_b64encode(signature).decode().rstrip('=')}"


def _jwk(key: Any) -> Any:
    return json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))


def _models() -> Iterator[tuple[str, Any]]:
    bodies = {
        "one that is not its own": b'{"model":"private","text":"x"}',
        "twice, its own last": b'{"model":"private","text":"x","model":"assistant"}',
        "twice, its own first": b'{"model":"assistant","text":"x","model":"private"}',
        "twice, once in other letters": b'{"model":"assistant","text":"x","mod\\u0065l":"private"}',
        "by its full name": b'{"model":"openai1/gpt-5-mini","text":"x"}',
        "with a space": b'{"model":"assistant ","text":"x"}',
        "left empty": b'{"model":"","text":"x"}',
        "left out": b'{"text":"x"}',
        "a list": b'{"model":["assistant","private"],"text":"x"}',
    }
    for name, body in bodies.items():
        yield f"model: {name}", request(body=body, lines=bearer(CI))
    yield (
        "model: in a header",
        request(body=b'{"model":"private","text":"x"}', lines=(*bearer(CI), "x-pointsman-model: assistant")),
    )


def _operators() -> Iterator[tuple[str, Any]]:
    ours = "x-pointsman-csrf: 1"
    changes = ("reload", "requests/x/cancel", "explain", "deployments/openai1/gpt-5-mini/disable")
    for path in changes:
        yield (
            f"operator: {path} by a caller",
            request(target=f"/admin/v1/{path}", body=b"{}", lines=bearer(CI)),
        )
    for path in ("status", "config", "requests", "events", "deployments/openai1/gpt-5-mini"):
        yield f"operator: {path} by a caller", request("GET", f"/admin/v1/{path}", lines=bearer(CI))
        yield f"operator: {path} by nobody", request("GET", f"/admin/v1/{path}", lines=(ours,))
    yield "operator: login by nobody", request(target="/admin/v1/login", body=b"", lines=(ours,))
    yield (
        "operator: login with a key in the body",
        request(target="/admin/v1/login", body=f'{{"key":"{ROOT}"}}'.encode(), lines=(ours,)),
    )
    forged: dict[str, tuple[str, ...]] = {
        "without its token": (),
        "with another token": ("x-pointsman-csrf: " + "0" * 64,),
        "with an empty token": ("x-pointsman-csrf: ",),
    }
    for name, lines in forged.items():
        yield (
            f"session: a change {name}",
            lambda cookie, _csrf, lines=lines: request(
                target=RELOAD, body=b"", lines=(f"Cookie: {cookie}", *lines)
            ),
        )
    pages = {
        "of another origin": "Origin: http://evil.example",
        "of no origin": "Origin: null",
        "of another port": "Origin: http://127.0.0.1:1",
        "of another site": "Sec-Fetch-Site: cross-site",
    }
    for name, line in pages.items():
        yield (
            f"session: used by a page {name}",
            lambda cookie, csrf, line=line: request(
                "GET", STATUS, lines=(f"Cookie: {cookie}", f"x-pointsman-csrf: {csrf}", line)
            ),
        )
    yield (
        "session: of a login that ended",
        lambda cookie, _csrf: request("GET", STATUS, lines=(f"Cookie: {cookie[:-1]}x",)),
    )
    yield (
        "session: a body that a page can send",
        lambda cookie, csrf: request(
            lines=(f"Cookie: {cookie}", f"x-pointsman-csrf: {csrf}"), media="text/plain"
        ),
    )


def _paths() -> Iterator[tuple[str, Any]]:
    for path in (
        "/ADMIN/v1/status", "/admin/v1/status/", "//admin/v1/status", "/admin//v1/status", "/admin/v1/./status",
        "/v1/../admin/v1/status", "/health/live/../../admin/v1/status", "/openapi.json/../admin/v1/status",
        "/%61dmin/v1/status", "/admin%2fv1%2fstatus", "/admin/v1/%2e/status", "/admin/v1/status%00",
        "/admin/v1/status%2f", "/admin/v1/status;/health/live", "/admin/v1/status?/health/live", "/operator/admin/v1/status",
        "/admin/v1/status%20", "/admin/v1/status#", "/docs/..%2fadmin/v1/status", "/admin\\v1\\status", "/v1/v1/admin/v1/status",
        "/admin/v1/v1/status", "/health/live%0d%0aHost:x",
    ):  # fmt: skip
        yield f"path: {path}", request("GET", path)
    for name in (
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-HTTP-Method-Override",
        "X-Forwarded-Prefix",
        "X-Original-Host",
    ):
        yield f"path: {name}", (request("GET", "/health/live", lines=(f"{name}: {STATUS}",)), "deployments")
    yield "method: overridden", request("GET", RELOAD, lines=("X-HTTP-Method-Override: POST",))
    for method in (
        "HEAD",
        "PUT",
        "PATCH",
        "DELETE",
        "OPTIONS",
        "TRACE",
        "CONNECT",
        "PROPFIND",
        "get",
        "G E T",
    ):
        yield f"method: {method}", request(method, STATUS, body=None)


# ── whoever is on this machine, and who only seems to be ─────────────────────────────────────────────


def _open() -> Iterator[tuple[str, Any]]:
    hosts = (
        "evil.example", "evil.example:4000", "127.0.0.1.evil.example", "localhost.evil.example", "evil.example@127.0.0.1",
        "127.0.0.1@evil.example", "127.0.0.1:4000:80", "127.0.0.1/evil", "0.0.0.0", "10.0.0.1", "[::ffff:10.0.0.1]", "",
        "127.0.0.1 evil.example", "127.0.0.1,evil.example", "2130706433", "0x7f.1", "127.0.0.1\t",
    )  # fmt: skip
    yield from ((f"host: {each!r}", request(host=each)) for each in hosts if each != "127.0.0.1\t")
    yield "host: none", request(host=None)
    yield "host: two", request(lines=("Host: evil.example",))
    yield "host: two, ours last", request(host="evil.example", lines=("Host: 127.0.0.1",))
    yield (
        "host: another one as forwarded",
        request(host="evil.example", lines=("X-Forwarded-Host: 127.0.0.1",)),
    )
    yield "host: a whole address as target", request(target="http://127.0.0.1/v1/say", host="evil.example")
    yield "host: HTTP/1.0 without one", request(host=None).replace(b"HTTP/1.1", b"HTTP/1.0")
    origins = (
        "http://evil.example", "null", "", "http://127.0.0.1.evil.example", "https://127.0.0.1", "http://127.0.0.1:1",
        "http://localhost", "file://", "http://127.0.0.1 http://evil.example", "127.0.0.1", "http://[::1]",
    )  # fmt: skip
    yield from ((f"origin: {each!r}", request(lines=(f"Origin: {each}",))) for each in origins)
    yield (
        "origin: two, ours first",
        request(lines=("Origin: http://127.0.0.1", "Origin: http://evil.example")),
    )
    for site in ("cross-site", "same-site", "anything"):
        yield f"site: {site}", request(lines=(f"Sec-Fetch-Site: {site}",))
    for media in (
        None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json",
        "text/plain; application/json", "application/jsonp", "application/json, text/plain", "",
    ):  # fmt: skip
        yield f"media: {media}", request(media=media)
    yield "operator without a header of ours", request(target=RELOAD, body=b"")
    yield "operator looks without a header of ours", request("GET", STATUS)
    yield (
        "operator from a page",
        request("GET", STATUS, lines=("x-pointsman-csrf: 1", "Origin: http://evil.example")),
    )
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "CF-Connecting-IP", "True-Client-IP"):
        yield f"a proxy that nobody named: {name}", request(lines=(f"{name}: 127.0.0.1",))
    socket = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Origin: http://evil.example")  # fmt: skip
    yield "a WebSocket of a page", request("GET", "/v1/say", lines=socket)
    preflight = ("Origin: http://evil.example", "Access-Control-Request-Method: POST",
                 "Access-Control-Request-Headers: x-pointsman-csrf")  # fmt: skip
    yield (
        "a page asks whether it may",
        (request("OPTIONS", RELOAD, body=None, lines=preflight), "evil.example"),
    )


def _behind() -> Iterator[tuple[str, Any]]:
    for name, lines in {
        "nothing": (),
        "this machine": ("X-Forwarded-For: 127.0.0.1",),
        "this machine in IPv6": ("X-Forwarded-For: ::1",),
        "this machine twice": ("X-Forwarded-For: 127.0.0.1, 127.0.0.1",),
        "this machine in two lines": ("X-Forwarded-For: 10.0.0.9", "X-Forwarded-For: 127.0.0.1"),
        "another one as forwarded": ("Forwarded: for=127.0.0.1",),
        "garbage": ("X-Forwarded-For: ,,localhost,",),
        "TLS": ("X-Forwarded-Proto: https", "X-Forwarded-For: 127.0.0.1"),
    }.items():
        yield f"proxy says {name}", request(lines=lines)


# ── what two readers would read in two ways; too much; too slow ──────────────────────────────────────

SMUGGLED = b"POST /v1/say HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(SAY), SAY)


def _small() -> Iterator[tuple[str, Any]]:
    key, typed = f"x-api-key: {CI}", "Content-Type: application/json"

    def chunked(how: str, body: bytes = CHUNKED) -> bytes:
        return request(body=None, lines=(key, typed, how)) + body

    yield "length and chunks", chunked(f"Content-Length: {len(CHUNKED)}\r\nTransfer-Encoding: chunked")
    yield "chunks and length", chunked(f"Transfer-Encoding: chunked\r\nContent-Length: {len(SAY)}")
    yield "two lengths", request(lines=(key, "Content-Length: 3"))
    for length in ("+35", "-1", "0x23", "35, 35", "3 5", "9" * 30, "", "35a"):
        yield f"length: {length!r}", request(lines=(key,), length=f"Content-Length: {length}")
    for coding in (
        "xchunked",
        "chunked, identity",
        "identity",
        "chunked\r\nTransfer-Encoding: identity",
        "chun\tked",
        "\x0bchunked",
    ):
        yield f"coding: {coding!r}", chunked(f"Transfer-Encoding: {coding}")
    for size in (b"-1", b"0x23", b"ffffffffffffffffff", b"g", b"", b"23\n"):
        yield f"size of a chunk: {size!r}", chunked("Transfer-Encoding: chunked", size + CHUNKED[2:])
    for name, line in {
        "a space before the colon": f"x-api-key : {CI}",
        "a folded line": f"x-a: b\r\n x-api-key: {CI}",
        "a bare CR": f"x-a: b\rx-api-key: {CI}",
        "a zero": f"x-api-key: {CI}\0",
        "no name": f": {CI}",
        "no colon": "x-api-key",
        "a name of a control character": f"x-api-key\x01: {CI}",
    }.items():
        yield f"field: {name}", request(lines=(line,))
    yield (
        "line ends without CR",
        request(lines=(key,)).replace(b"\r\n", b"\n").replace(b"x-api-key", b"x-other"),
    )
    yield "HTTP/0.9", b"GET /v1/say\r\n\r\n"
    yield "HTTP/2 by its own word", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    yield "HTTP/9.9", request(lines=(key,)).replace(b"HTTP/1.1", b"HTTP/9.9")
    yield "behind a request that was refused", request(lines=()) + request(lines=(key,))
    yield (
        "in the body of a request without one",
        (
            request("GET", "/health/live", lines=("Content-Length: 0",))
            + SMUGGLED
            + b"Content-Length: 0\r\n\r\n",
            "Because.",
        ),
    )
    yield "in the body of one that was refused", request(body=request(lines=(key,)), lines=())
    yield "101 fields", request(lines=(key, *(f"x-{n}: 1" for n in range(101))))
    yield "a head of 40 KiB", request(lines=(key, "x-long: " + "x" * 40_000))
    yield "a target of 40 KiB", request(target="/v1/say?" + "x" * 40_000, lines=(key,))
    large = b'{"model":"assistant","text":"%b"}' % (b"x" * 70_000)
    yield "a body of 70 KB", request(body=large, lines=(key,))
    yield "a body that says it is large", request(lines=(key,), length="Content-Length: 99999999999")
    yield (
        "a body of 70 KB in chunks",
        chunked("Transfer-Encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (len(large), large)),
    )
    deep = b'{"model":"assistant","text":"x","a":%b%b}'
    yield "a body 65 deep", request(body=deep % (b"[" * 65, b"]" * 65), lines=(key,))
    yield "a body 20,000 deep", request(body=deep % (b"[" * 20_000, b"]" * 20_000), lines=(key,))
    yield "a list of 10,001", request(body=deep % (b"[" + b"1," * 10_000, b"1]"), lines=(key,))
    for name, body in {
        "no number": b'{"model":"assistant","text":"x","a":NaN}',
        "infinity": b'{"model":"assistant","text":"x","a":Infinity}',
        "half a character": b'{"model":"assistant","text":"\\ud800"}',
        "no UTF-8": b'{"model":"assistant","text":"\xff"}',
        "two objects": SAY + SAY,
        "a list": b"[" + SAY + b"]",
        "nothing": b"",
        "a mark before it": b"\xef\xbb\xbf\xef\xbb\xbf" + SAY,
    }.items():
        yield f"body: {name}", request(body=body, lines=(key,))
    yield "a head that does not end", request(lines=(key,)).partition(b"\r\n\r\n")[0]
    yield "a first byte and no more", b"P"
    yield "nothing at all", b""
    yield (
        "a body that does not come",
        request(body=SAY[:5], lines=(key,), length=f"Content-Length: {len(SAY)}"),
    )
    yield "a body in chunks that does not end", chunked("Transfer-Encoding: chunked", CHUNKED[:-5])
    yield "an extension of a chunk without end", chunked("Transfer-Encoding: chunked", b"1;" + b"x" * 70_000)
