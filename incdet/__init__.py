"""incdet: the detection system that won ILSVRC 2014 ("Going Deeper with Convolutions"), complete and open.

>>> import incdet
>>> found = incdet.detect("photo.jpg")  # doctest: +SKIP
>>> found.labels, found.scores, found.boxes  # doctest: +SKIP

Public names are imported when they are first used, so that `import incdet` and `incdet --help` do not wait for torch.
Their list is `__init__.pyi`, which type checkers read, too.
"""

import ast
from importlib import import_module
from pathlib import Path

__version__ = "0.2.0"


def _read_homes() -> dict[str, tuple[str, str]]:
    """Public name -> its module and its name there."""
    stub = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name: (node.module or "", alias.name) for node in imports for alias in node.names}


_HOMES = _read_homes()
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'incdet' has no attribute '{name}'")
    module, own_name = _HOMES[name]
    return getattr(import_module(module), own_name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
