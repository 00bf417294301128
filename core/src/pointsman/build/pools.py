"""The models of a configuration: how each chooses, and the deployments that it chooses from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from pointsman._internal.plugin_errors import OWN, fault
from pointsman.build.deployments import Deployments
from pointsman.build.draft import Draft
from pointsman.build.factories import Factories
from pointsman.config import DeploymentConfig, ModelConfig, Named, codes
from pointsman.config.problems import KeyPath
from pointsman.errors import FallbackOn, Outcome, PluginError
from pointsman.provider import ProviderFactory
from pointsman.requests.requirements import show, unmet
from pointsman.resilience.admission_queue import AdmissionQueue
from pointsman.resilience.fair_queue import FairQueue
from pointsman.resilience.retry_budget import HEDGES, BudgetSettings, RetryBudget
from pointsman.resilience.token_estimate import Estimator
from pointsman.retry import RetryPolicy
from pointsman.routing.deployment import Deployment, estimator_for
from pointsman.routing.lease import NEVER_SENT, Lease
from pointsman.routing.pool import Fallback, Pool
from pointsman.routing.snapshot import Upstream
from pointsman.strategy import Strategy


class Choice(Struct, frozen=True):
    """How a model chooses, and how often and how late it asks again (None: as in general)."""

    strategy: Strategy
    retry: RetryPolicy | None


class Pools:
    """Makes the pools of models.

    Args:
        known: the factories of the providers whose type is known, by the name of the provider.
        retry: the policy in general; None when it could not be made.
    """

    def __init__(
        self,
        draft: Draft,
        factories: Factories,
        deployments: Deployments,
        *,
        known: Mapping[str, ProviderFactory],
        retry: RetryPolicy | None,
    ) -> None:
        self._draft = draft
        self._factories = factories
        self._deployments = deployments
        self._known = known
        self._retry = retry
        self._names = draft.config.names()

    def choice(self, name: str, model: ModelConfig) -> Choice | None:
        """How a model chooses, with all that it and its deployments say checked; None with problems."""
        path: KeyPath = ("models", name)
        strategy = self._factories.strategy(*self._choosing(name, model), name, model.deployments)
        retry = self._retry
        if model.retry is not None:
            retry = self._factories.retry(model.retry, (*path, "retry"))
        self._deployments.check(model, path, model)
        for n, each in enumerate(model.deployments):
            self._check_deployment(each, model, (*path, "deployments", n))
        self._check_require(model, path)
        return None if strategy is None else Choice(strategy, retry)

    def another(self, name: str, model: ModelConfig, choice: Choice, described: str) -> Choice:
        """One as `choice`, that of `described`, for a model `name` which is described there."""
        named, path = self._choosing(described, model)
        strategy = self._factories.strategy(named, path, name, model.deployments)
        self._draft.refuse()
        assert strategy is not None
        return Choice(strategy, choice.retry)

    def _choosing(self, name: str, model: ModelConfig) -> tuple[Named, KeyPath]:
        """The strategy that holds for a model, and where it stands."""
        if model.strategy is None:
            return self._draft.config.strategy, ("strategy",)
        return model.strategy, ("models", name, "strategy")

    def _check_deployment(self, config: DeploymentConfig, model: ModelConfig, path: KeyPath) -> None:
        factory = self._known.get(config.provider)
        if factory is not None and factory.options is not None:
            self._factories.validated(factory.options, config.options, (*path, "options"))
        self._deployments.check(config, path, model)
        if (
            self._draft.config.adaptive_concurrency is not None
            and config.max_in_flight is None
            and self._draft.listed
        ):
            message = "adaptive_concurrency needs it: it searches between 1 and this"
            self._draft.problem((*path, "max_in_flight"), message, code=codes.NEEDS_ANOTHER)

    def _check_require(self, model: ModelConfig, path: KeyPath) -> None:
        providers = self._draft.config.providers
        known = [each for each in model.deployments if each.provider in providers]
        carried = [{**providers[each.provider].labels, **each.labels} for each in known]
        if len(known) < len(model.deployments) or not model.require:
            return
        if not any(unmet(model.require, each) is None for each in carried):
            self._draft.problem(
                (*path, "require"),
                f"no deployment of it meets {show(model.require)}",
                code=codes.CANNOT_BE_DONE,
                hint="give one the labels, or its provider",
                rests_on=[
                    (*path, "deployments"),
                    *(("providers", each.provider, "labels") for each in known),
                ],
            )

    def pool(
        self,
        name: str,
        model: ModelConfig,
        upstreams: Mapping[str, Upstream],
        choice: Choice,
        *,
        described: str = "",
        sibling: Pool | None = None,
    ) -> Pool | None:
        """The pool of a model, with the state of its deployments; None with problems.

        Args:
            described: the name under which the model is described, if that is another one.
            sibling: one whose budgets it shares.
        """
        strategy, retry = choice.strategy, choice.retry
        named, place = self._choosing(described or name, model)
        deployments = [
            self._deployments.deployment(
                name,
                n,
                each,
                model,
                upstreams[each.provider],
                polled=strategy.wants_residency,
                described=described,
            )
            for n, each in enumerate(model.deployments)
        ]
        old, previous = None, self._draft.previous
        if previous is not None:
            old = previous.pools.get(name) or previous.remembered.get(name)
        if old is not None and old.strategy_name == named.type:
            restore(strategy, old)  # before there is a pool, which announces the members
        try:
            return self._new_pool(name, model, deployments, strategy, retry, sibling or old)
        except PluginError as error:
            self._draft.problem(place, error.message, code=codes.PLUGIN_FAILED)
            return None

    def _new_pool(
        self,
        name: str,
        model: ModelConfig,
        deployments: Sequence[Deployment],
        strategy: Strategy,
        retry: RetryPolicy | None,
        old: Pool | None,
    ) -> Pool:
        config = self._draft.config
        counts_tokens = any(
            limits is not None and limits.counts_tokens
            for limits in (self._deployments.limits[each.id] for each in deployments)
        )
        pool = Pool(
            name=name,
            deployments=deployments,
            strategy=strategy,
            scrub=self._draft.scrubber.text,
            strategy_name=(model.strategy or config.strategy).type,
            fallback=self._fallback(name, model),
            total=model.timeouts.total or config.timeouts.total,
            require=model.require or {},
            retry=retry,
            retry_name=(model.retry or config.retry).type,
            panic_threshold=config.panic_threshold,
            estimator=_estimator(deployments, old) if counts_tokens else None,
            rng=self._draft.rng,
            budget=self._budget(None if retry is None else retry.budget, old),
            hedges=self._hedges(old),
            queue=self._queue(),
            drops=model.unsupported == "drop",
        )
        self._draft.adoptions.append(partial(pool.tie, self._draft.now))
        return pool

    def _fallback(self, name: str, model: ModelConfig) -> Sequence[Fallback]:
        """What follows the model, by the names of pools; it does not follow itself."""
        config = self._draft.config
        said = [(self._names.target(each.to), each.on) for each in config.fallback_of(model)]
        return [Fallback(to, frozenset(map(FallbackOn, on))) for to, on in said if to != name]

    def _hedges(self, old: Pool | None) -> RetryBudget | None:
        config = self._draft.config.hedging
        if config is None:
            return None
        return _kept(None if old is None else old.hedges, replace(HEDGES, ratio=config.budget))

    def _queue(self) -> AdmissionQueue[Lease] | None:
        """Where callers of one model wait for room."""
        config, clock = self._draft.config.queue, self._draft.clock
        if config is None:
            return None

        def release(held: Lease) -> None:
            held.release(Outcome.NEUTRAL, clock.now(), ending=NEVER_SENT)

        return AdmissionQueue(FairQueue(config), release, self._draft.readiness)

    def _budget(self, settings: BudgetSettings | None, old: Pool | None) -> RetryBudget | None:
        return None if settings is None else _kept(None if old is None else old.budget, settings)


def restore(strategy: Strategy, old: Pool) -> None:
    """Have `strategy` go on where that of `old` stands. One that cannot begins anew."""
    try:
        strategy.restore(old.strategy.state())
    except ValueError:
        return
    except OWN as error:
        fault("strategy", old.strategy_name, "restore", error, scrub=old.scrub)


def _estimator(deployments: Sequence[Deployment], old: Pool | None) -> Estimator:
    """What estimates requests; a reload does not have it learn again how long the answers are."""
    made = estimator_for(deployments)
    if old is not None and old.estimator is not None:
        made.go_on(old.estimator)
    return made


def _kept(old: RetryBudget | None, settings: BudgetSettings) -> RetryBudget:
    """A budget with these settings; a reload does not fill it up again."""
    return old if old is not None and old.settings == settings else RetryBudget(settings)
