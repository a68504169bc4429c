"""synthweb: a small simulated web crawl in WebVision 1.0's layout.

Birds, cats, butterflies, fruit and sixteen more groups of five classes, drawn with polygons. It
simulates the noise that the published solutions report: labels that are only query words (the
picture shows another class of the group, or none of the classes), names with a second sense that
forms a separate cluster (crane, jaguar), a long tail, near-identical classes, texts that are mostly
true, cleaner results at the top of a query and on Google, and another style for val and test. The
true classes of the training pictures are in ``truth/train_truth.csv``, which no method may read.
The split "clean" has new pictures as the web draws them, ten of each class, all with the right
label; it is drawn into a folder of its own when a method first asks for it.

Measured by ``benchmarks/calibrate_synthweb.py`` on ``small`` (2,500 train, 1,000 test, 20 classes),
version 1: timm's test_resnet from nothing, 32 px random resized crops (area 0.35 to 1) and flips,
batch 128, SGD with Nesterov 0.9, lr 0.1 cosine, weight decay 5e-4, 469 steps (24 epochs), top-1 on
the centre crop of test in percent, mean and standard deviation over training seeds:

    data seed                                    0 (n 3)       1 (n 2)
    cross-entropy on the labels as found         52.0 sd 0.8   50.5 sd 1.0
    the same steps on the clean pictures only    68.9 sd 1.0   71.7 sd 1.5
    difference, points                           16.9 sd 1.5   21.1 sd 0.5
    wrong entries, google / flickr               29 / 46 %     33 / 50 %
    entries of a second sense (5 classes)        10.7 %        15.4 %
    largest class over smallest                  34            34
    CurriculumNet's density of the first model's features, area under the ROC, clean against
      all that is wrong                          0.72          0.70
      all, in classes of one sense               0.76          0.80
      confused classes                           0.70          0.71
      nothing of the vocabulary                  0.93          0.89
      second senses                              0.57          0.54
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from harness.data.synthweb.draw import WORTH_A_PROCESS, Progress
from harness.data.synthweb.plan import Preset, plan_clean, plan_crawl
from harness.data.synthweb.profiles import PROFILES
from harness.data.synthweb.write import is_whole, write_crawl
from harness.errors import DataError, unknown
from harness.hookspecs import hookimpl
from harness.machine.cores import cores
from harness.progress import ProgressLine
from harness.values import Stage, Trick

if TYPE_CHECKING:
    from harness.samples import Samples
    from harness.spec import DataSpec, RunSpec

VERSION = 1  # of the pictures and lists: raised whenever a byte of them changes

PRESETS: dict[str, Preset] = {
    "tiny": Preset(groups=2, per_group=3, train=300, val=60, test=60),
    "small": Preset(groups=4, per_group=5, train=2_500, val=1_000, test=1_000),
    "large": Preset(groups=20, per_group=5, train=50_000, val=5_000, test=5_000),
}
DEFAULT_PRESET = "small"
LABELS = ("found", "true")
DEFAULTS = {"seed": "0", "labels": LABELS[0]}  # of the options
OPTIONS = tuple(DEFAULTS)


def generate(
    root: Path,
    preset: str,
    seed: int,
    *,
    processes: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Draw a data set into the folder ``root`` unless it is there already; return ``root``.

    The bytes depend only on ``VERSION``, ``preset`` and ``seed``. ``progress`` is called with
    (pictures drawn, pictures in all). If another process is drawing the same folder, wait for it.

    Raises:
        DataError: Unknown preset; ``root`` holds something else; it cannot be written.
    """
    if preset not in PRESETS:
        raise DataError(unknown("synthweb preset", preset, PRESETS))
    about = {"data": "synthweb", "version": VERSION, "preset": preset, "seed": seed}
    if not is_whole(root, about):
        crawl = plan_crawl(PRESETS[preset], seed)
        if processes is None:
            processes = _processes(PRESETS[preset].images)
        write_crawl(root, crawl, about, seed=seed, processes=processes, progress=progress)
    return root


