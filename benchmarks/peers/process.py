"""The benchmark's end of the pipes: one process per contender, kept alive between its turns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from . import worker

ROOT = Path(__file__).parents[2]
# Environments of the engines that have one to themselves, and of the others.
_ENVIRONMENTS = {"genai": ".venv-genai"}
_PEERS = ".venv-peers"


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


VARIABLE = "TORCHLESS_CACHE"
"""Names the folder where this project looks for optimized graphs."""

GENERATION = Suite(worker.CONTENDERS, worker.__name__, f"{__package__}.models", Path(__file__).parent)


class Worker:
    """A process that answers commands, in the environment of its contender; see :mod:`benchmarks.peers.worker`.

    Args:
        contender: its name in the suite.
        checkpoint: the model's checkpoint.
        folder: where its conversion is, or is to be; what the process says goes to ``<folder>.log``.
        suite: what it belongs to.
        threads: that it computes with.
        index: of those processes of the contender that run at once.
    """

    def __init__(
        self,
        contender: str,
        checkpoint: Path,
        folder: Path,
        suite: Suite = GENERATION,
        *,
        threads: int = worker.THREADS,
        index: int = 0,
    ) -> None:
        self.contender = contender
        self._log = folder.with_name(f"{folder.name}{f'-{index}' if index else ''}.log")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [python(contender, suite), "-m", suite.worker, contender, str(checkpoint), str(folder)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={VARIABLE: str(kept(folder)), **os.environ, "BENCHMARK_THREADS": str(threads)},
            )

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; see :meth:`receive`."""
        self.send(do, **arguments)
        return self.receive()

    def send(self, do: str, **arguments: Any) -> None:
        """Send a command, whose answer is to be received."""
        stdin = self._process.stdin
        if stdin is None:
            raise SystemExit(f"{self.contender} has no pipes")
        with suppress(BrokenPipeError):  # receive() says what happened
            stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            stdin.flush()

    def receive(self) -> dict[str, Any]:
        """Wait for an answer.

        Raises:
            SystemExit: the process ended instead; the message has the end of its log.
        """
        stdout = self._process.stdout
        line = stdout.readline() if stdout else ""
        if not line:
            end = "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:])
            raise SystemExit(f"{self.contender} failed; {self._log} ends with\n{end}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.communicate()


def kept(folder: Path) -> Path:
    """Where the optimized graphs of a conversion are kept, if it is this project's."""
    return folder.with_name(f"{folder.name}-optimized")


def python(contender: str, suite: Suite = GENERATION) -> str:
    """The interpreter of a contender's environment.

    Raises:
        SystemExit: the environment is not there.
    """
    engine = suite.contenders[contender].engine
    if engine == "torchless":
        return sys.executable
    environment = _ENVIRONMENTS.get(engine, _PEERS)
    interpreter = ROOT / environment / "bin/python"
    if not interpreter.is_file():
        raise SystemExit(f"{contender} needs an environment of its own: make {environment}/ready")
    return str(interpreter)


def write_checkpoint(model: str, folder: Path, *, small: bool, suite: Suite = GENERATION) -> None:
    """Make a model's checkpoint, in the peers' environment: what transformers 4 writes, both read.

    Without that environment this one's transformers writes it, for this project alone.
    """
    peers = ROOT / _PEERS / "bin/python"
    interpreter = str(peers) if peers.is_file() else sys.executable
    command = [interpreter, "-m", f"{__package__}.checkpoint", suite.models, model, str(folder)]
    subprocess.run([*command, *(["--small"] if small else [])], cwd=ROOT, check=True)
