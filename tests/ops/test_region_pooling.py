"""Region pooling against plain loops, torchvision's operator, and the network on crops."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from incdet.networks.shipped_weights import find_weights
from incdet.networks.weights import load_network
from incdet.ops.region_pooling import pool_regions, pool_regions_by_torchvision, regions_in_cells

SCALE = np.ones(2, np.float32)


def random_maps(channels=12, height=18, width=27, seed=0):
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(1, channels, height, width, generator=generator)
    return maps.contiguous(memory_format=torch.channels_last)


def random_regions(count=40, height=18, width=27, seed=0):
    """Regions of all sizes, some partly and some wholly outside."""
    generator = np.random.default_rng(seed)
    centres = generator.uniform([-4, -4], [width + 4, height + 4], (count, 2))
    halves = np.exp(generator.uniform(np.log(0.05), np.log(20), (count, 2)))
    return torch.from_numpy(np.concatenate([centres - halves, centres + halves], axis=1).astype(np.float32))


EXTREME = torch.tensor(
    [
        [0, 0, 26, 17],  # the centres of the cells at the corners
        [-0.5, -0.5, 26.5, 17.5],  # everything
        [-300, -300, 300, 300],
        [3, 3, 3.01, 3.01],
        [5, -40, 5.5, 60],
        [40, 40, 50, 50],  # wholly outside
        [-1.5, 2, -0.5, 6],
        [26, 17, 27.4, 18.3],
    ],
    dtype=torch.float32,
)


def bilinear(plane, y, x):
    """One sample; the border reaches one cell further, and there is nothing beyond."""
    height, width = len(plane), len(plane[0])
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0.0
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    down, across = y - top, x - left
    upper = plane[top][left] * (1 - across) + plane[top][right] * across
    lower = plane[bottom][left] * (1 - across) + plane[bottom][right] * across
    return upper * (1 - down) + lower * down


def pooled_by_loops(plane, region):
    """14x14 means of samples, then maxima over 3x3 bins, two apart: the definition, cell by cell."""
    x1, y1, x2, y2 = region
    height, width = (y2 - y1) / 14, (x2 - x1) / 14
    rows, columns = max(int(np.ceil(height)), 1), max(int(np.ceil(width)), 1)
    bins = np.empty((14, 14))
    for i in range(14):
        for j in range(14):
            samples = [
                bilinear(plane, y1 + height * (i + (a + 0.5) / rows), x1 + width * (j + (b + 0.5) / columns))
                for a in range(rows)
                for b in range(columns)
            ]
            bins[i, j] = np.mean(samples)
    return np.array([[bins[2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max() for j in range(7)] for i in range(7)])


def test_plain_loops_give_the_same():
    maps, regions = random_maps(channels=2), torch.cat([random_regions(10, seed=1), EXTREME])
    found = pool_regions(maps, regions)
    assert found.shape == (18, 2, 7, 7)
    for channel, plane in enumerate(maps[0].double().tolist()):
        for number, region in enumerate(regions.double().tolist()):
            assert np.allclose(found[number, channel], pooled_by_loops(plane, region), atol=1e-5), region


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)])
def test_torchvision_gives_the_same(dtype, tolerance):
    maps, regions = random_maps(seed=2).to(dtype), torch.cat([random_regions(200, seed=2), EXTREME])
    found, expected = pool_regions(maps, regions), pool_regions_by_torchvision(maps, regions)
    assert found.dtype == dtype
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(found.float(), expected.float(), atol=tolerance)
    assert found[:200].float().std() > 0.2


def test_gradients_are_those_of_torchvision():
    # large differences between neighbours leave no maximum to rounding
    maps, regions = random_maps(seed=3) * 100, torch.cat([random_regions(60, seed=3), EXTREME])
    weights = torch.randn(68, 12, 7, 7, generator=torch.Generator().manual_seed(3))
    gradients = []
    for pool in (pool_regions, pool_regions_by_torchvision):
        leaf = maps.clone().requires_grad_()
        (pool(leaf, regions) * weights).sum().backward()
        gradients.append(leaf.grad)
    assert gradients[1].abs().max() > 1
    assert torch.allclose(gradients[0], gradients[1], atol=1e-3)


def test_values_do_not_depend_on_whether_gradients_are_wanted():
    maps, regions = random_maps(seed=4), random_regions(30, seed=4)
    assert torch.equal(pool_regions(maps, regions), pool_regions(maps.clone().requires_grad_(), regions).detach())


def test_the_number_of_threads_changes_no_byte():
    maps, regions = random_maps(channels=256, seed=5), random_regions(50, seed=5)
    results, gradients, before = [], [], torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            leaf = maps.clone().requires_grad_()
            pooled = pool_regions(leaf, regions)
            (pooled**2).sum().backward()
            results.append(pool_regions(maps, regions))
            gradients.append(leaf.grad)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, results[0]) for one in results[1:])
    assert all(torch.equal(one, gradients[0]) for one in gradients[1:])


def test_no_regions_are_no_rows():
    maps, none = random_maps(), torch.zeros(0, 4)
    assert pool_regions(maps, none).shape == (0, 12, 7, 7)
    leaf = maps.clone().requires_grad_()
    pool_regions(leaf, none).sum().backward()
    assert (leaf.grad == 0).all()


def test_regions_without_area_are_zero_as_torchvision_has_them():
    maps, regions = random_maps(), torch.tensor([[3.0, 2, 3, 9], [4, 5, 11, 5], [6, 6, 6, 6]])
    assert (pool_regions(maps, regions) == 0).all()
    assert torch.equal(pool_regions(maps, regions), pool_regions_by_torchvision(maps, regions))


def test_mirrored_maps_and_regions_give_mirrored_bins():
    """Bins mirror exactly; windows of the max pooling do not, because the last one has two bins instead of three."""
    maps, regions = random_maps(seed=6), random_regions(30, seed=6)
    mirrored = regions[:, [2, 1, 0, 3]] * torch.tensor([-1, 1, -1, 1]) + torch.tensor([26, 0, 26, 0])
    found, expected = pool_regions(maps.flip(3), mirrored), pool_regions(maps, regions)
    # window j has bins 2j to 2j + 2, mirrored they are 11 - 2j to 13 - 2j: no window of its own, but two cover them
    covering = torch.maximum(found[..., 1:].flip(3), found[..., :-1].flip(3))
    assert (covering >= expected[..., :6] - 1e-5).all()
    constant_along_x = maps[..., :1].expand(-1, -1, -1, 27).contiguous(memory_format=torch.channels_last)
    inside = regions[(regions[:, 0] > 0) & (regions[:, 2] < 26)]
    assert len(inside) > 3
    flat = pool_regions(constant_along_x, inside)
    assert torch.allclose(flat, flat.flip(3), atol=1e-5)


@pytest.mark.parametrize(("context", "box"), [(0, [0, 0, 224, 224]), (16, [16, 16, 208, 208])])
def test_a_region_that_is_the_whole_photo_equals_the_network_on_the_photo(context, box, astronaut):
    network, _ = load_network(find_weights("googlenet-voc"))
    pixels = torch.from_numpy(astronaut.pixels[:448:2, :448:2].copy())
    photo = (pixels.float() - torch.tensor([123.0, 117.0, 104.0])).permute(2, 0, 1)[None]
    cells = regions_in_cells(np.array([box], np.float32), SCALE, context, 224)
    assert np.allclose(cells, [[-0.5, -0.5, 13.5, 13.5]])
    with torch.inference_mode():
        trunk = network.trunk(photo)
        pooled = pool_regions(network.photo_features(photo), torch.from_numpy(cells))
        expected, found = network.head(trunk), network.region_head(pooled)
    assert expected.softmax(dim=1).max() > 0.3, "the network sees nothing"
    assert torch.allclose(found, expected, atol=1e-3)


def test_boxes_of_a_resized_photo_lie_where_they_lay():
    boxes = np.array([[10, 20, 110, 220], [0, 0, 50, 60]], np.float32)
    own = regions_in_cells(boxes, SCALE, 16, 224)
    twice = regions_in_cells(boxes * [2, 1, 2, 1], np.array([0.5, 1], np.float32), 16, 224)
    assert np.allclose(own, twice, atol=1e-5)
    # 224 / 192 times as large, in cells of 16 pixels
    sides = (boxes[:, 2:] - boxes[:, :2]) * 224 / 192 / 16
    assert np.allclose(own[:, 2:] - own[:, :2], sides, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_gpu_pools_what_the_cpu_pools():
    maps, regions = random_maps(seed=7), torch.cat([random_regions(100, seed=7), EXTREME])
    found = pool_regions(maps.cuda(), regions.cuda())
    assert torch.allclose(found.cpu(), pool_regions(maps, regions), atol=1e-4)


def test_the_reference_operator_pools_maxima_of_aligned_bins():
    """The reference itself: a ramp along x has its own coordinate in every bin."""
    ramp = torch.arange(27.0).expand(1, 1, 18, 27)
    pooled = pool_regions_by_torchvision(ramp, torch.tensor([[2.0, 2.0, 16.0, 16.0]]))
    # bins at 2.5, 3.5, ...; the largest of each window is its last bin
    assert pooled[0, 0, 0].tolist() == pytest.approx([4.5, 6.5, 8.5, 10.5, 12.5, 14.5, 15.5])
    assert F.max_pool2d(ramp, 3, 2, ceil_mode=True).shape[3] == 13
