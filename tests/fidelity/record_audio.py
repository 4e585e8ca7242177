"""Record what torchaudio makes of sounds: how the pipelines of transformers 4.57.6 resample, and AST's filter bank.

Run where torchaudio 2.11 and transformers 4.57.6 are installed: ``python -m tests.fidelity.record_audio``. Only
functions written in Python are used: where torch is a build for CPUs, torchaudio's compiled part may be left out.
"""

from __future__ import annotations

import json

import torch
import torchaudio
import transformers

from . import audio_cases as cases


def main() -> None:
    """Write the file anew."""
    resampled = {}
    for rate in cases.RATES:
        found = torchaudio.functional.resample(torch.from_numpy(cases.sweep(rate)), rate, cases.TARGET)
        resampled[str(rate)] = [round(value, 7) for value in found.numpy()[cases.KEPT].tolist()]
    extractor = transformers.ASTFeatureExtractor(**cases.AST)
    if hasattr(extractor, "mel_filters"):
        raise SystemExit("transformers has not found torchaudio")
    rows = extractor(cases.mixture(), sampling_rate=cases.TARGET, return_tensors="np")["input_values"][0]
    bank = {str(frame): [round(value, 6) for value in rows[frame].tolist()] for frame in cases.FRAMES}
    content = {"torchaudio": torchaudio.__version__, "resampled": resampled, "filter_bank": bank}
    cases.RECORDED.write_text(json.dumps(content) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
