"""The first detection on a machine: another process compiles some of its kernels, because numba compiles one by one.

The kernels are those that a detection needs last. By the time it gets there, it finds them on disk. Where the other
process fails, or is not done, the detection compiles them itself.
"""

import atexit
import subprocess
import sys

import numpy as np

from incdet.ops.crop_kernels import sample_crops_on_cpu
from incdet.ops.nms import nms
from incdet.ops.region_pooling_kernels import POOLED_SIZE, pool
from incdet.proposers.grouping import group
from incdet.proposers.region_features import Regions
from incdet.runtime.compilation import is_first_compilation
from incdet.runtime.cpu_flags import cpu_has_bfloat16
from incdet.runtime.optional_packages import is_installed
from incdet.runtime.start_up import collect_garbage_rarely
from incdet.runtime.worker_processes import num_cores


def compile_in_another_process() -> "subprocess.Popen[bytes] | None":
    """Starts the process that compiles, where no kernel is on disk yet and a second core is there to do it.

    Returns:
        The process, which ends with this one at the latest; None where none is started.
    """
    if not is_first_compilation() or num_cores() == 1 or not sys.executable:
        return None
    # -P keeps files of the user's folder from being taken for packages
    command = [sys.executable, "-P", "-m", "incdet.pipeline.first_compilation"]
    nowhere = subprocess.DEVNULL
    try:
        process = subprocess.Popen(command, stdin=nowhere, stdout=nowhere, stderr=nowhere)
    except OSError:
        return None
    atexit.register(_end, process)
    return process


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()


def compile_kernels() -> None:
    """Compiles the kernels by calling each for the smallest arrays of the types that a detection has.

    The slowest to compile come first, in the order in which a detection needs them.
    """
    regions = Regions(
        sizes=np.ones(2, np.int32),
        boxes=np.array([[0, 0, 1, 1], [1, 0, 2, 1]], np.int32),
        colors=np.ones((2, 1), np.int32),
        textures=np.ones((2, 1), np.int32),
        neighbours=np.array([[0, 1]]),
        num_pixels=2,
    )
    group(regions, "color_texture_size_fill")
    # the bits of bfloat16, in which torch computes where it can, and OpenVINO does not
    stored = np.uint16 if cpu_has_bfloat16() and not is_installed("openvino") else np.float32
    whole = np.array([[0, 0, 1, 1]], np.float32)
    pool(np.zeros((2, 2, 1), np.float32), whole, np.zeros((1, POOLED_SIZE, POOLED_SIZE, 1), stored))
    photo, crops = np.zeros((3, 2, 2), np.float32), np.zeros((1, 3, 2, 2), np.float32)
    sample_crops_on_cpu(photo, whole, np.zeros(1, np.int64), crops)
    nms(whole.astype(np.float64), 0.5)


if __name__ == "__main__":
    collect_garbage_rarely()
    compile_kernels()
