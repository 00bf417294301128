"""Pools of names that no model is called: those that patterns match, and `provider/upstream-model`.

They are made when somebody asks for them. Whatever the name, what can be called is the deployment that the
configuration describes, with its limits: to come with another name is no way around them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from pointsman.build.deployments import Deployments
from pointsman.build.draft import Draft
from pointsman.build.factories import Factories
from pointsman.build.pools import Choice, Pools
from pointsman.build.takeover import KeptInUse
from pointsman.builtin.strategies import RoundRobin
from pointsman.config import DeploymentConfig, ModelConfig, Named
from pointsman.config.deployment_templates import filled, template_of
from pointsman.config.names import STAR, NamePattern
from pointsman.provider import ProviderFactory
from pointsman.routing.deployment import Deployment, estimator_for
from pointsman.routing.pool import Pool
from pointsman.routing.snapshot import Snapshot, Upstream


class Unlisted:
    """Makes such pools, for one configuration.

    Args:
        choices: how models choose, by the names under which they are described.
        known: as of `Pools`.
    """

    def __init__(
        self,
        draft: Draft,
        deployments: Deployments,
        *,
        choices: Mapping[str, Choice],
        known: Mapping[str, ProviderFactory],
    ) -> None:
        self._draft = draft
        self._deployments = deployments
        self._choices = choices
        self._known = known
        self._siblings: dict[str, Pool] = {}
        self._kept = KeptInUse(draft)

    def __call__(self, snapshot: Snapshot, name: str) -> Pool | None:
        """The pool of `name`, which is no alias; None where that means nothing."""
        pattern = snapshot.names.pattern(name)
        if pattern is not None:
            return self._matched(snapshot, name, pattern)
        provider, slash, model = name.partition("/")
        upstream = snapshot.upstreams.get(provider)
        if not slash or not model or upstream is None:
            return None
        configured = _configured(snapshot, upstream, model, name)
        if configured is not None:
            return _borrowing(snapshot, name, configured)
        return self._alone(snapshot, name, DeploymentConfig(provider=provider, model=model))

    def _matched(self, snapshot: Snapshot, name: str, pattern: NamePattern) -> Pool | None:
        described, text = self._draft.config.models[pattern.text], pattern.match(name)
        choice = self._choices.get(pattern.text)
        if choice is None:  # it has a selector, and no deployments
            return None
        assert text is not None
        deployments = [
            self._described(filled(each, text)).model_copy(
                update={"weight": each.weight, "priority": each.priority}
            )
            for each in described.deployments
        ]
        model = described.model_copy(update={"deployments": deployments})
        pool = self._made(snapshot, name, model, choice, pattern.text)
        self._siblings[pattern.text] = pool
        return pool

    def _described(self, deployment: DeploymentConfig) -> DeploymentConfig:
        """What the configuration says of `deployment`, wherever that stands."""
        own = self._own.get(deployment.id)
        if own is not None and (own.provider, own.model) == (deployment.provider, deployment.model):
            return own
        template = template_of(deployment, self._deployments.templates)
        text = None if template is None else NamePattern(template.model).match(deployment.model)
        return deployment if template is None or text is None else filled(template, text)

    @cached_property
    def _own(self) -> Mapping[str, DeploymentConfig]:
        """The deployments that models and providers list, by their ids."""
        models = self._draft.config.described_models().values()
        return {each.id: each for model in models for each in model.deployments if STAR not in each.model}

    def _alone(self, snapshot: Snapshot, name: str, deployment: DeploymentConfig) -> Pool:
        """The pool of a `provider/upstream-model` that no model lists."""
        strategy = Named.model_construct(type="round_robin")
        deployments = [self._described(deployment)]
        model = ModelConfig.model_construct(deployments=deployments, strategy=strategy, fallback=[])
        return self._made(snapshot, name, model, Choice(RoundRobin(), None))

    def _made(
        self, snapshot: Snapshot, name: str, model: ModelConfig, choice: Choice, described: str = ""
    ) -> Pool:
        draft = self._draft.apart()
        draft.kept = self._kept
        deployments = self._deployments.apart(draft)
        factories = Factories(draft)
        pools = Pools(draft, factories, deployments, known=self._known, retry=None)
        if described:
            choice = pools.another(name, model, choice, described)
        sibling = self._siblings.get(described)
        pool = pools.pool(name, model, snapshot.upstreams, choice, described=described, sibling=sibling)
        draft.refuse()
        assert pool is not None
        draft.adopt()
        self._kept.use(pool)
        return pool


def _configured(snapshot: Snapshot, upstream: Upstream, model: str, id: str) -> Deployment | None:
    """The deployment of that id with its limits, which hold by whatever name it is called."""
    for pool in snapshot.pools.values():
        for each in pool.deployments:
            if each.id == id and each.model == model and each.provider is upstream.provider:
                return each
    return None


def _borrowing(snapshot: Snapshot, name: str, deployment: Deployment) -> Pool:
    """The pool of a `provider/upstream-model` that is in a model, too."""
    limits = deployment.live.limits
    return Pool(
        name=name,
        deployments=(deployment,),
        strategy=RoundRobin(),
        scrub=snapshot.setting.scrubber.text,
        total=snapshot.config.timeouts.total,
        retry_name=snapshot.config.retry.type,
        estimator=estimator_for([deployment]) if limits is not None and limits.counts_tokens else None,
    )
