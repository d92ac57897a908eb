-- How much waits: the sizes of indexes, not the rows in them, so that looking costs the same however much it is.

-- Tasks whose lease is over, and which no claim has met yet, are few: their rows tell since when they are due.
local FORSAKEN = 100

local function earlier(one, other)
  return one and other and math.min(one, other) or one or other
end

local function since_of_forsaken(leased)
  local found = false
  for _, name in ipairs(call('ZRANGEBYSCORE', leased, '-inf', now, 'LIMIT', 0, FORSAKEN)) do
    found = earlier(found, tasks.named(name).due)
  end
  return found
end

local function due_since(index)
  local first = first_score(index, '-inf')
  return first and first <= now and first
end

-- {queue, waiting, due later, claimed, since when the longest waiting has been due, activities that wait}
local function queue_gauge(queue)
  local told = {queue, 0, 0, 0, false, {}}
  for _, activity in ipairs(call('SMEMBERS', P .. 'l:' .. queue)) do
    local lane = lane_of(queue, activity)
    local leased, before = P .. 'e:' .. lane, told[2]
    for _, index in ipairs({P .. 'a:' .. lane, P .. 'x:' .. lane}) do
      told[2] = told[2] + call('ZCOUNT', index, '-inf', now)
      told[3] = told[3] + call('ZCOUNT', index, beyond(now), '+inf')
      told[5] = earlier(told[5], due_since(index))
    end
    told[2] = told[2] + call('ZCOUNT', leased, '-inf', now)
    told[4] = told[4] + call('ZCOUNT', leased, beyond(now), '+inf')
    told[5] = earlier(told[5], since_of_forsaken(leased))
    if told[2] > before then
      table.insert(told[6], activity)
    end
  end
  return told
end

-- Time, what is due and since when (0 is a cancellation's), parked and suspended runs, queues.
function verbs.gauges()
  local oldest, queues = first_score(P .. 'due', '(0'), {}
  for i, queue in ipairs(call('SMEMBERS', P .. 'qs')) do
    queues[i] = queue_gauge(queue)
  end
  return {now, call('ZCOUNT', P .. 'due', '-inf', now), oldest and oldest <= now and oldest,
    call('ZCARD', P .. 's:' .. PARKED), call('ZCARD', P .. 's:' .. SUSPENDED), queues}
end
