"""The benchmark's end of the pipes: one process per contender, kept alive between its turns."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from . import worker

ROOT = Path(__file__).parents[2]
_PEERS = ROOT / ".venv-peers/bin/python"


@dataclass(frozen=True)
class Suite:
    """The modules of a benchmark's contenders.

    Attributes:
        contenders: by name.
        worker: the module that each process runs.
        models: the module that writes checkpoints.
        engines: the folder of the contenders' modules.
    """

    contenders: Mapping[str, worker.Contender]
    worker: str
    models: str
    engines: Path


GENERATION = Suite(worker.CONTENDERS, worker.__name__, f"{__package__}.models", Path(__file__).parent)


class Worker:
    """A process that answers commands, in the environment of its contender; see :mod:`benchmarks.peers.worker`.

    Args:
        contender: its name in the suite.
        checkpoint: the model's checkpoint.
        folder: where its conversion is, or is to be; what the process says goes to ``<folder>.log``.
        suite: what it belongs to.
    """

    def __init__(self, contender: str, checkpoint: Path, folder: Path, suite: Suite = GENERATION) -> None:
        self.contender = contender
        self._log = folder.with_name(f"{folder.name}.log")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [python(contender, suite), "-m", suite.worker, contender, str(checkpoint), str(folder)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Send a command and wait for its answer.

        Raises:
            SystemExit: the process ended instead; the message has the end of its log.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise SystemExit(f"{self.contender} has no pipes")
        try:
            stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            stdin.flush()
        except BrokenPipeError:
            pass
        line = stdout.readline()
        if not line:
            end = "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:])
            raise SystemExit(f"{self.contender} failed at {do!r}; {self._log} ends with\n{end}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.communicate()


def python(contender: str, suite: Suite = GENERATION) -> str:
    """The interpreter of a contender's environment.

    Raises:
        SystemExit: the peers' environment is not there.
    """
    if suite.contenders[contender].engine == "torchless":
        return sys.executable
    if not _PEERS.is_file():
        raise SystemExit("the peers need an environment of their own: make .venv-peers/ready")
    return str(_PEERS)


def write_checkpoint(model: str, folder: Path, *, small: bool, suite: Suite = GENERATION) -> None:
    """Make a model's checkpoint, in the peers' environment: what transformers 4 writes, both read."""
    command = [python("torch fp32", suite), "-m", suite.models, model, str(folder), *(["--small"] if small else [])]
    subprocess.run(command, cwd=ROOT, check=True)
