"""Image classification and image feature extraction on mean colours."""

import io
import pickle
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from torchless import (
    Bundle,
    BundleError,
    BundleNotFoundError,
    InputError,
    MissingDependencyError,
    OptionError,
    TaskError,
    pipeline,
    sigmoid,
    softmax,
)
from torchless.vision import load_image

from .factories import edit_json, make_bundle, write_manifest
from .image_factories import COLOURS, encoded, make_classifier, make_encoder, noise, plain

TASK = "image-classification"
ORANGE = (255, 102, 0)  # logits 4, 1.6, 0
LOGITS = np.array([4, 1.6, 0], np.float32)


@pytest.fixture
def folder(tmp_path):
    return make_classifier(tmp_path / "bundle")


@pytest.fixture
def classify(folder):
    return pipeline(TASK, folder)


def best(answer):
    return answer[0]["label"]


def test_scores(classify):
    answer = classify(plain(ORANGE))
    assert [row["label"] for row in answer] == list(COLOURS)
    assert [row["score"] for row in answer] == pytest.approx(softmax(LOGITS), abs=1e-6)
    assert all(list(row) == ["label", "score"] and type(row["score"]) is float for row in answer)
    assert best(classify(plain((0, 5, 9)))) == "blue"


@pytest.mark.parametrize(
    ("function", "expected"),
    [("softmax", softmax(LOGITS)), ("sigmoid", sigmoid(LOGITS)), ("none", LOGITS), ("NONE", LOGITS)],
)
def test_functions(classify, function, expected):
    answer = classify(plain(ORANGE), function_to_apply=function)
    assert [row["score"] for row in answer] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        ("multi_label_classification", sigmoid(LOGITS)),
        ("single_label_classification", softmax(LOGITS)),
        ("regression", softmax(LOGITS)),  # as transformers' pipeline of images does, other than that of texts
        (None, softmax(LOGITS)),
    ],
)
def test_the_function_that_the_checkpoint_wants(tmp_path, problem, expected):
    answer = pipeline(TASK, make_classifier(tmp_path / "bundle", problem_type=problem))(plain(ORANGE))
    assert [row["score"] for row in answer] == pytest.approx(expected, abs=1e-6)


def test_how_many(classify, folder):
    picture = plain(ORANGE)
    assert [len(classify(picture, top_k=count)) for count in (1, 2, 3, 5, 1000, None)] == [1, 2, 3, 3, 3, 3]
    assert len(pipeline(TASK, folder, top_k=2)(picture)) == 2
    seven = tuple("abcdefg")
    with pytest.raises(BundleError, match="names 7 labels and the graph gives 3"):
        pipeline(TASK, make_classifier(folder.parent / "other", labels=seven))(picture)


@pytest.mark.parametrize("options", [{"top_k": 0}, {"top_k": 1.5}, {"function_to_apply": "max"}, {"max_pixels": 0}])
def test_malformed_options(classify, folder, options):
    with pytest.raises(OptionError):
        classify(plain(ORANGE), **options)
    with pytest.raises(OptionError):
        pipeline(TASK, folder, **options)


@pytest.mark.parametrize("name", ["timeout", "topk", "return_tensors"])
def test_unknown_options(classify, name):
    with pytest.raises(OptionError, match=f"no option '{name}'; it has top_k, function_to_apply, max_pixels"):
        classify(plain(ORANGE), **{name: 1})


def test_every_source(classify, tmp_path):
    picture = noise(30, 20)
    file = tmp_path / "picture.png"
    file.write_bytes(encoded(picture))
    expected = classify(picture)
    for source in (file, str(file), encoded(picture), io.BytesIO(encoded(picture)), np.array(picture)):
        assert classify(source) == expected
    assert classify(images=picture) == classify(inputs=picture) == expected
    with file.open("rb") as opened:
        assert classify(opened) == expected


@pytest.mark.parametrize("batch_size", [None, 1, 2, 3, 100])
def test_many(folder, tmp_path, batch_size):
    classify = pipeline(TASK, folder, batch_size=batch_size)
    pictures = [noise(10 + seed, 9, seed) for seed in range(7)]
    expected = [pipeline(TASK, folder)(picture) for picture in pictures]
    assert classify(pictures) == expected
    assert list(classify(iter(pictures))) == expected
    assert list(classify(tuple(pictures))) == expected
    assert list(classify(picture for picture in pictures)) == expected
    assert classify([]) == []
    assert classify(pictures[:1]) == expected[:1]


