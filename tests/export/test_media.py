"""Models that hear and see: the bundle's graphs against transformers at other shapes than the export verifies."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the export needs torch")
pytest.importorskip("PIL", reason="image processors need Pillow")

import transformers  # noqa: E402

from tests.export import media, models  # noqa: E402
from tests.export.conftest import read_manifest  # noqa: E402
from torchless import Bundle, ExportError, OptionError, TaskError, pipeline  # noqa: E402
from torchless.export import export  # noqa: E402

pytestmark = pytest.mark.export

CTC, CLASSES = "automatic-speech-recognition", "audio-classification"
AUTO = {CTC: "AutoModelForCTC", CLASSES: "AutoModelForAudioClassification"}


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape, dtype=np.float32)


def close(found: np.ndarray, wanted: Any, tolerance: float = 1e-4) -> None:
    np.testing.assert_allclose(found, wanted.numpy(), rtol=tolerance, atol=tolerance)
    assert wanted.std() > 1e-3, "outputs that are all alike would hide errors"


def reload(source: Path, auto: str) -> Any:
    return getattr(transformers, auto).from_pretrained(source, dtype=torch.float32).eval()


def dtypes(bundle: Path, role: str = "model") -> set[str]:
    return set(read_manifest(bundle)["graphs"][role])


@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")  # in transformers' WavLM
@pytest.mark.parametrize(("model_type", "task"), [*((kind, CTC) for kind in media.WAVE_MODELS), ("hubert", CLASSES)])
def test_waves_with_layer_norms(tmp_path: Path, model_type: str, task: str) -> None:
    """Rows of any length in one batch, each answered as it is alone."""
    source = media.waves(tmp_path / "source", model_type, task, "layer", masked=True)
    bundle = export(source, tmp_path / "bundle")
    assert read_manifest(bundle)["task"] == task
    session, model = Bundle.open(bundle).session(), reload(source, AUTO[task])
    lengths = [11111, 4000, 800]
    sound, mask = np.zeros((3, 11111), dtype=np.float32), np.zeros((3, 11111), dtype=np.int64)
    for row, length in enumerate(lengths):
        sound[row, :length], mask[row, :length] = noise(length, seed=row), 1
    found = session.run({"input_values": sound, "attention_mask": mask})["logits"]
    for row, length in enumerate(lengths):
        ones = torch.ones((1, length), dtype=torch.int64)
        with torch.inference_mode():
            wanted = model(torch.from_numpy(sound[row : row + 1, :length]), attention_mask=ones).logits[0]
        close(found[row, : len(wanted)] if task == CTC else found[row], wanted)


@pytest.mark.parametrize(("model_type", "task"), [("wav2vec2", CTC), ("wav2vec2", CLASSES), ("wavlm", CLASSES)])
def test_waves_with_a_group_norm(tmp_path: Path, model_type: str, task: str) -> None:
    """No mask: sounds of one length."""
    source = media.waves(tmp_path / "source", model_type, task, "group", masked=False)
    bundle = export(source, tmp_path / "bundle")
    session, model = Bundle.open(bundle).session(), reload(source, AUTO[task])
    assert [spec.name for spec in session.inputs] == ["input_values"]
    for shape in ((1, 9999), (4, 1601)):
        sound = noise(*shape)
        with torch.inference_mode():
            close(session.run({"input_values": sound})["logits"], model(torch.from_numpy(sound)).logits)


def test_attention_of_waves_is_fused(tmp_path: Path) -> None:
    source = media.waves(tmp_path / "source", "hubert", CTC, "layer", masked=True)
    bundle = export(source, tmp_path / "bundle", dtype=("fp32", "fp16", "int8"))
    assert read_manifest(bundle)["provenance"]["attention"] == "MultiHeadAttention"
    assert dtypes(bundle) == {"fp32", "fp16", "int8"}
    assert len(Bundle.open(bundle).verify()) == 3
    assert (bundle / "vocab.json").is_file()
    assert not (bundle / "tokenizer.json").exists()


def test_adapters_of_a_language(tmp_path: Path) -> None:
    """Massively multilingual checkpoints have small layers for each language."""
    source = media.waves(tmp_path / "source", "wav2vec2", CTC, "layer", masked=True, adapter_attn_dim=8)
    bundle = export(source, tmp_path / "bundle")
    model, sound = reload(source, AUTO[CTC]), noise(2, 3000)
    mask = np.ones_like(sound, dtype=np.int64)
    with torch.inference_mode():
        wanted = model(torch.from_numpy(sound), attention_mask=torch.from_numpy(mask)).logits
    close(Bundle.open(bundle).session().run({"input_values": sound, "attention_mask": mask})["logits"], wanted)


def test_spectrograms(tmp_path: Path) -> None:
    source = media.spectrograms(tmp_path / "source")
    bundle = export(source, tmp_path / "bundle")
    model, frames = reload(source, AUTO[CLASSES]), noise(4, 64, 32)
    with torch.inference_mode():
        close(
            Bundle.open(bundle).session().run({"input_values": frames})["logits"],
            model(torch.from_numpy(frames)).logits,
        )


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A Whisper's checkpoint and bundle, to be read only."""
    folder = tmp_path_factory.mktemp("whisper")
    source = media.whisper(folder / "source")
    return source, export(source, folder / "bundle", dtype=("fp32", "fp16", "int8"))


