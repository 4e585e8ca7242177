"""What all pictures share: colours, axes, and matplotlib, which is imported only where something is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .errors import MissingDependencyError

# Colours that the colour-blind tell apart (Okabe and Ito, 2008); grey is float32.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D00")
GREY, INK, FAINT = "#7A7A7A", "#222222", "#E6E6E6"


def matplotlib() -> tuple[Any, Any]:
    """Matplotlib's figures, and what draws them without a screen.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        from matplotlib import figure
        from matplotlib.backends import backend_agg
    except ImportError as error:
        raise MissingDependencyError("a plot needs matplotlib: pip install 'torchless[report]'") from error
    return figure, backend_agg


@contextmanager
def reproducible(name: str) -> Iterator[None]:
    """In here SVG files are the same each time, their text stays text, and ``$`` in a name is no formula.

    Args:
        name: makes the identifiers in a file, which must differ from those of other pictures on the same page.
    """
    matplotlib()
    from matplotlib import rc_context

    with rc_context({"svg.hashsalt": name, "svg.fonttype": "none", "text.parse_math": False}):
        yield


def style(axes: Any) -> None:
    """No frame but the line below, and no ticks."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=9, length=0)
    axes.set_axisbelow(True)
