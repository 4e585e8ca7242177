"""What quantization costs the shipped checkpoints, and one of other people, in their tasks' metrics."""

from __future__ import annotations

import json
import re
import shutil
import warnings
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the export needs torch")
pytest.importorskip("soundfile", reason="sounds are read through soundfile")
pytest.importorskip("PIL", reason="pictures are read through Pillow")
pytest.importorskip("sacrebleu", reason="texts are compared by chrF")

from examples.held_out import prepare
from examples.samples import CHECKPOINTS
from tests.fidelity.checkpoints import Exported
from tests.fidelity.test_real_checkpoints import save_tokenizer
from torchless import Bundle
from torchless.errors import QuantizationWarning
from torchless.export import export
from torchless.quantize.evaluation import evaluate
from torchless.quantize.labelled import read_labelled
from torchless.quantize.variants import quantize

pytestmark = pytest.mark.export

# Points of the metric that a scheme may lose; of perplexity, percent.
LOST = {"int8": 1.0, "int8-static": 1.0, "q8": 1.0, "q4": 2.0}
# What every checkpoint must reach before anything is quantized, so that there is something to lose.
METRICS = {
    "commands": ("word_error_rate", 0.35), "fill-mask": ("accuracy", 0.78), "keywords": ("accuracy", 0.94),
    "ner": ("f1", 0.69), "nli": ("accuracy", 0.92), "qa": ("f1", 0.85), "sentiment": ("accuracy", 0.88),
    "shapes": ("accuracy", 0.89), "story": ("perplexity", 1.7), "summary": ("chrf", 0.99),
    "translate": ("chrf", 0.95),
}  # fmt: skip
GOLD_WORDS = 200


def quantized(bundle: Path, folder: Path, calibrate: Path) -> Path:
    """A copy of a bundle with a variant of every scheme."""
    shutil.copytree(bundle, folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QuantizationWarning)  # some are slower here
        quantize(folder, list(LOST), calibrate=calibrate, limit=64, recommend=False)
    return folder


def test_every_checkpoint_is_measured() -> None:
    assert set(METRICS) == {path.parent.name for path in CHECKPOINTS.glob("*/config.json")}


@pytest.mark.parametrize("name", METRICS)
def test_held_out_quality(exported: Exported, tmp_path: Path, name: str) -> None:
    metric, least = METRICS[name]
    table = prepare(name, tmp_path)
    bundle = quantized(exported(name), tmp_path / "bundle", prepare(name, tmp_path, "calibration"))
    data = read_labelled(table, Bundle.open(bundle))
    base = evaluate(Bundle.open(bundle, dtype="fp32"), data, [metric])
    assert base.lost(type(base)({metric: least}, metric, 0)) < 0
    lost = {scheme: evaluate(Bundle.open(bundle, dtype=scheme), data, [metric]).lost(base) for scheme in LOST}
    assert {scheme: points for scheme, points in lost.items() if points > LOST[scheme]} == {}


def test_pronunciations(shared_data: Path, tmp_path: Path) -> None:
    """bart-g2p-us: exact words of those that its card counts, see test_real_checkpoints."""
    source = shared_data / "weights" / "bart-g2p-us"
    shutil.copytree(source, tmp_path / "checkpoint", ignore=shutil.ignore_patterns("us_gold.json"))
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    characters = ["<pad>", "<s>", "</s>", "<unk>", *config["grapheme_chars"][4:]]
    save_tokenizer(tmp_path / "checkpoint", {name: place for place, name in enumerate(characters)})
    exported = export(tmp_path / "checkpoint", tmp_path / "exported", task="text2text-generation")
    gold = json.loads((source / "us_gold.json").read_text(encoding="utf-8"))
    words = [word for word, spoken in gold.items() if re.fullmatch("[a-z]+", word) and isinstance(spoken, str)]
    chosen = words[:: len(words) // GOLD_WORDS][:GOLD_WORDS]
    calibration = tmp_path / "words.txt"
    calibration.write_text("\n".join(words[1 :: len(words) // 64][:64]), encoding="utf-8")
    bundle = quantized(exported, tmp_path / "bundle", calibration)
    exact = {dtype: pronounced(bundle, dtype, chosen, gold, config["phoneme_chars"]) for dtype in ("fp32", *LOST)}
    least = exact["fp32"] - 2 * GOLD_WORDS / 100
    assert exact["fp32"] > GOLD_WORDS / 2
    assert {dtype: count for dtype, count in exact.items() if count < least} == {}


def pronounced(bundle: Path, dtype: str, words: list[str], gold: dict[str, str], phonemes: list[str]) -> int:
    """How many words are spoken as they should be."""
    opened = Bundle.open(bundle, dtype=dtype)
    generator = opened.generator()
    exact = 0
    for start in range(0, len(words), 25):
        batch = opened.tokenizer(words[start : start + 25])
        output = generator.generate(batch["input_ids"], batch["attention_mask"], max_new_tokens=60)
        for word, row in zip(words[start : start + 25], output.new_tokens, strict=True):
            exact += "".join(phonemes[token] for token in row if token > 3) == gold[word]
    return exact
