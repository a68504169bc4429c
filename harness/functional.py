"""The pure functions behind the tricks, for anyone who only wants the formula.

Each is loaded when it is first used: ``from harness.functional import mix``.
"""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = {
    "harness.tricks.batch.blending": ("blended",),
    "harness.tricks.batch.cutmix": ("box_at", "cut_mix"),
    "harness.tricks.batch.label_smoothing": ("smooth",),
    "harness.tricks.batch.mix_match": ("sharpen",),
    "harness.tricks.batch.mixup": ("mix",),
    "harness.tricks.epoch.divide_by_loss": ("clean_probabilities",),
    "harness.tricks.epoch.vote_of_neighbours": ("agreement",),
    "harness.tricks.loss.class_balance": ("imbalance",),
    "harness.tricks.loss.distil": ("divergence",),
    "harness.tricks.loss.early_learning": ("early_penalty",),
    "harness.tricks.loss.focal": ("focal_factor",),
    "harness.tricks.loss.generalized_cross_entropy": ("generalized_cross_entropy",),
    "harness.tricks.loss.ghm": ("ghm_factor", "gradient_sizes"),
    "harness.tricks.loss.joint_agreement": ("disagreement",),
    "harness.tricks.loss.meta_weights": ("meta_loss", "weight_of"),
    "harness.tricks.loss.momentum_prototypes": ("contrast", "corrected", "moved_prototypes"),
    "harness.tricks.loss.multi_label": ("sigmoid_cross_entropy",),
    "harness.tricks.loss.neighbour_consistency": ("neighbour_divergence",),
    "harness.tricks.loss.self_supervised": ("trusted_targets",),
    "harness.tricks.loss.small_losses": ("forget_rate", "smallest", "mean_of"),
    "harness.tricks.loss.sparse_over_parameterization": ("noise_losses",),
    "harness.tricks.loss.symmetric_cross_entropy": ("reverse_cross_entropy",),
    "harness.tricks.noise.class_weights": ("class_factors",),
    "harness.tricks.noise.clustering.clusters": ("fit_kmeans",),
    "harness.tricks.noise.clustering.confused_classes": ("confused_classes",),
    "harness.tricks.noise.clustering.nearest": ("nearest",),
    "harness.tricks.noise.clustering.neighbours": ("count_nearer",),
    "harness.tricks.noise.confident_learning": ("confident_classes", "mean_confidence"),
    "harness.tricks.noise.density": ("density", "split_by_density"),
    "harness.tricks.noise.image_weights": ("belief",),
    "harness.tricks.noise.keyword_match": ("keyword_scores",),
    "harness.tricks.noise.keyword_tags": ("choose_keywords",),
    "harness.tricks.noise.kmeans": ("split_by_kmeans",),
    "harness.tricks.noise.listed_scores": ("scores_of",),
    "harness.tricks.noise.picture_match": ("picture_scores",),
    "harness.tricks.noise.pseudo_labels": ("average_predictions",),
    "harness.tricks.noise.ranking.folds": ("fold_of",),
    "harness.tricks.noise.ranking.match_scores": ("rank_weights",),
    "harness.tricks.noise.semantic_match": ("semantic_scores",),
    "harness.tricks.picture.colour_jitter": ("adjust",),
    "harness.tricks.picture.rand_augment": ("augment",),
    "harness.tricks.testing.crops": ("multi_crop",),
    "harness.tricks.testing.multi_scale": ("scale_view",),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [*_HOMES]  # noqa: PLE0604 - names of other modules, loaded below


def __getattr__(name: str) -> Any:
    """Load a function of ``__all__`` from its trick's module (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'harness.functional' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
