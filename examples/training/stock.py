"""Examples that are dear to make, used several times."""

from collections.abc import Callable
from random import Random
from typing import Generic, TypeVar

T = TypeVar("T")


class Stock(Generic[T]):
    """Gives examples of which a share is new, and the others are among those last made.

    Args:
        make: makes one.
        size: how many are kept.
        fresh: the share of new ones once there are so many.
    """

    def __init__(self, make: Callable[[Random], T], size: int, fresh: float) -> None:
        self.make, self.size, self.fresh = make, size, fresh
        self.kept: list[T] = []

    def __call__(self, rng: Random) -> T:
        """One example."""
        if len(self.kept) >= self.size and rng.random() >= self.fresh:
            return rng.choice(self.kept)
        made = self.make(rng)
        if len(self.kept) < self.size:
            self.kept.append(made)
        else:
            self.kept[rng.randrange(self.size)] = made
        return made
