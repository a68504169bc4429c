"""The typed facade over pluggy: the only file that registers plugins and calls their hooks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import pluggy

from harness.assembly.asking import ask, check_implementation, check_names, with_arguments
from harness.assembly.contract import Contribution
from harness.assembly.contributions import ChosenTricks
from harness.assembly.encoding import (
    Encoding,
    ambiguous_encoder,
    checked_encoder,
    unit_vectors,
    unknown_encoder,
)
from harness.errors import NoLabelsError, PluginError
from harness.hookspecs import HOOKS, KINDS
from harness.spec import RunSpec
from harness.store.record import ResultRecord
from harness.values import Batch, Loss, Picture, PictureEncoder, Plan, Stage, Views

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch.nn import Module

    from harness.samples import Samples, StageOutputs

T = TypeVar("T")
READERS = ("read_texts", "read_queries", "read_context")
"""The functions among the fields of ``Samples`` that a data set brings."""


class Active(NamedTuple):
    """A plugin of this run: its name and the object that carries its hooks."""

    name: str
    plugin: object


class Provider(NamedTuple):
    """The plugin that provides a network, and its identity."""

    plugin: object
    identity: object = None


def _is_metric(item: tuple[object, object]) -> bool:
    name, value = item
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(name, str) and number and math.isfinite(cast("float", value))


class _Manager(pluggy.PluginManager):
    """pluggy's, which looks at no name of Python's own: they take two thirds of its time."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        return None if name.startswith("__") else super().parse_hookimpl_opts(plugin, name)


