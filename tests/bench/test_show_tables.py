"""Results as tables."""

import csv
import io
import math
from dataclasses import fields, replace

import pytest

from tests.bench.results import encoder, generator, loaded, result, row, start, summary
from torchless.bench import Result, Summary
from torchless.bench.html import page
from torchless.bench.names import FIELDS, KNOWN, METRICS, described, number, quantity
from torchless.bench.tables import WIDTH, columns, csv_text, facts, markdown, speedups, text


@pytest.mark.parametrize(("amount", "shown"), [
    (1234.5, "1234"), (99.96, "100"), (99.94, "99.9"), (12.34, "12.3"), (1.234, "1.23"), (0.1234, "0.123"),
    (0.0, "0.000"), (math.nan, "-"), (math.inf, "-"),
])  # fmt: skip
def test_numbers_have_three_digits(amount: float, shown: str) -> None:
    assert number(amount) == shown


def lines(found: Result, title: str) -> list[list[str]]:
    """The heading and the rows of a table in a terminal, cell by cell."""
    blocks = text(found).split("\n\n")
    block = next(block for block in blocks if block.startswith(title))
    return [line.replace("  ", "\t").split("\t") for line in block.splitlines()[1:]]


def cells(line: list[str]) -> list[str]:
    return [cell.strip() for cell in line if cell]


def test_a_table_shows_what_differs() -> None:
    found = encoder()
    assert "\ncalls: CPU, 2 threads\n" in text(found)
    heading, first, *_, last = map(cells, lines(found, "calls"))
    assert heading == ["dtype", "batch", "tokens", "ms/call", "p90", "p99", "inputs/s", "peak MiB", "vs fp32"]
    assert first == ["fp32", "1", "16", "3.20 ±0.06", "3.52", "3.84", "312", "101", "1.00"]
    assert last == ["int8", "8", "384", "307 ±6", "338", "369", "26.0", "108", "2.00"]


def test_columns_are_aligned() -> None:
    table = text(loaded()).split("\n\n")[1].splitlines()[1:]
    ends = {line.rindex(" ") for line in table[1:]}
    assert len(ends) == 1  # numbers end where the heading ends
    assert all(len(line) == len(table[0]) for line in table)


def test_the_start_has_a_table_of_its_own() -> None:
    heading, first, second = map(cells, lines(encoder(), "start"))
    assert heading[:4] == ["dtype", "import ms", "load ms", "cold start ms"]
    assert first == ["fp32", "50.0 ±1.0", "100 ±2", "200 ±4", "70.0", "90.0", "4.00", "1.00"]
    assert second[-1] == "1.33"


def test_one_variant_has_nothing_to_be_compared_with() -> None:
    found = result((row(), row(batch=8)))
    assert speedups(found.rows) is None
    assert "vs" not in cells(lines(found, "calls")[0])
    assert "start" not in text(found)


def test_a_speed_is_that_in_the_same_configuration() -> None:
    rows = (row(ms=10), row(batch=8, ms=60), row("int8", ms=5), row("int8", batch=8, ms=20), row("q4", batch=4))
    base, speeds = speedups(rows) or ("", [])
    assert base == "fp32"
    assert speeds[:4] == [1, 1, 2, 3]
    assert math.isnan(speeds[4])


def test_bundles_are_variants_too() -> None:
    rows = (row(ms=10), row(bundle="other", ms=4))
    assert speedups(rows) == ("model", [1, 2.5])


@pytest.mark.parametrize("made", [encoder, generator, loaded])
def test_tables_fit_a_terminal(made: object) -> None:
    assert callable(made)
    assert max(map(len, text(made()).splitlines())) <= WIDTH


def test_columns_left_out_are_named() -> None:
    found = text(generator())
    assert "left out for want of room: CPU ms/call, resident MiB" in found
    assert "CPU ms/call |" in markdown(generator())
    assert "left out" not in text(encoder())


def test_notes_and_heading() -> None:
    found = text(encoder())
    assert found.startswith("model: text-classification, bert\nSome Processor, 2 CPUs, 24000 MiB, load 0.1\n")
    assert "\nnote: length 1024: the model reads 512 tokens\n" in found


def test_what_failed_is_shown_before_the_notes() -> None:
    found = result(notes=("it rained",), failed=("model q4: no memory",))
    assert "\nfailed: model q4: no memory\nnote: it rained" in text(found)
    assert "- failed: model q4: no memory\n- it rained" in markdown(found)
    assert "<li>failed: model q4: no memory</li>" in page(found, None)


