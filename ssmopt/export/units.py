"""Numbers as people read them."""

from __future__ import annotations


def whole(number: int | None) -> str:
    """Digits in groups of three; a dash for None."""
    return "-" if number is None else f"{number:,}"


def percent(share: float | None) -> str:
    """A share as a percentage, with more digits when it is small; a dash for None."""
    if share is None:
        return "-"
    digits = 1 if abs(share) >= 0.1 else 2 if abs(share) >= 0.001 or share == 0 else 4
    return f"{100 * share:,.{digits}f} %"


def size_unit(n_bytes: float) -> tuple[float, str]:
    """The binary unit that suits a number of bytes: its value in bytes, and its name."""
    for value, name in ((1024.0**3, "GiB"), (1024.0**2, "MiB"), (1024.0, "KiB")):
        if n_bytes >= 0.9995 * value:  # what four digits would round up to it
            return value, name
    return 1.0, "bytes"


def size(n_bytes: int | None) -> str:
    """Bytes in the binary unit that suits them, such as ``1.5 MiB``; a dash for None."""
    if n_bytes is None:
        return "-"
    value, name = size_unit(n_bytes)
    return f"{n_bytes:,} bytes" if value == 1 else f"{n_bytes / value:.4g} {name}"


def megabytes(n_bytes: int | None) -> str:
    """Bytes in decimal megabytes, as traffic is quoted; a dash for None."""
    return "-" if n_bytes is None else f"{n_bytes / 1e6:,.2f} MB"


def milliseconds(ms: float | None) -> str:
    """Milliseconds with four significant digits; a dash for None."""
    return "-" if ms is None else f"{ms:.4g} ms" if ms < 1000 else f"{ms:,.0f} ms"


def microjoules(energy: float | None) -> str:
    """Energy in the decimal unit that suits it, such as ``1.25 mJ``; a dash for None."""
    if energy is None:
        return "-"
    for value, unit in ((1e6, "J"), (1e3, "mJ"), (1.0, "uJ"), (1e-3, "nJ")):
        if energy >= 0.9995 * value:
            return f"{energy / value:.4g} {unit}"
    return f"{energy * 1e6:.4g} pJ"


def square_millimetres(area: float | None) -> str:
    """An area with four significant digits; a dash for None."""
    return "-" if area is None else f"{area:.4g} mm2"


def short(number: float | None) -> str:
    """A number of operations with four digits, such as ``302.1M``; a dash for None and for none."""
    if not number:
        return "-"
    for value, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= 0.9995 * value:
            return f"{number / value:.4g}{suffix}"
    return f"{number:.4g}"


def cycles(number: float) -> str:
    """Cycles for an axis, such as ``250k`` or ``1.5M``."""
    for value, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= value:
            return f"{number / value:.6g}{suffix}"
    return f"{number:.6g}"
