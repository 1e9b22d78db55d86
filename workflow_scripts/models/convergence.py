"""The end of a training by its validation loss, and whether it has converged; the same for 150 sentences and 15 000.

When the loss has not become better for ``early_stopping`` judgements, the learning rate goes down to zero in a last
stretch: so the schedule fits the steps that are really done (cool-downs: Hägele et al. 2024, arXiv 2405.18392). The
best judged weights are the model.
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch.optim.lr_scheduler import LambdaLR
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

LAST_STRETCH = 0.2  # of the steps done when the loss stopped falling
FALL = 0.1  # share of the loss by which the last judgement is better than all before: it was still falling
FALL_LEAST = 0.02  # nats
UNDERFIT = 0.05  # accuracy on training sentences this far below validation accuracy: it had not learned them


class Convergence(TrainerCallback):
    """Lets a training end in a last stretch of falling learning rate once its validation loss stops falling.

    Parameters
    ----------
    patience : int
        Judgements without a better loss; 0: the planned length is trained in any case.
    least : int
        Steps that are trained in any case.
    """

    def __init__(self, patience: int, least: int) -> None:
        self.patience, self.least = patience, least
        self.best: float | None = None
        self.waited = 0
        self.since: int | None = None  # the step where the last stretch began

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Take up what a training that is resumed had come to."""
        for entry in state.log_history:
            if "eval_loss" in entry:
                self._judge(entry["eval_loss"], entry["step"])

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float],
        **_: Any,
    ) -> None:
        """Begin the last stretch after too many judgements without a better loss."""
        self._judge(metrics["eval_loss"], state.global_step)

    def _judge(self, loss: float, step: int) -> None:
        better = self.best is None or loss < self.best
        self.best, self.waited = (loss, 0) if better else (self.best, self.waited + 1)
        due = self.patience and self.waited >= self.patience
        if due and self.since is None and step * (1 + LAST_STRETCH) >= self.least:
            self.since = step

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Judge and stop at the end, wherever it is."""
        if state.global_step >= min(self.end, state.max_steps):
            control.should_evaluate = args.eval_strategy != "no"
            control.should_log = control.should_save = control.should_training_stop = True

    @property
    def end(self) -> float:
        """The last step, once it is known."""
        return float("inf") if self.since is None else self.since + self._stretch(self.since)

    def rate(self, planned: Callable[[int], float]) -> Callable[[int], float]:
        """Return a schedule: the planned one, brought to zero in the last stretch."""

        def factor(step: int) -> float:
            if self.since is None or step <= self.since:
                return planned(step)
            return planned(self.since) * max(0.0, 1 - (step - self.since) / self._stretch(self.since))

        return factor

    @staticmethod
    def _stretch(since: int) -> int:
        return max(1, round(LAST_STRETCH * since))


def fit_schedule(scheduler: LambdaLR, convergence: Convergence) -> None:
    """Let a learning rate's schedule end where the training ends."""
    scheduler.lr_lambdas = [convergence.rate(planned) for planned in scheduler.lr_lambdas]


def shortfall(history: Mapping[str, Any]) -> str | None:
    """Return why a training has not converged, or None if it has.

    Parameters
    ----------
    history : mapping
        ``log``: with the ``eval_loss`` of each judgement; ``stopped_falling``; ``training_accuracy`` and
        ``best_validation_accuracy``.
    """
    losses = [e["eval_loss"] for e in history["log"] if "eval_loss" in e]
    if not history["stopped_falling"]:
        if len(losses) < 2:
            return f"its validation loss was judged {len(losses)} time(s) only"
        before, last = min(losses[:-1]), losses[-1]
        if before - last > max(FALL * before, FALL_LEAST):
            return f"its validation loss was still falling at the end, {before:.3f} to {last:.3f}"
    trained, judged = history["training_accuracy"], history["best_validation_accuracy"]
    if trained < judged - UNDERFIT:
        return f"its accuracy on training sentences is {trained:.3f}, on validation sentences {judged:.3f}"
    return None
