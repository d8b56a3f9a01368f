"""torchvision's operators where its compiled half cannot be loaded, as beside a build of PyTorch without CUDA.

The package index offers torchvision compiled for CUDA only, and importing its Python half fails as long as nobody has
declared the operators of the other. So every Python of an environment that has torchvision calls `install` at its
start, and whoever imports torchvision then finds them declared. `nms` and `roi_align`, which detectors need, run in
Python; the others say that they are not there when they are called. A compiled half that can be loaded is loaded.
"""

import importlib
import importlib.abc
import logging
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

_REGIONS = 64  # at once, for the memory
_log = logging.getLogger(__name__)

_ROI = "Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width"
_SIZE = "SymInt batch_size, SymInt channels, SymInt height, SymInt width"
_POOLED = "float spatial_scale, SymInt pooled_height, SymInt pooled_width"
_STEPS = (
    "SymInt stride_h, SymInt stride_w, SymInt pad_h, SymInt pad_w, SymInt dilation_h, SymInt dilation_w, "
    "SymInt groups, SymInt offset_groups, bool use_mask"
)
_MAPPED = "Tensor grad, Tensor rois, Tensor channel_mapping"
SCHEMAS = (
    "_cuda_version() -> int",
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "box_iou_rotated(Tensor boxes1, Tensor boxes2) -> Tensor",
    "qroi_align(Tensor input, Tensor rois, float input_scale, int input_zero_point, float rois_scale, "
    f"int rois_zero_point, {_POOLED}, int sampling_ratio, bool aligned) -> Tensor",
    f"roi_align({_ROI}, int sampling_ratio, bool aligned) -> Tensor",
    f"_roi_align_backward(Tensor grad, Tensor rois, {_POOLED}, {_SIZE}, int sampling_ratio, bool aligned) -> Tensor",
    f"roi_pool({_ROI}) -> (Tensor, Tensor)",
    f"_roi_pool_backward(Tensor grad, Tensor rois, Tensor argmax, {_POOLED}, {_SIZE}) -> Tensor",
    f"ps_roi_align({_ROI}, int sampling_ratio) -> (Tensor, Tensor)",
    f"_ps_roi_align_backward({_MAPPED}, {_POOLED}, int sampling_ratio, {_SIZE}) -> Tensor",
    f"ps_roi_pool({_ROI}) -> (Tensor, Tensor)",
    f"_ps_roi_pool_backward({_MAPPED}, {_POOLED}, {_SIZE}) -> Tensor",
    f"deform_conv2d(Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, {_STEPS}) -> Tensor",
    "_deform_conv2d_backward(Tensor grad, Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, "
    f"{_STEPS}) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
)
"""As torchvision's C++ declares them; TorchScript looks them up by name and arguments."""


def install() -> None:
    """Prepare PyTorch when torchvision is about to be imported; costs nothing until then."""
    if not any(isinstance(finder, _BeforeTorchvision) for finder in sys.meta_path):
        sys.meta_path.insert(0, _BeforeTorchvision())


class _BeforeTorchvision(importlib.abc.MetaPathFinder):
    """Finds nothing, but hears of torchvision's import before it happens."""

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == "torchvision":
            sys.meta_path.remove(self)
            _watch_loading()
        return None


def _watch_loading() -> None:
    """Make a compiled half that cannot be loaded count as loaded, with operators of ours in its place."""
    torch = _torch()

    load = torch.ops.load_library

    def load_library(path: Any) -> None:
        try:
            load(path)
        except OSError as error:
            file = Path(path)
            if file.parent.name != "torchvision" or not file.name.startswith("_C."):
                raise
            _log.warning(
                "torchvision's compiled half cannot be loaded (%s): nms and roi_align run in Python, "
                "its other operators are declared only",
                str(error.__cause__ or error).partition("\n")[0],
            )
            _declare()

    setattr(torch.ops, "load_library", load_library)  # noqa: B010


def _declare() -> None:
    torch = _torch()

    library = torch.library.Library("torchvision", "DEF")
    for schema in SCHEMAS:
        library.define(schema)
    library.impl("_cuda_version", lambda: -1, "CompositeExplicitAutograd")
    library.impl("nms", nms, "CPU")
    library.impl("roi_align", roi_align, "CPU")
    _kept.append(library)  # its operators end with it


