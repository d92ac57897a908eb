-- What a commit does to runs of other tags: kept with the commit, carried over by any worker, once and in order.
--
-- out:<tag> lists what waits for that tag, `outs` names the tags for which something waits, `seq` holds the last
-- number given for each. The target keeps in `in` the last number it took of each source, and so takes none
-- twice, however often and by however many workers the same is brought. Numbers lead those of a lost tail: they
-- are never below the clock.

local outbox = {}

-- `start`: of a child run that begins there, what its row says besides.
function outbox.put(target, d, start)
  local last = tonumber(call('HGET', P .. 'seq', target)) or 0
  local number_ = math.max(last + 1, now)
  call('HSET', P .. 'seq', target, number_)
  call('RPUSH', P .. 'out:' .. target, cmsgpack.pack(number_, d.id, d.run, d.kind, d.payload,
    d.due or math.max(now, d.floor), not d.due, d.token, d.slot, d.dedupe, d.cause, start or false))
  call('SADD', P .. 'outs', target)
end

-- What waits, of each target the first few: {target, {entry …}}.
function verbs.outbox()
  local most, found = number(), {}
  for i, target in ipairs(call('SMEMBERS', P .. 'outs')) do
    found[i] = {tonumber(target), call('LRANGE', P .. 'out:' .. target, 0, most - 1)}
  end
  return found
end

-- The target has everything up to `last`.
function verbs.relayed()
  ticked()
  local target, last = number(), number()
  local key = P .. 'out:' .. target
  while true do
    local entry = call('LINDEX', key, 0)
    if not entry then
      call('SREM', P .. 'outs', target)
      return 0
    end
    if (cmsgpack.unpack(entry)) > last then
      return call('LLEN', key)
    end
    call('LPOP', key)
  end
end
