-- What other tags sent: taken once, in order, and kept a while for a run that does not exist yet.
--
-- A sender can know a run whose start is still on its way. w:<run> holds what came too early, `wx` since when; it
-- follows the start's own delivery, and is given up after a minute, or where as much waits as a run may have.

local receiving = {}

local PATIENCE = 60 * 1000000

local function give_up(run, id, d)
  call('HDEL', P .. 'w:' .. run, id)
  call('ZREM', P .. 'wx', run .. id)
  deliveries.bury(d, 'unknown run')
end

local function waiting(run, id, value)
  local d = {run = run, id = id, held = NO, floor = 0}
  d.kind, d.payload, d.due, d.token, d.slot, d.dedupe, d.cause = cmsgpack.unpack(value)
  return d
end

local function wait(d)
  local key = P .. 'w:' .. d.run
  if d.kind ~= SIGNAL then
    return -- timers and outcomes concern only the run itself; a child's cancel never comes before its start
  end
  if call('HLEN', key) >= pending_cap then
    deliveries.bury(d, 'unknown run')
    return
  end
  local value = cmsgpack.pack(d.kind, d.payload, d.due, d.token, d.slot, d.dedupe, d.cause)
  if call('HSETNX', key, d.id, value) == 1 then
    call('ZADD', P .. 'wx', now, d.run .. d.id)
  end
end

-- A run was started: what came before it is dated after what starts it.
function receiving.born(run, due)
  local key = P .. 'w:' .. run
  local found = call('HGETALL', key)
  for i = 1, #found, 2 do
    local d = waiting(run, found[i], found[i + 1])
    d.due = math.max(d.due, due + 1)
    call('ZREM', P .. 'wx', run .. d.id)
    deliveries.send(d)
  end
  if #found > 0 then
    call('DEL', key)
  end
end

function receiving.overdue()
  return #call('ZRANGEBYSCORE', P .. 'wx', '-inf', now - PATIENCE, 'LIMIT', 0, 1) > 0
end

-- Give up what has waited too long; at most so many.
function verbs.give_up()
  ticked()
  local names = call('ZRANGEBYSCORE', P .. 'wx', '-inf', now - PATIENCE, 'LIMIT', 0, number())
  for _, name in ipairs(names) do
    local run, id = string.sub(name, 1, 16), string.sub(name, 17)
    give_up(run, id, waiting(run, id, call('HGET', P .. 'w:' .. run, id)))
  end
  return #names
end

-- Entries of one source's outbox, in its order: what was taken is passed over. The last number that was taken.
function verbs.receive()
  ticked()
  local source, last, due = number(), 0, 0
  local value = call('HGET', P .. 'in', source)
  if value then
    last, due = cmsgpack.unpack(value)
  end
  for _, entry in ipairs(list(bytes)) do
    local d = {held = NO, floor = 0}
    local number_, immediate, child
    number_, d.id, d.run, d.kind, d.payload, d.due, immediate, d.token, d.slot, d.dedupe, d.cause, child =
      cmsgpack.unpack(entry)
    if number_ > last then
      last = number_
      if immediate then -- by the target's clock, whatever the source's said; never before the source's last one
        d.due = math.max(math.min(d.due, now), due)
        due = d.due
      end
      if child then
        crews.begin({
          run = d.run, delivery = d, key = false, machine = child[1], fingerprint = child[2], digest = child[3],
          parent = child[4], root = child[5],
        })
      elseif runs.get(d.run) then
        deliveries.send(d)
      elseif not deliveries.seen(d) then
        wait(d)
      end
    end
  end
  call('HSET', P .. 'in', source, cmsgpack.pack(last, due))
  return last
end
