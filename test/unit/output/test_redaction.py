"""No form of a secret survives, and innocent text does."""

import base64
import html
import json
import re
import sys
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipe.output.redaction import Redaction

TOKEN = """ATATT3x$Ab'c"d/é+ \\ %2F&=end"""
SECOND = "another-secret-9"


def lower_escapes(text: str) -> str:
    """Write a URL's escapes as some clients do."""
    return "".join(f"%{part[:2].lower()}{part[2:]}" for part in f"00{text}".split("%"))[3:]


def numbered(text: str, form: str) -> str:
    """Write all but letters and digits as HTML's references to characters."""
    return "".join(each if each.isascii() and each.isalnum() else form.format(ord(each)) for each in text)


ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "url": lambda secret: quote(secret, safe=""),
    "url-with-slashes": quote,
    "url-as-javascript-does": lambda secret: quote(secret, safe="!'()*~"),
    "url-as-go-does-for-users": lambda secret: quote(secret, safe="$&+,;="),
    "url-as-a-form": quote_plus,
    "url-in-lower-case": lambda secret: lower_escapes(quote(secret, safe="")),
    "url-every-byte": lambda secret: "".join(f"%{octet:02X}" for octet in secret.encode()),
    "url-in-a-url": lambda secret: quote(quote(secret, safe=""), safe=""),
    "url-in-a-url-in-a-url": lambda secret: quote(quote(quote(secret, safe=""), safe=""), safe=""),
    "url-in-a-url-in-lower-case": lambda secret: quote(lower_escapes(quote(secret, safe="")), safe=""),
    "html": html.escape,
    "html-without-quotes": lambda secret: html.escape(secret, quote=False),
    "html-as-go-does": lambda secret: html.escape(secret).replace("&quot;", "&#34;").replace("&#x27;", "&#39;"),
    "html-in-decimal-numbers": lambda secret: numbered(secret, "&#{:d};"),
    "html-in-hexadecimal-numbers": lambda secret: numbered(secret, "&#x{:X};"),
    "html-in-long-numbers": lambda secret: numbered(secret, "&#X{:04x};"),
    "json": lambda secret: json.dumps(secret)[1:-1],
    "json-in-utf-8": lambda secret: json.dumps(secret, ensure_ascii=False)[1:-1],
    "json-with-escaped-slashes": lambda secret: json.dumps(secret)[1:-1].replace("/", "\\/"),
    "python": lambda secret: repr(secret)[1:-1],
    "python-bytes": lambda secret: repr(secret.encode())[2:-1],
}
BASE64: dict[str, Callable[[bytes], bytes]] = {
    "base64": base64.b64encode,
    "base64-for-urls": base64.urlsafe_b64encode,
}

each_encoding = pytest.mark.parametrize("encode", [pytest.param(each, id=name) for name, each in ENCODINGS.items()])
each_base64 = pytest.mark.parametrize("encode", [pytest.param(each, id=name) for name, each in BASE64.items()])


@each_encoding
def test_a_secret_is_replaced_in_every_spelling(encode: Callable[[str], str]) -> None:
    assert Redaction([TOKEN])(f"before {encode(TOKEN)} after {encode(TOKEN)}.") == "before *** after ***."


