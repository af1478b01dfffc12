"""The codec follows the link: a table of decisions, and the loads that lead to them."""

from functools import partial

import pytest

from pipe.encoding.codecs import COMPRESSIONS, Codec, Compression
from pipe.encoding.pace import WINDOW, Load, Pace, Shares, next_level

AUTO = COMPRESSIONS["auto"]
EVEN = Compression(
    "",
    tuple(Codec(f"{speed}", speed, None, "", partial(map, bytes)) for speed in (100, 80, 50, 20)),
    start=1,
    thrifty=1,
)
"""The next codec takes 1.25, 1.6 and 2.5 times as long."""


FAST, SLOW = 125_000_000, 124_999_999


@pytest.mark.parametrize(
    ("level", "starved", "queued", "spare", "speed", "expected"),
    [
        pytest.param(1, 0, 0, 0, FAST, 1, id="balanced"),
        pytest.param(1, 0.29, 0.29, 0, FAST, 1, id="fast-link-blocks-wait-for-less-than-0.3-of-the-time"),
        pytest.param(1, 0, 0.3, 0, FAST, 0, id="fast-link-blocks-wait-for-0.3-of-the-time"),
        pytest.param(3, 0, 1, 0, FAST, 0, id="fast-link-the-fastest-at-once"),
        pytest.param(0, 1, 1, 0, FAST, 0, id="none-is-faster"),
        pytest.param(1, 1, 1, 0, SLOW, 1, id="link-idle-but-too-slow-for-larger-layers"),
        pytest.param(2, 0.29, 1, 0, SLOW, 2, id="link-idle-for-less-than-0.3-of-the-time"),
        pytest.param(2, 0.3, 1, 0, SLOW, 1, id="link-idle-and-a-faster-codec-makes-no-larger-layers"),
        pytest.param(3, 1, 1, 0, SLOW, 2, id="slow-link-one-step-at-a-time"),
        pytest.param(0, 1, 1, 0, SLOW, 1, id="the-link-became-slow-for-larger-layers"),
        pytest.param(0, 0, 0, 0.35, FAST, 0, id="no-room-for-1.25-times-as-much-work"),
        pytest.param(0, 0, 0, 0.36, FAST, 1, id="room-for-1.25-times-as-much-work"),
        pytest.param(1, 0, 0, 0.49, SLOW, 1, id="no-room-for-1.6-times-as-much-work"),
        pytest.param(1, 0, 0, 0.51, SLOW, 2, id="room-for-1.6-times-as-much-work"),
        pytest.param(2, 0, 0, 0.67, SLOW, 2, id="no-room-for-2.5-times-as-much-work"),
        pytest.param(2, 0, 0, 0.69, SLOW, 3, id="room-for-2.5-times-as-much-work"),
        pytest.param(1, 0, 0, 0.79, SLOW, 2, id="no-room-for-4-times-as-much-work"),
        pytest.param(1, 0, 0, 0.81, SLOW, 3, id="room-for-4-times-as-much-work"),
        pytest.param(3, 0, 0, 1, SLOW, 3, id="none-is-smaller"),
        pytest.param(1, 0.5, 0.5, 0.5, FAST, 0, id="blocks-that-wait-come-first"),
        pytest.param(2, 0.5, 0.5, 0.5, SLOW, 1, id="an-idle-link-comes-first"),
    ],
)
def test_the_next_level(level: int, starved: float, queued: float, spare: float, speed: float, expected: int) -> None:
    assert next_level(EVEN, level, Shares(starved, queued, spare, speed)) == expected


@pytest.mark.parametrize("level", range(len(AUTO.codecs)))
def test_a_smaller_codec_is_not_left_at_once(level: int) -> None:
    """At the busiest that the smaller codec is taken, the processors still keep up with the link."""
    for spare in (step / 100 for step in range(101)):
        after = next_level(AUTO, level, Shares(0, 0, spare, FAST))
        if after > level:
            assert (1 - spare) * AUTO.codecs[level].speed / AUTO.codecs[after].speed < 1


