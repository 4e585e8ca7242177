"""Optimized graphs, kept on this machine's disk: they load faster, and processes share their weights.

ONNX Runtime rewrites a graph when it opens it, and packs weights into the order that its kernels read them in: in
every process anew, each with a copy of its own. Saved with the packed weights in a file beside it, the rewritten
graph is only mapped into memory: pages are read when they are needed, all processes see the same ones, and the system
may drop them when memory is short. Answers are the same bit by bit. Memory (sum of the proportional set sizes) of 4
processes that have answered, on an AMD EPYC with ONNX Runtime 1.31.1; opening took a third to a half of the time
(``make bench-footprint``):

================  ==========  ==============  ==========================
model             as it is    optimized       on the disk, in addition
================  ==========  ==============  ==========================
GPT-2, float32    2666 MiB    795 MiB         945 MiB
GPT-2, int8       805 MiB     296 MiB         274 MiB
BERT, float32     1821 MiB    484 MiB         739 MiB
BERT, int8        580 MiB     243 MiB         186 MiB
================  ==========  ==============  ==========================

Opening still packs every weight, one after the other, to find the packed one by its hash. What was tried beside it by
hand, for GPT-2 in float32 (as it is: 3429 MiB before memory that is freed was given back): weights in a file and not
packed open about as fast, but every process packs a copy of its own (2198 MiB); without packing at all there are no
copies (636 MiB), but a call takes up to twice as long and answers differ in their last bits; the ORT format, mapped,
has packed weights in every process (2520 MiB).

Writing takes several times as long as loading, and more disk than the graph, so that it happens only where it is asked
for: by ``optimized=True`` or a folder, or by ``torchless optimize``. What was written is used from then on.

A graph that was rewritten for one processor may not run on another. What is kept is therefore known by the graph's
SHA-256 (without a manifest by path, size and times of the graph and of the files named after it), the build of ONNX
Runtime, the processor's instructions and the session options. What is damaged or half written is not used, and is made
again where writing is asked for. Nothing is removed by itself, as copies of a bundle and environments with other
builds of ONNX Runtime may use the same folder; ``torchless optimize --clear`` removes it, see :mod:`.clearing`.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
import warnings
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from .alignment import align
from .binding import runtime_errors
from .environment import onnxruntime
from .errors import OptionError, user_stacklevel
from .files import graph_files

VARIABLE = "TORCHLESS_CACHE"
"""The environment variable that names the folder of optimized graphs."""

_FORMAT = 1
GRAPH, WEIGHTS, ENTRY = "graph.onnx", "weights.bin", "entry.json"
UNFINISHED = ".writing-"
# Options of a session that change how a graph runs, and not the graph.
_NEUTRAL = frozenset(
    "intra_op_num_threads inter_op_num_threads log_severity_level log_verbosity_level logid enable_cpu_mem_arena "
    "enable_mem_pattern enable_mem_reuse session.intra_op.allow_spinning session.inter_op.allow_spinning "
    "session.intra_op.spin_duration_us session.intra_op.spin_backoff_max enable_profiling profile_file_prefix".split()
)

Load = Callable[..., Any]


def checked(value: Any) -> bool | str:
    """The option ``optimized``: True, False, ``"auto"``, or the absolute path of a folder.

    Raises:
        OptionError: it is something else.
    """
    if isinstance(value, bool):
        return value
    if value == "auto":
        return "auto"
    if isinstance(value, (str, os.PathLike)) and os.fspath(value):
        return str(Path(value).expanduser().absolute())
    raise OptionError(f"optimized must be True, False, 'auto' or a folder, not {value!r}")


def folder(setting: bool | str = True) -> Path:
    """Where optimized graphs are kept: the folder of the setting, of ``TORCHLESS_CACHE``, or the user's cache.

    Raises:
        RuntimeError: the user has no home.
    """
    named = setting if isinstance(setting, str) and setting != "auto" else os.environ.get(VARIABLE)
    if named:
        return Path(named).expanduser().absolute()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local") / "torchless" / "optimized"
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/torchless/optimized"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "torchless" / "optimized"


def open_session(
    path: Path,
    digest: str | None,
    setting: bool | str,
    options: Mapping[str, Any],
    load: Load,
    disabled: Collection[str] = (),
) -> Any:
    """A session of a graph's optimized form where there is one or one is to be written, otherwise of the graph.

    A process that finds another one writing waits for it. Where nothing can be written (a full disk, a folder that is
    read-only) there is a warning, and the graph is opened as it is.

    Args:
        path: the graph.
        digest: SHA-256 of the graph and its data, where a manifest states it.
        setting: True, False, ``"auto"`` (use what there is, write nothing) or a folder.
        options: the session options that the user gave.
        load: opens a session on a path, with further session options by keyword ``more``.
        disabled: ONNX Runtime's optimizers that ``load`` leaves out.
    """
    if setting is False or "optimized_model_filepath" in options:
        return load(path)
    failures: tuple[type[Exception], ...] = (OSError, *runtime_errors())
    try:
        place = folder(setting)
        if setting == "auto" and not place.is_dir():
            return load(path)
        description = _description(path, digest, options, disabled)
        entry = place / f"{path.stem}-{zlib.crc32(json.dumps(description).encode()):08x}"
        if setting != "auto" and not _is_whole(entry, description):
            _write(entry, description, path, load)
        if _is_whole(entry, description):
            return load(entry / GRAPH, more=_as_it_is())
    except failures as error:
        session = load(path)  # where the graph itself is at fault, this says so
        if setting != "auto":
            warnings.warn(
                f"no optimized graph of {path.name} could be kept ({error}); it runs as it is, which takes longer to "
                f"load and shares no memory. optimized=False says nothing, {VARIABLE} names another folder",
                stacklevel=user_stacklevel(),
            )
        return session
    return load(path)


def _as_it_is() -> dict[str, Any]:
    return {"graph_optimization_level": onnxruntime().GraphOptimizationLevel.ORT_DISABLE_ALL}


def _description(
    path: Path, digest: str | None, options: Mapping[str, Any], disabled: Collection[str]
) -> dict[str, Any]:
    """Everything that decides whether what was written earlier is what would be written now."""
    from .processor import features  # asks the system

    build, instructions = onnxruntime(), features()
    return {
        "format": _FORMAT,
        "graph": digest or identity(path),
        "onnxruntime": [build.__version__, build.get_build_info()],
        "machine": [platform.system(), platform.machine(), sorted(instructions or ())],
        "options": {name: str(value) for name, value in sorted(options.items()) if name not in _NEUTRAL},
        "disabled": sorted(disabled),
    }


def identity(path: Path) -> list[list[str | int]]:
    """What tells a graph and its weights from others without reading them; a copy, or a new file, counts as another."""
    found: list[list[str | int]] = []
    for file in graph_files(path):
        resolved = file.resolve()
        status = resolved.stat()
        found.append([str(resolved), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino])
    return found


def source(path: Path) -> str:
    """Where a graph lies; folders are resolved and the file is not, which is a link in a hub's cache."""
    return str(path.parent.resolve() / path.name)


