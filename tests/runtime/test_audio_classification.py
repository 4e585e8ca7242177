"""Audio classification: scores of hand-made graphs, kinds of inputs, which clips run together, what cannot be heard."""

import io
import json
import pickle

import numpy as np
import pytest

from torchless import BundleError, InputError, OptionError, TaskError, pipeline
from torchless.audio import stream_audio

from .factories import edit_json, save_graph

TASK = "audio-classification"
RATE = 16000
LABELS = ("loud", "louder", "quiet")
# A frame is of 5 samples.
CONVOLUTIONS = {"conv_kernel": [3, 2], "conv_stride": [2, 1], "feat_extract_norm": "layer"}
EXTRACTOR = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "do_normalize": False}

# The sum of a row's samples, times what each label makes of it; the last input tells how many ran together.
_SUMS = """({inputs}) => (float[batch, 3] logits) {{
    axis = Constant<value_ints = [1]>()
    sums = ReduceSum<keepdims = 1>({values}, axis)
    logits = Mul(sums, table)
}}"""
_MASKED = """(float[batch, samples] input_values, int64[batch, samples] attention_mask) => (float[batch, 3] logits) {
    mask = Cast<to = 1>(attention_mask)
    kept = Mul(input_values, mask)
    axis = Constant<value_ints = [1]>()
    sums = ReduceSum<keepdims = 1>(kept, axis)
    logits = Mul(sums, table)
}"""


