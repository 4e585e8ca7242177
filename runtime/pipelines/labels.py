"""What the pipelines that choose among a checkpoint's labels share."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np

from ..bundle import Bundle
from ..errors import BundleError, OptionError
from ..ops import sigmoid, softmax, top_k
from ..session import Array

Function: TypeAlias = Literal["sigmoid", "softmax", "none"]
_FUNCTIONS: tuple[Function, ...] = ("sigmoid", "softmax", "none")


def checked_function(name: Any) -> Function | None:
    """The name of a function that turns logits into scores, in lower case.

    Raises:
        OptionError: no such function.
    """
    wanted = name.lower() if isinstance(name, str) else name
    for function in (*_FUNCTIONS, None):
        if wanted == function:
            return function
    raise OptionError(f"function_to_apply must be one of {_FUNCTIONS} or None, not {name!r}")


def check_top_k(bundle: Bundle, count: int | None) -> None:
    """Raise OptionError where more labels are wanted than there are."""
    if count is not None and count > len(bundle.labels):
        raise OptionError(f"top_k={count} exceeds the {len(bundle.labels)} labels")


def check_classes(bundle: Bundle, count: int) -> None:
    """Raise BundleError where the graph's classes are not those that the configuration names."""
    if count != len(bundle.labels):
        raise BundleError(f"{bundle.folder}/config.json names {len(bundle.labels)} labels and the graph gives {count}")


def scores(bundle: Bundle, logits: Array, function: Function | None) -> Array:
    """Logits of one input as scores, both ``(labels,)``.

    Args:
        bundle: tells by its configuration what to apply where ``function`` is None: nothing for regression, a sigmoid
            for several labels at once or only one, softmax otherwise.
        logits: the graph's.
        function: what to apply.
    """
    if function is None:
        problem = bundle.config.get("problem_type")
        if problem == "regression":
            function = "none"
        else:
            function = "sigmoid" if problem == "multi_label_classification" or logits.size == 1 else "softmax"
    if function == "none":
        return logits.astype(np.float32)
    return sigmoid(logits) if function == "sigmoid" else softmax(logits)


def best(bundle: Bundle, scores: Array, count: int | None) -> list[dict[str, Any]]:
    """The labels with the highest scores, best first; all of them where ``count`` is None."""
    chosen = top_k(scores, scores.size if count is None else count)
    return [{"label": bundle.labels[index], "score": float(scores[index])} for index in chosen]
