"""What a variant is quantized by: the schemes, their options, and what they need of a machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from fnmatch import fnmatchcase
from typing import Any

from torchless.errors import OptionError

SCHEMES = ("int8", "int8-static", "q8", "q4", "fp16")
METHODS = ("minmax", "entropy", "percentile")
BLOCK_SIZES = (16, 32, 64, 128, 256)
ACCURACY_LEVELS = (0, 1, 2, 3, 4)
# What was measured best on products of the sizes of GPT-2 and BERT-base, 1 to 1024 rows (x86-64 with AVX512-VNNI, with
# and without AMX). In int8 (level 4) weights of 4 bits are 2 to 5 times faster than in float32 (level 1) at 1 and 4
# rows, and from 128 on neither is ahead; weights of 8 bits are slower in float32 than unquantized. Of 8 bits a block of
# 128 is up to 1.6 times faster than one of 32, and the error of rounding stays below 1 %; of 4 bits 32 costs little on
# single steps, and its error is 8 % where that of 128 is 10 %.
MEASURED: dict[str, dict[str, int]] = {
    "q8": {"block_size": 128, "accuracy_level": 4},
    "q4": {"block_size": 32, "accuracy_level": 4},
}

_BLOCKWISE = ("block_size", "symmetric", "accuracy_level", "exclude")
OPTIONS: dict[str, tuple[str, ...]] = {
    "int8": ("reduce_range", "exclude"),
    "int8-static": ("reduce_range", "method", "percentile", "exclude"),
    "q8": _BLOCKWISE,
    "q4": _BLOCKWISE,
    "fp16": ("exclude",),
}
"""The options that each scheme has."""
CALIBRATED = ("int8-static",)
"""The schemes that take the ranges of activations from inputs."""


@dataclass(frozen=True)
class Scheme:
    """A way to make a graph smaller.

    Attributes:
        name: one of :data:`SCHEMES`; the variant is called by it.
        reduce_range: int8, int8-static: weights of 7 bits, for processors whose sums of 8-bit products overflow;
            None where the machine decides.
        block_size: q8, q4: weights that share a scale; None takes what was measured best, or fewer where that
            would fill rows up with zeros.
        symmetric: q8, q4: no zero points. Embeddings of 4 bits with an odd number of blocks in a row never have them.
        accuracy_level: q8, q4: ONNX Runtime's: 4 multiplies in int8, 1 in float32; None takes what was measured best.
        method: int8-static: how the range of an activation follows from what was seen. ``"minmax"`` keeps the same
            answers nearly as well; ``"entropy"`` loses much where models generate.
        percentile: int8-static: share of the values, in percent, that the range of ``method="percentile"`` holds.
        exclude: names of weights or nodes that stay as they are, with ``*`` and ``?``.
        rest: a scheme for what ``exclude`` leaves, where a search found that to be better than float32.

    Example:
        >>> Scheme.checked("q4", block_size=64).options
        {'block_size': 64, 'symmetric': True, 'accuracy_level': 4, 'exclude': ()}
    """

    name: str
    reduce_range: bool | None = None
    block_size: int | None = None
    symmetric: bool = True
    accuracy_level: int | None = None
    method: str = "percentile"
    percentile: float = 99.99
    exclude: tuple[str, ...] = ()
    rest: Scheme | None = None

    @classmethod
    def checked(cls, name: str, **options: Any) -> Scheme:
        """The scheme, if it exists and its options belong to it.

        Raises:
            OptionError: an unknown scheme, or an option that it does not have, or a wrong value.
        """
        if not isinstance(name, str) or name not in SCHEMES:
            raise OptionError(f"scheme {name!r}: expected one of {', '.join(SCHEMES)}")
        for option, value in options.items():
            if option not in OPTIONS[name]:
                raise OptionError(_foreign(name, option))
            fits, expected = _VALUES[option]
            if not fits(value):
                raise OptionError(f"{option}={value!r} of {name}: expected {expected}")
        if "percentile" in options and options.get("method", cls.method) != "percentile":
            raise OptionError("percentile is read by method='percentile' only")
        if isinstance(options.get("exclude"), str):
            options["exclude"] = (options["exclude"],)
        return cls(name, **options | {"exclude": tuple(options.get("exclude", ()))})

    def valid(self) -> Scheme:
        """The scheme, if what was given to its constructor is what :meth:`checked` takes.

        Raises:
            OptionError: as by :meth:`checked`.
        """
        given = {part.name: getattr(self, part.name) for part in fields(self) if part.name not in ("name", "rest")}
        changed = {name: value for name, value in given.items() if value != getattr(Scheme, name)}
        scheme = Scheme.checked(self.name, **changed)
        return scheme if self.rest is None else replace(scheme, rest=self.rest.valid())

    @property
    def options(self) -> dict[str, Any]:
        """The values of the options that the scheme has, those that were measured in place of None."""
        values = {name: value for name, value in asdict(self).items() if value is not None}
        values = dict.fromkeys(asdict(self)) | MEASURED.get(self.name, {}) | values
        kept = [name for name in OPTIONS[self.name] if name != "percentile" or self.method == "percentile"]
        rest = {} if self.rest is None else {"rest": {"scheme": self.rest.name, **self.rest.options}}
        return {name: values[name] for name in kept} | rest

    @property
    def calibrated(self) -> bool:
        """Whether inputs decide a part of what is made: by the scheme itself, or by that of the rest."""
        return self.name in CALIBRATED or (self.rest is not None and self.rest.calibrated)

    def excludes(self, *names: str | None) -> bool:
        """Whether one of a node's names is to be left alone."""
        return any(fnmatchcase(name, pattern) for pattern in self.exclude for name in names if name)


def _foreign(name: str, option: str) -> str:
    """Why a scheme does not take an option."""
    owners = [scheme for scheme, options in OPTIONS.items() if option in options]
    known = f"it belongs to {', '.join(owners)}" if owners else "no scheme has it"
    return f"{name} has no option {option!r} ({known}); it has {', '.join(OPTIONS[name])}"


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _names(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value))


# Per option: whether a value fits, and what would.
_VALUES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "reduce_range": (lambda value: value is None or isinstance(value, bool), "True, False or None"),
    "block_size": (
        lambda value: value is None or (_whole(value) and value in BLOCK_SIZES),
        f"one of {BLOCK_SIZES} or None",
    ),
    "symmetric": (lambda value: isinstance(value, bool), "True or False"),
    "accuracy_level": (
        lambda value: value is None or (_whole(value) and value in ACCURACY_LEVELS),
        f"one of {ACCURACY_LEVELS} or None",
    ),
    "method": (lambda value: value in METHODS, f"one of {', '.join(METHODS)}"),
    "percentile": (lambda value: _number(value) and 50 < value <= 100, "a number above 50 and up to 100"),
    "exclude": (_names, "a name, or a list of names"),
}
