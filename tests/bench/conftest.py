"""The exported shipped checkpoints, shared with the tests of fidelity."""

from tests.fidelity.conftest import exported

__all__ = ["exported"]
