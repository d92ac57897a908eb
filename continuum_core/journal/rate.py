"""Rate limits as token buckets, in whole numbers: all backends count alike.

A bucket holds tokens in units of one token's `per`th part, so that a refill is exact however short the
time is: after `t` microseconds it holds `t * count` of these units more, and a token is `per` of them.
"""

from __future__ import annotations

from attrs import frozen

from continuum_core.clock import Micros

__all__ = ["Bucket", "Rate"]


@frozen
class Rate:
    """So many tasks per so much time.

    :ivar count: tokens that flow in, at least 1.
    :ivar per: in so many microseconds, at least 1.
    :ivar burst: tokens the bucket holds at most, at least 1.
    """

    count: int
    per: int
    burst: int


@frozen
class Bucket:
    """What a backend stores of one queue's rate; a queue without a stored one begins with `full`.

    :ivar level: units held at time `at`; a token is `per` of them.
    """

    level: int
    at: Micros
    per: int

    @classmethod
    def full(cls, rate: Rate, now: Micros) -> Bucket:
        return cls(rate.burst * rate.per, now, rate.per)

    def filled(self, rate: Rate, now: Micros) -> Bucket:
        """The same bucket at `now`, under a rate that may be another than before."""
        level = self.level if self.per == rate.per else self.level * rate.per // self.per
        level += max(0, now - self.at) * rate.count
        return Bucket(min(level, rate.burst * rate.per), max(now, self.at), rate.per)

    def tokens(self) -> int:
        """Whole tokens that can be taken now."""
        return self.level // self.per

    def without(self, tokens: int) -> Bucket:
        return Bucket(self.level - tokens * self.per, self.at, self.per)

    def next_token(self, rate: Rate) -> Micros:
        """When the next whole token will be there."""
        missing = self.per - self.level % self.per
        return self.at + -(-missing // rate.count)
