"""The grammar of image references; the table follows distribution/reference's own `reference_test.go`."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipe.oci.reference import (
    Reference,
    is_address,
    is_component,
    is_digest,
    is_domain,
    is_path,
    is_tag,
    suggestion,
)

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        pytest.param("app", Reference("", "app"), id="name"),
        pytest.param("app:1.0", Reference("", "app", "1.0"), id="tag"),
        pytest.param("acme/app", Reference("", "acme/app"), id="path"),
        pytest.param("a/b/c/d", Reference("", "a/b/c/d"), id="deep-path"),
        pytest.param("test.com/app:tag", Reference("test.com", "app", "tag"), id="domain"),
        pytest.param("test:5000/app", Reference("test:5000", "app"), id="port"),
        pytest.param("localhost/app", Reference("localhost", "app"), id="localhost"),
        pytest.param("127.0.0.1:5000/a/b:c", Reference("127.0.0.1:5000", "a/b", "c"), id="address"),
        pytest.param("[2001:db8::1]:5000/app", Reference("[2001:db8::1]:5000", "app"), id="ipv6"),
        pytest.param("[2001:db8::1]/app", Reference("[2001:db8::1]", "app"), id="ipv6-without-port"),
        pytest.param("crg.apkg.io/ws/app:1.0", Reference("crg.apkg.io", "ws/app", "1.0"), id="bitbucket"),
        pytest.param("xn--n3h.com/app", Reference("xn--n3h.com", "app"), id="punycode"),
        pytest.param("Example.COM/app", Reference("Example.COM", "app"), id="domain-in-capitals"),
        pytest.param(f"app@{DIGEST}", Reference("", "app", "", DIGEST), id="digest"),
        pytest.param(f"app:1@{DIGEST}", Reference("", "app", "1", DIGEST), id="tag-and-digest"),
        pytest.param("a__b/c---d/e.f", Reference("", "a__b/c---d/e.f"), id="separators"),
        pytest.param("app:_", Reference("", "app", "_"), id="tag-of-an-underscore"),
        pytest.param("app:" + "x" * 128, Reference("", "app", "x" * 128), id="tag-of-128"),
        pytest.param("a" * 255, Reference("", "a" * 255), id="path-of-255"),
        pytest.param("app:Capital", Reference("", "app", "Capital"), id="tag-in-capitals"),
    ],
)
def test_what_is_a_reference(text: str, reference: Reference) -> None:
    assert Reference.parse(text) == reference
    assert str(reference) == text


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        pytest.param("", "each component", id="empty"),
        pytest.param("App", "each component", id="capital"),
        pytest.param("my app", "each component", id="space"),
        pytest.param("app\n", "each component", id="newline-at-the-end"),
        pytest.param("a\nb", "each component", id="newline"),
        pytest.param("-app", "each component", id="hyphen-first"),
        pytest.param("app-", "each component", id="hyphen-last"),
        pytest.param(".app", "each component", id="point-first"),
        pytest.param("a..b", "each component", id="two-points"),
        pytest.param("a___b", "each component", id="three-underscores"),
        pytest.param("a/", "each component", id="slash-last"),
        pytest.param("/a", "each component", id="slash-first"),
        pytest.param("a//b", "each component", id="two-slashes"),
        pytest.param("ä", "each component", id="umlaut"),
        pytest.param("\u0430pp", "each component", id="cyrillic-a"),
        pytest.param("a٣", "each component", id="arabic-digit"),
        pytest.param("app$", "each component", id="dollar"),
        pytest.param(":1.0", "each component", id="tag-only"),
        pytest.param("a" * 256, "each component", id="path-of-256"),
        pytest.param("https://crg.apkg.io/ws/app", "the registry 'https:'", id="scheme"),
        pytest.param("a.b.-c/app", "the registry 'a.b.-c'", id="domain-with-hyphen-first"),
        pytest.param("my.host:port/app", "the registry 'my.host:port'", id="port-in-words"),
        pytest.param("localhost:٣/app", "the registry 'localhost:٣'", id="port-in-arabic-digits"),
        pytest.param("[::1/app", r"the registry '\[::1'", id="ipv6-unclosed"),
        pytest.param("a_b.com/app", "the registry 'a_b.com'", id="underscore-in-domain"),
        pytest.param("app:", "the tag must be", id="tag-empty"),
        pytest.param("app:-1", "the tag must be", id="tag-with-hyphen-first"),
        pytest.param("app:.1", "the tag must be", id="tag-with-point-first"),
        pytest.param("app:1\n", "the tag must be", id="tag-with-newline"),
        pytest.param("app:" + "x" * 129, "the tag must be at most 128", id="tag-of-129"),
        pytest.param("app:feature/x", "try 'feature-x'", id="tag-of-a-branch"),
        pytest.param("app:1:2", "the tag must be", id="two-tags"),
        pytest.param("app@", "'@' must be followed by", id="digest-empty"),
        pytest.param("app@sha256:12", "'@' must be followed by", id="digest-short"),
        pytest.param(f"app@{DIGEST.upper()}", "'@' must be followed by", id="digest-in-capitals"),
        pytest.param(f"app@{DIGEST}0", "'@' must be followed by", id="digest-long"),
        pytest.param(f"app@{DIGEST}\n", "'@' must be followed by", id="digest-with-newline"),
        pytest.param("app@md5:" + "0" * 32, "'@' must be followed by", id="digest-of-md5"),
    ],
)
def test_what_is_no_reference(text: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        Reference.parse(text)


@pytest.mark.parametrize(
    ("tag", "proposed"),
    [
        pytest.param("feature/x", "; try 'feature-x'", id="branch"),
        pytest.param("feature//x y", "; try 'feature-x-y'", id="run-of-characters"),
        pytest.param("-x", "; try 'x'", id="hyphen-first"),
        pytest.param("..x", "; try 'x'", id="points-first"),
        pytest.param("x/", "; try 'x'", id="slash-last"),
        pytest.param("v1.0+build", "; try 'v1.0-build'", id="plus"),
        pytest.param("x" * 129, f"; try '{'x' * 128}'", id="too-long"),
        pytest.param("/", "", id="nothing-left"),
        pytest.param("", "", id="empty"),
    ],
)
def test_suggestions(tag: str, proposed: str) -> None:
    assert suggestion(tag) == proposed


@given(st.text(max_size=140))
def test_a_suggestion_is_allowed(text: str) -> None:
    proposed = suggestion(text)
    assert not proposed or is_tag(proposed.split("'")[1])


def test_parts_can_be_exchanged() -> None:
    reference = Reference("crg.apkg.io", "ws/app", "1.0")
    assert reference.repository == "crg.apkg.io/ws/app"
    assert str(reference.with_digest(DIGEST)) == f"crg.apkg.io/ws/app:1.0@{DIGEST}"
    assert str(reference.with_digest(DIGEST).with_tag("2")) == "crg.apkg.io/ws/app:2"
    assert str(reference.with_tag("")) == "crg.apkg.io/ws/app"


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        pytest.param("crg.apkg.io", True, id="dot"),
        pytest.param("myhost:5000", True, id="port"),
        pytest.param("localhost", True, id="localhost"),
        pytest.param("[::1]:5000", True, id="ipv6"),
        pytest.param("myhost", False, id="a-part-of-the-path-to-docker"),
        pytest.param("my host.com", False, id="space"),
        pytest.param("me@crg.apkg.io", False, id="user"),
        pytest.param("", False, id="empty"),
    ],
)
def test_domains(text: str, domain: bool) -> None:
    assert is_domain(text) is domain


@pytest.mark.parametrize(
    ("text", "address"),
    [
        pytest.param("crg.apkg.io", True, id="name"),
        pytest.param("localhost", True, id="localhost"),
        pytest.param("127.0.0.1:5000", True, id="port"),
        pytest.param("127.0.0.1:1", True, id="smallest-port"),
        pytest.param("127.0.0.1:65535", True, id="largest-port"),
        pytest.param("[::1]:5000", True, id="ipv6"),
        pytest.param("[::1]", True, id="ipv6-without-port"),
        pytest.param("127.0.0.1:0", False, id="port-0"),
        pytest.param("127.0.0.1:65536", False, id="port-above"),
        pytest.param("127.0.0.1:" + "9" * 5000, False, id="port-of-5000-digits"),
        pytest.param("[::::]:5000", False, id="no-ipv6"),
        pytest.param("[::1]:65536", False, id="ipv6-and-port-above"),
        pytest.param("myhost", False, id="a-part-of-the-path-to-docker"),
        pytest.param("", False, id="empty"),
    ],
)
def test_addresses(text: str, address: bool) -> None:
    assert is_address(text) is address


def test_a_component_is_one_part() -> None:
    assert is_component("my-workspace")
    assert not is_component("my/workspace")
    assert not is_component("")


components = st.from_regex(r"[a-z0-9]{1,5}(?:(?:\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}", fullmatch=True)
domains = st.from_regex(r"(?:[a-zA-Z0-9]{1,5}\.[a-z]{2,3}|localhost|[a-z]{3}:[0-9]{1,5})", fullmatch=True)
tags = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)
digests = st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True)
references = st.builds(
    Reference,
    st.just("") | domains,
    st.lists(components, min_size=1, max_size=3).map("/".join),
    st.just("") | tags,
    st.just("") | digests,
)


@given(references)
def test_what_is_written_reads_the_same(reference: Reference) -> None:
    first, slash, _ = reference.path.partition("/")
    assume(reference.domain or not slash or not ("." in first or first == "localhost"))
    assert Reference.parse(str(reference)) == reference


@given(st.text(alphabet="aZ0.-_:/@[]\n é", max_size=20))
def test_what_is_read_is_written_the_same(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except ValueError:
        return
    assert str(reference) == text
    assert is_path(reference.path)
    assert not reference.domain or is_domain(reference.domain)
    assert not reference.tag or is_tag(reference.tag)
    assert not reference.digest or is_digest(reference.digest)
