"""A benchmark's result as one page, which needs nothing beside itself: no network, no fonts, no scripts."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from html import escape

from ..drawing import COLOURS, FAINT, GREY, INK
from ..errors import MissingDependencyError
from .compare import Change, Comparison, summary
from .findings import sentences
from .names import Measured, number, quantity
from .plots import figures
from .result import Result
from .tables import LEGEND, Column, columns, heading, titled

# The colours of the pictures in the dark: as far from each other, and brighter.
_DARK = ("#3A9BE0", "#FF8A3D", "#2CCB9B", "#E79CC6", "#F2B632", "#9AD6F5", "#C9A227")

_STYLE = """
:root { --paper: #ffffff; --ink: #222222; --grey: #6b6b6b; --faint: #e6e6e6; --good: #00734f; --bad: #b3440a; LIGHT }
@media (prefers-color-scheme: dark) {
  :root { --paper: #15181c; --ink: #e8e8e8; --grey: #a6a6a6; --faint: #343a40; --good: #2ccb9b; --bad: #ff8a3d; DARK }
}
html { color-scheme: light dark; background: var(--paper); color: var(--ink); }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 72rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
p { margin: .3rem 0; } .faint { color: var(--grey); } .good { color: var(--good); } .bad { color: var(--bad); }
code, pre { font: 13px/1.5 ui-monospace, monospace; } pre { overflow-x: auto; white-space: pre-wrap; }
pre { background: var(--faint); padding: .6rem .8rem; border-radius: 4px; overflow-wrap: anywhere; }
figure { margin: 1.2rem 0; } figure svg { max-width: 100%; height: auto; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 14px; }
th, td { padding: .25rem .7rem; text-align: left; border-bottom: 1px solid var(--faint); white-space: nowrap; }
.number { text-align: right; }
th button { all: unset; cursor: pointer; font-weight: 600; } th button:focus-visible { outline: 2px solid; }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
tbody tr:hover { background: var(--faint); }
"""

_SCRIPT = """
for (const button of document.querySelectorAll("th button")) button.addEventListener("click", () => {
  const head = button.parentElement, place = head.cellIndex, body = head.closest("table").tBodies[0];
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const value = row => row.cells[place].dataset.sort ?? row.cells[place].textContent;
  const order = (one, other) => {
    const a = value(one), b = value(other);
    if (a === "" || b === "") return (a === "") - (b === "");
    const apart = isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
    return down ? -apart : apart;
  };
  body.append(...[...body.rows].sort(order));
});
"""


def page(result: Result, comparison: Comparison | None) -> str:
    """The result as HTML.

    Args:
        result: what was measured.
        comparison: with an earlier result, which gets a section; None where there is none.

    Returns:
        The page. Pictures are in it where matplotlib is installed; it says so where they are not.
    """
    title, *facts_found = heading(result)
    parts = [
        f"<h1>{escape(title)}</h1>",
        *(f'<p class="faint">{escape(fact)}</p>' for fact in (*facts_found, result.created) if fact),
        f"<pre>{escape(result.command)}</pre>",
        *(f"<p>{escape(sentence)}</p>" for sentence in sentences(result)),
    ]
    if comparison is not None:
        parts += _comparison(comparison)
    parts += _pictures(result)
    for name, rows in titled(result):
        parts += [f"<h2>{escape(name)}</h2>", _table(columns(rows), rows)]
    if result.starts or result.rows:
        parts.append(f'<p class="faint">{escape(LEGEND)}</p>')
    if result.remarks:
        parts += ["<h2>Notes</h2>", _list(result.remarks)]
    settings = json.dumps({"settings": result.settings, "machine": result.machine}, indent=1, ensure_ascii=False)
    parts.append(f"<details><summary>Settings and machine</summary><pre>{escape(settings)}</pre></details>")
    policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>{escape(title)}</title>\n<style>{_style()}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + f"\n<script>{_SCRIPT}</script>\n</body>\n</html>\n"
    )


def _style() -> str:
    light, dark = (
        " ".join(f"--c{place}: {colour};" for place, colour in enumerate(colours)) for colours in (COLOURS, _DARK)
    )
    return _STYLE.replace("LIGHT", light).replace("DARK", dark)


def _pictures(result: Result) -> list[str]:
    """The pictures, in the page's colours; a line that says what they need where they cannot be drawn."""
    try:
        drawn = figures(result)
    except MissingDependencyError as error:
        return [f'<p class="faint">No pictures: {escape(str(error))}</p>']
    return [f"<figure>{_inlined(name, svg)}</figure>" for name, svg in drawn.items()]


def _inlined(name: str, svg: str) -> str:
    """An SVG file without its head, with identifiers that no other picture has and colours that follow the page's."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", body, count=2)
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r"url\(#", f"url(#{name}-", body)
    body = re.sub(r'xlink:href="#', f'href="#{name}-', body)
    names = {INK: "ink", GREY: "grey", FAINT: "faint", "#ffffff": "paper"}
    names |= {colour: f"c{place}" for place, colour in enumerate(COLOURS)}
    for colour, called in names.items():
        body = body.replace(colour.lower(), f"var(--{called})")
    return body.replace("<svg", f'<svg role="img" aria-label="{escape(name)}"', 1)


def _table(shown: Sequence[Column], rows: Sequence[Measured]) -> str:
    """A table whose columns are sorted by a click on their heading."""
    heads = "".join(
        f'<th scope="col"{_kind(column)}><button type="button">{escape(column.heading)}</button></th>'
        for column in shown
    )
    lines = (
        "<tr>" + "".join(_cell(column, place) for column in shown) + "</tr>" for place in range(len(rows))
    )  # fmt: skip
    body = "\n".join(lines)
    return f'<div class="scroll"><table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'


def _kind(column: Column) -> str:
    return ' class="number"' if column.numeric else ""


def _cell(column: Column, place: int) -> str:
    """A cell, with what it is sorted by where its text would not do; nothing there where it is not a number."""
    sort = column.sort[place]
    key = "" if isinstance(sort, float) and not math.isfinite(sort) else str(sort)
    return f'<td{_kind(column)} data-sort="{escape(key)}">{escape(column.cells[place])}</td>'


def _comparison(comparison: Comparison) -> list[str]:
    """What changed since an earlier result."""
    parts = ["<h2>Compared with an earlier result</h2>"]
    parts += [f'<p class="bad">Warning: {escape(warning)}</p>' for warning in comparison.warnings]
    parts.append(f"<p>Since {escape(comparison.old)}: {escape(summary(comparison))}.</p>")
    judged = (
        ("Slower or larger", "bad", comparison.of("worse")),
        ("Faster or smaller", "good", comparison.of("better")),
    )
    parts += [_changes(name, kind, changes) for name, kind, changes in judged if changes]
    for name, only in (("Not measured any more", comparison.only_old), ("New", comparison.only_new)):
        parts += [f"<p>{name}:</p>", _list(only)] if only else []
    return parts


def _changes(name: str, kind: str, changes: Iterable[Change]) -> str:
    lines = "\n".join(
        f"<tr><td>{escape(change.what)}</td><td>{escape(quantity(change.name).words)}</td>"
        f'<td class="number">{number(change.old)}</td><td class="number">{number(change.new)}</td>'
        f'<td class="number">{escape(quantity(change.name).unit)}</td>'
        f'<td class="number {kind}">{change.ratio:.2f}x</td></tr>'
        for change in changes
    )
    heads = f'<th scope="col">{name}</th><th scope="col">what</th>' + "".join(
        f'<th scope="col" class="number">{head}</th>' for head in ("before", "now", "", "times as good")
    )
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>\n{lines}\n</tbody></table></div>'


def _list(lines: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"
