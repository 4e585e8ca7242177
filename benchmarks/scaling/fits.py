"""Least squares over measured points, and what they predict of machines that were not measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .series import Point

SOCKET_GB_S = 204.8
"""What a socket reads at most, in 1e9 bytes a second: eight channels of DDR4-3200, 8 bytes wide."""


@dataclass(frozen=True)
class Fit:
    """Coefficients of what was fitted, and the share of the spread that it explains (R squared, 1 at best)."""

    coefficients: tuple[float, ...]
    r2: float

    def at(self, x: float) -> float:
        """The polynomial's value."""
        return sum(coefficient * x**power for power, coefficient in enumerate(self.coefficients))


def polynomial(x: Sequence[float], y: Sequence[float], degree: int) -> Fit:
    """``a + b x + c x^2`` by least squares of relative errors, as a percent of a short call counts as of a long one.

    Raises:
        ValueError: fewer points than coefficients and one.
    """
    if len(x) < degree + 2:
        raise ValueError(
            f"{len(x)} points do not tell whether a polynomial of degree {degree} fits; it takes {degree + 2}"
        )
    given, wanted = np.asarray(x, float), np.asarray(y, float)
    found = np.polynomial.polynomial.polyfit(given, wanted, degree, w=1 / wanted)
    return Fit(tuple(map(float, found)), _r2(wanted, np.polynomial.polynomial.polyval(given, found)))


def overhead(bounds: Sequence[float], y: Sequence[float]) -> Fit:
    """``a + s r`` of what a call takes at best, r, by the same least squares; neither part can be negative."""
    fit = polynomial(bounds, y, 1)
    if fit.coefficients[0] >= 0 and fit.coefficients[1] >= 0:
        return fit
    given, wanted = np.asarray(bounds, float), np.asarray(y, float)
    share = given / wanted
    alone = (0.0, float(share.sum() / (share @ share)))
    return Fit(alone, _r2(wanted, alone[1] * given))


def roofline(point: Point, precision: str, limits: Mapping[str, float]) -> float:
    """Milliseconds that a call takes at best if reading and computing do not overlap: bytes and operations by rates.

    After S. Williams, A. Waterman and D. Patterson, "Roofline", Communications of the ACM 52 (2009).
    """
    reading = point.bytes(precision) / (1e9 * limits["read_gb_s"])
    return 1e3 * (reading + point.flops() / (1e9 * limits[f"{precision}_gflops"]))


def with_cores(one: Mapping[str, float], cores: int) -> dict[str, float]:
    """Limits of more cores, if each computes and reads as one thread here does, up to what a socket reads."""
    return {
        name: min(cores * limit, SOCKET_GB_S) if name == "read_gb_s" else cores * limit for name, limit in one.items()
    }


def _r2(wanted: np.ndarray, found: np.ndarray) -> float:
    return float(1 - np.sum((wanted - found) ** 2) / np.sum((wanted - wanted.mean()) ** 2))
