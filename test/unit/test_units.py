"""Sizes and durations, as people write and read them."""

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipe.units import DURATION_MAXIMUM, format_duration, format_size, parse_duration, parse_size

HOSTILE = [
    pytest.param("", id="empty"),
    pytest.param(" ", id="space"),
    pytest.param("0", id="zero"),
    pytest.param("-1", id="negative"),
    pytest.param("+1", id="plus"),
    pytest.param("1e9", id="exponent"),
    pytest.param("0x10", id="hexadecimal"),
    pytest.param("1_000", id="underscore"),
    pytest.param("1,5", id="comma"),
    pytest.param("nan", id="nan"),
    pytest.param("inf", id="infinity"),
    pytest.param("٣", id="arabic-digit"),
    pytest.param("\uff13", id="full-width-digit"),
    pytest.param("9" * 5000, id="five-thousand-digits"),
    pytest.param("1.5.5", id="two-points"),
    pytest.param(".5", id="no-digit-before-the-point"),
    pytest.param("5.", id="no-digit-after-the-point"),
    pytest.param("apples", id="word"),
    pytest.param("32 apples", id="unknown-unit"),
    pytest.param("1\n2", id="newline"),
]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        pytest.param("1048576", 1048576, id="bytes"),
        pytest.param("1B", 1, id="B"),
        pytest.param("500MB", 500_000_000, id="MB"),
        pytest.param("32GB", 32_000_000_000, id="GB-is-decimal"),
        pytest.param("32GiB", 34_359_738_368, id="GiB-is-binary"),
        pytest.param("32gb", 32_000_000_000, id="lower-case"),
        pytest.param("1TiB", 1_099_511_627_776, id="TiB"),
        pytest.param("1 KiB", 1024, id="space-before-the-unit"),
        pytest.param("1.5GB", 1_500_000_000, id="fraction"),
        pytest.param("9" * 18, 10**18 - 1, id="large-and-exact"),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", [*HOSTILE, pytest.param("0.1B", id="less-than-a-byte"), pytest.param("5m", id="m")])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="a size such as 32GB"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("420", 420, id="seconds"),
        pytest.param("90s", 90, id="s"),
        pytest.param("7m", 420, id="m"),
        pytest.param("1h30m", 5400, id="h-and-m"),
        pytest.param("1m30", 90, id="m-and-seconds"),
        pytest.param("1h1m1.5s", 3661.5, id="all"),
        pytest.param("0.5", 0.5, id="fraction"),
        pytest.param("24h", 86_400, id="at-most"),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        *HOSTILE,
        pytest.param("m", id="unit-only"),
        pytest.param("0m0s", id="zeros"),
        pytest.param("1s1m", id="order"),
        pytest.param("86400.1", id="more-than-a-day"),
        pytest.param("999999999h", id="a-hundred-thousand-years"),
    ],
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="a duration such as 7m"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        pytest.param(0, "0 B", id="nothing"),
        pytest.param(999, "999 B", id="below-a-unit"),
        pytest.param(1000, "1.0 KB", id="at-a-unit"),
        pytest.param(14_000_000, "14.0 MB", id="MB"),
        pytest.param(32_000_000_000, "32.0 GB", id="GB"),
        pytest.param(5_500_000_000_000, "5.5 TB", id="TB"),
        pytest.param(1234.5, "1.2 KB", id="a-rate"),
    ],
)
def test_sizes_are_written(size: float, text: str) -> None:
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        pytest.param(0, "0.0 s", id="nothing"),
        pytest.param(2.54, "2.5 s", id="seconds"),
        pytest.param(59.94, "59.9 s", id="nearly-a-minute"),
        pytest.param(59.96, "1m 00s", id="a-minute-when-rounded"),
        pytest.param(65, "1m 05s", id="minute"),
        pytest.param(3599.6, "1h 00m", id="an-hour-when-rounded"),
        pytest.param(3720, "1h 02m", id="hour"),
        pytest.param(360_000, "100h 00m", id="days"),
    ],
)
def test_durations_are_written(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.text(max_size=30))
@example("1" + "0" * 400)
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_size, parse_duration):
        with contextlib.suppress(ValueError):
            assert parse(text) > 0


@given(st.integers(1, 10**15))
def test_a_size_that_is_written_reads_nearly_the_same(size: int) -> None:
    assert parse_size(format_size(size)) == pytest.approx(size, rel=0.06)


@given(st.integers(1, DURATION_MAXIMUM), st.sampled_from(["", "s"]))
def test_seconds_read_exactly(seconds: int, unit: str) -> None:
    assert parse_duration(f"{seconds}{unit}") == seconds
