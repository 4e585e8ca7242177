"""Hand-written facts and names of the real world."""

from typing import NamedTuple

from .lists import WORDS, lines


class Country(NamedTuple):
    """A country and what belongs to it."""

    name: str
    capital: str
    adjective: str
    language: str
    continent: str


COUNTRIES = [Country(*line.split("|")) for line in lines("countries.txt")]

OTHER_COUNTRIES = WORDS["other_countries"]

CITIES = WORDS["cities"]

GIVEN_NAMES = WORDS["given_names"]

COMPANIES = WORDS["companies"]
