"""Challenges, as registries and proxies write them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipe.registry import challenge
from pipe.registry.challenge import CHALLENGE_MAXIMUM, Challenge, parse_challenges

BEARER = 'Bearer realm="https://auth.h/token",service="registry",scope="repository:ws/app:pull,push"'
PARAMETERS = {"realm": "https://auth.h/token", "service": "registry", "scope": "repository:ws/app:pull,push"}


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        pytest.param("", {}, id="absent"),
        pytest.param('Basic realm="Registry"', {"basic": {"realm": "Registry"}}, id="basic"),
        pytest.param(BEARER, {"bearer": PARAMETERS}, id="bearer"),
        pytest.param('BEARER Realm="r"', {"bearer": {"realm": "r"}}, id="capitals"),
        pytest.param('Bearer realm = "r" , service = s', {"bearer": {"realm": "r", "service": "s"}}, id="spaces"),
        pytest.param(f'Basic realm="R", {BEARER}', {"basic": {"realm": "R"}, "bearer": PARAMETERS}, id="two"),
        pytest.param('Negotiate, Basic realm="R"', {"negotiate": {}, "basic": {"realm": "R"}}, id="bare-scheme"),
        pytest.param(r'Basic realm="a \"b\" \\c"', {"basic": {"realm": 'a "b" \\c'}}, id="escapes"),
        pytest.param('Bearer realm="a,b=c"', {"bearer": {"realm": "a,b=c"}}, id="comma-in-quotes"),
        pytest.param("Bearer realm=", {"bearer": {"realm": ""}}, id="empty-value"),
        pytest.param('Bearer realm="one",realm="two"', {"bearer": {"realm": "one"}}, id="twice"),
        pytest.param('Bearer realm="unclosed', {"bearer": {"realm": ""}}, id="unclosed"),
        pytest.param('realm="nobody"', {}, id="no-scheme"),
        pytest.param("\x00", {}, id="garbage"),
    ],
)
def test_challenges(header: str, challenges: dict[str, dict[str, str]]) -> None:
    expected = {scheme: Challenge(scheme, parameters) for scheme, parameters in challenges.items()}
    assert parse_challenges(header) == expected


@pytest.mark.parametrize("more", [pytest.param(0, id="at-most"), pytest.param(1, id="longer")])
def test_a_header_over_eight_kilobytes_is_not_parsed(more: int) -> None:
    header = BEARER.ljust(CHALLENGE_MAXIMUM + more)
    assert parse_challenges(header) == ({} if more else {"bearer": Challenge("bearer", PARAMETERS)})


def test_the_pattern_never_gives_back_what_an_unbounded_repeat_took(capsys: pytest.CaptureFixture[str]) -> None:
    """Backtracking into an unbounded repeat is what makes a pattern quadratic or worse."""
    pattern = challenge._ITEM  # noqa: SLF001
    re.compile(pattern.pattern, pattern.flags & ~re.UNICODE | re.DEBUG)
    tree = capsys.readouterr().out
    assert "POSSESSIVE_REPEAT" in tree, "Python's description of a pattern, as this test reads it"
    assert re.findall(r"^ *MAX_REPEAT \d+ MAXREPEAT", tree, re.MULTILINE) == []


@given(st.text(alphabet='Ba c=,"\\\n\t', max_size=60))
def test_any_header_is_read(header: str) -> None:
    assert all(scheme == challenge.scheme for scheme, challenge in parse_challenges(header).items())
