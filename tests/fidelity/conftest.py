from __future__ import annotations

from pathlib import Path

import pytest
from filelock import FileLock

from .checkpoints import Exported, save


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
