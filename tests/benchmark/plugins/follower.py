"""Takes over the fitted state of another method."""

from __future__ import annotations

from datasets.types import ImageSet
from methods.core.method import Method, Prediction, Task
from methods.core.registry import register
from methods.core.settings import Settings
from methods.core.state import Tree


class FollowerConfig(Settings):
    """Whom to follow."""

    whom: str = "nearest"


@register("follower")
class Follower(Method):
    """Repeats what its leader says."""

    kind = "osr"
    title = "Follower"
    paper = "Nobody, 2000, https://example.org"
    tables = ("attribution", "open-set")
    Config = FollowerConfig
    VARIANTS = {"of_raising": {"whom": "nearest@raising"}, "of_itself": {"whom": "follower@of_itself"}}
    config: FollowerConfig

    @classmethod
    def needs(cls, config: FollowerConfig) -> tuple[str, ...]:
        return (config.whom,)

    def fit(self, train: ImageSet, val: ImageSet) -> None:
        self.task = Task.of(train)
        self.leader = self.run.fitted(self.config.whom, Method)

    def predict(self, images: ImageSet) -> Prediction:
        return self.leader.predict(images)

    def state(self) -> Tree:
        return {}

    def restore(self, state: Tree) -> None:
        self.leader = self.run.fitted(self.config.whom, Method)