_kept: list[Any] = []


def _torch() -> Any:
    """PyTorch, when it is needed at last."""
    return importlib.import_module("torch")


def nms(dets: Any, scores: Any, iou_threshold: float) -> Any:
    """Indices (INT64 [k]) of the boxes that stay, by falling score: no two of them overlap by more than the threshold.

    `dets` is [n, 4] as x1, y1, x2, y2, `scores` is [n].
    """
    torch = _torch()

    order = scores.sort(descending=True, stable=True).indices
    x1, y1, x2, y2 = dets[order].unbind(1)
    areas = (x2 - x1) * (y2 - y1)
    alive = torch.ones(len(order), dtype=torch.bool)
    for at in range(len(order)):
        if not alive[at]:
            continue
        rest = slice(at + 1, None)
        width = (torch.minimum(x2[at], x2[rest]) - torch.maximum(x1[at], x1[rest])).clamp(min=0)
        height = (torch.minimum(y2[at], y2[rest]) - torch.maximum(y1[at], y1[rest])).clamp(min=0)
        common = width * height
        alive[rest] &= ~(common / (areas[at] + areas[rest] - common) > iou_threshold)
    return order[alive]


def roi_align(
    input: Any,
    rois: Any,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    sampling_ratio: int,
    aligned: bool,
) -> Any:
    """Each region [k, 5] (row of the batch, x1, y1, x2, y2) of `input` [n, c, h, w], averaged to [k, c, ph, pw].

    A bin is the mean of bilinear samples: `sampling_ratio` in each direction, or as many as there are elements.
    """
    torch = _torch()

    offset = 0.5 if aligned else 0.0
    corners = rois[:, 1:] * spatial_scale - offset
    sizes = corners[:, 2:] - corners[:, :2]
    sizes = sizes if aligned else sizes.clamp(min=1.0)
    bins = torch.tensor([pooled_width, pooled_height])
    samples = torch.full_like(sizes, sampling_ratio) if sampling_ratio > 0 else torch.ceil(sizes / bins)
    found = input.new_zeros((len(rois), input.shape[1], pooled_height, pooled_width))
    keys = torch.cat([rois[:, :1], samples], 1)
    for row, across, down in keys.unique(dim=0).long().tolist():
        if across <= 0 or down <= 0:
            continue
        alike = (keys == keys.new_tensor([row, across, down])).all(1).nonzero().squeeze(1)
        for part in alike.split(_REGIONS):
            x = _points(corners[part, 0], sizes[part, 0], pooled_width * across)
            y = _points(corners[part, 1], sizes[part, 1], pooled_height * down)
            found[part] = _means(input[row : row + 1], x, y, (down, across))
    return found


def _points(starts: Any, sizes: Any, count: int) -> Any:
    """Where so many samples of each region lie on one axis: [k, count]."""
    torch = _torch()

    return starts[:, None] + (torch.arange(count, dtype=sizes.dtype) + 0.5) * (sizes[:, None] / count)


def _means(image: Any, x: Any, y: Any, samples: tuple[int, int]) -> Any:
    """`image` [1, c, h, w] at the points `x` [k, columns] and `y` [k, rows], averaged over `samples` each way."""
    torch = _torch()

    height, width = image.shape[2:]
    regions, rows, columns = len(x), y.shape[1], x.shape[1]
    inside = ((y >= -1) & (y <= height))[:, :, None] & ((x >= -1) & (x <= width))[:, None, :]
    across = (x * (2 / max(width - 1, 1)) - 1)[:, None, :].expand(regions, rows, columns)
    down = (y * (2 / max(height - 1, 1)) - 1)[:, :, None].expand(regions, rows, columns)
    grid = torch.stack([across, down], -1).reshape(1, regions * rows, columns, 2)
    values = torch.nn.functional.grid_sample(image, grid, padding_mode="border", align_corners=True)
    values = values[0].unflatten(1, (regions, rows)).transpose(0, 1) * inside[:, None]
    return torch.nn.functional.avg_pool2d(values, samples)
