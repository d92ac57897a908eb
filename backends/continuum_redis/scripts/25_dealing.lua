-- Which tasks a claim takes: by priority, dealt by fairness key, within what caps and rates leave.

local dealing = {}

local SUSPECT = 2

-- Tasks that one call moves at most, each of: lost ones, those that have become due, those that a former release
-- left in line. What it leaves is due at once, and the next call's.
local RIPENED = 1000

-- Put away what is met of lost workers, and what nobody needs any more; so many at most. How many may still be.
local function ripen(lane, most)
  local ended = call('ZRANGEBYSCORE', P .. 'e:' .. lane, '-inf', now, 'LIMIT', 0, most)
  for _, name in ipairs(ended) do
    local t = tasks.named(name)
    if tasks.unneeded(t) then
      tasks.drop(t)
    else
      tasks.change(t, function()
        t.losses = t.losses + 1
        t.due, t.lease_until, t.claim_id, t.permit = now + t.losses * loss_backoff, false, false, false
      end)
    end
  end
  local unneeded = call('ZRANGEBYSCORE', P .. 'x:' .. lane, '-inf', now, 'LIMIT', 0, most - #ended)
  for _, name in ipairs(unneeded) do
    tasks.drop(tasks.named(name))
  end
  return most - #ended - #unneeded
end

local function wake(lanes, most)
  for _, lane in ipairs(lanes) do
    most = tasks.wake(lane, most)
  end
  return most
end

local function live_leases(queue)
  local found = 0
  for _, activity in ipairs(call('SMEMBERS', P .. 'l:' .. queue)) do
    found = found + call('ZCOUNT', P .. 'e:' .. lane_of(queue, activity), beyond(now), '+inf')
  end
  return found
end

-- --- rates: see continuum_core.journal.rate, which counts the same

local function bucket(queue, rate)
  local level, filled, per
  local value = call('GET', P .. 'b:' .. queue)
  if value then
    level, filled, per = cmsgpack.unpack(value)
  else
    level, filled, per = rate.burst * rate.per, now, rate.per
  end
  if per ~= rate.per then
    level = math.floor(level * rate.per / per)
  end
  level = math.min(level + math.max(0, now - filled) * rate.count, rate.burst * rate.per)
  return {level = level, at = math.max(now, filled)}
end

local function next_token(b, rate)
  return b.at + math.ceil((rate.per - b.level % rate.per) / rate.count)
end

-- --- fairness: see continuum_core.journal.dealing, which deals the same

local strays = 0

-- The key after `last` that has something due in one of the lanes; false at the end. Keys of which nothing is due are
-- in line only where a former release has put them there: those that are met are put off.
local function key_after(lanes, priority, last, exclusive)
  while strays < RIPENED do
    local found
    for _, lane in ipairs(lanes) do
      local from = (exclusive and '(' or '[') .. last
      local key = call('ZRANGEBYLEX', keys_of(lane, priority), from, '+', 'LIMIT', 0, 1)[1]
      if key and (not found or precedes(key, found)) then
        found = key
      end
    end
    if not found then
      return false
    end
    for _, lane in ipairs(lanes) do
      if #call('ZRANGEBYSCORE', ready_key(lane, priority, found), '-inf', now, 'LIMIT', 0, 1) > 0 then
        return found
      end
    end
    for _, lane in ipairs(lanes) do
      strays = strays + 1 + tasks.put_off(lane, priority, found, RIPENED)
    end
    last, exclusive = found, true
  end
  return false
end

-- At most `room` keys in turn, beginning after `last`.
local function keys_in_turn(lanes, priority, last, room)
  local found = {}
  local key = key_after(lanes, priority, last, true)
  while key and #found < room do
    found[#found + 1] = key
    key = key_after(lanes, priority, key, true)
  end
  key = #found < room and key_after(lanes, priority, '', false)
  while key and not precedes(last, key) and #found < room do
    found[#found + 1] = key
    key = key_after(lanes, priority, key, true)
  end
  return found
end

-- Names of a key's first tasks over the lanes, by (due, name).
local function first_of_key(lanes, priority, key, most)
  local found = {}
  for _, lane in ipairs(lanes) do
    local ready = call('ZRANGEBYSCORE', ready_key(lane, priority, key), '-inf', now, 'WITHSCORES', 'LIMIT', 0, most)
    for i = 1, #ready, 2 do
      found[#found + 1] = {due = tonumber(ready[i + 1]), name = ready[i], key = key}
    end
  end
  table.sort(found, function(one, other)
    if one.due ~= other.due then
      return one.due < other.due
    end
    return precedes(one.name, other.name)
  end)
  return found
end

local function deal(lanes, priority, last, room)
  local keys = keys_in_turn(lanes, priority, last, room)
  local waiting = {}
  for i, key in ipairs(keys) do
    waiting[i] = first_of_key(lanes, priority, key, room - #keys + 1)
  end
  local dealt, depth = {}, 1
  while #dealt < room do
    local before = #dealt
    for _, ready in ipairs(waiting) do
      if ready[depth] and #dealt < room then
        dealt[#dealt + 1] = ready[depth]
      end
    end
    if #dealt == before then
      break
    end
    depth = depth + 1
  end
  return dealt
end

local function priorities(lanes)
  local found, known = {}, {}
  for _, lane in ipairs(lanes) do
    for _, priority in ipairs(call('ZRANGE', P .. 'p:' .. lane, 0, -1)) do
      if not known[priority] then
        known[priority] = true
        found[#found + 1] = tonumber(priority)
      end
    end
  end
  table.sort(found)
  return found
end

-- The tasks of a want that are to be leased; `alone`: the one there is may be what kills its workers.
local function choose(want, lanes, room, before)
  local chosen, alone, suspected = {}, false, false
  for _, priority in ipairs(priorities(lanes)) do
    if #chosen >= room then
      break
    end
    local cursor = P .. 'u:' .. want.queue .. ':' .. priority
    local last = call('GET', cursor) or ''
    local dealt_last, ends = last, false
    for _, entry in ipairs(deal(lanes, priority, last, room - #chosen)) do
      local t = tasks.named(entry.name)
      if t.losses >= SUSPECT then
        ends = true
        suspected = true
        if #chosen == 0 and before == 0 then
          chosen[1], alone, dealt_last = t, true, entry.key
        end
        break
      end
      chosen[#chosen + 1], dealt_last = t, entry.key
    end
    if dealt_last ~= last then
      call('SET', cursor, dealt_last)
    end
    if ends then
      break
    end
  end
  return chosen, alone, suspected and not alone
end

-- --- the verb claim_tasks

local function read_rate()
  return {count = number(), per = number(), burst = number()}
end

local function read_want()
  local want = {queue = bytes(), limit = number(), activities = list(bytes), cap = maybe(number)}
  want.rate, want.permit = maybe(read_rate), flag()
  want.lanes = {}
  for i, activity in ipairs(want.activities) do
    want.lanes[i] = lane_of(want.queue, activity)
  end
  return want
end

local function take(want, claim, lease, before)
  local room, filled = math.max(want.limit, 0), false
  if want.cap then
    room = math.max(0, math.min(room, want.cap - live_leases(want.queue)))
  end
  if want.rate then
    filled = bucket(want.queue, want.rate)
    room = math.min(room, math.floor(filled.level / want.rate.per))
  end
  local chosen, alone, suspected = choose(want, want.lanes, room, before)
  for _, t in ipairs(chosen) do
    tasks.change(t, function()
      t.fence, t.claim_id, t.lease_until, t.permit = next_fence(t.fence), claim, now + lease, want.permit
    end)
  end
  if filled and #chosen > 0 then
    filled.level = filled.level - #chosen * want.rate.per
    call('SET', P .. 'b:' .. want.queue, cmsgpack.pack(filled.level, filled.at, want.rate.per))
  end
  return chosen, alone, suspected
end

local function sooner(one, other)
  return one and other and math.min(one, other) or one or other
end

local function first_score(key, from)
  local found = call('ZRANGEBYSCORE', key, from, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  return found[2] and tonumber(found[2]) or false
end

local function next_due_of(wants)
  local found = strays >= RIPENED and now
  for _, want in ipairs(wants) do
    for _, lane in ipairs(want.lanes) do
      found = sooner(found, first_score(P .. 'a:' .. lane, beyond(now)))
      found = sooner(found, first_score(P .. 'z:' .. lane, '-inf'))
      found = sooner(found, first_score(P .. 'x:' .. lane, '-inf'))
      found = sooner(found, first_score(P .. 'e:' .. lane, '-inf'))
    end
  end
  return found
end

local function something_due(want)
  for _, lane in ipairs(want.lanes) do
    if #call('ZRANGEBYSCORE', P .. 'a:' .. lane, '-inf', now, 'LIMIT', 0, 1) > 0 then
      return true
    end
  end
  return false
end

-- When the next token comes, where tasks wait for nothing else.
local function token_for(want)
  if not want.rate or want.limit <= 0 or (want.cap and live_leases(want.queue) >= want.cap) then
    return false
  end
  local filled = bucket(want.queue, want.rate)
  return filled.level < want.rate.per and something_due(want) and next_token(filled, want.rate)
end

function verbs.claim_tasks()
  local claim, lease, before, wants = bytes(), number(), number(), list(read_want)
  local names = call('SMEMBERS', P .. 'ct:' .. claim)
  local shown, hint, left = {}, false, false
  if #names > 0 then -- a repeat is told what the first claim got, and gets no more
    table.sort(names, precedes)
    for i, name in ipairs(names) do
      shown[i] = tasks.claimed_shown(tasks.named(name))
    end
  else
    local most = RIPENED
    for _, want in ipairs(wants) do
      for _, lane in ipairs(want.lanes) do
        most = ripen(lane, most)
      end
    end
    most = RIPENED
    for _, want in ipairs(wants) do
      most = wake(want.lanes, most)
    end
    for _, want in ipairs(wants) do
      local chosen, alone, suspected = take(want, claim, lease, before + #shown)
      left = left or suspected
      runs.read_ahead(chosen)
      for _, t in ipairs(chosen) do
        shown[#shown + 1] = tasks.claimed_shown(t)
      end
      if alone then
        break
      end
    end
    if #shown > 0 then
      ticked()
    end
  end
  for _, want in ipairs(wants) do
    hint = sooner(hint, token_for(want))
  end
  return {now, shown, sooner(next_due_of(wants), hint), left and 1 or 0}
end

-- What a claim would find here, for who claims of several tags: of each want {priority, how many, since when} for
-- what is due, counted to its limit; whether the claim holds tasks; whether a claim has things to put away.
local function due_by_priority(want)
  local found = {}
  for _, priority in ipairs(priorities(want.lanes)) do
    local count, since, key = 0, false, key_after(want.lanes, priority, '', false)
    while key and count <= want.limit do -- one more tells that some will wait
      for _, lane in ipairs(want.lanes) do
        count = count + call('ZCOUNT', ready_key(lane, priority, key), '-inf', now)
        local first = first_score(ready_key(lane, priority, key), '-inf')
        since = first and first <= now and sooner(since, first) or since
      end
      key = key_after(want.lanes, priority, key, true)
    end
    if count > 0 then
      found[#found + 1] = {priority, count, since}
    end
  end
  return found
end

function verbs.look_tasks()
  local claim, wants = bytes(), list(read_want)
  local due, untidy, most = {}, false, RIPENED
  for i, want in ipairs(wants) do
    most = wake(want.lanes, most)
    due[i] = due_by_priority(want)
    for _, lane in ipairs(want.lanes) do
      local ends = sooner(first_score(P .. 'e:' .. lane, '-inf'), first_score(P .. 'x:' .. lane, '-inf'))
      untidy = untidy or (ends and ends <= now)
    end
  end
  return {now, call('EXISTS', P .. 'ct:' .. claim), due, next_due_of(wants), untidy and 1 or 0}
end

-- --- places in line

-- How many of a sorted set come before a task, by (due, name).
local function before_in(ready, t, name)
  local low, high = call('ZCOUNT', ready, '-inf', beyond(t.due)), call('ZCOUNT', ready, '-inf', t.due)
  while low < high do -- among those that are due at the same time
    local middle = math.floor((low + high) / 2)
    if precedes(call('ZRANGE', ready, middle, middle)[1], name) then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end

local function waiting_of_key(lanes, priority, key)
  local found = 0
  for _, lane in ipairs(lanes) do
    found = found + call('ZCOUNT', ready_key(lane, priority, key), '-inf', now)
  end
  return found
end

local function waiting_before(lanes, priority, most)
  local found = 0
  for _, better in ipairs(priorities(lanes)) do
    local key = better < priority and key_after(lanes, better, '', false)
    while key and found < most do
      found = found + waiting_of_key(lanes, better, key)
      key = key_after(lanes, better, key, true)
    end
  end
  return found
end

local lines = {} -- by queue and priority: an order to look at many tasks of one looks once

-- {lanes, how many of better priorities, keys in turn, how many each has}; counted to `most`.
local function line_of(queue, priority, most)
  local name = queue .. '\0' .. priority
  if not lines[name] then
    local lanes, counts = {}, {}
    for i, activity in ipairs(call('SMEMBERS', P .. 'l:' .. queue)) do
      lanes[i] = lane_of(queue, activity)
    end
    wake(lanes, RIPENED)
    local last = call('GET', P .. 'u:' .. queue .. ':' .. priority) or ''
    local turn = keys_in_turn(lanes, priority, last, most)
    for i, key in ipairs(turn) do
      counts[i] = waiting_of_key(lanes, priority, key)
    end
    lines[name] = {lanes = lanes, better = waiting_before(lanes, priority, most), turn = turn, counts = counts}
  end
  return lines[name]
end

-- How many tasks of the queue are claimed before `t` if no others come, counted to `most`.
function dealing.place(t, most)
  if t.lease_until or t.due > now or tasks.unneeded(t) then
    return false
  end
  local line, before, name = line_of(t.queue, t.priority, most), 0, name_of(t)
  for _, lane in ipairs(line.lanes) do
    before = before + before_in(ready_key(lane, t.priority, t.fairness), t, name)
  end
  local ahead, passed = line.better + before, false
  for i, key in ipairs(line.turn) do
    if ahead >= most then
      return most
    end
    if key == t.fairness then
      passed = true
    else
      ahead = ahead + math.min(line.counts[i], before + (passed and 0 or 1))
    end
  end
  return math.min(ahead, most)
end
