"""Typed settings and their loading; `Config` and `load_config` are also found here, as in version 0.1."""

from importlib import import_module

_HOMES = {"Config": "incdet.config.sections", "load_config": "incdet.config.loading"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'incdet.config' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
