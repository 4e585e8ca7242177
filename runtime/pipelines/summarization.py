"""Summarization: a text to a short one."""

from __future__ import annotations

from .text2text_generation import EncoderDecoderPipeline, Text2TextGenerationOptions


class SummarizationPipeline(EncoderDecoderPipeline[Text2TextGenerationOptions]):
    """Summaries of a text, ``str``: ``{"summary_text": str}``; all else as in text2text-generation.

    A text over the model's limit is cut, with a warning that says how much was lost.

    Example:
        >>> summarize = pipeline("summarization", "models/distilbart-cnn")      # doctest: +SKIP
        >>> summarize(article, min_length=30, max_length=130)      # doctest: +SKIP
        [{'summary_text': ' Liana Barrientos, 39, is charged with ...'}]
    """

    task = "summarization"
    name = "summary"
    whole_files = True
    options_type = Text2TextGenerationOptions
