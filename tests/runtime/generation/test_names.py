"""The public names of the package."""

import inspect

import pytest

from torchless import generation

ALIASES = {"AllowedTokens", "Processor", "Seed", "Steps", "StopRule"}


def test_public_names_are_sorted():
    assert sorted(generation.__all__, key=str.lower) == sorted(set(generation.__all__), key=str.lower)


@pytest.mark.parametrize("name", generation.__all__)
def test_public_name_is_importable_and_documented(name):
    value = getattr(generation, name)
    assert name in ALIASES or inspect.getdoc(value)
