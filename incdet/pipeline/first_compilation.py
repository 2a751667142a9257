"""The first detection on a machine: another process compiles some of its kernels, because numba compiles one by one.

The kernels are those that a detection needs last. By the time it gets there, it finds them on disk. Where the other
process fails, or is not done, the detection compiles them itself.
"""

import multiprocessing
from contextlib import suppress
from multiprocessing.context import SpawnProcess

import numpy as np

from incdet.ops.crop_kernels import sample_crops_on_cpu
from incdet.ops.nms import nms
from incdet.ops.region_pooling_kernels import POOLED_SIZE, pool
from incdet.proposers.grouping import group
from incdet.proposers.region_features import Regions
from incdet.runtime.compilation import lacks_machine_code
from incdet.runtime.cpu_flags import cpu_has_bfloat16
from incdet.runtime.optional_packages import is_installed
from incdet.runtime.start_up import collect_garbage_rarely
from incdet.runtime.worker_processes import follow_parent, interrupts_blocked, num_cores


def compile_in_another_process() -> SpawnProcess | None:
    """Starts the process that compiles, where region pooling has never been compiled and there is a second core.

    Region pooling takes the longest of all kernels, and only detections need it.

    Returns:
        The process, which ends with this one at the latest; None where none is started.
    """
    if num_cores() == 1 or not lacks_machine_code(pool):
        return None
    process = multiprocessing.get_context("spawn").Process(target=_compile_quietly, daemon=True)
    try:
        with interrupts_blocked():
            process.start()
    except OSError:
        return None
    return process


def _compile_quietly() -> None:
    follow_parent()
    collect_garbage_rarely()
    # whatever is wrong, the detection meets it, too, and says so
    with suppress(Exception):
        compile_kernels()


def compile_kernels() -> None:
    """Compiles the kernels, in the order in which a detection needs them.

    Each is called for the smallest arrays of the types that a detection has.
    """
    regions = Regions(
        sizes=np.ones(2, np.int32),
        boxes=np.array([[0, 0, 1, 1], [1, 0, 2, 1]], np.int32),
        colors=np.ones((2, 1), np.int32),
        textures=np.ones((2, 1), np.int32),
        neighbours=np.array([[0, 1]], np.int64),
        num_pixels=2,
    )
    group(regions, "color_texture_size_fill")
    # the bits of bfloat16, in which torch computes where it can, and OpenVINO does not
    stored = np.uint16 if cpu_has_bfloat16() and not is_installed("openvino") else np.float32
    box = np.array([[0, 0, 1, 1]], np.float32)
    pool(np.zeros((2, 2, 1), np.float32), box, np.zeros((1, POOLED_SIZE, POOLED_SIZE, 1), stored))
    photo, crops = np.zeros((3, 2, 2), np.float32), np.zeros((1, 3, 2, 2), np.float32)
    sample_crops_on_cpu(photo, box, np.zeros(1, np.int64), crops)
    nms(box.astype(np.float64), 0.5)
