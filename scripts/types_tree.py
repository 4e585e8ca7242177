"""Link the package folders under their import names, for type checkers: build/types/torchless/..."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TREE = ROOT / "build" / "types" / "torchless"


def main() -> None:
    """Make the tree anew: every part of runtime/, and export/ and quantize/ beside them."""
    TREE.mkdir(parents=True, exist_ok=True)
    for link in TREE.iterdir():
        link.unlink()
    for source in (*(ROOT / "runtime").iterdir(), ROOT / "export", ROOT / "quantize"):
        if source.name != "__pycache__":
            (TREE / source.name).symlink_to(source)


if __name__ == "__main__":
    main()
