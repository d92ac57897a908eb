-- Deliveries in and out: the only place that changes which are free, held, dead or seen.
--
-- i:<run> and m:<run> hold all of a run, timers apart so that closing a state reads no inbox. Those that are
-- not held stand in f:<run> and in `due`, by (due, id). hd:<run> tells why others are held. `seen` tells when
-- a dedupe id was consumed: never yet (+inf) while its delivery is pending. `seenof` has the same entries with one
-- score, and so those of a run together. `rep` maps such ids to what turns replied, as long as `seen` has them.

local deliveries = {}

local function box(run, kind)
  return P .. (kind == TIMER and 'm:' or 'i:') .. run
end

function deliveries.read_argument()
  local id, run, kind, token, slot, floor, due, has_due, has_dedupe, has_cause, cause, dedupe, payload
  id, run, kind, token, slot, floor, due, has_due, has_dedupe, has_cause, cause, dedupe, payload, at =
    unpack_struct('>c16c16dddddBBBc16I4c0I4c0', blob, at)
  return {
    id = id, run = run, kind = kind, payload = payload, due = has_due == 1 and due, token = token, slot = slot,
    dedupe = has_dedupe == 1 and dedupe, floor = floor, held = NO, cause = has_cause == 1 and cause,
  }
end

local function stored(d)
  return cmsgpack.pack(d.kind, d.due, d.token, d.slot, d.held, d.dedupe, d.cause, d.payload)
end

local function decoded(run, id, value)
  local kind, due, token, slot, held, dedupe, cause, payload = cmsgpack.unpack(value)
  return {
    run = run, id = id, kind = kind, due = due, token = token, slot = slot, held = held, dedupe = dedupe,
    cause = cause, payload = payload,
  }
end

-- Of a few runs, what one call tells: of which nothing waits that is not held, and of which nothing is kept at all.
local idle_runs, empty_runs = {}, {}

function deliveries.get(run, id)
  if empty_runs[run] then
    return false
  end
  local value = call('HGET', box(run), id) or call('HGET', box(run, TIMER), id)
  return value and decoded(run, id, value)
end

-- In the shape in which the client reads one.
function deliveries.shown(d)
  return {d.id, d.kind, d.payload, d.due, d.token, d.slot, d.dedupe, d.held, d.cause}
end

function deliveries.look_ahead(ids)
  local free, kept = {}, {}
  for i, run in ipairs(ids) do
    free[i] = P .. 'f:' .. run
    kept[2 * i - 1], kept[2 * i] = box(run), box(run, TIMER)
  end
  local idle, empty = call('EXISTS', unpack(free)) == 0, call('EXISTS', unpack(kept)) == 0
  for _, run in ipairs(ids) do
    idle_runs[run], empty_runs[run] = idle, empty
  end
end

-- Ids of what is due of a run, in order; at most `most`.
function deliveries.ids_due(run, most)
  if idle_runs[run] then
    return NOTHING
  end
  return call('ZRANGEBYSCORE', P .. 'f:' .. run, '-inf', now, 'LIMIT', 0, most)
end

local function index(d)
  idle_runs[d.run] = nil
  call('ZADD', P .. 'f:' .. d.run, d.due, d.id)
  call('ZADD', P .. 'due', d.due, d.id .. d.run)
end

local function unindex(d)
  call('ZREM', P .. 'f:' .. d.run, d.id)
  call('ZREM', P .. 'due', d.id .. d.run)
end

function deliveries.resolved_due(d)
  return d.due or math.max(now, d.floor)
end

-- `consumed`: when; '+inf' while it waits.
function deliveries.note_seen(run, dedupe, consumed)
  call('ZADD', P .. 'seen', consumed, run .. dedupe)
  call('ZADD', P .. 'seenof', 0, run .. dedupe)
end

-- One that is accepted under its dedupe id, anew perhaps: that has no reply yet.
function deliveries.note_accepted(d, consumed)
  deliveries.note_seen(d.run, d.dedupe, consumed)
  call('HDEL', P .. 'rep', d.run .. d.dedupe)
end

function deliveries.insert(d)
  d.due, d.held = deliveries.resolved_due(d), NO
  empty_runs[d.run] = nil
  call('HSET', box(d.run, d.kind), d.id, stored(d))
  index(d)
  if d.dedupe then
    deliveries.note_accepted(d, '+inf')
  end
end

function deliveries.remove(d)
  call('HDEL', box(d.run, d.kind), d.id)
  if d.held == NO then
    unindex(d)
  else
    call('HDEL', P .. 'hd:' .. d.run, d.id)
  end
  if d.dedupe then
    deliveries.note_seen(d.run, d.dedupe, now)
  end