def core(encoded: str, before: int, secret: bytes) -> str:
    """Return those characters of base64 that hold nothing but bits of the secret."""
    return encoded[-(-before * 8 // 6) : (before + len(secret)) * 8 // 6]


@each_base64
@pytest.mark.parametrize("before", [pytest.param(b"x" * n, id=f"after-{n}-bytes") for n in range(7)])
@pytest.mark.parametrize("after", [pytest.param(b"y" * n, id=f"before-{n}-bytes") for n in range(4)])
def test_base64_is_replaced_at_every_alignment(encode: Callable[[bytes], bytes], before: bytes, after: bytes) -> None:
    encoded = encode(before + TOKEN.encode() + after).decode()
    shown = Redaction([TOKEN])(f"Authorization: Basic {encoded}")
    assert core(encoded, len(before), TOKEN.encode()) not in shown
    assert "***" in shown
    assert shown.startswith("Authorization: Basic ")


def test_the_header_of_docker_is_hidden() -> None:
    header = base64.urlsafe_b64encode(json.dumps({"username": "me", "password": TOKEN}).encode()).decode()
    shown = Redaction([TOKEN])(f"X-Registry-Auth: {header}")
    assert shown == "X-Registry-Auth: eyJ1c2VybmFtZSI6ICJtZSIsICJwYXNzd29yZCI6ICJ***CJ9"


def test_secrets_that_begin_alike_are_hidden_whole() -> None:
    redact = Redaction(["a-secret", "a-secret-and-more", "a-secret\n"])
    assert redact("a-secret-and-more, a-secret\n, a-secret") == "***, ***, ***"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("token ATATT3x$A…", "token ***…", id="plain"),
        pytest.param(f"Basic {base64.b64encode(('u:' + SECOND).encode()).decode()[:14]}… gone", "", id="base64"),
        pytest.param("anothe…", "***…", id="six-characters"),
        pytest.param("anoth…", "anoth…", id="five-characters-are-a-word"),
        pytest.param("a … b …", "a … b …", id="innocent"),
        pytest.param("another-x…", "another-x…", id="another-word"),
    ],
)
def test_a_secret_that_was_cut_is_hidden(text: str, shown: str) -> None:
    redacted = Redaction([TOKEN, SECOND])(text)
    if shown:
        assert redacted == shown
    else:
        assert redacted.endswith("***… gone")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("layer 3 (COPY . /app): 1.2 MB/s", id="log-line"),
        pytest.param("crg.apkg.io/ws/app:1.0@sha256:" + "ab" * 32, id="reference"),
        pytest.param("ATATT", id="beginning-of-the-token"),
        pytest.param("another-secret", id="all-but-the-end"),
        pytest.param("", id="empty"),
    ],
)
def test_innocent_text_stays(text: str) -> None:
    assert Redaction([TOKEN, SECOND])(text) == text


def test_without_secrets_nothing_changes() -> None:
    assert Redaction([])("text…") == "text…"
    assert Redaction([""])("text…") == "text…"


def test_a_secret_of_no_encoding_is_hidden() -> None:
    assert Redaction(["abcd\udcffefg"])("abcd\udcffefg and abcd%FFefg") == "*** and ***"


@pytest.mark.parametrize(
    ("secret", "shown"),
    [
        pytest.param("1", "1 of 7 layers; rely on 1234567 and 12345678", id="one-character"),
        pytest.param("rely", "1 of 7 layers; rely on 1234567 and 12345678", id="a-word"),
        pytest.param("1234567", "1 of 7 layers; rely on 1234567 and 12345678", id="seven-characters"),
        pytest.param("12345678", "1 of 7 layers; rely on 1234567 and ***", id="eight-characters"),
    ],
)
def test_a_short_secret_is_not_replaced(secret: str, shown: str) -> None:
    text = "1 of 7 layers; rely on 1234567 and 12345678"
    later = Redaction([])
    later.add(secret)
    assert Redaction([secret])(text) == shown
    assert later(text) == shown


DIGEST = "sha256:" + "0123abcd" * 8


@pytest.mark.parametrize(
    ("secret", "text", "shown"),
    [
        pytest.param(
            "my-package", "at r.io/ws/my-package:1.0: my-package", "at r.io/ws/my-package:1.0: ***", id="path"
        ),
        pytest.param("latest-1", "r.io/ws/my-package:latest-1, latest-1", "r.io/ws/my-package:latest-1, ***", id="tag"),
        pytest.param("r.io/ws/my-package", "r.io/ws/my-package:1", "r.io/ws/my-package:1", id="repository"),
        pytest.param("my-package", "other.io/ws/my-package", "other.io/ws/***", id="another-registry"),
        pytest.param(
            "package:1.0 secret", "r.io/ws/my-package:1.0 secret", "r.io/ws/my-***", id="beyond-the-reference"
        ),
        pytest.param("0123abcd", f"{DIGEST} 0123abcd", f"{DIGEST} ***", id="digest"),
        pytest.param(
            "0123abcd", f"r.io/ws/my-package@{DIGEST}", f"r.io/ws/my-package@{DIGEST}", id="reference-with-digest"
        ),
        pytest.param("0123abcd" * 5, f"{DIGEST}", "sha256:***" + "0123abcd" * 3, id="too-long-for-a-coincidence"),
    ],
)
def test_references_and_digests_stay(secret: str, text: str, shown: str) -> None:
    redact = Redaction([secret])
    redact.keep("r.io/ws/my-package")
    assert redact(text) == shown