@pytest.mark.parametrize(
    ("load", "starved", "spare"),
    [
        pytest.param(Load(), False, 0, id="nothing-to-do"),
        pytest.param(Load(queued=3, idle=0, starving=1), True, 0, id="processors-are-behind"),
        pytest.param(Load(queued=3, idle=0, starving=1, sending=1), False, 0, id="another-sender-uses-the-link"),
        pytest.param(Load(idle=1, starving=1), False, 0, id="the-source-is-behind"),
        pytest.param(Load(idle=1, sending=1, blocked=1), False, 1, id="the-link-is-behind"),
        pytest.param(Load(idle=0.5, sending=2, blocked=1), False, 0.5, id="the-link-is-behind-for-one-processor"),
        pytest.param(Load(queued=1, idle=0, sending=1, blocked=1), False, 0, id="both-have-work"),
        pytest.param(Load(idle=1, sending=1), False, 0, id="link-and-source-are-slow"),
        pytest.param(Load(idle=1, blocked=1), False, 0, id="nothing-is-being-sent"),
    ],
)
def test_who_is_behind(load: Load, starved: bool, spare: float) -> None:
    assert (load.is_starved, load.spare) == (starved, spare)


class Clock:
    """Stands still until it is set forward."""

    now = 5.0

    def __call__(self) -> float:
        return self.now


SENDS, CALM, WAITS, FULL = Load(2, 0, 1), Load(0, 0, 1), Load(2, 0, 0, 1), Load(0, 1, 1, 0, 1)
FIRST = (SENDS, 0, 1)
"""A chunk so small and fast that the rest decides."""


@pytest.mark.parametrize(
    ("steps", "blocks", "expected"),
    [
        pytest.param([(WAITS, 9, 0)], WINDOW, "80", id="nothing-sent-yet"),
        pytest.param([(WAITS, 9, 0), (SENDS, 1, FAST)], WINDOW, "80", id="the-wait-for-the-first-chunk-is-not-counted"),
        pytest.param([FIRST, (CALM, 1, FAST), (WAITS, 2, 0)], WINDOW, "100", id="blocks-wait-for-two-thirds"),
        pytest.param([FIRST, (SENDS, 1, FAST)], WINDOW, "100", id="blocks-wait-while-others-are-sent"),
        pytest.param([FIRST, (SENDS, 1, SLOW - 1), (WAITS, 2, 0)], WINDOW, "80", id="and-it-is-slow"),
        pytest.param([FIRST, (SENDS, 1, FAST), (WAITS, 2, 0)], WINDOW - 1, "80", id="too-few-blocks-to-decide"),
        pytest.param([FIRST, (CALM, 3, 3 * FAST), (WAITS, 1, 0)], WINDOW, "80", id="blocks-wait-for-a-quarter"),
        pytest.param([FIRST, (SENDS, 1, SLOW), (FULL, 2, SLOW)], WINDOW, "50", id="link-behind-for-two-thirds"),
        pytest.param([FIRST, (SENDS, 2, SLOW), (FULL, 1, SLOW)], WINDOW, "80", id="link-behind-for-a-third"),
        pytest.param([FIRST], WINDOW, "80", id="no-time-has-passed"),
    ],
)
def test_the_pace_follows_the_load(steps: list[tuple[Load, int, int]], blocks: int, expected: str) -> None:
    clock = Clock()
    pace = Pace(EVEN, clock)
    for load, seconds, size in steps:
        last(pace, clock, load, seconds, size)
    for _ in range(blocks):
        pace.compressed(1)
    assert pace.codec().name == expected


def test_blocks_before_the_first_chunk_count() -> None:
    """A small image has few blocks: the first that follows its first chunk is compressed as the link requires."""
    clock = Clock()
    pace = Pace(EVEN, clock)
    for _ in range(WINDOW):
        pace.compressed(1)
    last(pace, clock, *FIRST)
    last(pace, clock, SENDS, 1, FAST)
    assert pace.codec().name == "80"
    pace.compressed(1)
    assert pace.codec().name == "100"


def test_blocks_that_were_under_way_do_not_count_for_the_next_codec() -> None:
    """They were compressed by the one before, and their processors were busy or idle because of it."""
    clock = Clock()
    pace = Pace(EVEN, clock)
    last(pace, clock, *FIRST)
    for seconds, blocks, expected in ((2, WINDOW, "50"), (4, WINDOW + 7, "50"), (4, 1, "20")):
        last(pace, clock, SENDS, 1, SLOW)
        last(pace, clock, FULL, seconds, SLOW)
        for _ in range(blocks):
            pace.compressed(1, 8)
        assert pace.codec().name == expected