def _is_whole(entry: Path, description: Mapping[str, Any]) -> bool:
    """Whether an entry was written for this, to the end, and its files have their sizes and the graph its checksum."""
    try:
        found = json.loads((entry / ENTRY).read_text(encoding="utf-8"))
        return bool(found["description"] == description and found["files"] == _files(entry))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _files(entry: Path) -> dict[str, list[int]]:
    """Sizes of an entry's files, and the checksum of the small one: reading the weights would cost what they save."""
    files = {path.name: [path.stat().st_size] for path in entry.iterdir() if path.name != ENTRY}
    files[GRAPH].append(zlib.crc32((entry / GRAPH).read_bytes()))
    return files


def _write(entry: Path, description: Mapping[str, Any], path: Path, load: Load) -> None:
    """Write an entry, unless another process has done so meanwhile; it appears whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    import shutil
    import tempfile

    entry.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with alone(entry.parent) as locked:
        if _is_whole(entry, description):
            return
        for rest in entry.parent.glob(f"{UNFINISHED}*") if locked else ():
            shutil.rmtree(rest, ignore_errors=True)  # of a process that ended in the middle
        with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=entry.parent, ignore_cleanup_errors=True) as made:
            new = Path(made) / "entry"
            new.mkdir()
            load(path, more=_saving(new))
            if (new / WEIGHTS).exists():  # a graph of small weights has none
                align(new / GRAPH, new / WEIGHTS)
            content = {"description": description, "files": _files(new), "source": source(path)}
            (new / ENTRY).write_text(json.dumps(content), encoding="utf-8")
            for file in new.iterdir():
                _flush(file)
            if entry.exists():
                shutil.rmtree(entry)
            new.rename(entry)


def _saving(new: Path) -> dict[str, Any]:
    return {
        "optimized_model_filepath": str(new / GRAPH),
        "session.optimized_model_external_initializers_file_name": WEIGHTS,
        # What is smaller stays in the graph, where shapes are inferred from it.
        "session.optimized_model_external_initializers_min_size_in_bytes": "1024",
        "session.save_external_prepacked_constant_initializers": "1",
    }


def _flush(file: Path) -> None:
    """Bring a file to the disk: a loss of power must not leave one that has its size and not its content."""
    with file.open("r+b") as opened:
        os.fsync(opened.fileno())


@contextlib.contextmanager
def alone(place: Path) -> Iterator[bool]:
    """Wait until no other process writes here; False where the system cannot tell. A lock ends with its process."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield False
        return
    descriptor = os.open(place, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:  # some network file systems
            yield False
        else:
            try:
                yield True
            finally:  # closing alone would leave the lock to a process that was forked meanwhile
                fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)
