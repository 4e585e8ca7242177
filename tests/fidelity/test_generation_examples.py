"""The examples of tasks that generate, on the shipped checkpoints: a loop by hand writes what the pipeline writes."""

from __future__ import annotations

import pytest

from examples.task_summary import causal_language_modeling, summarization, text_generation, translation
from torchless import Bundle

from .checkpoints import Exported

pytestmark = pytest.mark.export


def test_next_token(exported: Exported, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = Bundle.open(exported("story"))
    causal_language_modeling.with_pipeline(bundle)
    filtered = capsys.readouterr().out.splitlines()
    causal_language_modeling.with_parts(bundle)
    whole = capsys.readouterr().out.splitlines()
    assert len(filtered) == len(whole) == 5
    for one, other in zip(filtered, whole, strict=True):
        assert one.partition(" (")[0] == other.partition(" (")[0]


def test_text_generation(exported: Exported, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = Bundle.open(exported("story"))
    text_generation.with_pipeline(bundle)
    greedy, *drawn, streamed = capsys.readouterr().out.splitlines()
    text_generation.with_parts(bundle)
    assert capsys.readouterr().out.splitlines() == [greedy] == [streamed]
    assert len(drawn) == 2
    assert all(text.startswith(text_generation.TEXT) for text in (greedy, *drawn))


def test_summarization(exported: Exported, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = Bundle.open(exported("summary"))
    summarization.with_pipeline(bundle)
    assert len(capsys.readouterr().out.splitlines()) == 2
    summarization.with_parts(bundle)
    (summary,) = capsys.readouterr().out.splitlines()
    assert "Brighton" in summary
    assert len(summary) < len(summarization.TEXT)


def test_translation(exported: Exported, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = Bundle.open(exported("translate"))
    translation.with_pipeline(bundle)
    lines = capsys.readouterr().out.splitlines()
    translation.with_parts(bundle)
    assert capsys.readouterr().out.splitlines() == lines
    assert [line.partition(" -> ")[0] for line in lines] == translation.TEXTS