def last(pace: Pace, clock: Clock, load: Load, seconds: float, size: int) -> None:
    """Let a load last for some seconds, in which so many bytes are sent."""
    pace.observe(load)
    clock.now += seconds
    pace.observe(load)
    pace.sent(size)


def run(pace: Pace, clock: Clock, steps: list[tuple[Load, float, int]], windows: int) -> str:
    """Let loads follow each other in each of some windows, and return the codec at the end."""
    for _ in range(windows):
        for load, seconds, size in steps:
            last(pace, clock, load, seconds, size)
        for _ in range(WINDOW):
            pace.compressed(1)
    return pace.codec().name


def test_a_decision_within_a_chunk_sees_no_more_spare_than_whole_chunks() -> None:
    """The end of a chunk frees the buffers of 40 blocks, which keep the processors busy for 0.55 of each second."""
    clock = Clock()
    pace = Pace(EVEN, clock)
    last(pace, clock, *FIRST)
    for _ in range(6):
        for _ in range(40):
            last(pace, clock, SENDS, 0.55 / 40, 0)
            pace.compressed(1)
            assert pace.codec().name == "80"
        last(pace, clock, FULL, 0.45, SLOW)


@pytest.mark.parametrize(("busy", "expected"), [(0.2, "20"), (0.9, "50"), (1.1, "80")])
def test_processors_that_have_been_busy_since_the_last_chunk_have_less_to_spare(busy: float, expected: str) -> None:
    """Content that compresses well follows content that does not: the next chunk needs more blocks."""
    clock = Clock()
    pace = Pace(EVEN, clock)
    last(pace, clock, *FIRST)
    last(pace, clock, FULL, 1, SLOW // 2)
    last(pace, clock, SENDS, busy, 0)
    pace.compressed(WINDOW)
    assert pace.codec().name == expected


def test_what_was_seen_of_the_codec_before_does_not_count_for_the_next() -> None:
    """Nor does the rest of the chunk within which the codec changed: it has more idle time than work."""
    clock = Clock()
    pace = Pace(EVEN, clock)
    last(pace, clock, *FIRST)
    run(pace, clock, [(SENDS, 0.4, 0), (FULL, 0.6, SLOW // 2)], 1)
    assert pace.codec().name == "50"
    last(pace, clock, FULL, 9, SLOW // 2)
    assert run(pace, clock, [(SENDS, 0.6, 0), (FULL, 0.4, SLOW // 2)], 6) == "50"


def test_decisions_within_a_chunk_do_not_make_a_link_look_fast() -> None:
    clock = Clock()
    pace = Pace(EVEN, clock)
    last(pace, clock, *FIRST)
    for _ in range(6):
        last(pace, clock, SENDS, 0.1, 0)
        for _ in range(3 * WINDOW):
            last(pace, clock, SENDS, 0.3 / WINDOW, 0)
            pace.compressed(1)
            assert pace.codec().name == "80"
        pace.sent(SLOW * 8 // 10)


def test_a_link_that_drops_to_a_tenth_and_rises_again() -> None:
    clock = Clock()
    pace = Pace(AUTO, clock)
    loopback = [(SENDS, 0.02, 8_000_000), (WAITS, 0.1, 0)]
    assert run(pace, clock, loopback, 6) == AUTO.codecs[0].name
    assert run(pace, clock, [(SENDS, 0.1, 8_000_000), (WAITS, 0.02, 0)], 12) == "libdeflate 5"
    assert run(pace, clock, [(SENDS, 0.1, 0), (FULL, 0.9, 8_000_000)], 12) == "libdeflate 10"
    assert run(pace, clock, loopback, 12) == AUTO.codecs[0].name


def test_one_slow_chunk_does_not_make_a_fast_link_slow() -> None:
    clock = Clock()
    pace = Pace(AUTO, clock)
    assert run(pace, clock, [(SENDS, 0.02, 8_000_000), (WAITS, 0.1, 0)], 6) == AUTO.codecs[0].name
    assert run(pace, clock, [(SENDS, 0.2, 8_000_000), (WAITS, 0.3, 0)], 2) == AUTO.codecs[0].name


def test_processors_that_are_behind_a_slow_link_make_no_larger_layers() -> None:
    clock = Clock()
    pace = Pace(AUTO, clock)
    assert run(pace, clock, [(SENDS, 0.1, 8_000_000), (WAITS, 0.9, 0)], 9) == "libdeflate 5"
