r"""Runs `incdet` with torch's arithmetic in bfloat16 on processors that do not have it, in the time of float32.

    python experiments/bfloat16_products.py evaluate --dataset voc --root VOC2012 --split val --output runs/bfloat16 \
        --set scores.engine=torch --set scores.precision=bfloat16

Everything behind the program's name is a command of incdet. Where a processor cannot multiply bfloat16, torch computes
convolutions and matrix products in loops that take five to seven times as long as float32. Here their numbers are
widened to float32, multiplied and added there, and the result is rounded to bfloat16. That is what a processor with
bfloat16 does: a product of two such numbers is exact in float32, and sums are float32 there, too. Only their order
differs. All other operations are torch's own, in bfloat16.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from incdet.cli.app import main

PRODUCTS = (torch.conv2d, F.linear)
"""The operations of the networks that multiply and add."""


class Bfloat16Products(TorchFunctionMode):
    """Computes products of bfloat16 tensors in float32 and rounds them, in the thread that has entered it."""

    def __torch_function__(
        self,
        operation: Callable[..., Any],
        types: Iterable[type],
        arguments: tuple[Any, ...] = (),
        named: Mapping[str, Any] | None = None,
    ) -> Any:
        """Computes an operation of torch; torch calls this for every one of them."""
        named = named or {}
        if operation not in PRODUCTS or arguments[0].dtype != torch.bfloat16:
            return operation(*arguments, **named)
        wide = {name: _widened(value) for name, value in named.items()}
        return operation(*map(_widened, arguments), **wide).bfloat16()


def _widened(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) else value


# not under the line below: processes that propose regions load this file, too
Bfloat16Products().__enter__()  # type: ignore[no-untyped-call]

if __name__ == "__main__":
    main()