class Hooks:
    """The active plugins of one run, in the order in which the run names them.

    pluggy checks names and arguments at registration. It calls the last registered first, silently
    lets one provider shadow another and does not say who answered; so the implementations that it
    collected are called here one by one, first named first.
    """

    def __init__(self, plugins: Sequence[Active], method: str, without: Sequence[str] = ()) -> None:
        self._manager = _Manager("harness")
        for kind in KINDS:
            self._manager.add_hookspecs(kind)
        self._method = method
        self._chosen = ChosenTricks(without)
        self._silent = False
        for name, plugin in plugins:
            check_names(name, plugin)
            try:
                self._manager.register(plugin, name)
                self._manager.check_pending()
            except (pluggy.PluginValidationError, ValueError) as error:
                reason = " ".join(str(error).split())
                raise PluginError(f"plugin {name!r} cannot be used: {reason}") from error
        self._found = {hook: self._implementations(hook) for hook in HOOKS}

    # provide

    def load_samples(self, spec: RunSpec, split: str) -> Samples:
        """Return a split of the run's one data set, named and checked by its pictures as well.

        Raises NoLabelsError if it has no labels.
        """
        from harness.data.pictures.inventory import with_pictures
        from harness.samples import Samples

        samples = self._provide("load_samples", Samples, spec=spec, split=split)
        if not samples.has_labels:
            raise NoLabelsError(f"{split} of {spec.data} has no labels", lambda: samples)
        return with_pictures(self._readers_named(samples), spec.home)

    def plan(self, spec: RunSpec) -> Plan:
        """Return the plan of the run's method; other plugins lend their tricks, not their plan."""
        return self._provide("plan", Plan, only=self._method, spec=spec)

    def build_model(self, spec: RunSpec, stage: Stage, num_outputs: int) -> Module:
        """Return a freshly drawn network from the run's one provider of networks."""
        from torch.nn import Module

        return self._provide("build_model", Module, spec=spec, stage=stage, num_outputs=num_outputs)

    def encode_texts(
        self, spec: RunSpec, encoder: str, texts: Sequence[str]
    ) -> NDArray[np.float32]:
        """Return the vectors ``(N, D)`` of the one plugin that provides this encoder."""
        given = {"spec": spec, "encoder": encoder, "texts": texts}
        found = [
            (name, ask(name, "encode_texts", answer, given))
            for name, answer in self._found["encode_texts"]
        ]
        knowing = [(name, vectors) for name, vectors in found if vectors is not None]
        if not knowing:
            raise unknown_encoder([self._encoding(name) for name, _ in found], encoder)
        if len(knowing) > 1:
            raise ambiguous_encoder([name for name, _ in knowing], encoder)
        name, vectors = knowing[0]
        return unit_vectors(f"plugin {name!r}: encode_texts", vectors, len(texts))

    def picture_encoder(self, spec: RunSpec, encoder: str) -> PictureEncoder | None:
        """Return what encodes pictures for a text encoder; what that returns is checked.

        None if the plugin that provides the text encoder has none.
        """
        given = {"spec": spec, "encoder": encoder}
        answers = dict(self._found["picture_encoder"])
        asked = self.encoder_providers(spec, encoder)
        found = {
            one.name: answer
            for one in asked
            if one.name in answers
            and (answer := ask(one.name, "picture_encoder", answers[one.name], given)) is not None
        }
        if len(found) > 1:
            raise ambiguous_encoder(list(found), encoder)
        return next((checked_encoder(*one) for one in found.items()), None)

    def load_truth(self, spec: RunSpec, samples: Samples) -> NDArray[np.int32] | None:
        """Return the true class ``(N,)`` of the training samples; None if it is not known.

        Only the run's data set is asked.
        """
        name = self._one("load_samples")[0]
        answers = dict(self._found["load_truth"])
        if name not in answers:
            return None
        truth = ask(name, "load_truth", answers[name], {"spec": spec, "samples": samples})
        if truth is None:
            return None
        import numpy as np

        found = np.asarray(truth)
        if found.shape != (len(samples),) or found.dtype.kind != "i":
            raise PluginError(
                f"plugin {name!r}: load_truth must return ({len(samples)},) class numbers, "
                f"not {found.dtype} {found.shape}"
            )
        if len(found) and not -1 <= found.min() <= found.max() < samples.num_classes:
            raise PluginError(
                f"plugin {name!r}: load_truth gives classes from {found.min()} to {found.max()}; "
                f"they must be from -1 to {samples.num_classes - 1}"
            )
        return found.astype(np.int32)

    def network_provider(self, spec: RunSpec, stage: Stage) -> Provider:
        """Return who builds the network of a stage."""
        name, plugin = self.provider("build_model")
        answers = dict(self._found["network_identity"])
        given = {"spec": spec, "stage": stage}
        hook = "network_identity"
        identity = ask(name, hook, answers[name], given) if name in answers else None
        return Provider(plugin, identity)

    def encoder_providers(self, spec: RunSpec, encoder: str) -> list[Encoding]:
        """Return who may answer for a text encoder, without encoding anything.

        That is the one plugin that identifies the encoder, else all without ``encoder_identity``;
        only encoding shows which of them provides it. Raises HarnessError if there is none.
        """
        said = dict(self._found["encoder_identity"])
        given = {"spec": spec, "encoder": encoder}
        asked = [name for name, _ in self._found["encode_texts"]]
        known = {
            name: identity
            for name in asked
            if name in said
            and (identity := ask(name, "encoder_identity", said[name], given)) is not None
        }
        if len(known) > 1:
            raise ambiguous_encoder(list(known), encoder)
        if known:
            return [self._encoding(name, identity) for name, identity in known.items()]
        silent = [self._encoding(name) for name in asked if name not in said]
        if not silent:
            raise unknown_encoder([self._encoding(name) for name in asked], encoder)
        return silent

    def provider(self, hook: str) -> Active:
        """Return the one plugin that provides ``hook``."""
        name = self._one(hook)[0]
        return Active(name, self._manager.get_plugin(name))

    def order(self) -> dict[str, tuple[str, ...]]:
        """Return who answers each hook, in the order in which they are called."""
        return {hook: tuple(name for name, _ in found) for hook, found in self._found.items()}

    # contribute

    def stage_tricks(self, spec: RunSpec, stage: Stage) -> list[Contribution[Stage]]:
        """Return the stage tricks; each with its plugin."""
        return self._contribute("stage_tricks", spec=spec, stage=stage)

    def noise_tricks(self, spec: RunSpec, stage: Stage) -> list[Contribution[Samples]]:
        """Return the noise tricks of a stage, then those of plugins."""
        own = self._chosen.own(self._method, "noise_tricks", stage.noise, stage.name)
        return own + self._contribute("noise_tricks", spec=spec, stage=stage)

    def model_tricks(self, spec: RunSpec, stage: Stage) -> list[Contribution[Module]]:
        """Return the model tricks of a stage, then those of plugins."""
        own = self._chosen.own(self._method, "model_tricks", stage.model, stage.name)
        return own + self._contribute("model_tricks", spec=spec, stage=stage)

    def epoch_tricks(self, spec: RunSpec, stage: Stage) -> list[Contribution[Samples]]:
        """Return the epoch tricks of a stage, then those of plugins."""
        own = self._chosen.own(self._method, "epoch_tricks", stage.epoch, stage.name)
        return own + self._contribute("epoch_tricks", spec=spec, stage=stage)

    def picture_tricks(self, spec: RunSpec, stage: Stage) -> list[Contribution[Picture]]:
        """Return the picture tricks of a stage, then those of plugins."""
        own = self._chosen.own(self._method, "picture_tricks", stage.picture, stage.name)
        return own + self._contribute("picture_tricks", spec=spec, stage=stage)

    def batch_tricks(self, spec: RunSpec, stage: Stage) -> list[Contribution[Batch]]:
        """Return the batch tricks of a stage, then those of plugins."""
        own = self._chosen.own(self._method, "batch_tricks", stage.batch, stage.name)
        return own + self._contribute("batch_tricks", spec=spec, stage=stage)

    def loss_tricks(self, spec: RunSpec, stage: Stage) -> list[Contribution[Loss]]:
        """Return the loss tricks of a stage, then those of plugins."""
        own = self._chosen.own(self._method, "loss_tricks", stage.loss, stage.name)
        return own + self._contribute("loss_tricks", spec=spec, stage=stage)

    def testing_tricks(self, spec: RunSpec, plan: Plan) -> list[Contribution[Views]]:
        """Return the testing tricks of the run: the plan's, then those of plugins."""
        own = self._chosen.own(self._method, "testing_tricks", plan.testing)
        return own + self._contribute("testing_tricks", spec=spec)

    def metrics(
        self,
        spec: RunSpec,
        samples: Samples,
        handled: Mapping[str, Samples],
        outputs: Callable[[str], StageOutputs],
    ) -> dict[str, dict[str, float]]:
        """Return what each plugin measured, by its name; raises PluginError if not numbers."""
        given = {"spec": spec, "samples": samples, "handled": handled, "outputs": outputs}
        found: dict[str, dict[str, float]] = {}
        for name, answer in self._found["metrics"]:
            values = ask(name, "metrics", answer, given)
            if not isinstance(values, Mapping) or not all(map(_is_metric, values.items())):
                raise PluginError(
                    f"plugin {name!r}: metrics must return finite numbers by name, "
                    f"not {values!r:.80}"
                )
            found[name] = {key: float(value) for key, value in values.items()}
        return found

    def measuring(self) -> list[Active]:
        """Return the plugins that answer ``metrics``: their code decides a record."""
        plugin = self._manager.get_plugin
        return [Active(name, plugin(name)) for name, _ in self._found["metrics"]]

    def check_chosen(self, spec: RunSpec, stages: Iterable[Stage]) -> None:
        """Raise HarnessError if ``--without`` or ``--with`` names what changes nothing."""
        self._chosen.check_without()
        # A plugin may also register networks with timm, whose identity is then its module.
        found = (self.network_provider(spec, one).identity for one in stages if spec.extra)
        parts = [part for identity in found if isinstance(identity, tuple) for part in identity]
        modules = {part.__name__ for part in parts if isinstance(part, ModuleType)}
        for name in spec.extra:
            hooks = {hook for hook, found in self._found.items() if name in dict(found)}
            if type(self._manager.get_plugin(name)).__module__ not in modules:
                self._chosen.check_added(name, hooks)

    # observe

    def silence(self) -> None:
        """Call no observer from now on: they observe rank 0 only."""
        self._silent = True

    def on_run_start(self, spec: RunSpec, plan: Plan) -> None:
        """Tell the observers that a run begins."""
        self._observe("on_run_start", spec=spec, plan=plan)

    def on_stage_start(self, stage: Stage, steps: int, first_step: int) -> None:
        """Tell the observers that a stage begins or continues."""
        self._observe("on_stage_start", stage=stage, steps=steps, first_step=first_step)

    def on_step_end(self, stage: Stage, step: int, scalars: Mapping[str, float]) -> None:
        """Tell the observers what a step gave."""
        self._observe("on_step_end", stage=stage, step=step, scalars=scalars)

    def on_batch(self, stage: Stage, step: int, batch: Batch, network: Module) -> None:
        """Show the observers a batch after its tricks, and the first network as it is then."""
        self._observe("on_batch", stage=stage, step=step, batch=batch, network=network)

    def on_stage_end(self, stage: Stage, scalars: Mapping[str, float]) -> None:
        """Tell the observers that a stage is finished."""
        self._observe("on_stage_end", stage=stage, scalars=scalars)

    def on_run_end(self, record: ResultRecord) -> None:
        """Tell the observers the result."""
        self._observe("on_run_end", record=record)

    # internals

    def _encoding(self, name: str, identity: object = None) -> Encoding:
        return Encoding(name, self._manager.get_plugin(name), identity)

    def _readers_named(self, samples: Samples) -> Samples:
        """Return samples whose readers, called on demand, name their plugin if they fail."""
        name = self._one("load_samples")[0]
        readers = {hook: getattr(samples, hook) for hook in READERS}
        named = {hook: partial(ask, name, hook, read, {}) for hook, read in readers.items() if read}
        return samples.assign(**named) if named else samples

    def _implementations(self, hook: str) -> list[tuple[str, Callable[..., Any]]]:
        order = [name for name, _ in self._manager.list_name_plugin()]
        caller = getattr(self._manager.hook, hook)
        impls = caller.get_hookimpls()
        marked = {impl.plugin_name for impl in impls}
        for name, plugin in self._manager.list_name_plugin():
            if name not in marked and callable(getattr(plugin, hook, None)):
                raise PluginError(
                    f"plugin {name!r} cannot be used: its {hook} is not marked; put @hookimpl on it"
                )
        for impl in impls:
            check_implementation(impl, caller.spec.argnames)
        return [
            (impl.plugin_name, with_arguments(impl.function, impl.argnames))
            for impl in sorted(impls, key=lambda impl: order.index(impl.plugin_name))
        ]

    def _one(self, hook: str, only: str | None = None) -> tuple[str, Callable[..., Any]]:
        answers = [a for a in self._found[hook] if only is None or a[0] == only]
        if not answers:
            who = f"plugin {only!r} does not provide" if only else "no active plugin provides"
            raise PluginError(f"{who} {hook!r}; name one that does")
        if len(answers) > 1:
            names = " and ".join(repr(name) for name, _ in answers)
            raise PluginError(f"{names} both provide {hook!r}; leave one of them out of this run")
        return answers[0]

    def _provide(self, hook: str, kind: type[T], *, only: str | None = None, **given: Any) -> T:
        name, answer = self._one(hook, only)
        value = ask(name, hook, answer, given)
        if not isinstance(value, kind):
            raise PluginError(
                f"plugin {name!r}: {hook} must return a {kind.__name__}, not {value!r:.80}"
            )
        return value

    def _contribute(self, hook: str, **given: Any) -> list[Contribution[Any]]:
        found: list[Contribution[Any]] = []
        stage = given["stage"].name if "stage" in given else ""
        for name, answer in self._found[hook]:
            tricks = ask(name, hook, answer, given)
            if not isinstance(tricks, (list, tuple)) or not all(callable(t) for t in tricks):
                raise PluginError(
                    f"plugin {name!r}: {hook} must return a list of tricks, not {tricks!r:.80}"
                )
            found += self._chosen.of(name, hook, tricks, stage)
        return found

    def _observe(self, hook: str, **given: Any) -> None:
        for name, answer in () if self._silent else self._found[hook]:
            ask(name, hook, answer, given)
