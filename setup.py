"""The packages of the wheel; everything else is in pyproject.toml."""

from setuptools import find_packages, setup

# configs/ stays at the top, where people look for it, and travels in the wheel as incdet/configs
setup(packages=[*find_packages(include=["incdet*"]), "incdet.configs"], package_dir={"incdet.configs": "configs"})