def generate_clean(root: Path, preset: str, seed: int, *, progress: Progress | None = None) -> Path:
    """Draw the split "clean" into the folder ``root`` unless it is there; return ``root``.

    It is laid out as the val split of a data set without other pictures. Raises as ``generate``.
    """
    about = {"data": "synthweb clean", "version": VERSION, "preset": preset, "seed": seed}
    if not is_whole(root, about):
        crawl = plan_clean(PRESETS[preset], seed)
        write_crawl(root, crawl, about, seed=seed, processes=1, progress=progress)
    return root


def _processes(images: int) -> int:
    """One process per thousand pictures, at most one per core."""
    return max(1, min(cores(), images // WORTH_A_PROCESS))


@dataclass(frozen=True, kw_only=True)
class SynthWeb:
    """The embedded data: ``--data synthweb``, ``synthweb:tiny``, ``synthweb:large?seed=1``.

    ``?labels=true`` gives the training pictures their true labels, for an oracle.
    """

    presets = tuple(PRESETS)

    @hookimpl
    def load_samples(self, spec: RunSpec, split: str) -> Samples:
        """Draw the data set on first use; read "train", "val", "test" or "clean"."""
        from harness.data.webvision import as_split, read_split

        preset, seed = _preset(spec), _seed(spec.data.options)
        if split == "clean":
            return _clean(spec, preset, seed)
        root = spec.home / "data" / f"synthweb-v{VERSION}-{preset}-{seed}"
        with ProgressLine(at_once=True, file_seconds=0.5) as line:
            count = partial(line.count, f"drawing synthweb {preset}", unit="images")
            generate(root, preset, seed, progress=count)
        edition = _edition(preset)
        if _labels(spec.data.options) == "found":
            return read_split(root, as_split(split), edition=edition)
        from harness.data.synthweb.truth import with_true_labels

        samples = read_split(root, as_split(split), edition=f"{edition}, true labels")
        return with_true_labels(samples) if split == "train" else samples

    def spelled(self, data: DataSpec) -> DataSpec:
        """Return the data set with its preset named and without options that are the default."""
        given = {"seed": str(_seed(data.options)), "labels": _labels(data.options)}
        options = {key: value for key, value in given.items() if value != DEFAULTS[key]}
        return replace(data, path=data.path or DEFAULT_PRESET, options=options)

    @hookimpl
    def load_truth(self, samples: Samples) -> NDArray[np.int32] | None:
        """Return the true class of every training picture."""
        from harness.data.synthweb.truth import true_content

        return true_content(samples)

    @hookimpl
    def stage_tricks(self, spec: RunSpec) -> Sequence[Trick[Stage]]:
        """Shrink every stage to the preset's profile."""
        return [PROFILES[_preset(spec)]]


def _clean(spec: RunSpec, preset: str, seed: int) -> Samples:
    from harness.data.webvision import read_split

    root = spec.home / "data" / f"synthweb-v{VERSION}-{preset}-{seed}-clean"
    with ProgressLine(at_once=True, file_seconds=0.5) as line:
        count = partial(line.count, f"drawing synthweb {preset}'s clean split", unit="images")
        generate_clean(root, preset, seed, progress=count)
    return read_split(root, "val", edition=_edition(preset)).assign(split="clean")


def _edition(preset: str) -> str:
    return f"synthweb-{preset} v{VERSION}"


def _preset(spec: RunSpec) -> str:
    preset = spec.data.path or DEFAULT_PRESET
    if preset not in PRESETS:
        raise DataError(unknown("synthweb preset", preset, PRESETS))
    return preset


def _seed(options: Mapping[str, str]) -> int:
    """Check the options of ``--data synthweb:PRESET?seed=N&labels=found|true``; return the seed."""
    for name in options:
        if name not in OPTIONS:
            raise DataError(unknown("option of --data synthweb", name, OPTIONS))
    text = options.get("seed", DEFAULTS["seed"])
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise DataError(f"--data synthweb: seed={text!r} is not a whole number from 0; try seed=1")
    return int(text)


def _labels(options: Mapping[str, str]) -> str:
    text = options.get("labels", DEFAULTS["labels"])
    if text not in LABELS:
        raise DataError(unknown("choice of --data synthweb: labels", text, LABELS))
    return text