end

function deliveries.seen(d)
  local consumed = d.dedupe and call('ZSCORE', P .. 'seen', d.run .. d.dedupe)
  return consumed and (consumed == 'inf' or now < consumed + dedupe_window)
end

function deliveries.reply(run, dedupe, body)
  if call('ZSCORE', P .. 'seen', run .. dedupe) then
    call('HSET', P .. 'rep', run .. dedupe, body)
  end
end

function verbs.replies()
  return list(function()
    local name = bytes() .. bytes()
    local consumed = call('ZSCORE', P .. 'seen', name)
    if not consumed or (consumed ~= 'inf' and now >= consumed + dedupe_window) then
      return {'unknown', false}
    end
    if consumed == 'inf' then
      return {'pending', false}
    end
    return {'gone', call('HGET', P .. 'rep', name)}
  end)
end

-- Signals are kept that reach nobody; timers and outcomes concern only the run itself.
function deliveries.bury(d, reason)
  if d.kind ~= SIGNAL then
    return
  end
  local letter = cmsgpack.pack(d.kind, d.due, d.token, d.slot, d.dedupe, d.cause, d.payload, reason, now)
  if call('HSETNX', P .. 'd:' .. d.run, d.id, letter) == 1 then
    call('ZADD', P .. 'dx', now, d.run .. d.id)
  end
end

-- What a commit sends cannot be refused.
function deliveries.send(d)
  local target = tag_of(d.run)
  if target ~= TAG then
    outbox.put(target, d)
    return
  end
  if deliveries.seen(d) then
    return
  end
  local status = runs.status(d.run)
  if not status or ENDED[status] then
    d.due = deliveries.resolved_due(d)
    deliveries.bury(d, status and 'run over' or 'unknown run')
  elseif not deliveries.get(d.run, d.id) then
    deliveries.insert(d)
  end
end

function deliveries.hold(run, id, reason)
  local d = deliveries.get(run, id)
  if not d or d.held == reason then
    return
  end
  if d.held == NO then
    unindex(d)
  end
  d.held = reason
  call('HSET', box(run, d.kind), id, stored(d))
  if reason == NO then
    call('HDEL', P .. 'hd:' .. run, id)
    index(d)
  else
    call('HSET', P .. 'hd:' .. run, id, reason)
  end
end

function deliveries.free(run, reasons)
  local held = call('HGETALL', P .. 'hd:' .. run)
  for i = 1, #held, 2 do
    if reasons[tonumber(held[i + 1])] then
      deliveries.hold(run, held[i], NO)
    end
  end
end

function deliveries.has_deferred(run)
  for _, reason in ipairs(call('HVALS', P .. 'hd:' .. run)) do
    if tonumber(reason) == DEFERRED then
      return true
    end
  end
  return false
end

local function each_of(key, run, tell)
  local found = empty_runs[run] and NOTHING or call('HGETALL', key)
  for i = 1, #found, 2 do
    tell(decoded(run, found[i], found[i + 1]))
  end
end

function deliveries.each(run, tell)
  each_of(box(run), run, tell)
  each_of(box(run, TIMER), run, tell)
end

function deliveries.close_timers(run, tokens)
  each_of(box(run, TIMER), run, function(d)
    if tokens[d.token] then
      deliveries.remove(d)
    end
  end)
end

function deliveries.remove_all(run)
  deliveries.each(run, function(d)
    deliveries.remove(d)
    deliveries.bury(d, 'run over')
  end)
end

-- What is due of a run, in order; at most `most`.
function deliveries.due_of(run, most)
  local found = {}
  for i, id in ipairs(deliveries.ids_due(run, most)) do
    found[i] = deliveries.get(run, id)
  end
  return found
end

function deliveries.anything_due(run)
  return #deliveries.ids_due(run, 1) > 0
end

-- --- the verb

local function deliver_one()
  local d = deliveries.read_argument()
  local due = deliveries.resolved_due(d)
  if deliveries.seen(d) then -- before the status: a retry of an accepted one is no error
    return {'duplicate', due}
  end
  local status = runs.status(d.run)
  if not status then
    return {'unknown run', due}
  end
  local known = deliveries.get(d.run, d.id)
  if known then
    return {'accepted', known.due}
  end
  if ENDED[status] then
    return {'run over', due}
  end
  if call('HLEN', box(d.run)) + call('HLEN', box(d.run, TIMER)) >= pending_cap then
    return {'full', due}
  end
  deliveries.insert(d)
  return {'accepted', due}
end

function verbs.deliver()
  ticked()
  return list(deliver_one)
end
