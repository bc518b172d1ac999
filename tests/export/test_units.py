"""Numbers as people read them."""

from __future__ import annotations

from ssmopt.export import units


def test_whole_numbers_and_shares() -> None:
    assert units.whole(1234567) == "1,234,567"
    assert [units.percent(share) for share in (0, 0.00012, 0.0123, 0.5, -0.02)] == [
        "0.00 %", "0.0120 %", "1.23 %", "50.0 %", "-2.00 %",
    ]  # fmt: skip


def test_sizes() -> None:
    assert [units.size(n) for n in (0, 1000, 1023, 1536, 2**20 - 100, 24 * 2**20, 3 * 2**30)] == [
        "0 bytes", "1,000 bytes", "1,023 bytes", "1.5 KiB", "0.9999 MiB", "24 MiB", "3 GiB",
    ]  # fmt: skip
    assert units.megabytes(1_234_567) == "1.23 MB"


def test_times() -> None:
    assert [units.milliseconds(ms) for ms in (0.67884, 12.3456, 12345.6)] == ["0.6788 ms", "12.35 ms", "12,346 ms"]
    assert [units.cycles(n) for n in (0, 999, 250_000, 1_500_000, 2e9)] == ["0", "999", "250k", "1.5M", "2G"]


def test_missing_values_are_dashes() -> None:
    for show in (units.whole, units.percent, units.size, units.megabytes, units.milliseconds):
        assert show(None) == "-"
