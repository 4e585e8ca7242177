"""A result as a page, and in sentences."""

import re
import sys
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from tests.bench.results import encoder, generator, loaded, result, row, summary
from torchless.bench import Result
from torchless.bench.compare import compare
from torchless.bench.findings import sentences
from torchless.bench.html import page
from torchless.drawing import COLOURS, INK


class Page(HTMLParser):
    """A page whose elements all end, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.identifiers: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attributes
        self.identifiers += [value or "" for name, value in attributes if name == "id"]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.texts)


@pytest.mark.parametrize("made", [generator, loaded, result])
def test_a_page_needs_nothing_beside_itself(made: Callable[[], Result]) -> None:
    text = page(made(), compare(made(), made()))
    found = Page(text)
    assert "http:" not in text
    assert "https:" not in text
    assert not {"link", "img", "iframe", "base", "object", "embed"} & set(found.seen)
    assert not [
        value for name, value in found.attributes if name in ("src", "href") and not (value or "").startswith("#")
    ]
    assert "@import" not in text
    assert "default-src 'none'" in text


def test_a_page_has_the_numbers() -> None:
    pytest.importorskip("matplotlib")
    found = Page(page(encoder(), None))
    assert found.seen.count("table") == 2
    assert found.seen.count("tr") == 2 + 12 + 2
    assert found.seen.count("svg") == 3
    for shown in ("307 ±6", "2.00", "torchless bench model --batch 1 8", "Some Processor, 2 CPUs", "cold start ms"):
        assert shown in found.text
    assert "length 1024: the model reads 512 tokens" in found.text
    assert "int8 is 2.00 times as fast as fp32 in 6 configurations." in found.text


def test_pictures_share_no_identifiers() -> None:
    pytest.importorskip("matplotlib")
    text = page(generator(), None)
    found = Page(text)
    assert len(set(found.identifiers)) == len(found.identifiers) > 50
    referred = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', text)
    assert referred
    assert {one or other for one, other in referred} <= set(found.identifiers)


def test_pictures_follow_the_colours_of_the_page() -> None:
    pytest.importorskip("matplotlib")
    text = page(encoder(), None)
    body = text[text.index("<body>") :]
    assert INK not in body
    assert COLOURS[0].lower() not in body
    assert "var(--ink)" in body
    assert "prefers-color-scheme: dark" in text


def test_columns_are_sorted_by_their_numbers() -> None:
    text = page(result((row(ms=9), row("int8", ms=10, metrics={"latency_ms": summary(float("nan"))}))), None)
    assert '<td class="number" data-sort="9">9.00 ±0.18</td>' in text
    assert '<td class="number" data-sort="">-</td>' in text
    assert '<td data-sort="fp32">fp32</td>' in text


def test_everything_is_escaped() -> None:
    evil = "<script>alert('x')</script>&\"<!--"
    rows = (row(bundle=evil), row(bundle="b", length=32))
    made = result(
        rows, notes=(evil,), command=evil, created=evil, machine={"processor": evil}, versions={evil: evil},
        bundle={"folder": evil, "task": evil, "model_type": evil, "others": [evil]}, settings={evil: evil},
    )  # fmt: skip
    text = page(made, compare(result((row(bundle="a"), row(bundle=evil + "2")), created=evil), made))
    found = Page(text)
    assert found.seen.count("script") == 1
    assert "alert('x')</script>" in found.text
    assert "<!--" not in text


def test_a_comparison_has_a_section() -> None:
    old = result((row(), row("int8"), row("q4")))
    new = result((row(ms=20), row("int8", ms=4), row(batch=8)), versions={"python": "3.14"})
    found = Page(page(new, compare(old, new)))
    assert "1 better, 1 worse, 2 unchanged or within the noise" in found.text
    assert "Warning: other versions: python 3.11.7, now python 3.14" in found.text
    assert "0.50x" in found.text
    assert "2.50x" in found.text
    assert "Not measured any more:" in found.text
    assert "Compared" not in Page(page(new, None)).text


def test_without_matplotlib_the_page_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    found = Page(page(encoder(), None))
    assert "No pictures: a plot needs matplotlib: pip install 'torchless[report]'" in found.text
    assert "svg" not in found.seen
    assert found.seen.count("table") == 2


def test_sentences() -> None:
    assert sentences(encoder()) == [
        "int8 is 2.00 times as fast as fp32 in 6 configurations.",
        "The quickest answer: 1.60 ±0.03 ms (int8, batch 1, 16 tokens).",
        "The highest throughput of one caller: 625 inputs/s (int8, batch 1, 16 tokens).",
        "From the start of a process to its first answer it takes 150 ±3 ms, and 90.0 MiB (int8).",
    ]
    assert sentences(generator())[:2] == [
        "int8 is 1.58 to 2.74 times as fast as fp32 in 4 configurations.",
        "q4 is 1.38 to 1.91 times as fast as fp32 in 4 configurations.",
    ]
    together = sentences(loaded())[-2]
    assert together.startswith("2 callers in processes reach 1.90 times the throughput of one at the most (fp32, CPU, ")
    assert sentences(result()) == []
    assert sentences(result((row(),))) == []
