"""Histories made to be slow, or to be cut inside a secret."""

import re

import pytest

from pipe.oci import history
from pipe.oci.history import LONGEST, READ, WIDTH, instruction

PATTERNS = {
    name: value for name, value in vars(history).items() if isinstance(value, str) and re.fullmatch("_[A-Z_]+", name)
}
"""Every pattern, and the parts that several have in common."""


def unbounded(pattern: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the unbounded repeats into which a pattern backtracks."""
    re.compile(pattern, re.DEBUG)
    return re.findall(r"^ *MAX_REPEAT \d+ MAXREPEAT", capsys.readouterr().out, re.MULTILINE)


def test_unbounded_repeats_are_seen(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(unbounded("a*b+c*+", capsys)) == 2


@pytest.mark.parametrize("name", PATTERNS)
def test_no_pattern_gives_back_what_an_unbounded_repeat_took(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Backtracking into an unbounded repeat is what makes a pattern quadratic or worse."""
    assert unbounded(PATTERNS[name], capsys) == []


@pytest.mark.parametrize(
    "shown",
    [
        pytest.param("RUN " + "key-" * 100_000, id="names-in-a-name"),
        pytest.param("RUN " + "-" * 400_000, id="dashes"),
        pytest.param("RUN " + "x-token: " * 100_000, id="headers"),
        pytest.param("RUN " + "https://" * 100_000, id="addresses"),
        pytest.param("|1 A=x" + " sh -e" * 100_000, id="shells"),
        pytest.param("|1 A=x /bin/sh" + " -a" * 100_000, id="options-of-a-shell"),
        pytest.param("|1 A=x " + "/" * 400_000, id="slashes"),
        pytest.param("ENV " + "a." * 200_000, id="environment"),
    ],
)
def test_an_endless_entry_is_cut(shown: str) -> None:
    assert len(instruction(shown)) <= WIDTH
    assert len(instruction(shown, mask=False)) <= LONGEST


@pytest.mark.parametrize(
    ("created_by", "shown"),
    [
        pytest.param(
            "/bin/sh -c #(nop) COPY dir:" + "0" * 64 + " in /a     |clamp-mtime=0 ", "COPY … in /a", id="copy"
        ),
        pytest.param('/bin/sh -c #(nop) CMD ["/a"]|clamp-mtime=0', 'CMD ["/a"]', id="command"),
        pytest.param("|1 A=b /bin/sh -c make|force-mtime=1700000000", "RUN make", id="argument"),
        pytest.param(
            "/bin/sh -c #(nop) USER app|unsetLabel=a|unsetAnnotation=b|inheritLabels=false|inheritAnnotations=false",
            "USER app",
            id="several",
        ),
        pytest.param("/bin/sh -c a |force-mtime=1 b", "RUN a |force-mtime=*** b", id="in-the-middle"),
        pytest.param("/bin/sh -c date|cat", "RUN date|cat", id="pipe-of-a-shell"),
        pytest.param("|clamp-mtime=0", "", id="nothing-else"),
        pytest.param("RUN x" + "|force-mtime=1" * 4_000, "RUN x", id="thousands"),
    ],
)
def test_what_buildah_adds_for_its_cache_is_left_out(created_by: str, shown: str) -> None:
    assert instruction(created_by) == shown


SECRET = "s3cr3t"


@pytest.mark.parametrize("width", [WIDTH, READ])
@pytest.mark.parametrize("before", range(0, 40, 3))
@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"TOKEN='word {SECRET} word {SECRET} {SECRET}' y", id="quoted-value"),
        pytest.param(f'x --password "word {SECRET} word {SECRET}" y', id="quoted-option"),
        pytest.param(f"curl https://me:{SECRET}{SECRET}{SECRET}@host/path y", id="password-of-a-url"),
        pytest.param(f"curl https://host/path?a={SECRET}{SECRET}{SECRET} y", id="query-of-a-url"),
    ],
)
def test_a_secret_at_the_cut_does_not_show(text: str, before: int, width: int) -> None:
    filling = ("x" * 9 + " ") * (width // 10)
    shown = instruction(f"RUN /bin/sh -c {filling[: width - before - 4]} {text} {'z' * 100}")
    assert len(shown) <= WIDTH
    assert "s3" not in shown
