from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from .checkpoints import Exported, save

if TYPE_CHECKING:
    from tests.export.tiny import TinyModels


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Exported:
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent

    def bundle(name: str, noise: int | None = None) -> Path:
        from torchless.export import export

        folder = shared / f"bundle-{name}-{noise}"
        with FileLock(shared / f"{folder.name}.lock"):
            if not folder.exists():
                export(str(save(name, noise, shared / f"checkpoint-{name}-{noise}")), folder)
        return folder

    return bundle


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> TinyModels:
    """Small random models that generate, of every architecture, exported when first asked for."""
    from tests.export.tiny import TinyModels

    base = tmp_path_factory.getbasetemp()
    return TinyModels(base if worker_id == "master" else base.parent)
