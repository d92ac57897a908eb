-- Pruning: whole ended runs, the oldest first, and what only stood to recognise repeats.

local function forget_run(run)
  for _, token in ipairs(tasks.tokens(run)) do
    for _, t in ipairs(tasks.of_token(run, token)) do
      tasks.drop(t)
    end
  end
  for _, id in ipairs(call('HKEYS', P .. 'd:' .. run)) do
    call('ZREM', P .. 'dx', run .. id)
  end
  attributes.forget(run)
  crews.forget(run)
  local r = runs.get(run)
  blobs.of_ended(r, false)
  call('ZREM', P .. 'created', run)
  call('ZREM', P .. 'ended', run)
  runs.forget_past(run)
  call('ZREM', P .. 's:' .. r.status, run)
  if r.parent then
    call('ZREM', P .. 'c:' .. r.parent, run)
  end
  runs.remove_row(run)
  for _, prefix in ipairs({'h:', 'v:', 'g:', 'd:', 'i:', 'm:', 'f:', 'hd:', 'k:'}) do
    call('DEL', P .. prefix .. run)
  end
end

-- How many entries of `index` are past, and their removal.
local function expired(index, limit, rows, dry)
  local past = call('ZRANGEBYSCORE', index, '-inf', limit)
  if not dry then
    for _, name in ipairs(past) do
      call('ZREM', index, name)
      if rows then
        call('HDEL', rows, name)
      end
    end
  end
  return #past
end

local function read_plan()
  local plan = {before = number(), limit = number(), machine = maybe(bytes), dry = flag(), statuses = {}}
  for _, status in ipairs(list(number)) do
    plan.statuses[status] = true
  end
  plan.generations = flag()
  return plan
end

-- Of runs that have ended and that the plan asks for, those in `index`, the first `limit`.
local function oldest(plan, index)
  local old, offset = {}, 0
  while next(plan.statuses) and #old < plan.limit do -- a plan for generations alone reads no ended run
    local page = call('ZRANGEBYSCORE', P .. index, '-inf', beyond(plan.before), 'LIMIT', offset, 200)
    for _, run in ipairs(page) do
      local r = runs.get(run)
      local moves = r.status == TERMINATED and r.cause == 'moving' -- kept until it has arrived elsewhere
      local wanted = plan.statuses[r.status] and not moves and (not plan.machine or r.machine == plan.machine)
      if #old < plan.limit and wanted then
        old[#old + 1] = r
      end
    end
    if #page == 0 then
      break
    end
    offset = offset + #page
  end
  return old
end

-- How many eternal runs the plan would take, up to its limit. Where it asks for every kind none of them is read.
local function eternal_runs(plan)
  for status in pairs(ENDED) do
    if plan.machine or not plan.statuses[status] then
      return #oldest(plan, 'eternal')
    end
  end
  return math.min(call('ZCOUNT', P .. 'eternal', '-inf', beyond(plan.before)), plan.limit)
end

-- Past generations of runs that go on, the oldest first: {run, version below which it is, when it was over}.
local function oldest_past(plan)
  local old, offset = {}, 0
  while plan.generations and #old < plan.limit do
    local top = beyond(plan.before)
    local page = call('ZRANGEBYSCORE', P .. 'past', '-inf', top, 'WITHSCORES', 'LIMIT', offset, 400)
    for i = 1, #page, 2 do
      local run, below = string.sub(page[i], 1, 16), tonumber(string.sub(page[i], 17))
      local r = runs.get(run)
      local wanted = not ENDED[r.status] and (not plan.machine or r.machine == plan.machine)
      if #old < plan.limit and wanted then
        old[#old + 1] = {run, below, tonumber(page[i + 1])}
      end
    end
    if #page == 0 then
      break
    end
    offset = offset + #page / 2
  end
  -- of one time and run the lower version first: names sort as texts
  table.sort(old, function(one, other)
    if one[3] ~= other[3] then
      return one[3] < other[3]
    end
    if one[1] ~= other[1] then
      return precedes(one[1], other[1])
    end
    return one[2] < other[2]
  end)
  return old
end

-- The oldest first: when runs that a plan would take were last changed, and when generations were over.
function verbs.prunable()
  local plan, found, past = read_plan(), {}, {}
  for i, r in ipairs(oldest(plan, 'ended')) do
    found[i] = r.updated
  end
  for i, each in ipairs(oldest_past(plan)) do
    past[i] = each[3]
  end
  return {found, past}
end

-- The records of a past generation: how many, and, unless it is a dry run, their removal.
local function cut_past(run, below, dry)
  local since = 0
  for _, each in ipairs(runs.past(run)) do
    if each[1] < below then
      since = each[1]
    end
  end
  local count = runs.cut(run, math.max(since, 1), below, dry)
  if not dry then
    crews.forget_between(run, since, below)
    runs.drop_past(run, below)
  end
  return count
end

function verbs.prune()
  local plan, past_limit, limit = read_plan(), number(), number()
  local old, records, apart, dry = oldest(plan, 'ended'), 0, 0, plan.dry
  for _, r in ipairs(old) do
    records = records + runs.count_records(r.id)
    apart = apart + blobs.of_ended(r, true)
  end
  plan.limit = past_limit
  local past = oldest_past(plan)
  plan.limit = limit
  local eternal = eternal_runs(plan)
  local count = expired(P .. 'seen', now - dedupe_window, P .. 'rep', dry)
    + expired(P .. 'ox', now - dedupe_window, P .. 'o', dry) + expired(P .. 'resx', now, P .. 'res', dry)
  if not dry then
    ticked()
    for _, r in ipairs(old) do
      forget_run(r.id)
    end
    for _, name in ipairs(call('ZRANGEBYSCORE', P .. 'dx', '-inf', beyond(plan.before))) do
      local run = string.sub(name, 1, 16)
      if not runs.exists(run) then
        call('ZREM', P .. 'dx', name)
        call('HDEL', P .. 'd:' .. run, string.sub(name, 17))
      end
    end
  end
  for _, each in ipairs(past) do
    records = records + cut_past(each[1], each[2], dry)
  end
  return {#old, records, count, #past, eternal, apart}
end
