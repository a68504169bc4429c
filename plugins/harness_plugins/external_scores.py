"""Confident learning (JAIR 2021), texts, pictures or any tool's scores, judged by retraining."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from harness import AsBaseline, Plan, Samples, Stage, Trick, assumed, hookimpl, published
from harness.errors import HarnessError
from harness.tricks.noise.confident_learning import ConfidentLearning
from harness.tricks.noise.hold_out import HoldOut
from harness.tricks.noise.listed_scores import ListedScores
from harness.tricks.noise.picture_match import PROMPT, PictureMatch
from harness.tricks.noise.ranking.match_scores import Use
from harness.tricks.noise.semantic_match import SemanticMatch


@dataclass(frozen=True, kw_only=True)
class ExternalScores(AsBaseline):
    """Score every sample, select or weigh by the scores, train anew.

    The scores come from a table that any tool wrote, ``file``: path, score; the higher the better.
    Or they are cosines, by ``encoder``, with ``scores`` one of:

    - text: a picture's text with its class's description, without the words that found it;
    - picture_class: the picture with ``prompt``, in which its class is named;
    - picture_text: the picture with its own text, as CLIP filtering does.

    Pictures without a text that is compared are left out. The last two need an encoder of pictures
    and texts: clip:FOLDER, or one that a plugin brings.

    Otherwise they come from confident learning, which needs probabilities out of sample: each of
    ``folds`` networks is trained without a fold and scores that one. With ``folds=1`` one network
    scores what it was trained on, in sample: cheaper, and it contradicts fewer labels. Scoring
    takes ``folds`` times ``score_epochs`` epochs beyond ``epochs``.

    **Source:** C. Northcutt et al., "Confident Learning", JAIR 2021 (arXiv 1911.00068), and its
    library cleanlab, which holds all probabilities in memory; here five classes of each sample.
    Assumed: the training after it is as in baseline.
    """

    file: Path | None = assumed(None, "a table of scores in place of confident learning")
    scores: Literal["confident_learning", "text", "picture_class", "picture_text"] = assumed(
        "confident_learning", "it needs nothing but pictures and labels"
    )
    encoder: str = assumed("minilm", "of texts only; the one that is packaged, as in huawei")
    prompt: str = published(PROMPT, "Radford et al., ICML 2021 (CLIP), its default prompt")
    use: Use = published("select", "paper, section 3.2: wrong labels are pruned")
    share: Annotated[float, Field(gt=0, le=1)] = assumed(
        0.8, "of a class, selected by a table or cosines; confident learning needs no share"
    )
    folds: PositiveInt = published(5, "cleanlab 2.9, CleanLearning: cv_n_folds")
    score_epochs: PositiveInt = assumed(25, "a third of the epochs: before labels are memorised")

    @hookimpl
    def plan(self) -> Plan:
        if self.file is not None and self.scores != "confident_learning":
            raise HarnessError(
                f"external_scores has file={self.file} and scores={self.scores}, two sources of "
                "scores; leave one out"
            )
        train = self.stage_with("retrain")
        own = self.file is None and self.scores == "confident_learning"
        scored = self._scored(train) if own else ()
        train = replace(train, sees=scored, noise=(self._handling(scored),))
        return self.plan_of(*scored, train)

    def _scored(self, train: Stage) -> tuple[Stage, ...]:
        """Return the stages that score: one for each fold, or one for all samples."""
        plain = replace(train, name="score", epochs=self.score_epochs)
        if self.folds == 1:
            return (plain,)
        return tuple(
            replace(plain, name=f"score-{fold}", noise=(HoldOut(fold=fold, folds=self.folds),))
            for fold in range(self.folds)
        )

    def _handling(self, scored: tuple[Stage, ...]) -> Trick[Samples]:
        if self.file is not None:
            return ListedScores(file=self.file, use=self.use, share=self.share)
        if self.scores == "text":
            return SemanticMatch(encoder=self.encoder, use=self.use, share=self.share)
        if self.scores != "confident_learning":
            return PictureMatch(
                encoder=self.encoder,
                text="class" if self.scores == "picture_class" else "own",
                prompt=self.prompt,
                use=self.use,
                share=self.share,
            )
        return ConfidentLearning(sees=scored, use=self.use)
