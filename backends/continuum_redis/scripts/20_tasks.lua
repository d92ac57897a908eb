-- Tasks: claimed, kept alive, finished, each fenced by itself.
--
-- t:<run><token> is a hash of the tasks of one state entry by slot, and k:<run> the set of its entries, so that
-- closing one reads no other. A lane is one (queue, activity); l:<queue> is the set of a queue's lanes, and `qs`
-- that of queues, while they have tasks. Of a lane, what is leased stands in `e` by its lease's end. What is not stands in
-- `a` by when it is due, which tells what comes next, and besides, until it is due, in `z`, by the same; from then on
-- in `q`, one sorted set for each (priority, fairness key), by (due, name). `y` has the keys of a priority that have
-- something there, `p` the priorities: claims walk through these, and never meet what is put off. What was asked to
-- stop and needs no undo stands in `x` instead, to be put away when it is met.

local tasks = {}

local function lane_of(queue, activity)
  return pack_struct('>I2', #queue) .. queue .. pack_struct('>I2', #activity) .. activity
end

local function entry_key(run, token)
  return P .. 't:' .. run .. pack_struct('>I8', token)
end

local function name_of(t)
  return t.run .. pack_struct('>I8I4', t.token, t.slot)
end

local function keys_of(lane, priority)
  return P .. 'y:' .. lane .. ':' .. priority
end

local function ready_key(lane, priority, fairness)
  return P .. 'q:' .. lane .. ':' .. priority .. ':' .. fairness
end

-- Entries of which this call has taken the last task away.
local empty_entries = {}

function tasks.get(run, token, slot)
  local key = entry_key(run, token)
  local value = not empty_entries[key] and call('HGET', key, slot)
  if not value then
    return false
  end
  local activity, queue, priority, due, scheduled, payload, key, undo, attempt, losses, fence, lease_until,
    claim_id, cancel, details, failure, fairness, reported, permit = cmsgpack.unpack(value)
  return {
    run = run, token = token, slot = slot, activity = activity, queue = queue, priority = priority, due = due,
    scheduled = scheduled, payload = payload, key = key, undo = undo, attempt = attempt, losses = losses,
    fence = fence, lease_until = lease_until, claim_id = claim_id, cancel = cancel, details = details,
    failure = failure, fairness = fairness, reported = reported, permit = permit,
  }
end

function tasks.named(name)
  local token, slot = unpack_struct('>I8I4', name, 17)
  return tasks.get(string.sub(name, 1, 16), token, slot)
end

function tasks.shown(t)
  return {t.run, t.token, t.slot, t.activity, t.queue, t.priority, t.due, t.scheduled, t.payload, t.key,
    t.undo and 1 or 0, t.attempt, t.losses, t.fence, t.lease_until, t.claim_id, t.cancel and 1 or 0, t.details,
    t.failure, t.fairness}
end

function tasks.claimed_shown(t)
  local r = runs.get(t.run)
  return {tasks.shown(t), r.machine, r.fingerprint}
end

-- --- a row and its place in the indexes move together

-- Nobody asks what becomes of it.
function tasks.unneeded(t)
  return t.cancel and not t.undo
end

local function later_key(lane)
  return P .. 'z:' .. lane
end

local function put_in_line(t, lane, name)
  call('ZADD', ready_key(lane, t.priority, t.fairness), t.due, name)
  call('ZADD', keys_of(lane, t.priority), 0, t.fairness)
  call('ZADD', P .. 'p:' .. lane, t.priority, t.priority)
end

-- A key of which nothing stands in line any more goes, and a priority that has no key.
local function tidy_line(lane, priority, fairness)
  if call('EXISTS', ready_key(lane, priority, fairness)) == 0 then
    call('ZREM', keys_of(lane, priority), fairness)
    if call('EXISTS', keys_of(lane, priority)) == 0 then
      call('ZREM', P .. 'p:' .. lane, priority)
    end
  end
end

-- Puts in line what has become due, so many at most: the others' turn is the next call's. How many it may still put.
function tasks.wake(lane, most)
  local due = call('ZRANGEBYSCORE', later_key(lane), '-inf', now, 'LIMIT', 0, most)
  for _, name in ipairs(due) do
    call('ZREM', later_key(lane), name)
    local t = call('ZSCORE', P .. 'a:' .. lane, name) and tasks.named(name) -- a former release may have taken it
    if t then
      put_in_line(t, lane, name)
    end
  end
  return most - #due
end

-- Puts off what a former release has put in line before it is due: the first so many of a key. How many.
function tasks.put_off(lane, priority, fairness, most)
  local ready = ready_key(lane, priority, fairness)
  local early = call('ZRANGE', ready, 0, most - 1, 'WITHSCORES')
  for i = 1, #early, 2 do
    call('ZREM', ready, early[i])
    call('ZADD', later_key(lane), early[i + 1], early[i])
  end
  tidy_line(lane, priority, fairness)
  return #early / 2
end

-- Lanes that have tasks by this call; and those of which it has taken one away, each with that.
local lanes_entered, lanes_left = {}, {}

local function enter(t)
  local lane, name = lane_of(t.queue, t.activity), name_of(t)
  if t.lease_until then
    call('ZADD', P .. 'e:' .. lane, t.lease_until, name)
  elseif tasks.unneeded(t) then
    call('ZADD', P .. 'x:' .. lane, t.due, name)
  else
    call('ZADD', P .. 'a:' .. lane, t.due, name)
    if t.due > now then
      call('ZADD', later_key(lane), t.due, name)
    else
      put_in_line(t, lane, name)
    end
  end
  if not lanes_entered[lane] then
    lanes_entered[lane] = true
    if call('SADD', P .. 'l:' .. t.queue, t.activity) == 1 then
      call('SADD', P .. 'qs', t.queue)
    end
  end
  if t.claim_id then
    call('SADD', P .. 'ct:' .. t.claim_id, name)
  end
end

local function leave(t)
  local lane, name = lane_of(t.queue, t.activity), name_of(t)
  if t.lease_until then
    call('ZREM', P .. 'e:' .. lane, name)
  elseif tasks.unneeded(t) then
    call('ZREM', P .. 'x:' .. lane, name)
  else
    call('ZREM', P .. 'a:' .. lane, name)
    if call('ZREM', ready_key(lane, t.priority, t.fairness), name) == 1 then
      tidy_line(lane, t.priority, t.fairness)
    else
      call('ZREM', later_key(lane), name)
    end
  end
  if t.claim_id then
    call('SREM', P .. 'ct:' .. t.claim_id, name)
  end
end

local function write(t)
  local key = entry_key(t.run, t.token)
  empty_entries[key] = nil
  call('HSET', key, t.slot, cmsgpack.pack(t.activity, t.queue, t.priority, t.due,
    t.scheduled, t.payload, t.key, t.undo, t.attempt, t.losses, t.fence, t.lease_until, t.claim_id, t.cancel,
    t.details, t.failure, t.fairness, t.reported, t.permit or false))
end

-- Whether the run had no task of this state entry. From now on it is taken to have some.
function tasks.begin_entry(run, token)
  return call('SADD', P .. 'k:' .. run, token) == 1
end

-- After `begin_entry`.
function tasks.add(t)
  write(t)
  enter(t)
end

-- `change` alters the fields of t.
function tasks.change(t, change)
  leave(t)
  change(t)
  write(t)
  enter(t)
end

function tasks.drop(t)
  leave(t)
  lanes_left[lane_of(t.queue, t.activity)] = t
  local key = entry_key(t.run, t.token)
  call('HDEL', key, t.slot)
  if call('EXISTS', key) == 0 then
    empty_entries[key] = true
    call('SREM', P .. 'k:' .. t.run, t.token)
  end
end

-- A lane that has no task left is forgotten: queues may be many, and named by what comes and goes. A script that
-- drops tasks ends with this.
function tasks.forget_lanes()
  for lane, t in pairs(lanes_left) do
    local activities = P .. 'l:' .. t.queue
    if call('EXISTS', P .. 'a:' .. lane, P .. 'e:' .. lane, P .. 'x:' .. lane) == 0 then
      call('SREM', activities, t.activity)
      if call('EXISTS', activities) == 0 then
        call('SREM', P .. 'qs', t.queue)
      end
    end
  end
end

function tasks.tokens(run)
  local found = {}
  for i, token in ipairs(call('SMEMBERS', P .. 'k:' .. run)) do
    found[i] = tonumber(token)
  end
  table.sort(found)
  return found
end

function tasks.of_token(run, token)
  local slots = {}
  local key = entry_key(run, token)
  for i, slot in ipairs(empty_entries[key] and NOTHING or call('HKEYS', key)) do
    slots[i] = tonumber(slot)
  end
  table.sort(slots)
  local found = {}
  for i, slot in ipairs(slots) do
    found[i] = tasks.get(run, token, slot)
  end
  return found
end

-- Nobody can be carrying it out: never claimed, or every claim was reported.
local function unstarted(t)
  return t.fence == 0 or (not t.lease_until and t.losses == 0)
end

-- `known`: the outcome of a task with an undo must become known, even that it never began.
function tasks.close(run, token, known)
  for _, t in ipairs(tasks.of_token(run, token)) do
    if unstarted(t) and not (known and t.undo) then
      tasks.drop(t)
    elseif not t.cancel then
      tasks.change(t, function() t.cancel = true end)
    end
  end
end

function tasks.close_all(run)
  for _, token in ipairs(tasks.tokens(run)) do
    tasks.close(run, token, false)
  end
end

-- --- the verb heartbeat

local function beat(lease)
  local run, token, slot, fence, details, extended = bytes(), number(), number(), number(), maybe(bytes), flag()
  local t = tasks.get(run, token, slot)
  if not t or t.fence ~= fence or not t.lease_until then
    return 0
  end
  if t.permit and not extended then -- a permit must outlive its lease: its end is moved first
    return {t.queue}
  end
  tasks.change(t, function()
    t.lease_until, t.details = now + lease, details or t.details
  end)
  return t.cancel and 2 or 1
end

function verbs.heartbeat()
  ticked()
  local lease = number()
  return list(function() return beat(lease) end)
end
