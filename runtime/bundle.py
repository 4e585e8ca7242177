"""A bundle: the folder that an export makes, or one that another tool made in the same layout."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from . import adopt, hub, tasks
from . import optimized as optimized_graphs
from .cuda import warn_of_cpu
from .errors import (
    BundleError,
    BundleNotFoundError,
    IntegrityError,
    OptionError,
)
from .files import check_size, inside, preprocessor_config, read_json
from .manifest import GraphSpec, Manifest
from .providers import CUDA, Provider
from .session import Session, Settings
from .tokenizer import Tokenizer

if TYPE_CHECKING:
    from .audio import FeatureExtractor
    from .generation.generator import Generator
    from .vision import ImageProcessor


class Bundle:
    """An opened bundle: its configuration, tokenizer, and the sessions of its graphs.

    Open one with :meth:`Bundle.open`. Graphs are loaded when first asked for, and kept.

    Attributes:
        folder: where it lies.
        config: the checkpoint's ``config.json``.
        manifest: what ``torchless.json`` says; None for a folder that another tool made.
        task: the task it was made for, or None where nothing tells.
        settings: device, threads, providers, session options of its sessions.

    Example:
        >>> bundle = Bundle.open("models/mrpc")      # doctest: +SKIP
        >>> batch = bundle.tokenizer([("It is in New York", "It is in Manhattan")])      # doctest: +SKIP
        >>> logits = bundle.session("model").run(batch)["logits"]      # doctest: +SKIP
    """

    def __init__(self, folder: Path, settings: Settings | None = None, dtype: str | Mapping[str, str] = "auto") -> None:
        self.folder = Path(folder).absolute()  # another working directory must not change it; links stay links
        self.settings = settings or Settings()
        config = read_json(self.folder / "config.json")
        if config is None:
            raise BundleNotFoundError(f"{self.folder} has no config.json: not a bundle")
        self.config = config
        self.manifest = Manifest.read(self.folder)
        self.task = self.manifest.task if self.manifest else tasks.infer(self.config)
        self._dtype = dtype
        self._files = _declared_files(self.manifest) if self.manifest else adopt.graph_files(self.folder)
        if not self._files:
            raise BundleNotFoundError(f"{folder} holds no ONNX graph: expected onnx/model.onnx or model.onnx")
        if not isinstance(dtype, (str, Mapping)) or (isinstance(dtype, Mapping) and not set(dtype) <= set(self._files)):
            raise OptionError(
                f"dtype must be a name such as 'fp32', or names by role of {sorted(self._files)}, not {dtype!r}"
            )
        for role in self._files:
            self.dtype(role)
        self._sessions: dict[str, Session] = {}
        self._lock = Lock()

    @classmethod
    def open(
        cls,
        model: str | os.PathLike[str],
        *,
        revision: str | None = None,
        dtype: str | Mapping[str, str] = "auto",
        device: str = "cpu",
        threads: int | None = None,
        providers: Sequence[Provider] | None = None,
        session_options: Mapping[str, Any] | None = None,
        provider_options: Mapping[str, Any] | None = None,
        optimized: bool | str | os.PathLike[str] = "auto",
    ) -> Bundle:
        """Open a folder or hub id.

        Args:
            model: a folder, or a model id on the hub.
            revision: branch, tag or commit of a hub id.
            dtype: which variant of the graphs to run: ``"fp32"``, ``"fp16"``, ..., or ``"auto"``: what the manifest
                recommends for the device. A dictionary of them by role leaves the other graphs to ``"auto"``, which
                takes float32 where the manifest recommends other variants for the graphs that are named.
            device: ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"auto"``.
            threads: threads inside one operator; None takes the CPUs that the process may use.
            providers: ONNX Runtime execution providers, instead of ``device``.
            session_options: attributes and configuration entries of ``onnxruntime.SessionOptions``.
            provider_options: options of CUDA, such as ``{"gpu_mem_limit": 4 << 30}``; see :mod:`torchless.providers`.
            optimized: True or a folder keeps optimized graphs on the disk, which load faster and whose memory processes
                share; ``"auto"`` uses those that were kept; False none. See :mod:`torchless.optimized`.

        Raises:
            BundleNotFoundError: no such folder, or no graph in it.
            BundleError: the manifest or configuration is malformed.
            OptionError: a malformed option, or a dtype that the bundle does not have.
        """
        settings = Settings(
            device=device, threads=threads, providers=providers, session_options=session_options,
            provider_options=provider_options, optimized=optimized_graphs.checked(optimized),
        )  # fmt: skip
        return cls(hub.resolve(model, revision=revision, dtype=dtype, device=settings.kind), settings, dtype)

    @property
    def dtypes(self) -> dict[str, list[str]]:
        """The variants of each graph by role."""
        return {role: sorted(variants) for role, variants in self._files.items()}

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The frozen tokenizer, limited to the model's length."""
        if self.manifest is not None:
            return Tokenizer(self.folder, self.manifest.max_length)
        tokenizer = Tokenizer(self.folder)
        limits = [limit for limit in (tokenizer.max_length, adopt.position_limit(self.config)) if limit is not None]
        tokenizer.max_length = min(limits, default=None)
        return tokenizer

    @cached_property
    def feature_extractor(self) -> FeatureExtractor:
        """What turns sound into the graph's inputs, by the numbers of ``preprocessor_config.json``."""
        from .audio import feature_extractor  # only where sound is heard

        return feature_extractor(preprocessor_config(self.folder, "feature_extractor"))

    @cached_property
    def image_processor(self) -> ImageProcessor:
        """What turns pictures into the graph's input, by the numbers of ``preprocessor_config.json``."""
        from .vision import image_processor  # only where pictures are seen

        return image_processor(preprocessor_config(self.folder, "image_processor"), self.config.get("model_type"))

    @cached_property
    def labels(self) -> list[str]:
        """The label names by class index; as in transformers two, LABEL_0 and LABEL_1, where config.json has none.

        Raises:
            BundleError: ``id2label`` in config.json is malformed.
        """
        if "id2label" not in self.config:
            count = self.config.get("num_labels", 2)
            if not isinstance(count, int):
                raise BundleError(f"num_labels of {self.folder}/config.json is not a number: {count!r}")
            return [f"LABEL_{index}" for index in range(count)]
        try:
            pairs = sorted((int(index), str(label)) for index, label in self.config["id2label"].items())
        except (KeyError, AttributeError, ValueError) as error:
            raise BundleError(f"{self.folder}/config.json has no usable id2label: {error!r}") from error
        if [index for index, _ in pairs] != list(range(len(pairs))):
            raise BundleError(f"id2label of {self.folder}/config.json does not number its labels from 0")
        return [label for _, label in pairs]

    def dtype(self, role: str = "model") -> str:
        """The variant of a graph that :meth:`session` opens."""
        variants = self._variants(role)
        wanted = self._wanted(role)
        if wanted == "auto":
            if self.manifest is not None and self._as_recommended(self.manifest):
                return self.manifest.automatic(role, self.settings.kind)
            return "fp32" if "fp32" in variants else next(iter(variants))
        if wanted not in variants:
            raise OptionError(f"{self.folder} has no {wanted!r} variant of {role!r}; it has {sorted(variants)}")
        return wanted

    def graph_file(self, role: str, dtype: str) -> str:
        """Where a variant of a graph lies, relative to the folder.

        Raises:
            BundleNotFoundError: the bundle has no such graph or variant.
        """
        variants = self._variants(role)
        if dtype not in variants:
            raise BundleNotFoundError(f"{self.folder} has no {dtype!r} variant of {role!r}; it has {sorted(variants)}")
        return variants[dtype]

    def session(self, role: str = "model") -> Session:
        """The session of a graph, opened on first use.

        Args:
            role: ``"model"``, or the name of another graph of the bundle.

        Raises:
            BundleNotFoundError: the bundle has no such graph, or its file is missing.
            IntegrityError: the graph is truncated or has another signature than the manifest says.
            DeviceError: the device cannot be had.
        """
        with self._lock:
            if role not in self._sessions:
                dtype = self.dtype(role)
                graph = self.manifest.graphs[role][dtype] if self.manifest else None
                path = inside(self.folder, self._files[role][dtype])
                if graph is not None:
                    for file in (graph.model, *graph.data):
                        check_size(self.folder, file)
                session = Session(path, self.settings, graph.digest if graph else None)
                if graph is not None:
                    _check_signature(path, graph, session)
                if CUDA in session.providers:
                    scheme = str(((graph.quantization if graph else None) or {}).get("scheme", ""))
                    warn_of_cpu(self._files[role][dtype], session, scheme, has_fp16="fp16" in self._files[role])
                self._sessions[role] = session
            return self._sessions[role]

    def generator(self) -> Generator:
        """What generates token ids: greedy, sampled or by beam search, or step by step.

        Raises:
            TaskError: the bundle's graphs do not generate.
        """
        from .generation.generator import Generator  # only where text is generated

        return Generator(self)

    def verify(self, progress: Callable[[str], None] | None = None) -> list[tuple[str, float, float]]:
        """Check the SHA-256 of the bundle's files and replay the recorded references on its graphs.

        Every variant of a graph is checked, or the one that the bundle was opened with by name.

        Args:
            progress: called with a line before each check.

        Returns:
            Per reference and variant: a description, the largest difference found, and the tolerance: a difference
            counts as ``|found - recorded| / (1 + |recorded|)``.

        Raises:
            BundleError: there is no manifest to verify against.
            IntegrityError: a file was changed, or an output differs by more than its tolerance.
        """
        from .verification import verify  # not needed to answer

        return verify(self, {role: self._chosen(role) for role in self._files}, progress)

    def _chosen(self, role: str) -> list[str]:
        """The variants of a graph that the bundle was opened with: one by name, or all that there are."""
        wanted = self._wanted(role)
        return list(self._variants(role)) if wanted == "auto" else [wanted]

    def _wanted(self, role: str) -> str:
        """The variant of a graph that was asked for, or "auto"."""
        return self._dtype if isinstance(self._dtype, str) else self._dtype.get(role, "auto")

    def _as_recommended(self, manifest: Manifest) -> bool:
        """Whether the variants that were asked for by role are those that the manifest recommends beside the others.

        Only together were they measured.
        """
        named = {} if isinstance(self._dtype, str) else self._dtype
        return all(dtype in ("auto", manifest.automatic(role, self.settings.kind)) for role, dtype in named.items())

    def _variants(self, role: str) -> dict[str, str]:
        if role not in self._files:
            raise BundleNotFoundError(f"{self.folder} has no graph {role!r}; it has {sorted(self._files)}")
        return self._files[role]

    def __reduce__(self) -> tuple[type[Bundle], tuple[Path, Settings, str | Mapping[str, str]]]:
        return Bundle, (self.folder, self.settings, self._dtype)


def _declared_files(manifest: Manifest) -> dict[str, dict[str, str]]:
    return {
        role: {dtype: graph.model.file for dtype, graph in variants.items()}
        for role, variants in manifest.graphs.items()
    }


def _check_signature(path: Path, graph: GraphSpec, session: Session) -> None:
    for kind, declared, found in (("input", graph.inputs, session.inputs), ("output", graph.outputs, session.outputs)):
        expected = {spec.name: spec.dtype for spec in declared}
        actual = {spec.name: spec.dtype for spec in found}
        if expected != actual:
            raise IntegrityError(f"the {kind}s of {path} are {actual}; the manifest says {expected}")