@pytest.mark.parametrize(("batch_size", "expected"), [(1, 1), (4, 4), (None, 8)])
def test_a_stream_is_read_no_further_than_a_batch(folder, batch_size, expected):
    read = []

    def pictures():
        for index in range(10):
            read.append(index)
            yield plain(ORANGE)

    answers = pipeline(TASK, folder, batch_size=batch_size)(pictures())
    next(answers)
    assert len(read) == expected


def test_a_list_is_decoded_batch_by_batch(folder, monkeypatch):
    from torchless.pipelines import images

    decoded = []

    def counted(source, limit):
        decoded.append(len(decoded))
        return load_image(source, limit)

    monkeypatch.setattr(images, "load_image", counted)
    classify = pipeline(TASK, folder, batch_size=2)
    run, seen = classify.session.run, []
    monkeypatch.setattr(classify.session, "run", lambda *args: seen.append(len(decoded)) or run(*args))
    assert len(classify([encoded(plain(ORANGE))] * 5)) == 5
    assert seen == [2, 4, 5]


def test_only_equal_sizes_run_together(tmp_path):
    folder = make_classifier(tmp_path / "bundle", processor={"do_resize": False})
    pictures = [noise(width, 5, width) for width in (8, 8, 9, 8, 8, 8, 7)]
    classify = pipeline(TASK, folder, batch_size=7)
    batches = []
    run = classify.session.run
    classify.session.run = lambda feeds, names: batches.append(feeds["pixel_values"].shape) or run(feeds, names)
    found = classify(pictures)
    assert [(shape[0], shape[3]) for shape in batches] == [(2, 8), (1, 9), (3, 8), (1, 7)]
    assert found == [pipeline(TASK, folder)(picture) for picture in pictures]


def test_a_graph_of_one_batch_and_size(tmp_path):
    folder = make_classifier(tmp_path / "bundle", batch=1, size=(4, 6))
    pictures = [noise(8, 8, seed) for seed in range(3)]
    assert len(pipeline(TASK, folder, batch_size=8)(pictures)) == 3
    other = make_classifier(tmp_path / "other", size=(4, 7))
    with pytest.raises(BundleError, match=r"makes pictures of \(3, 4, 6\) and the graph takes \(3, 4, 7\)"):
        pipeline(TASK, other)(pictures[0])


def test_half_precision(tmp_path):
    folder = make_classifier(tmp_path / "bundle")
    from onnx import load, save
    from onnxruntime.transformers.float16 import convert_float_to_float16

    path = folder / "onnx" / "model.onnx"
    save(convert_float_to_float16(load(path)), path)
    answer = pipeline(TASK, folder, function_to_apply="none")(plain(ORANGE))
    assert [row["score"] for row in answer] == pytest.approx(LOGITS, abs=4e-3)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (b"", "empty"),
        (b"nothing", "not a picture"),
        (encoded(noise(64, 64), "JPEG")[:900], "cannot be decoded"),
        ("nowhere.png", "no file"),
        ("https://example.org/a.png", "downloads no pictures"),
        (None, "takes one input, a list or an iterable of them, not NoneType"),
        (5, "takes one input, a list or an iterable of them, not int"),
        ({"image": "a.png"}, "takes a picture, not dict"),
        ([["a.png"]], "takes a picture, not list"),
        ([None], "a picture is a path"),
        (np.zeros((2, 4, 4, 3), np.uint8), r"an array must be .* not \(2, 4, 4, 3\)"),
        (np.full((4, 4, 3), np.nan), "from 0 to 1"),
    ],
)
def test_bad_input_leaves_the_pipeline_unharmed(classify, bad, message):
    with pytest.raises(InputError, match=message):
        classify(bad)
    assert best(classify(plain(ORANGE))) == "red"
    with pytest.raises(InputError):
        list(classify(iter([plain(ORANGE), bad])))


@pytest.mark.parametrize("batch_size", [None, 1, 2])
def test_answers_come_before_a_bad_picture(folder, batch_size):
    classify = pipeline(TASK, folder, batch_size=batch_size)
    answers = classify(iter([plain(ORANGE), b"nothing"]))
    assert best(next(answers)) == "red"
    with pytest.raises(InputError, match="not a picture"):
        next(answers)


def test_large_pictures(folder):
    picture = plain(ORANGE, (30, 20))
    with pytest.raises(InputError, match="30 x 20: more than max_pixels=599"):
        pipeline(TASK, folder, max_pixels=599)(picture)
    classify = pipeline(TASK, folder, max_pixels=600)
    assert best(classify(picture)) == "red"
    with pytest.raises(InputError, match="more than max_pixels=10"):
        classify(picture, max_pixels=10)
    assert best(classify(picture, max_pixels=None)) == "red"


