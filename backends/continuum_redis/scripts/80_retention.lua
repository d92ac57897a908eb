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
  local r = runs.get(run)
  call('ZREM', P .. 'created', run)
  call('ZREM', P .. 'ended', run)
  call('ZREM', P .. 's:' .. r.status, run)
  if r.parent then
    call('ZREM', P .. 'c:' .. r.parent, run)
  end
  for _, prefix in ipairs({'r:', 'h:', 'd:', 'i:', 'm:', 'f:', 'hd:', 'k:'}) do
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
  return plan
end

local function oldest(plan)
  local old, offset = {}, 0
  while #old < plan.limit do
    local page = call('ZRANGEBYSCORE', P .. 'ended', '-inf', beyond(plan.before), 'LIMIT', offset, 200)
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

-- When those that a plan would take were last changed, the oldest first.
function verbs.prunable()
  local found = {}
  for i, r in ipairs(oldest(read_plan())) do
    found[i] = r.updated
  end
  return found
end

function verbs.prune()
  local plan = read_plan()
  local old, records, dry = oldest(plan), 0, plan.dry
  for _, r in ipairs(old) do
    records = records + r.version
  end
  local count = expired(P .. 'seen', now - dedupe_window, false, dry)
    + expired(P .. 'ox', now - dedupe_window, P .. 'o', dry) + expired(P .. 'resx', now, P .. 'res', dry)
  if not dry then
    ticked()
    for _, r in ipairs(old) do
      forget_run(r.id)
    end
    for _, name in ipairs(call('ZRANGEBYSCORE', P .. 'dx', '-inf', beyond(plan.before))) do
      local run = string.sub(name, 1, 16)
      if call('EXISTS', P .. 'r:' .. run) == 0 then
        call('ZREM', P .. 'dx', name)
        call('HDEL', P .. 'd:' .. run, string.sub(name, 17))
      end
    end
  end
  return {#old, records, count}
end
