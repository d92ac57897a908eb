"""How much work each call of a script does: counted on the server, by the script itself, never timed."""

from __future__ import annotations

import hashlib

import pytest

from continuum_redis import link
from continuum_redis.script import Script, script_of
from tests.redis.handles import asked, raw

__all__ = ["count_work", "work_of"]

_KEY = b"work:"

_PLAIN = b"local call = redis.call"
_COUNTED = b"""local work = 0
local function elements(told)
  if type(told) ~= 'table' then
    return 1
  end
  local found = 0
  for _, each in ipairs(told) do
    found = found + elements(each)
  end
  return found
end
local function call(...)
  local told = redis.call(...)
  work = work + select('#', ...) + elements(told)
  return told
end"""


def count_work(monkeypatch: pytest.MonkeyPatch, **constants: int) -> None:
    """From now on every script counts the words of its commands and the elements of their answers.

    :param constants: numbers of the scripts that are made smaller, by name.
    """
    scripts: dict[bytes, Script] = {}

    def counting(verb: bytes) -> Script:
        if verb not in scripts:
            text = script_of(verb).text
            for name, number in constants.items():
                text = _with(text, name.encode(), number)
            assert text.count(_PLAIN) == 1 or b"call(" not in text
            text = text.replace(_PLAIN, _COUNTED)
            if _COUNTED in text:
                noted = b"redis.call('RPUSH', '" + _KEY + verb + b"', work) return told"
                text = text.removesuffix(b"return told") + noted
            digest = hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()
            scripts[verb] = Script(text, digest)
        return scripts[verb]

    monkeypatch.setattr(link, "script_of", counting)


def _with(text: bytes, name: bytes, number: int) -> bytes:
    begins = b"local " + name + b" = "
    if begins not in text:
        return text
    before, _, after = text.partition(begins)
    return before + begins + b"%d\n" % number + after.partition(b"\n")[2]


async def work_of(url: str, verb: str) -> list[int]:
    """What each call of the verb took since this was last asked."""
    async with raw(url) as wire:
        told = await asked(wire, b"LRANGE", _KEY + verb.encode(), b"0", b"-1")
        await asked(wire, b"DEL", _KEY + verb.encode())
    assert isinstance(told, list)
    return [int(each) for each in told]
