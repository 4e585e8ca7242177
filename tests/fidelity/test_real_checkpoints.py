"""Trained checkpoints of other people, read from the shared data: their published outputs, and transformers' own."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from torchless import Bundle, pipeline
from torchless.generation.generator import Generator

torch = pytest.importorskip("torch", reason="the export needs torch")
import transformers  # noqa: E402
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors  # noqa: E402

from torchless.export import export  # noqa: E402

from .llama2c import read_llama  # noqa: E402

pytestmark = pytest.mark.export

# Lower-case words of letters, every k-th, as many as the published count was taken over.
GOLD_WORDS, GOLD_EXACT = 200, 127


@pytest.fixture(scope="module")
def g2p(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of bart-g2p-us, whose tokens are the characters named in its configuration."""
    folder = tmp_path_factory.mktemp("g2p")
    source = shared_data / "weights" / "bart-g2p-us"
    shutil.copytree(source, folder / "checkpoint", ignore=shutil.ignore_patterns("us_gold.json"))
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    characters = ["<pad>", "<s>", "</s>", "<unk>", *config["grapheme_chars"][4:]]
    save_tokenizer(folder / "checkpoint", dict(zip(characters, range(len(characters)), strict=True)))
    return export(folder / "checkpoint", folder / "bundle", task="text2text-generation", dtype=("fp32", "fp16"))


def save_tokenizer(folder: Path, vocabulary: dict[str, int]) -> None:
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    backend.decoder = decoders.Fuse()
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", vocabulary["<s>"]), ("</s>", vocabulary["</s>"])]
    )
    tokens = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **tokens).save_pretrained(folder)


@pytest.mark.parametrize(("dtype", "lost"), [("fp32", 0), ("fp16", 2)])
def test_published_count_of_exact_pronunciations(g2p: Path, shared_data: Path, dtype: str, lost: int) -> None:
    source = shared_data / "weights" / "bart-g2p-us"
    gold = json.loads((source / "us_gold.json").read_text(encoding="utf-8"))
    phonemes = json.loads((source / "config.json").read_text(encoding="utf-8"))["phoneme_chars"]
    words = [word for word, spoken in gold.items() if re.fullmatch("[a-z]+", word) and isinstance(spoken, str)]
    words = words[:: len(words) // GOLD_WORDS][:GOLD_WORDS]
    bundle = Bundle.open(g2p, dtype=dtype)
    generator = bundle.generator()
    exact = 0
    for start in range(0, len(words), 25):
        batch = bundle.tokenizer(words[start : start + 25])
        output = generator.generate(batch["input_ids"], batch["attention_mask"], max_new_tokens=60)
        for word, row in zip(words[start : start + 25], output.new_tokens, strict=True):
            spoken = "".join(phonemes[token] for token in row if token > 3)
            exact += spoken == gold[word]
    assert abs(exact - GOLD_EXACT) <= lost


def test_pronunciations_are_those_of_transformers(g2p: Path, shared_data: Path) -> None:
    words = ["house", "knight", "a", "phonology", "antidisestablishmentarianism"]
    bundle = Bundle.open(g2p)
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(shared_data / "weights" / "bart-g2p-us").eval()
    for options in ({}, {"num_beams": 4}, {"num_beams": 5, "length_penalty": 2.0, "num_return_sequences": 3}):
        same_as_transformers(bundle.generator(), model, bundle.tokenizer(words), {"max_new_tokens": 40, **options})


def same_as_transformers(generator: Generator, model: Any, batch: Any, options: dict[str, Any]) -> None:
    inputs = {name: torch.from_numpy(batch[name]) for name in ("input_ids", "attention_mask")}
    expected = model.generate(**inputs, **options).numpy()
    found = generator.generate(batch["input_ids"], batch["attention_mask"], **options).sequences
    np.testing.assert_array_equal(found, expected, err_msg=str(options))


def test_gpt2_capp(shared_data: Path, tmp_path: Path) -> None:
    """Process plans for parts, from a vocabulary of whole words."""
    source = shared_data / "weights" / "gpt2-capp"
    names = json.loads((source / "token_mappings.json").read_text(encoding="utf-8"))["token2id"]
    shutil.copytree(source, tmp_path / "checkpoint", ignore=shutil.ignore_patterns("*.onnx"))
    backend = Tokenizer(models.WordLevel(names, unk_token=next(iter(names))))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    transformers.PreTrainedTokenizerFast(tokenizer_object=backend).save_pretrained(tmp_path / "checkpoint")
    generator = Bundle.open(export(tmp_path / "checkpoint", tmp_path / "bundle")).generator()
    model = transformers.AutoModelForCausalLM.from_pretrained(source).eval()
    rng = np.random.default_rng(0)
    for length in (1, 12):
        ids = rng.integers(0, 45, (1, length))
        batch = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        for options in ({}, {"num_beams": 4, "num_return_sequences": 4}, {"repetition_penalty": 1.3}):
            same_as_transformers(generator, model, batch, {"max_new_tokens": 40, **options})


def test_gpt2_tarot(shared_data: Path, tmp_path: Path) -> None:
    """A pickled checkpoint with its own byte-level tokenizer, and a context of 64 tokens that is filled up."""
    source = shared_data / "weights" / "gpt2-tarot"
    shutil.copytree(source, tmp_path / "checkpoint")
    (tmp_path / "checkpoint" / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|endoftext|>"}), encoding="utf-8"
    )
    bundle = Bundle.open(export(tmp_path / "checkpoint", tmp_path / "bundle"))
    model = transformers.AutoModelForCausalLM.from_pretrained(source).eval()
    for text in ("The card", "Love"):
        batch = bundle.tokenizer(text)
        room = 64 - batch["input_ids"].shape[1]
        for options in ({}, {"num_beams": 3}, {"no_repeat_ngram_size": 2}):
            same_as_transformers(bundle.generator(), model, batch, {"max_new_tokens": room, **options})
    long = bundle.tokenizer("The card")["input_ids"].repeat(50, axis=1)
    with pytest.raises(ValueError, match="the model has 64 positions"):
        bundle.generator().generate(long)


def test_stories260k(shared_data: Path, tmp_path: Path) -> None:
    """The published greedy sample, from the beginning-of-sequence token alone."""
    source = shared_data / "weights" / "llama-stories260K"
    read_llama(source / "stories260K.bin", source / "tok512.bin", tmp_path / "checkpoint")
    text = (source / "stories260K.md").read_text(encoding="utf-8")
    published = re.search(r"-t 0\.0\n(Once upon.*?)\n```", text, re.DOTALL)
    assert published is not None
    bundle = export(tmp_path / "checkpoint", tmp_path / "bundle")
    generator = Bundle.open(bundle).generator()
    tokens = generator.generate([[1]], max_new_tokens=256, eos_token_id=None).sequences
    assert Bundle.open(bundle).tokenizer.decode(tokens[0], skip_special_tokens=True).strip() == published[1].strip()
    story = pipeline("text-generation", bundle)("Once upon a time", max_new_tokens=60, do_sample=False)
    assert published[1].startswith(story[0]["generated_text"].strip()[:150])
