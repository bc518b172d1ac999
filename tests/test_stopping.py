"""Budgets of time and of work, and signals that arrive early, twice, or in an enclosing listener."""

from __future__ import annotations

import signal
import time

import pytest

from ssmopt.stopping import Signals, Stop


def test_work_ends_a_search_and_is_planned_without_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = Stop(100, work_limit=10)
    half = stop.after(0.5)
    stop.spend(4)
    assert (stop.used, stop(), half()) == (0.4, False, False)
    monkeypatch.setattr(time, "monotonic", lambda: stop.started + 60)
    assert stop.used == 0.4
    assert stop.part(0.5) == (40, 3.0)
    stop.spend(2)
    assert half()
    stop.spend(4)
    assert stop()
    assert not stop.late()
    assert stop.used == 1


def test_without_a_work_limit_time_is_what_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = Stop(100)
    stop.spend(1e9)
    monkeypatch.setattr(time, "monotonic", lambda: stop.started + 60)
    assert stop.used == 0.6
    assert stop.part(0.5) == (20, None)
    assert not stop()
    monkeypatch.setattr(time, "monotonic", lambda: stop.started + 100)
    assert stop()


def test_time_is_a_safety_net_below_a_work_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = Stop(100, work_limit=10)
    monkeypatch.setattr(time, "monotonic", lambda: stop.started + 101)
    assert stop()
    assert stop.used == 1


def test_a_second_signal_interrupts_a_search() -> None:
    with Stop(100) as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop.signal == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_signal_from_before_the_search_counts_and_a_second_one_is_patient() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Signals() as outer:
        signal.raise_signal(signal.SIGINT)
        with Stop(100) as stop:
            assert stop()
            assert stop.signal == signal.SIGINT
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        assert outer.number == signal.SIGTERM
    assert signal.getsignal(signal.SIGINT) is before
