"""A GPU that cannot be there is known without torch; in doubt, torch is asked."""

import sys

import pytest

from incdet.errors import ConfigurationError
from incdet.runtime import gpu_presence
from incdet.runtime.gpu_presence import refuse_missing_gpu


@pytest.mark.parametrize(
    ("version_file", "has_driver", "refused"),
    [
        ("cuda: Optional[str] = None\nhip: Optional[str] = None\n", True, True),
        ("cuda: Optional[str] = '13.0'\nhip: Optional[str] = None\n", False, True),
        ("cuda: Optional[str] = '13.0'\nhip: Optional[str] = None\n", True, False),
        ("cuda = '12.1'\n", True, False),
        ("nothing that is known", False, False),
    ],
)
def test_torch_without_gpus_and_a_missing_driver_are_found_out(
    tmp_path, monkeypatch, version_file, has_driver, refused
):
    (tmp_path / "version.py").write_text(version_file)
    spec = type("Spec", (), {"origin": str(tmp_path / "__init__.py")})
    monkeypatch.setattr(gpu_presence, "find_spec", lambda name: spec)
    monkeypatch.setattr(gpu_presence, "_driver_is_installed", lambda: has_driver)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for device in ("auto", "cpu"):
        refuse_missing_gpu(device)
    if refused:
        with pytest.raises(ConfigurationError, match="finds no usable GPU"):
            refuse_missing_gpu("cuda")
    else:
        refuse_missing_gpu("cuda")


def test_the_installed_torch_tells_what_it_was_built_with():
    built_with = gpu_presence._torch_build()
    import torch

    assert (built_with["cuda"] != "None") == (torch.version.cuda is not None)
    assert "torch" in sys.modules