def test_the_user_name_beside_a_secret_stays() -> None:
    assert Redaction([SECOND])(f"https://me:{SECOND}@host/") == "https://me:***@host/"


secrets = st.text(st.characters(codec="utf-8", min_codepoint=32), min_size=8, max_size=40).filter(
    lambda text: len(set(text)) > 4 and "*" not in text
)


@given(secrets, st.sampled_from(sorted(ENCODINGS)), st.text(max_size=12), st.text(max_size=12))
def test_no_spelling_survives_anywhere(secret: str, name: str, before: str, after: str) -> None:
    assume("…" not in before + after)
    encoded = ENCODINGS[name](secret)
    shown = Redaction([secret])(f"{before}{encoded}{after}")
    assert encoded not in shown
    assert secret not in shown
    assert "***" in shown


@given(secrets, st.sampled_from(sorted(BASE64)), st.binary(max_size=12), st.binary(max_size=12))
def test_no_base64_survives_anywhere(secret: str, name: str, before: bytes, after: bytes) -> None:
    encoded = BASE64[name](before + secret.encode() + after).decode()
    shown = Redaction([secret])(f"Basic {encoded}")
    assert core(encoded, len(before), secret.encode()) not in shown


@given(secrets, st.integers(6, 39), st.text(max_size=12))
def test_no_beginning_survives_a_cut(secret: str, length: int, before: str) -> None:
    beginning = secret[: min(length, len(secret) - 1)]
    assert not Redaction([secret])(f"{before}{beginning}…").endswith(f"{beginning}…")


@given(st.text(alphabet="abc XYZ123=+/%\\", max_size=80))
def test_text_without_the_secret_stays(text: str) -> None:
    assert Redaction(["q-secret-of-other-letters"])(text) == text


LONG = (TOKEN * 60)[:1500]


@each_encoding
def test_a_long_secret_is_replaced_whole(encode: Callable[[str], str]) -> None:
    shown = Redaction([LONG])(f"before {encode(LONG)}")
    assert shown == "before ***"


@each_base64
def test_a_long_secret_is_replaced_in_base64(encode: Callable[[bytes], bytes]) -> None:
    encoded = encode(b"user:" + LONG.encode()).decode()
    assert len(Redaction([LONG])(encoded)) < 15


def test_what_follows_a_long_secret_stays() -> None:
    secret = "x1" * 700
    assert Redaction([secret])(f"{secret} stays {secret}.") == "*** stays ***."


def work(characters: int) -> int:
    """Redact texts around a long secret; return the number of calls, also of functions in C.

    Most of the work is the compilation of the pattern, which Python's `re` does in Python.
    """
    secret = "".join(f"{number:x}-" for number in range(characters // 5))
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        redact = Redaction([secret])
        for text in (secret, f"{secret[:80]}…", "x" * characters, f"{'a' * (characters // 2)}…" * 2):
            redact.add(text[:3] + secret)
            assert secret[:20] not in redact(text)
    finally:
        sys.setprofile(before)
    return calls


@pytest.mark.parametrize(
    ("text", "compiled"),
    [
        pytest.param("app:1: 2 layers, 3.0 MB → crg.apkg.io/acme/app: latest", 0, id="innocent"),
        pytest.param(f"…{TOKEN[:5]}", 0, id="cut"),
        pytest.param(f"{SECOND} twice: {SECOND}", 1, id="plain"),
        pytest.param(base64.b64encode(SECOND.encode()).decode(), 1, id="base64"),
        pytest.param("50 %25", 1, id="escape"),
    ],
)
def test_patterns_are_compiled_only_for_text_that_may_contain_a_secret(
    monkeypatch: pytest.MonkeyPatch, text: str, compiled: int
) -> None:
    """They take several milliseconds, also of a run that logs three lines."""
    patterns: list[str] = []
    compile_pattern = re.compile

    def counted(pattern: str) -> re.Pattern[str]:
        patterns.append(pattern)
        return compile_pattern(pattern)

    monkeypatch.setattr("pipe.output.redaction.re.compile", counted)
    redact = Redaction([TOKEN])
    redact.add(SECOND)
    assert SECOND not in redact(text)
    assert len(patterns) == compiled


def test_a_secret_of_a_hundred_kilobytes_causes_no_more_work_than_a_short_one() -> None:
    assert work(100_000) <= 1.1 * work(1000)