def make_bundle(folder, *, masked=False, inputs="float[batch, samples] input_values", extractor=None, **config):
    text = _MASKED if masked else _SUMS.format(inputs=inputs, values=inputs.split()[-1])
    save_graph(folder / "onnx" / "model.onnx", text, {"table": np.array([[1, 2, -1]], np.float32)})
    content = {"model_type": "wav2vec2", "architectures": ["Wav2Vec2ForSequenceClassification"], **CONVOLUTIONS}
    content["id2label"] = {str(index): label for index, label in enumerate(LABELS)}
    (folder / "config.json").write_text(json.dumps(content | config), encoding="utf-8")
    content = {**EXTRACTOR, "return_attention_mask": masked, **(extractor or {})}
    (folder / "preprocessor_config.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


@pytest.fixture
def folder(tmp_path):
    return make_bundle(tmp_path / "bundle")


@pytest.fixture
def classify(folder):
    return pipeline(TASK, folder)


def clip(total, samples=8):
    """Samples that sum to ``total``."""
    return np.full(samples, total / samples, np.float32)


def expected(total):
    logits = np.array([total, 2 * total, -total])
    return np.exp(logits) / np.exp(logits).sum()


def scores(answer):
    found = {one["label"]: one["score"] for one in answer}
    return [found[label] for label in LABELS]


def test_scores(classify):
    answer = classify(clip(1))
    assert [list(one) for one in answer] == [["label", "score"]] * 3
    assert [one["label"] for one in answer] == ["louder", "loud", "quiet"]
    assert scores(answer) == pytest.approx(expected(1), abs=1e-6)
    assert all(type(one["score"]) is float for one in answer)


def test_top_k(folder, classify):
    for top_k, count in ((1, 1), (2, 2), (3, 3), (99, 3), (None, 3)):
        assert len(classify(clip(1), top_k=top_k)) == count
        assert len(pipeline(TASK, folder, top_k=top_k)(clip(1))) == count
    for malformed in (0, -1, 1.5, "2", True):
        with pytest.raises(OptionError, match="top_k"):
            classify(clip(1), top_k=malformed)


# As in transformers 4.57, softmax whatever the configuration says.
@pytest.mark.parametrize("problem", [None, "multi_label_classification", "regression"])
def test_function_to_apply(folder, problem):
    edit_json(folder / "config.json", problem_type=problem)
    classify = pipeline(TASK, folder)
    assert scores(classify(clip(1))) == pytest.approx(expected(1), abs=1e-6)
    assert scores(classify(clip(1), function_to_apply="none")) == pytest.approx([1, 2, -1], abs=1e-6)
    sigmoid = 1 / (1 + np.exp([-1.0, -2.0, 1.0]))
    assert scores(classify(clip(1), function_to_apply="sigmoid")) == pytest.approx(sigmoid, abs=1e-6)
    with pytest.raises(OptionError, match="function_to_apply"):
        classify(clip(1), function_to_apply="tanh")


def test_every_kind_of_input(tmp_path, classify):
    soundfile = pytest.importorskip("soundfile")
    path = tmp_path / "sound.wav"
    soundfile.write(path, clip(1), RATE, subtype="FLOAT")
    content = path.read_bytes()
    dictionaries = [{name: clip(1), "sampling_rate": RATE} for name in ("raw", "array")]
    for one in (str(path), path, content, io.BytesIO(content), clip(1), clip(1).astype(np.float64), *dictionaries):
        assert scores(classify(one)) == pytest.approx(expected(1), abs=1e-6)
    assert len(classify([str(path), clip(1), content])) == 3


def test_another_rate_is_resampled(classify):
    pytest.importorskip("soxr")
    slow = {"array": np.full(800, 1 / 800, np.float32), "sampling_rate": 8000}
    assert scores(classify(slow)) == pytest.approx(expected(2), abs=0.05)  # twice the samples


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("batch_size", [None, 1, 2, 64])
def test_many_are_answered_in_order_as_one_by_one(tmp_path, masked, batch_size):
    classify = pipeline(TASK, make_bundle(tmp_path / "bundle", masked=masked), batch_size=batch_size)
    generator = np.random.default_rng(0)
    totals = generator.normal(size=70)
    clips = [clip(total, int(samples)) for total, samples in zip(totals, generator.integers(5, 10, 70), strict=True)]
    for answers in (classify(clips), list(classify(iter(clips)))):
        assert [scores(answer) for answer in answers] == [pytest.approx(expected(total), abs=1e-6) for total in totals]
    assert classify([]) == []


def batches_of(classify, clips):
    """The shapes of the batches that ran."""
    shapes = []
    original = classify.session.run

    def run(inputs, *others):
        shapes.append(inputs["input_values"].shape)
        return original(inputs, *others)

    classify.session.run = run
    classify(clips)
    return sorted(shapes)


def test_clips_of_one_length_run_together(classify):
    assert batches_of(classify, [clip(1, 5), clip(1, 8), clip(2, 8), clip(3, 5)]) == [(2, 5), (2, 8)]


@pytest.mark.parametrize(("norm", "found"), [("layer", [(3, 101)]), ("group", [(1, 99), (1, 100), (1, 101)])])
def test_padding_only_where_a_mask_hides_it(tmp_path, norm, found):
    classify = pipeline(TASK, make_bundle(tmp_path / "bundle", masked=True, feat_extract_norm=norm))
    assert batches_of(classify, [clip(1, 99), clip(1, 101), clip(1, 100)]) == found


def test_spectrograms_are_of_one_length(tmp_path):
    folder = make_bundle(tmp_path / "bundle", inputs="float[batch, frames, mels] input_values", conv_kernel=None)
    text = """(float[batch, 10, 3] input_values) => (float[batch, 3] logits) {
        axis = Constant<value_ints = [1]>()
        logits = ReduceMean<axes = [1], keepdims = 0>(input_values)
    }"""
    save_graph(folder / "onnx" / "model.onnx", text)
    content = {"feature_extractor_type": "ASTFeatureExtractor", "max_length": 10, "num_mel_bins": 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(content), encoding="utf-8")
    classify = pipeline(TASK, folder, batch_size=4)
    sounds = [np.random.default_rng(0).normal(size=samples) for samples in (400, 5000, 777)]
    assert batches_of(classify, sounds) == [(3, 10, 3)]
    for sound, answer in zip(sounds, classify(sounds), strict=True):
        assert scores(answer) == pytest.approx(scores(classify(sound)), abs=1e-6)
    with pytest.raises(InputError, match=r"399 samples at 16000 Hz.*fewer than 400 \(25 ms\)"):
        classify(np.zeros(399))


def test_live_windows_are_inputs(classify):
    blocks = [clip(1, 80)] * 4
    answers = list(classify(stream_audio(blocks, RATE, 0.01, stride_length_s=0)))
    assert [scores(answer) for answer in answers] == [pytest.approx(expected(2), abs=1e-5)] * 2


def test_silence_is_classified(classify):
    assert scores(classify(np.zeros(100))) == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize(
    ("sound", "message"),
    [
        (np.zeros(0), "empty"),
        (np.zeros(1), r"1 samples at 16000 Hz, and the model hears nothing in fewer than 5 \(0 ms\)"),
        (np.zeros(4), "fewer than 5"),
        (np.array([0.0] * 9 + [np.nan]), "sample 9 is nan"),
        (b"no sound", "no sound"),
        ("missing.wav", "missing.wav"),
        ("https://example.com/a.wav", "download"),
        ({"array": np.zeros(9)}, "keys"),
        ({"array": np.zeros(9), "sampling_rate": -1}, "sampling rate"),
    ],
)
def test_what_cannot_be_classified(classify, sound, message):
    for inputs in (sound, [clip(1), sound]):
        with pytest.raises(InputError, match=message):
            classify(inputs)
    assert scores(classify(clip(1))) == pytest.approx(expected(1), abs=1e-6)  # unharmed


def test_inputs_of_no_kind(classify):
    for inputs in (None, 5):
        with pytest.raises(InputError):
            classify(inputs)
        with pytest.raises(InputError):
            classify([inputs])


def test_fewer_labels_than_the_graph_has(folder):
    edit_json(folder / "config.json", id2label={"0": "one", "1": "two"})
    with pytest.raises(BundleError, match="names 2 labels and the graph gives 3"):
        pipeline(TASK, folder)(clip(1))


def test_graphs_that_do_not_classify_sound(tmp_path, folder):
    for inputs in ("float[batch, samples] pixel_values", "float[batch, samples] input_features"):
        with pytest.raises(TaskError, match="input_values"):
            pipeline(TASK, make_bundle(tmp_path / inputs.split()[-1], inputs=inputs))
    with pytest.raises(BundleError, match="mask"):
        pipeline(TASK, make_bundle(tmp_path / "mask", masked=True, extractor={"return_attention_mask": False}))
    edit_json(folder / "config.json", conv_kernel=None)
    with pytest.raises(BundleError, match="conv_kernel"):
        pipeline(TASK, folder)
    edit_json(folder / "preprocessor_config.json", feature_extractor_type="Other")
    with pytest.raises(BundleError, match="Other"):
        pipeline(TASK, folder)


def test_pickling(classify):
    assert scores(pickle.loads(pickle.dumps(classify))(clip(1))) == pytest.approx(expected(1), abs=1e-6)


def test_the_task_is_read_from_the_folder(folder):
    assert scores(pipeline(None, folder)(clip(1))) == pytest.approx(expected(1), abs=1e-6)


def test_the_command_line(run, folder, tmp_path):
    soundfile = pytest.importorskip("soundfile")
    paths = []
    for total in (1, -1):
        paths.append(str(tmp_path / f"sound {total}.wav"))
        soundfile.write(paths[-1], clip(total), RATE, subtype="FLOAT")
    status, out, _ = run("run", TASK, folder, *paths, "--top-k", 1)
    assert (status, out) == (0, f"louder  {expected(1)[1]:.4f}\nquiet  {expected(-1)[2]:.4f}\n")
    status, _, err = run("run", TASK, folder, str(tmp_path / "missing.wav"))
    assert status == 2
    assert "missing.wav" in err