def test_whisper(whisper: tuple[Path, Path]) -> None:
    assert dtypes(whisper[1], "decoder_model") == {"fp32", "fp16", "int8"}
    check_speech_to_text(*whisper, noise(3, 80, 120))


def test_moonshine(tmp_path: Path) -> None:
    source = media.moonshine(tmp_path / "source")
    bundle = export(source, tmp_path / "bundle")
    check_speech_to_text(source, bundle, noise(3, 7001))
    model = reload(source, "AutoModelForSpeechSeq2Seq")
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    transcribe = pipeline("automatic-speech-recognition", bundle, max_new_tokens=9)
    sounds = [noise(9001), noise(5003)]
    for beams in (1, 4):
        answers = transcribe(sounds, num_beams=beams)
        for sound, answer in zip(sounds, answers, strict=True):
            with torch.inference_mode():
                tokens = model.generate(torch.from_numpy(sound)[None], num_beams=beams, max_new_tokens=9)
            assert answer == {"text": tokenizer.decode(tokens[0], skip_special_tokens=True)}
            assert answer["text"]
    with pytest.raises(OptionError, match="return_timestamps"):
        transcribe(sounds[0], return_timestamps=True)


def check_speech_to_text(source: Path, bundle: Path, sound: np.ndarray) -> None:
    """Greedy tokens are transformers' own, for sounds of another length where it may vary."""
    assert read_manifest(bundle)["task"] == CTC
    assert len(Bundle.open(bundle).verify()) == len(dtypes(bundle, "decoder_model"))
    model = reload(source, "AutoModelForSpeechSeq2Seq")
    start = np.full((3, 1), 2)
    generator = Bundle.open(bundle).generator()
    encoded = generator.encode(features={model.main_input_name: sound})
    output = generator.generate(encoded=encoded, decoder_input_ids=start, max_new_tokens=12, eos_token_id=None)
    with torch.inference_mode():
        tokens = torch.from_numpy(start)
        for _ in range(12):
            logits = model(**{model.main_input_name: torch.from_numpy(sound)}, decoder_input_ids=tokens).logits[:, -1]
            tokens = torch.cat([tokens, logits.argmax(-1, keepdim=True)], dim=1)
    assert output.sequences.tolist() == tokens.tolist()
    assert len(set(tokens[:, 1:].flatten().tolist())) > 3
    part = generator.generate(
        encoded=encoded.select([2, 0]), decoder_input_ids=start[:2], max_new_tokens=12, eos_token_id=None
    )
    assert part.sequences.tolist() == tokens[[2, 0]].tolist()


def test_heads_tell_what_they_attend_to(whisper: tuple[Path, Path]) -> None:
    source, bundle = whisper
    generator = Bundle.open(bundle).generator()
    model = transformers.WhisperForConditionalGeneration.from_pretrained(source, attn_implementation="eager").eval()
    sound, tokens = noise(2, 80, 120), np.random.default_rng(0).integers(0, 128, (2, 9))
    heads = [tuple(pair) for pair in media.ALIGNMENT_HEADS]
    found = generator.cross_attention(generator.encode(features={"input_features": sound}), tokens, heads)
    with torch.inference_mode():
        wanted = model(
            torch.from_numpy(sound), decoder_input_ids=torch.from_numpy(tokens), output_attentions=True
        ).cross_attentions
    assert found.shape == (2, 3, 9, 60)
    for place, (layer, head) in enumerate(heads):
        close(found[:, place], wanted[layer][:, head], 1e-5)
    encoded = generator.encode(features={"input_features": sound})
    with pytest.raises(TaskError, match=r"layers \[5\]"):
        generator.cross_attention(encoded, tokens, [(5, 0)])


@pytest.mark.parametrize("model_type", media.IMAGE_MODELS)
def test_images(tmp_path: Path, model_type: str) -> None:
    source = media.images(tmp_path / "source", model_type)
    bundle = export(source, tmp_path / "bundle")
    assert read_manifest(bundle)["task"] == "image-classification"
    size = media.IMAGE_MODELS[model_type][0]
    check_images(source, bundle, size, "AutoModelForImageClassification", ["logits"])


def check_images(source: Path, bundle: Path, size: int, auto: str, outputs: list[str]) -> None:
    session, model = Bundle.open(bundle).session(), reload(source, auto)
    for batch in (1, 6):
        pixels = noise(batch, 3, size, size)
        found = session.run({"pixel_values": pixels})
        assert sorted(found) == sorted(outputs)
        with torch.inference_mode():
            wanted = model(torch.from_numpy(pixels))
        for name in outputs:
            close(found[name], wanted[name])


