-- Pruning: whole ended runs, the oldest first, and what only stood to recognise repeats.
--
-- Rule: no verb here reads or deletes more than the client bounds: nobody else is served meanwhile. What is found
-- and what is deleted are verbs apart; the second looks again at all that it is told to delete.

-- How many entries it takes to forget a run, but for what goes as a whole key.
local function burden(run)
  local entries = 1 + call('HLEN', P .. 'd:' .. run) + blobs.count(run) + call('ZCARD', P .. 'g:' .. run)
  return entries + call('SCARD', P .. 'mt:' .. run) + call('SCARD', P .. 'k:' .. run)
end

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
    call('UNLINK', P .. prefix .. run) -- as `DEL`, but freed while others are served
  end
end

-- Calls `take(name, time)` for the entries of an index by time that come after a place, up to `before`: until that
-- answers true, or so many were read. The last one's time and name, and whether there may be more.
local function follow(index, before, since, after, scan, take)
  local offset, seen, last = 0, 0, false
  while true do
    local page = call('ZRANGEBYSCORE', P .. index, since or '-inf', beyond(before), 'WITHSCORES', 'LIMIT', offset, 200)
    for i = 1, #page, 2 do
      local name, at_ = page[i], tonumber(page[i + 1])
      if not (since and at_ == since and not precedes(after, name)) then
        last, seen = {at_, name}, seen + 1
        if take(name, at_) or seen >= scan then
          return last, 1
        end
      end
    end
    if #page == 0 then
      return last, 0
    end
    offset = offset + #page / 2
  end
end

-- Where a client goes on: a time and a name, and how many entries are read at most.
local function read_place()
  return maybe(number), maybe(bytes), number()
end

local function read_plan()
  local plan = {before = number(), limit = number(), machine = maybe(bytes), dry = flag(), statuses = {}}
  for _, status in ipairs(list(number)) do
    plan.statuses[status] = true
  end
  plan.generations = flag()
  return plan
end

local function asked_for(plan, r)
  local moves = r.status == TERMINATED and r.cause == 'moving' -- kept until it has arrived elsewhere
  return plan.statuses[r.status] and not moves and (not plan.machine or r.machine == plan.machine)
end

-- Of runs that have ended and that the plan asks for, those in an index (`ended`, `eternal`), the oldest first:
-- when each was last changed, and its id.
function verbs.prunable()
  local plan, index, found = read_plan(), bytes(), {}
  local since, after, scan = read_place()
  local last, more = follow(index, plan.before, since, after, scan, function(run, at_)
    local r = runs.get(run)
    if r and asked_for(plan, r) then
      found[#found + 1] = {at_, run}
    end
    return #found >= plan.limit
  end)
  return {found, last, more}
end

-- How many runs, records and blobs go with these runs, and, unless it is a dry run, their removal. How many of them
-- were dealt with: the call ends when it has removed so many entries. A run goes whole.
function verbs.prune_runs()
  local plan, most, count, records, apart = read_plan(), number(), 0, 0, 0
  local asked = list(bytes)
  if not plan.dry then
    ticked()
  end
  for i, run in ipairs(asked) do
    local r = runs.get(run)
    local over = r and ENDED[r.status] and r.updated < plan.before and not runs.eternal(run)
    if over and asked_for(plan, r) then
      most = most - burden(run)
      count, records, apart = count + 1, records + runs.count_records(run), apart + blobs.of_ended(r, true)
      if not plan.dry then
        forget_run(run)
      end
      if most <= 0 then
        return {count, records, apart, i}
      end
    end
  end
  return {count, records, apart, #asked}
end

-- How many eternal runs ended before, of all kinds.
function verbs.count_eternal()
  return call('ZCOUNT', P .. 'eternal', '-inf', beyond(number()))
end

-- Past generations of runs that go on, the oldest first: when each was over, its run, the version below which it is.
function verbs.prunable_past()
  local plan, found = read_plan(), {}
  local since, after, scan = read_place()
  local last, more = follow('past', plan.before, since, after, scan, function(name, over)
    local run, below = string.sub(name, 1, 16), tonumber(string.sub(name, 17))
    local r = runs.get(run)
    if r and not ENDED[r.status] and (not plan.machine or r.machine == plan.machine) then
      found[#found + 1] = {over, run, below}
    end
    return #found >= plan.limit
  end)
  return {found, last, more}
end

-- How many of these past generations there are, and records of them; unless it is a dry run they go, with the records
-- of earlier ones that are there still. How many of them were dealt with: the call ends when it has touched so many
-- records. What a call began another one goes on with.
function verbs.prune_past()
  local dry, before, most, count, records = flag(), number(), number(), 0, 0
  local asked = list(function() return {bytes(), number()} end)
  if not dry then
    ticked()
  end
  for i, each in ipairs(asked) do
    local run, below = each[1], each[2]
    local r, over, since = runs.get(run), runs.past_one(run, below)
    if not r or ENDED[r.status] or not over or over >= before then
      over = false -- it ended since it was found, or another one began under its key
    end
    if over and dry then
      count, records = count + 1, records + runs.count_between(run, since, below)
    elseif over then
      local gone, touched, whole = runs.cut(run, below, most)
      records, most = records + gone, most - touched
      if whole then
        count, most = count + 1, most - 1 - crews.forget_below(run, below)
        runs.drop_past(run, below)
      end
      if not whole or most <= 0 then
        return {count, records, whole and i or i - 1}
      end
    end
  end
  return {count, records, #asked}
end

-- How many entries of `index` are past, and their removal, so many at most; with what other keys have of them.
local function expired(index, limit, rows, dry, most, twin)
  if dry then
    return call('ZCOUNT', index, '-inf', limit)
  end
  local past = call('ZRANGEBYSCORE', index, '-inf', limit, 'LIMIT', 0, most)
  for _, name in ipairs(past) do
    call('ZREM', index, name)
    call('HDEL', rows, name)
    if twin then
      call('ZREM', twin, name)
    end
  end
  return #past
end

-- Of dedupe ids, answers to orders and keyed results each: how many are past their windows.
function verbs.prune_windows()
  local dry, most = flag(), number()
  if not dry then
    ticked()
  end
  return {
    expired(P .. 'seen', now - dedupe_window, P .. 'rep', dry, most, P .. 'seenof'),
    expired(P .. 'ox', now - dedupe_window, P .. 'o', dry, most),
    expired(P .. 'resx', now, P .. 'res', dry, most),
  }
end

-- Removes dead letters whose run never was; those of a run go with it.
function verbs.prune_letters()
  local before = number()
  local since, after, scan = read_place()
  local strays = {}
  local last, more = follow('dx', before, since, after, scan, function(name)
    if not runs.exists(string.sub(name, 1, 16)) then
      strays[#strays + 1] = name
    end
  end)
  ticked()
  for _, name in ipairs(strays) do
    call('ZREM', P .. 'dx', name)
    call('HDEL', P .. 'd:' .. string.sub(name, 1, 16), string.sub(name, 17))
  end
  return {last, more}
end
