"""The benchmark's end of the pipes: one process per contender, kept alive between its turns."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from . import worker

ROOT = Path(__file__).parents[2]
_PEERS = ROOT / ".venv-peers/bin/python"


class Worker:
    """A process that answers commands, in the environment of its contender; see :mod:`benchmarks.peers.worker`.

    Args:
        contender: a key of ``worker.CONTENDERS``.
        checkpoint: the model's checkpoint.
        folder: where its conversion is, or is to be; what the process says goes to ``<folder>.log``.
    """

    def __init__(self, contender: str, checkpoint: Path, folder: Path) -> None:
        self.contender = contender
        self._log = folder.with_name(f"{folder.name}.log")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [python(contender), "-m", worker.__name__, contender, str(checkpoint), str(folder)],
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


def python(contender: str) -> str:
    """The interpreter of a contender's environment.

    Raises:
        SystemExit: the peers' environment is not there.
    """
    if worker.CONTENDERS[contender].engine == "torchless":
        return sys.executable
    if not _PEERS.is_file():
        raise SystemExit("the peers need an environment of their own: make .venv-peers/ready")
    return str(_PEERS)


def write_checkpoint(model: str, folder: Path, *, small: bool) -> None:
    """Make a model's checkpoint, in the peers' environment: what transformers 4 writes, both read."""
    command = [python("torch fp32"), "-m", f"{__package__}.models", model, str(folder), *(["--small"] if small else [])]
    subprocess.run(command, cwd=ROOT, check=True)
