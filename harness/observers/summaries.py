"""What TensorBoard shows beside curves: pictures, histograms, hyper-parameters with scores."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from harness.store.record import ResultRecord
from harness.values import MEAN, STD

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

PICTURES = 16  # of a batch, in rows of four
ROW = 4
LARGEST = 160  # pixels of a picture's side
BINS = 30


def pictures_of(images: Tensor) -> Any:
    """Return the first pictures ``(B, 3, H, W)`` of a batch, normalised ones, as one summary."""
    import numpy as np
    from PIL import Image
    from tensorboard.compat.proto.summary_pb2 import Summary

    some = images[:PICTURES, :3].detach().float().cpu().numpy().transpose(0, 2, 3, 1)
    some = (np.clip(some * np.array(STD) + np.array(MEAN), 0, 1) * 255).astype(np.uint8)
    count, height, width, _ = some.shape
    across, down = min(ROW, count), math.ceil(count / ROW)
    grid = np.zeros((down * height, across * width, 3), np.uint8)
    for place, picture in enumerate(some):
        top, left = place // ROW * height, place % ROW * width
        grid[top : top + height, left : left + width] = picture
    shown = Image.fromarray(grid)
    shown.thumbnail((across * LARGEST, down * LARGEST))
    file = io.BytesIO()
    shown.save(file, "PNG")
    return Summary.Image(
        height=shown.height, width=shown.width, colorspace=3, encoded_image_string=file.getvalue()
    )


def histogram_of(values: Tensor) -> Any:
    """Return the histogram of a tensor's finite values; of none if there are none."""
    import torch
    from tensorboard.compat.proto.summary_pb2 import HistogramProto

    flat = values.detach().float().flatten()
    finite = torch.isfinite(flat)
    if not finite.all():  # to choose all takes longer than the histogram
        flat = flat[finite]
    if not len(flat):
        return HistogramProto()
    low, high = flat.min().item(), flat.max().item()
    counts = torch.histc(flat, BINS, low, high).tolist()
    width = (high - low) / BINS or 1.0 / BINS  # equal values: histc counts them from low on
    return HistogramProto(
        min=low,
        max=high,
        num=len(flat),
        sum=flat.sum().item(),
        sum_squares=flat.square().sum().item(),
        bucket_limit=[low + width * (place + 1) for place in range(BINS)],
        bucket=counts,
    )


def looks(images: Tensor, weights: Tensor, network: Module) -> Any:
    """Return the summary of a batch after its tricks, its samples' weights, and the network's."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    named = {
        f"weights/{name}": tensor
        for name, tensor in network.named_parameters()
        if tensor.ndim > 1  # biases and norms would be most of the list
    }
    values = [Summary.Value(tag="batch", image=pictures_of(images))] if images.ndim == 4 else []
    for name, tensor in {"samples/weight": weights, **named}.items():
        values.append(Summary.Value(tag=name, histo=histogram_of(tensor)))
    return Summary(value=values)


def final_scores(record: ResultRecord) -> dict[str, float]:
    """Return a record's scores by name: "test/10 views/last/top1"."""
    return {
        f"{score.split}/{score.protocol}/{score.epoch}/{name}": getattr(score, name)
        for score in record.scores
        for name in ("top1", "top5", "top1_class_mean")
    }


def hyper_parameters(record: ResultRecord) -> dict[str, str | float]:
    """Return what a run was asked, and the values of its stages that a table compares."""
    found: dict[str, str | float] = {
        "method": record.label,
        "plugin": record.plugin,
        "data": record.data.edition,
        "seed": float(record.seed),
    }
    found |= {f"knob {name}": _number(knob.value) for name, knob in record.knobs.items()}
    for stage in record.stages:
        for name in ("backbone", "epochs", "batch_size", "lr", "input_size"):
            if name in stage.values:
                found[f"{stage.name} {name}"] = _number(stage.values[name])
    return found


def _number(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text


def session(record: ResultRecord, scores: Mapping[str, float], started: float) -> Iterator[Any]:
    """Yield the summaries of TensorBoard's table of hyper-parameters: start, scores, end."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2, summary_v2

    names = [summary_v2.Metric(name) for name in scores]
    yield summary_v2.hparams_config_pb(hparams=[], metrics=names)
    asked = hyper_parameters(record)
    yield summary_v2.hparams_pb(asked, trial_id=record.id, start_time_secs=started)
    yield Summary(value=[Summary.Value(tag=tag, simple_value=one) for tag, one in scores.items()])
    # summary_v2 has no end, and the older module needs TensorFlow.
    ended = plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS)
    data = plugin_data_pb2.HParamsPluginData(session_end_info=ended)
    end = Summary.Value(
        tag=metadata.SESSION_END_INFO_TAG,
        metadata=metadata.create_summary_metadata(data),
        tensor=metadata.NULL_TENSOR,
    )
    yield Summary(value=[end])
