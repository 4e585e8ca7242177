"""Word lists kept in text files."""

from pathlib import Path

FOLDER = Path(__file__).parent


def lines(name: str) -> list[str]:
    """The lines of a file beside this one."""
    return (FOLDER / name).read_text(encoding="utf-8").splitlines()


def word_lists(name: str) -> dict[str, list[str]]:
    """The lists of a file whose lines are `KEY: WORD|WORD|...`."""
    pairs = (line.partition(": ") for line in lines(name))
    return {key: values.split("|") for key, _, values in pairs}


WORDS = word_lists("words.txt")
