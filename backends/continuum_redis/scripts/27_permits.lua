-- Caps and rates of a queue whose tasks are in several tags: permits in the tag of the queue's name.
--
-- pm:<queue> holds a permit for each live lease, by its end. A claim acquires permits before it asks the tags for
-- tasks, then gives each the name of its task and hands the others back. Who dies between leaves permits that
-- end by themselves: fewer tasks run for a while, never more.

local function permit_key(queue)
  return P .. 'pm:' .. queue
end

local function acquire()
  local queue, claim, room, lease = bytes(), bytes(), number(), number()
  local cap, rate = maybe(number), maybe(read_rate)
  local hint = false
  if cap then
    for i = 1, room do -- of this very claim, whose answer was lost
      call('ZREM', permit_key(queue), claim .. i)
    end
    call('ZREMRANGEBYSCORE', permit_key(queue), '-inf', now)
    room = math.max(0, math.min(room, cap - call('ZCARD', permit_key(queue))))
  end
  if rate and room > 0 then
    local filled = bucket(queue, rate)
    room = math.min(room, math.floor(filled.level / rate.per))
    filled.level = filled.level - room * rate.per
    if room > 0 then
      call('SET', P .. 'b:' .. queue, cmsgpack.pack(filled.level, filled.at, rate.per))
    end
    if filled.level < rate.per then
      hint = next_token(filled, rate)
    end
  end
  if cap then
    for i = 1, room do
      call('ZADD', permit_key(queue), now + lease, claim .. i)
    end
  end
  return {room, hint}
end

function verbs.acquire()
  ticked()
  return list(acquire)
end

-- After the claim: of so many permits these are in use until then; the others' tokens go back as well.
local function assign()
  local queue, claim, room, cap, rate = bytes(), bytes(), number(), flag(), maybe(read_rate)
  local used = list(function() return {bytes(), number()} end)
  if cap then
    for i = 1, room do
      call('ZREM', permit_key(queue), claim .. i)
    end
    for _, permit in ipairs(used) do
      call('ZADD', permit_key(queue), permit[2], permit[1])
    end
  end
  if rate and room > #used then
    local filled = bucket(queue, rate)
    local level = math.min(filled.level + (room - #used) * rate.per, rate.burst * rate.per)
    call('SET', P .. 'b:' .. queue, cmsgpack.pack(level, filled.at, rate.per))
  end
  return 1
end

function verbs.assign()
  ticked()
  return list(assign)
end

function verbs.extend()
  ticked()
  return list(function()
    local queue, name, lease = bytes(), bytes(), number()
    call('ZADD', permit_key(queue), 'GT', now + lease, name)
    return 1
  end)
end

function verbs.hand_back()
  ticked()
  return list(function()
    local queue, name = bytes(), bytes()
    call('ZREM', permit_key(queue), name)
    return 1
  end)
end
