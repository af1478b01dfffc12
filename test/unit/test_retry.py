"""Which failures are retried, and after which delay."""

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipe.errors import (
    CredentialsRefusedError,
    DigestMismatchError,
    EngineError,
    LayerTooLargeError,
    NotInRegistryError,
    PipeError,
    PushDeniedError,
    PushInterruptedError,
    RegistryFailedError,
    RegistryUnreachableError,
)
from pipe.retry import RETRY_AFTER_MAXIMUM, RetryPolicy, retry_after

NOW = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC).timestamp()


def delays(maximum: int, chance: float = 0.0) -> list[float | None]:
    """Fail every time, and return the delays."""
    attempts = RetryPolicy(maximum, lambda: chance)
    return [attempts.next_delay(RegistryFailedError()) for _ in range(maximum + 1)]


def test_delays_double_up_to_a_minute() -> None:
    assert delays(8) == [2, 4, 8, 16, 32, 60, 60, None, None]


def test_jitter_shortens_by_a_quarter_at_most() -> None:
    assert delays(3, chance=1.0) == [1.5, 3, None, None]


@given(st.integers(1, 12), st.floats(0, 1, exclude_max=True))
def test_a_delay_stays_within_its_bounds(made: int, chance: float) -> None:
    policy = RetryPolicy(100, lambda: chance)
    policy.made = made - 1
    delay = policy.next_delay(RegistryFailedError())
    longest = min(2.0**made, 60)
    assert delay is not None
    assert 0.75 * longest <= delay <= longest


def test_one_attempt_is_no_second_one() -> None:
    assert delays(1) == [None, None]


@pytest.mark.parametrize(
    ("error", "again"),
    [
        pytest.param(RegistryFailedError(), True, id="registry-failed"),
        pytest.param(RegistryUnreachableError(), True, id="registry-unreachable"),
        pytest.param(PushInterruptedError(), True, id="no-result"),
        pytest.param(NotInRegistryError(), True, id="not-in-registry"),
        pytest.param(RegistryFailedError(temporary=False), False, id="engine-tried-in-vain"),
        pytest.param(CredentialsRefusedError(), False, id="unauthorized"),
        pytest.param(PushDeniedError(), False, id="denied"),
        pytest.param(LayerTooLargeError(), False, id="too-large"),
        pytest.param(DigestMismatchError(), False, id="another-digest"),
        pytest.param(EngineError(), False, id="engine"),
    ],
)
def test_what_is_tried_again(error: PipeError, again: bool) -> None:
    assert (RetryPolicy(3, lambda: 0.0).next_delay(error) is not None) is again


@pytest.mark.parametrize(
    ("asked", "left", "delay"),
    [
        pytest.param(None, 2.1, 2, id="fits"),
        pytest.param(None, 2.0, None, id="would-end-with-the-time"),
        pytest.param(30.0, 29.0, None, id="retry-after-does-not-fit"),
        pytest.param(30.0, 31.0, 30, id="retry-after-fits"),
        pytest.param(None, -1.0, None, id="no-time-left"),
    ],
)
def test_a_delay_that_does_not_fit_is_never_begun(asked: float | None, left: float, delay: float | None) -> None:
    assert RetryPolicy(3, lambda: 0.0).next_delay(RegistryFailedError(retry_after=asked), left) == delay


def test_a_request_has_its_own_first_delay() -> None:
    policy = RetryPolicy(4, lambda: 0.0, first=1.0)
    assert [policy.next_delay(RegistryFailedError()) for _ in range(4)] == [1, 2, 4, None]


def allowed() -> RetryPolicy:
    """Return the policy of a push that the registry has allowed."""
    policy = RetryPolicy(5, lambda: 0.0)
    policy.allowed = True
    return policy


def test_unauthorized_after_the_check_passes_once() -> None:
    attempts = allowed()
    assert attempts.next_delay(CredentialsRefusedError()) == 2
    assert attempts.next_delay(CredentialsRefusedError()) is None


def test_unauthorized_passes_also_after_another_failure() -> None:
    attempts = allowed()
    assert attempts.next_delay(RegistryFailedError()) == 2
    assert attempts.next_delay(CredentialsRefusedError()) == 4


def test_denied_after_the_check_is_final() -> None:
    assert allowed().next_delay(PushDeniedError()) is None


@pytest.mark.parametrize(
    ("asked", "waited"),
    [
        pytest.param(3.0, 3.0, id="longer-than-the-delay"),
        pytest.param(0.5, 2.0, id="shorter-than-the-delay"),
        pytest.param(None, 2.0, id="nothing-asked"),
    ],
)
def test_the_registry_may_ask_for_more(asked: float | None, waited: float) -> None:
    assert RetryPolicy(3, lambda: 0.0).next_delay(RegistryFailedError(retry_after=asked)) == waited


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        pytest.param("3", 3, id="seconds"),
        pytest.param(" 3 ", 3, id="spaces"),
        pytest.param("0", 0, id="zero"),
        pytest.param("3600", 600, id="longer-than-ten-minutes"),
        pytest.param("9" * 5000, 600, id="five-thousand-digits"),
        pytest.param("Tue, 03 Feb 2026 04:05:16 GMT", 10, id="date"),
        pytest.param("Tue, 03 Feb 2026 05:05:16 +0100", 10, id="date-with-zone"),
        pytest.param("Tue, 03 Feb 2026 04:05:16", 10, id="date-without-zone"),
        pytest.param("Tue, 03 Feb 2026 04:00:00 GMT", 0, id="date-gone-by"),
        pytest.param("Tue, 03 Feb 2099 04:05:16 GMT", 600, id="date-far-off"),
        pytest.param("", None, id="absent"),
        pytest.param("-3", None, id="negative"),
        pytest.param("1.5", None, id="fraction"),
        pytest.param("٣", None, id="arabic-digit"),
        pytest.param("soon", None, id="word"),
        pytest.param("Tue, 99 Feb 2026 04:05:16 GMT", None, id="no-such-day"),
        pytest.param("Tue, 03 Feb 2026 04:05:16 +99999999999999999999", None, id="absurd-zone"),
        pytest.param("Mon, 01 Jan 0001 00:00:00 +2359", 0, id="before-time"),
    ],
)
def test_retry_after(header: str, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds


@given(st.text(max_size=40) | st.from_regex(r"\w{3}, [0-9]{1,3} [JFM]\w{2} [0-9]{1,6} [0-9:]{1,9} [+-]?[0-9A-Z]{0,22}"))
@example("1 Jan 1 0:0:0")
def test_any_header_is_read_or_ignored(header: str) -> None:
    seconds = retry_after(header, NOW)
    assert seconds is None or 0 <= seconds <= RETRY_AFTER_MAXIMUM


@given(st.integers(0, 600))
def test_a_date_means_as_many_seconds(seconds: int) -> None:
    moment = datetime.fromtimestamp(NOW + seconds, UTC)
    assert retry_after(format_datetime(moment, usegmt=True), NOW) == seconds