def test_distilled_head(tmp_path: Path) -> None:
    """Of two classes for one task it is the checkpoint's own that is exported."""
    source = media.images(tmp_path / "source", "deit", "DeiTForImageClassificationWithTeacher")
    bundle = export(source, tmp_path / "bundle", dtype=("fp32", "fp16", "int8"))
    assert read_manifest(bundle)["provenance"]["architecture"] == "DeiTForImageClassificationWithTeacher"
    assert dtypes(bundle) == {"fp32", "fp16", "int8"}
    check_images(source, bundle, 32, "DeiTForImageClassificationWithTeacher", ["logits"])


@pytest.mark.parametrize("model_type", ["vit", "resnet"])
def test_image_features(tmp_path: Path, model_type: str) -> None:
    source = media.images(tmp_path / "source", model_type, "AutoModel")
    bundle = export(source, tmp_path / "bundle")
    assert read_manifest(bundle)["task"] == "image-feature-extraction"
    size = media.IMAGE_MODELS[model_type][0]
    check_images(source, bundle, size, "AutoModel", ["last_hidden_state", "pooler_output"])


def test_image_features_of_a_classifier(tmp_path: Path) -> None:
    """A classifier was saved without a pooler: that output is left out, not made up."""
    source = media.images(tmp_path / "source", "vit")
    bundle = export(source, tmp_path / "bundle", task="image-feature-extraction")
    assert [spec.name for spec in Bundle.open(bundle).session().outputs] == ["last_hidden_state"]


def test_pictures_that_keep_their_shape(tmp_path: Path) -> None:
    """Where the processor does not crop to one size, height and width vary."""
    source = media.images(tmp_path / "source", "resnet")
    config = json.loads((source / "preprocessor_config.json").read_text(encoding="utf-8"))
    config |= {"do_resize": False}
    (source / "preprocessor_config.json").write_text(json.dumps(config), encoding="utf-8")
    bundle = export(source, tmp_path / "bundle")
    session, model = Bundle.open(bundle).session(), reload(source, "AutoModelForImageClassification")
    for height, width in ((64, 96), (200, 333)):
        pixels = noise(2, 3, height, width)
        with torch.inference_mode():
            close(session.run({"pixel_values": pixels})["logits"], model(torch.from_numpy(pixels)).logits)


def test_numbers_of_the_preprocessor_are_frozen(tmp_path: Path) -> None:
    """Also those that transformers has defaults for, under the name that needs no torchvision."""
    bundle = export(media.images(tmp_path / "source", "vit"), tmp_path / "bundle")
    config = json.loads((bundle / "preprocessor_config.json").read_text(encoding="utf-8"))
    assert config["image_processor_type"] == "ViTImageProcessor"
    assert {"do_resize", "size", "resample", "do_rescale", "rescale_factor", "image_mean", "image_std"} <= set(config)
    assert "preprocessor_config.json" in {file["file"] for file in read_manifest(bundle)["files"]}
    assert str(tmp_path) not in "".join(path.read_text(encoding="utf-8") for path in bundle.glob("*.json"))


def test_sizes_of_the_model_are_written(tmp_path: Path, whisper: tuple[Path, Path]) -> None:
    """Those that the runtime counts frames and positions by, also where they are transformers' defaults."""
    ctc = export(media.waves(tmp_path / "a", "wav2vec2", CTC, "group", masked=False), tmp_path / "ctc")
    config = Bundle.open(ctc).config
    assert len(config["conv_kernel"]) == len(config["conv_stride"]) == 7
    assert config["feat_extract_norm"] == "group"
    assert Bundle.open(whisper[1]).generator().position_limit == 40


def test_no_preprocessor(tmp_path: Path) -> None:
    source = media.images(tmp_path / "source", "vit")
    (source / "preprocessor_config.json").unlink()
    with pytest.raises(ExportError, match="cannot load the image processor"):
        export(source, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_no_vocabulary(tmp_path: Path) -> None:
    source = media.waves(tmp_path / "source", "wav2vec2", CTC, "group", masked=False)
    for name in ("vocab.json", "tokenizer_config.json"):
        (source / name).unlink()
    with pytest.raises(ExportError, match="cannot load the tokenizer"):
        export(source, tmp_path / "bundle")


def test_task_of_another_sense(tmp_path: Path, classifier: Path) -> None:
    with pytest.raises(ExportError, match=r"does not serve task|cannot load"):
        export(classifier, tmp_path / "bundle", task="image-classification")
    source = media.images(tmp_path / "source", "vit")
    with pytest.raises(ExportError, match=r"does not serve task|cannot load|takes pixel_values"):
        export(source, tmp_path / "bundle", task="text-classification")


def test_missing_head_of_a_model_that_hears(tmp_path: Path) -> None:
    source = media.waves(tmp_path / "source", "wav2vec2", CLASSES, "group", masked=False)
    vocabulary = models.tokenizer_for("bert")
    vocabulary.save_pretrained(source)
    with pytest.raises(ExportError, match=r"no weights for lm_head"):
        export(source, tmp_path / "bundle", task=CTC)
