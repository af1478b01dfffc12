"""What outside text is made of before people see it, and how an error reads."""

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipe.errors import (
    ConfigurationError,
    NotInRegistryError,
    PipeError,
    RegistryFailedError,
    StoppedError,
)
from pipe.text import causes, clean, root_cause


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("denied", "denied", id="plain"),
        pytest.param("  denied \n\n", "denied", id="white-space-around"),
        pytest.param("a\tb", "a\tb", id="tab-stays"),
        pytest.param("a\x00b\x07c\x7fd", "abcd", id="control-characters"),
        pytest.param("one\r\ntwo\rthree", "one\ntwo\nthree", id="line-ends-of-all-systems"),
        pytest.param("\x1b[31mred\x1b[0m \x1b[1;32mgreen", "red green", id="ansi-colours"),
        pytest.param("\x1b[2J\x1b[Hcleared", "cleared", id="ansi-clear-screen"),
        pytest.param("\x1b]0;title\x07text", "text", id="terminal-title"),
        pytest.param("\x1b]8;;http://evil\x1b\\text", "text", id="terminal-link"),
        pytest.param("\x9b31mred", "31mred", id="c1-control"),
        pytest.param("abc\u202edcba", "abcdcba", id="right-to-left-override"),
        pytest.param("half \ud800 of a pair", "half  of a pair", id="surrogate"),
        pytest.param(
            'Put "http://h/v2/a/blobs/uploads/1?_state=abc%3D&digest=sha256:0": EOF',
            'Put "http://h/v2/a/blobs/uploads/1?…": EOF',
            id="query-of-an-upload",
        ),
        pytest.param("http://h/p?x=1, http://h/q?y=2", "http://h/p?… http://h/q?…", id="two-queries"),
        pytest.param("see https://h/p?c2VjcmV0 now", "see https://h/p?… now", id="query-without-equals-sign"),
        pytest.param("/v2/uploads/1?_state=abc gone", "/v2/uploads/1?… gone", id="query-of-a-path"),
        pytest.param("Really? Yes.", "Really? Yes.", id="question"),
        pytest.param("https://user:pass@h/p", "https://***@h/p", id="password"),
        pytest.param("https://token@h/p", "https://***@h/p", id="user-only"),
        pytest.param("https://user:p@ss@h/p", "https://***@h/p", id="password-with-at-sign"),
        pytest.param("mail me@example.com", "mail me@example.com", id="mail-address"),
        pytest.param("http://h/v2/a/manifests/sha256:0@x", "http://h/v2/a/manifests/sha256:0@x", id="at-sign-in-path"),
        pytest.param("", "", id="empty"),
        pytest.param("\x00\x1b[0m", "", id="nothing-visible"),
    ],
)
def test_clean(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_clean_keeps_few_lines() -> None:
    assert clean("1\n2\n3\n4") == "1\n2\n3\n…"
    assert clean("1\n2\n3") == "1\n2\n3"
    assert clean("1\n2", lines=1) == "1\n…"


def test_clean_cuts_long_lines() -> None:
    assert clean("x" * 300) == "x" * 300
    assert clean("x" * 301) == "x" * 299 + "…"


def test_clean_does_not_read_all_of_a_flood() -> None:
    assert len(clean("<p>\n" * 10_000_000)) < 30


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=400))
def test_cleaned_text_is_fit_for_a_log(text: str) -> None:
    shown = clean(text)
    assert len(shown.splitlines()) <= 4
    assert all(character.isprintable() or character in "\t\n" or ord(character) > 127 for character in shown)
    shown.encode("utf-8")


@given(st.sampled_from(["", "\x1b[31m", '"', "\n", "?", "://", "=&", "@"]), st.text(max_size=30))
def test_a_query_never_shows(before: str, after: str) -> None:
    assert "s3cr3t" not in clean(f"{before} https://host/path?_state=s3cr3t {after}")


def test_a_message_says_what_why_and_what_to_do() -> None:
    error = RegistryFailedError("HTTP 500.", fix="Try later.")
    assert str(error) == "The registry failed: HTTP 500.\nTry later."
    assert error.summary == "The registry failed: HTTP 500."
    assert str(RegistryFailedError()) == "The registry failed."


def test_every_problem_stands_on_its_line() -> None:
    error = ConfigurationError(["A is missing.", "B is 1."])
    assert str(error) == "Invalid configuration:\n  - A is missing.\n  - B is 1."
    assert error.problems == ["A is missing.", "B is 1."]


def test_a_kind_may_be_overruled() -> None:
    assert NotInRegistryError("").temporary
    assert not NotInRegistryError("", temporary=False).temporary
    assert NotInRegistryError("", retry_after=3).retry_after == 3
    assert NotInRegistryError("").retry_after is None


@pytest.mark.parametrize(
    ("number", "code"),
    [pytest.param(signal.SIGTERM, 143, id="SIGTERM"), pytest.param(signal.SIGINT, 130, id="SIGINT")],
)
def test_a_signal_has_its_code(number: signal.Signals, code: int) -> None:
    error = StoppedError(number)
    assert error.exit_code == code
    assert str(error) == f"The push was stopped by signal {number.name}."


def test_every_kind_has_a_code_and_a_title() -> None:
    kinds = PipeError.__subclasses__()
    assert {kind.exit_code for kind in kinds} == {2, 3, 4, 5, 6}
    assert all(kind.temporary <= (kind.exit_code == 6) for kind in kinds)
    assert len({kind.title for kind in kinds}) == len(kinds)


def wrapped() -> Exception:
    """Wrap three exceptions as requests and urllib3 do: in `reason`, in the arguments, as the cause."""
    innermost = ConnectionRefusedError(111, "Connection refused")
    cause = OSError("new connection")
    cause.__cause__ = innermost
    middle = ValueError("retries", cause)
    outer = RuntimeError("outer")
    outer.reason = middle  # type: ignore[attr-defined]
    return outer


def test_causes_lead_to_the_innermost() -> None:
    assert [type(cause) for cause in causes(wrapped())] == [RuntimeError, ValueError, OSError, ConnectionRefusedError]
    assert root_cause(wrapped()) == "Connection refused"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        pytest.param(OSError(111, "Connection refused"), "Connection refused", id="number"),
        pytest.param(OSError(-2, "Name or service not known"), "Name or service not known", id="negative-number"),
        pytest.param(OSError(2, "No such file", "a.tar"), "No such file: 'a.tar'", id="file"),
        pytest.param(OSError("[SSL] bad"), "[SSL] bad", id="no-number"),
    ],
)
def test_a_system_error_is_named_by_its_words(error: OSError, words: str) -> None:
    assert root_cause(error) == words


def test_causes_of_a_circle_end() -> None:
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    assert causes(one) == [one, two]


def test_a_cause_without_words_is_named_by_its_kind() -> None:
    assert root_cause(TimeoutError()) == "TimeoutError"
    assert root_cause(ValueError("a\nb")) == "a\n…"
