"""Pools of names that no model is called: those that patterns match, and `provider/upstream-model`.

They are made when somebody asks for them. Whatever the name, what can be called is the deployment that the
configuration describes, with its limits: to come with another name is no way around them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pointsman.build.deployments import Deployments
from pointsman.build.draft import Draft
from pointsman.build.factories import Factories
from pointsman.build.pools import Choice, Pools
from pointsman.build.takeover import KeptInUse
from pointsman.builtin.strategies import RoundRobin
from pointsman.config import DeploymentConfig, ModelConfig
from pointsman.provider import ProviderFactory
from pointsman.routing.deployment import Deployment, estimator_for
from pointsman.routing.pool import Pool
from pointsman.routing.snapshot import Snapshot


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
        pattern, model = snapshot.names.pattern(name), self._draft.config.described(name)
        if model is None or not model.deployments:  # as one that has a selector
            return None
        if pattern is not None:
            choice = self._choices[pattern.text]
            pool = self._siblings[pattern.text] = self._made(snapshot, name, model, choice, pattern.text)
            return pool
        # Of several, which are the servers of one provider: those that are known to have the model.
        configured = [_configured(snapshot, each) for each in model.deployments]
        if any(configured):
            return _borrowing(snapshot, name, [each for each in configured if each is not None])
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


def _configured(snapshot: Snapshot, deployment: DeploymentConfig) -> Deployment | None:
    """That `deployment` as models have it, with its limits, which hold by whatever name it is called."""
    for pool in snapshot.pools.values():
        for each in pool.deployments:
            there = each.id, each.model, each.provider.name
            if there == (deployment.id, deployment.model, deployment.provider):
                return each
    return None


def _borrowing(snapshot: Snapshot, name: str, deployments: Sequence[Deployment]) -> Pool:
    """The pool of a `provider/upstream-model` that is in a model, too."""
    limits = [each.live.limits for each in deployments]
    counts_tokens = any(each is not None and each.counts_tokens for each in limits)
    return Pool(
        name=name,
        deployments=tuple(deployments),
        strategy=RoundRobin(),
        scrub=snapshot.setting.scrubber.text,
        total=snapshot.config.timeouts.total,
        retry_name=snapshot.config.retry.type,
        estimator=estimator_for(deployments) if counts_tokens else None,
    )
