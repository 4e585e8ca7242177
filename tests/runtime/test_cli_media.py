"""The command line on pictures: paths as arguments and on standard input, options, mistakes."""

import json

import numpy as np
import pytest

from .image_factories import encoded, make_classifier, make_encoder, plain

TASK = "image-classification"


@pytest.fixture
def folder(tmp_path):
    return str(make_classifier(tmp_path / "bundle"))


@pytest.fixture
def pictures(tmp_path):
    paths = []
    for colour in ("red", "blue"):
        paths.append(tmp_path / f"{colour} picture.png")
        paths[-1].write_bytes(encoded(plain(colour)))
    return list(map(str, paths))


def test_a_picture(run, folder, pictures):
    status, out, err = run("run", TASK, folder, pictures[0])
    assert (status, err) == (0, "")
    assert out == "red  0.9647\ngreen  0.0177\nblue  0.0177\n"


def test_many(run, folder, pictures):
    status, out, _ = run("run", TASK, folder, *pictures, "--top-k", 1)
    assert (status, out) == (0, "red  0.9647\nblue  0.9647\n")
    for batch_size in (1, 2, 7):
        assert run("run", TASK, folder, *pictures, "--top-k", 1, "--batch-size", batch_size)[1] == out


def test_paths_on_standard_input(run, folder, pictures):
    lines = "".join(f"{path}\n" for path in pictures)
    for text in (lines, lines.rstrip("\n"), lines.replace("\n", "\r\n")):
        status, out, _ = run("run", TASK, folder, "-", "--top-k", 1, stdin=text)
        assert (status, out) == (0, "red  0.9647\nblue  0.9647\n")


def test_json(run, folder, pictures):
    status, out, _ = run("run", "auto", folder, *pictures, "--json", "--function-to-apply", "none")
    rows = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    assert [row[0] for row in rows] == [{"label": "red", "score": 4.0}, {"label": "blue", "score": 4.0}]


def test_vectors(run, tmp_path, pictures):
    folder = make_encoder(tmp_path / "encoder")
    status, out, _ = run("run", "image-feature-extraction", folder, pictures[0], "--pool", "true")
    assert (status, out) == (0, "float32 (1, 3) [[1. 0. 0.]]\n")
    found = json.loads(run("run", "image-feature-extraction", folder, pictures[0], "--json")[1])
    assert np.shape(found) == (1, 24, 3)


def test_a_path_that_looks_like_json(run, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / '{"a"}').write_bytes(encoded(plain("lime")))
    assert run("run", TASK, folder, '{"a"}', "--top-k", 1)[:2] == (0, "green  0.9647\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "there is no file"), (b"", "is empty: 0 bytes"), (b"nothing", "is not a picture of a format")],
)
def test_mistakes(run, folder, tmp_path, pictures, content, message):
    path = tmp_path / "other.png"
    if content is not None:
        path.write_bytes(content)
    status, out, err = run("run", TASK, folder, pictures[0], path, "--top-k", 1)
    assert (status, out) == (2, "red  0.9647\n")  # what stood before it is answered
    assert message in err
    assert "Traceback" not in err
    assert err.count("\n") == 1


def test_options_that_are_mistaken(run, folder, pictures):
    for arguments, message in (
        (("--max-pixels", 10), "8 x 5: more than max_pixels=10"),
        (("--top-k", 0), "top_k must be an integer of at least 1"),
        (("--function-to-apply", "max"), "function_to_apply must be one of"),
        (("--aggregation-strategy", "max"), "unrecognized arguments"),
    ):
        status, out, err = run("run", TASK, folder, pictures[0], *arguments)
        assert (status, out) == (2, "")
        assert message in err


def test_without_any_picture(run, folder):
    status, _, err = run("run", TASK, folder)
    assert status == 2
    assert "no input" in err
    assert run("run", TASK, folder, "-", stdin="")[:2] == (0, "")


def test_info(run, folder):
    status, out, _ = run("info", folder)
    assert status == 0
    assert "image-classification" in out
    assert "['red', 'green', 'blue']" in out


def test_help_names_the_options(run):
    out = run("run", "--help")[1]
    assert "--max-pixels" in out
    assert "--pool" in out
