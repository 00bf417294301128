"""Ejections and checks as histories: everything is looked up in what happened, nothing is counted ahead."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any


@dataclass
class Ejection:
    begins: float
    ends: float
    multiplier: int


@dataclass
class MemberModel:
    # (when it was reported, when the attempt began, whether it failed)
    reports: list[tuple[float, float, bool]] = field(default_factory=list)
    ejections: list[Ejection] = field(default_factory=list)
    well: bool = True  # what its checks say

    def ejected(self, now: float) -> bool:
        return any(each.begins <= now < each.ends for each in self.ejections)

    def multiplier(self, now: float, interval: float) -> int:
        """Step by step: one less each time another interval since the end of the last ejection is full."""
        if not self.ejections:
            return 0
        last = self.ejections[-1]
        left, at = last.multiplier, last.ends + interval
        while left and at <= now:
            left, at = left - 1, at + interval
        return left

    def failures_in_row(self) -> int:
        begins = self.ejections[-1].begins if self.ejections else float("-inf")
        ends = self.ejections[-1].ends if self.ejections else float("-inf")
        row = 0
        for at, started, failed in self.reports:
            if started < begins or (failed and at < ends):
                continue
            row = row + 1 if failed else 0
        return row


@dataclass
class LevelModel:
    settings: Any
    members: list[MemberModel]
    rng: Any

    def report(self, number: int, now: float, started: float, failed: bool) -> bool:
        """Whether it ejected the member with that number."""
        member = self.members[number]
        member.reports.append((now, started, failed))
        if not failed or member.ejected(now) or member.failures_in_row() < self.settings.failure_threshold:
            return False
        if started < (member.ejections[-1].begins if member.ejections else float("-inf")):
            return False
        out = sum(each.ejected(now) for each in self.members)
        rest = [each for each in self.members if each is not member and not each.ejected(now) and each.well]
        if not rest or Fraction(out + 1, len(self.members)) > Fraction(str(self.settings.max_ejected)):
            return False
        multiplier = member.multiplier(now, self.settings.interval) + 1
        while (multiplier - 1) * self.settings.base_ejection >= self.settings.max_ejection:
            multiplier -= 1
        seconds = min(multiplier * self.settings.base_ejection, self.settings.max_ejection)
        jitter = 0.9 + 0.2 * self.rng.random()
        member.ejections.append(Ejection(now, now + seconds * jitter, multiplier))
        return True


def verdict(passed: list[bool], rise: int, fall: int) -> bool:
    """Whether an upstream with this history of checks is well: by the last turn that was completed."""
    healthy, since = True, 0
    for end in range(1, len(passed) + 1):
        needed = fall if healthy else rise
        last = passed[max(since, end - needed) : end]
        if len(last) == needed and all(each is not healthy for each in last):
            healthy, since = not healthy, end
    return healthy