def test_the_number_of_inputs(classify):
    for arguments in ((), (plain(ORANGE), plain(ORANGE))):
        with pytest.raises(InputError, match=r"not [02] arguments"):
            classify(*arguments)


def test_pickled_and_from_many_threads(folder):
    classify = pickle.loads(pickle.dumps(pipeline(TASK, folder, top_k=1)))
    pictures = [noise(20, 20, seed) for seed in range(16)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(classify, pictures)) == classify(pictures)


def test_the_task_of_a_folder(folder, tmp_path):
    assert pipeline(None, folder).task == TASK
    assert pipeline(None, make_encoder(tmp_path / "other")).task == "image-feature-extraction"


def test_without_a_pipeline(folder, classify):
    picture = noise(30, 20)
    bundle = Bundle.open(folder)
    logits = bundle.session("model").run(bundle.image_processor(load_image(picture)))["logits"]
    scores = softmax(logits)[0]
    answer = classify(picture)
    assert answer[0] == {"label": bundle.labels[scores.argmax()], "score": float(scores.max())}


def test_bundles_of_other_tasks(tmp_path, folder):
    text = make_bundle(tmp_path / "text", "text-classification", {"a": (0, 1)}, ("A", "B"))
    with pytest.raises(BundleNotFoundError, match="neither hears nor sees"):
        pipeline(TASK, text)
    with pytest.raises(TaskError, match=r"needs a graph from pixel_values .* to \['last_hidden_state'\]"):
        pipeline("image-feature-extraction", folder)
    write_manifest(folder, TASK)
    with pytest.raises(TaskError, match="was made for 'image-classification'"):
        pipeline("image-feature-extraction", folder)
    assert best(pipeline(TASK, folder)(plain(ORANGE))) == "red"


def test_a_processor_that_is_not_known(folder):
    edit_json(folder / "preprocessor_config.json", image_processor_type="DonutImageProcessor")
    with pytest.raises(BundleError, match="'DonutImageProcessor' is not known"):
        pipeline(TASK, folder)


def test_without_pillow(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingDependencyError, match=r"torchless\[vision\]"):
        pipeline(TASK, folder)


@pytest.fixture
def embed(tmp_path):
    return pipeline("image-feature-extraction", make_encoder(tmp_path / "encoder"))


def test_hidden_states(embed):
    picture = noise(6, 4)
    found = embed(picture)
    assert found.shape == (1, 24, 3)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], np.array(picture).reshape(24, 3) / 255, atol=1e-6)


def test_pooled(embed, tmp_path):
    found = embed(plain(ORANGE), pool=True)
    assert found.shape == (1, 3)
    assert found[0].tolist() == pytest.approx([1, 0.4, 0])
    assert pipeline("image-feature-extraction", tmp_path / "encoder", pool=True)(plain(ORANGE)).shape == (1, 3)


def test_vectors_of_many(tmp_path):
    embed = pipeline("image-feature-extraction", make_encoder(tmp_path), batch_size=2)
    pictures = [noise(8, 8, seed) for seed in range(5)]
    found = embed(pictures)
    for picture, one, other in zip(pictures, found, embed(iter(pictures)), strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(one, embed(picture))
    found[0][:] = 0
    assert found[1].any()


def test_without_a_pooler(tmp_path):
    folder = make_encoder(tmp_path, pooler=False)
    embed = pipeline("image-feature-extraction", folder)
    assert embed(plain(ORANGE)).shape == (1, 24, 3)
    with pytest.raises(OptionError, match="has no pooler"):
        embed(plain(ORANGE), pool=True)
    with pytest.raises(OptionError, match="has no pooler"):
        pipeline("image-feature-extraction", folder, pool=True)
    with pytest.raises(OptionError, match="pool must be True or False"):
        embed(plain(ORANGE), pool="mean")


@pytest.mark.parametrize("inputs", [list, iter])
def test_decoded_pictures_are_let_go(folder, monkeypatch, inputs):
    from torchless.pipelines import images

    read, most = [], []

    def watched(source, limit):
        found = load_image(source, limit)
        read.append(weakref.ref(found))
        most.append(sum(picture() is not None for picture in read))
        return found

    monkeypatch.setattr(images, "load_image", watched)
    pictures = inputs([encoded(noise(20, 20, seed)) for seed in range(20)])
    assert len(list(pipeline(TASK, folder, batch_size=4)(pictures))) == 20
    assert len(most) == 20
    assert max(most) <= 2  # only their pixels wait for the batch


def test_path_objects_are_no_text(classify, tmp_path):
    with pytest.raises(InputError, match=r"there is no file .*none\.png"):
        classify(Path(tmp_path) / "none.png")
