"""Confident learning (JAIR 2021) or any tool's scores, judged by retraining."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import Field, PositiveInt

from harness import AsBaseline, Plan, Samples, Stage, Trick, assumed, hookimpl, published
from harness.tricks.noise.confident_learning import ConfidentLearning
from harness.tricks.noise.hold_out import HoldOut
from harness.tricks.noise.listed_scores import ListedScores
from harness.tricks.noise.ranking.match_scores import Use


@dataclass(frozen=True, kw_only=True)
class ExternalScores(AsBaseline):
    """Score every sample, select or weigh by the scores, train anew.

    The scores come from a table that any tool wrote, ``file``: path, score; the higher the better.
    Without one they come from confident learning, which needs probabilities out of sample: each of
    ``folds`` networks is trained without a fold and scores that one. With ``folds=1`` one network
    scores what it was trained on, in sample: cheaper, and it contradicts fewer labels. Scoring
    takes ``folds`` times ``score_epochs`` epochs beyond ``epochs``.

    **Source:** C. Northcutt et al., "Confident Learning", JAIR 2021 (arXiv 1911.00068), and its
    library cleanlab, which holds all probabilities in memory; here five classes of each sample.
    Assumed: the training after it is as in baseline.
    """

    file: Path | None = assumed(None, "a table of scores in place of confident learning")
    use: Use = published("select", "paper, section 3.2: wrong labels are pruned")
    share: Annotated[float, Field(gt=0, le=1)] = assumed(
        0.8, "of a class, selected by a table; confident learning finds the number itself"
    )
    folds: PositiveInt = published(5, "cleanlab 2.9, CleanLearning: cv_n_folds")
    score_epochs: PositiveInt = assumed(25, "a third of the epochs: before labels are memorised")

    @hookimpl
    def plan(self) -> Plan:
        train = self.stage_with("retrain")
        scored = self._scored(train) if self.file is None else ()
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
        if self.file is None:
            return ConfidentLearning(sees=scored, use=self.use)
        return ListedScores(file=self.file, use=self.use, share=self.share)