def test_nothing_measured() -> None:
    found = text(result(notes=("all was left out",)))
    assert "note: all was left out" in found
    assert columns(()) == []
    assert "| dtype" not in markdown(result())


def test_missing_numbers_are_dashes() -> None:
    rows = (row(), row("int8", length=None, metrics={"latency_ms": summary(math.nan)}, values={}))
    *_, last = map(cells, lines(result(rows), "calls"))
    assert last == ["int8", "-", "-", "-", "-", "-", "-", "-"]


def test_markdown_escapes() -> None:
    found = markdown(result((row(bundle="a|b"), row(bundle="<c>")), notes=("x|y\nz",)))
    assert r"| a\|b | fp32 |" in found
    assert r"| \<c\> | fp32 |" in found
    assert r"- x\|y z" in found
    table = [line for line in found.splitlines() if line.startswith("|")]
    assert len({line.replace(r"\|", "").count("|") for line in table}) == 1


def read(found: Result) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(csv_text(found))))


def test_csv_has_every_number() -> None:
    found = encoder()
    read_back = read(found)
    assert [line["kind"] for line in read_back] == ["start"] * 2 + ["call"] * 12
    for line, measured in zip(read_back, (*found.starts, *found.rows), strict=True):
        for name, metric in measured.metrics.items():
            assert {part.name: float(line[f"{name}_{part.name}"]) for part in fields(Summary)} == metric.__dict__
        assert all(float(line[name]) == amount for name, amount in measured.values.items())
    assert (read_back[2]["batch"], read_back[2]["length"], read_back[2]["size"]) == ("1", "16", "")


def test_csv_has_the_same_columns_for_every_result() -> None:
    heads = [csv_text(made).splitlines()[0] for made in (encoder(), generator(), loaded(), result())]
    assert len(set(heads)) == 1
    more = row(metrics={"latency_ms": summary(1), "new_ms": summary(2)}, values={"other": 3.0})
    extended = csv_text(result((more,))).splitlines()[0]
    assert extended != heads[0]
    assert read(result((more,)))[0]["new_ms_p50"] == "2"
    assert read(result((more,)))[0]["other"] == "3.0"


def test_csv_tells_which_graphs_were_optimized() -> None:
    rows = (row(optimized=("encoder_model", "decoder_model")), row("int8", optimized=()), row("q4"))
    assert [line["optimized"] for line in read(result(rows))] == ["encoder_model decoder_model", "", ""]


def test_csv_of_pictures_and_sounds() -> None:
    line = read(result((row(length=None, size=(224, 336), seconds=10.0),)))[0]
    assert (line["size"], line["seconds"], line["length"]) == ("224x336", "10.0", "")


def test_pictures_are_sorted_by_their_pixels() -> None:
    rows = (row(length=None, size=(1000, 2)), row(length=None, size=(99, 99)))
    column = next(column for column in columns(rows) if column.name == "size")
    assert column.cells == ("1000x2", "99x99")
    assert column.sort == (2000, 9801)
    assert column.numeric


def test_configurations_in_words() -> None:
    made = row(length=None, seconds=10.0, mode="processes", workers=4, threads=1)
    assert described(made) == "model, fp32, CPU, 1 thread, batch 1, 10 s, 4 callers in processes"
    assert described(start()) == "model, fp32, CPU, 2 threads"
    assert {field.name for field in FIELDS} == {field.name for field in fields(row())} - {
        "metrics",
        "values",
        "optimized",
    }


def test_unknown_quantities_have_names() -> None:
    assert quantity("pages_per_s").higher
    assert quantity("page_ms").words == "page ms"
    assert not quantity("page_ms").higher
    assert set(METRICS) < set(KNOWN)


def test_a_machine_in_words() -> None:
    machine = {"processor": "P", "features": ["a", "b"], "cpus": 2, "gpus": [], "system": None, "dice": 6}
    assert facts(machine) == "P, with a b, 2 CPUs, dice 6"
    assert text(result(machine=machine, bundle={"folder": "x/y/"})).startswith("y\nP, 2 CPUs\n")
    assert text(replace(result(), bundle={"folder": "m", "others": ["a/n", "b\\o\\"], "task": "t"})).startswith(
        "m: t; with n, o"
    )
