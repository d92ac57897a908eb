-- Claims of runs: who works on what, until when. Read from the front of `due`, stopping at the limits.

local HANDED_OVER = 64

local function claim_shown(r)
  local ready = deliveries.due_of(r.id, HANDED_OVER + 1)
  local shown = {}
  for i = 1, math.min(#ready, HANDED_OVER) do
    shown[i] = deliveries.shown(ready[i])
  end
  return {r.id, r.machine, r.fingerprint, r.generation, r.version, r.fence, r.commit_id, r.snapshot, r.tries,
    r.lease_until or now, #ready > HANDED_OVER and 1 or 0, deliveries.has_deferred(r.id) and 1 or 0, r.parent,
    r.root, shown}
end

local function entry_of(found, i)
  return found[i] and {due = tonumber(found[i + 1]), id = string.sub(found[i], 1, 16), run = string.sub(found[i], 17)}
end

-- At which place of the due index the entries from `after` on begin. Those of one due time stand in the order
-- of their ids: among them it is found by halving, so that it costs nothing how many they are.
local function place_of(after)
  local low = call('ZCOUNT', P .. 'due', '-inf', '(' .. string.format('%.0f', after.due))
  local high = call('ZCOUNT', P .. 'due', '-inf', string.format('%.0f', after.due))
  while low < high do
    local middle = math.floor((low + high) / 2)
    local member = call('ZRANGE', P .. 'due', middle, middle)[1]
    if precedes(string.sub(member, 1, 16), after.id) then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end

-- Entries of the due index from `after` on, a page at a time: {due, delivery id, run id}.
local function entries(after, scan)
  local page, offset, i = {}, place_of(after), 1
  local size = math.max(2, math.min(scan + 1, 1000))
  return function()
    if i > #page then
      page = call('ZRANGE', P .. 'due', offset, offset + size - 1, 'WITHSCORES')
      offset, i = offset + size, 1
    end
    i = i + 2
    return entry_of(page, i - 2)
  end
end

local function read_after()
  return {due = number(), id = bytes()}
end

-- Whether it is a timer of the run itself, which ends a rest.
local function wakes(entry)
  local d = deliveries.get(entry.run, entry.id)
  return d.kind == TIMER and d.token == 0
end

local function wake(r)
  local before = r.status
  r.status, r.cause, r.tries = RUNNING, '', math.min(r.tries, SUSPECT)
  runs.moved(r, before)
  deliveries.free(r.id, {[PAUSED] = true})
end

local function read_page(limit, takes, after, scan, before)
  local page = {chosen = {}, paused = {}, reached = false, suspected = false}
  local chosen, known, count = {}, {}, 0
  for entry in entries(after, scan) do
    if not entry or entry.due > now then
      break
    end
    if #page.chosen >= limit or count >= scan then
      page.reached = {entry.due, entry.id}
      break
    end
    count = count + 1
    local r = known[entry.run]
    if not r then
      r = runs.get(entry.run)
      known[entry.run] = r
    end
    if (r.status == SUSPENDED or r.status == PARKED) and not wakes(entry) then
      page.paused[#page.paused + 1] = entry
    elseif not chosen[entry.run] and not (r.lease_until and r.lease_until > now) and takes[r.fingerprint] then
      if r.tries >= SUSPECT and before + #page.chosen > 0 then
        page.reached, page.suspected = {entry.due, entry.id}, true
        break
      end
      page.chosen[#page.chosen + 1] = r
      chosen[entry.run] = true
      if r.tries >= SUSPECT then
        limit = 1
      end
    end
  end
  return page
end

function verbs.claim_runs()
  local claim, limit, lease, after, scan, before = bytes(), number(), number(), read_after(), number(), number()
  local known, takes = number(), {}
  for _, fingerprint in ipairs(list(bytes)) do
    takes[fingerprint] = true
  end
  local shown, reached, suspected = {}, false, false
  local held = call('SMEMBERS', P .. 'cl:' .. claim)
  if #held > known then -- a repeat is told what the first claim got, and gets no more
    for i, run in ipairs(held) do
      shown[i] = claim_shown(runs.get(run))
    end
  else
    local page = read_page(limit, takes, after, scan, before)
    for _, entry in ipairs(page.paused) do
      deliveries.hold(entry.run, entry.id, PAUSED)
    end
    for i, r in ipairs(page.chosen) do
      if r.status ~= RUNNING then
        wake(r)
      end
      r.fence, r.tries = next_fence(r.fence), r.tries + 1
      runs.lease(r, claim, now + lease)
      runs.put(r)
      shown[i] = claim_shown(r)
    end
    reached, suspected = page.reached, page.suspected
    if #page.chosen + #page.paused > 0 then
      ticked()
    end
  end
  return {now, shown, reached, first_score(P .. 'due', beyond(now)), suspected and 1 or 0}
end

-- Whether an entry is of a run that may be what kills its workers.
local function of_suspect(entry)
  local r = entry and runs.get(entry.run)
  return r and r.tries >= SUSPECT and not (r.lease_until and r.lease_until > now)
end

-- What a claim would find here, for who claims of several tags: how many entries are due, the first of them, what is
-- due next; whether the claim holds runs; whether something waits to be carried to other tags, or waited in vain;
-- whether a suspect comes first.
function verbs.look_runs()
  local claim, place = bytes(), place_of(read_after())
  local count = math.max(0, call('ZCOUNT', P .. 'due', '-inf', now) - place)
  local first = count > 0 and entry_of(call('ZRANGE', P .. 'due', place, place, 'WITHSCORES'), 1)
  return {now, call('EXISTS', P .. 'cl:' .. claim), count, first and {first.due, first.id},
    first_score(P .. 'due', beyond(now)), call('EXISTS', P .. 'outs'), receiving.overdue() and 1 or 0,
    of_suspect(first) and 1 or 0}
end

local function holder(run, fence)
  local r = runs.get(run)
  return r and r.fence == fence and r.claim_id and r
end

function verbs.renew()
  ticked()
  local lease = number()
  return list(function()
    local r = holder(bytes(), number())
    if not r then
      return 0
    end
    r.lease_until = now + lease
    runs.put(r)
    return 1
  end)
end

function verbs.release()
  ticked()
  return list(function()
    local r = holder(bytes(), number())
    if r then
      runs.unlease(r)
      r.tries = math.max(0, r.tries - 1)
      runs.put(r)
    end
    return 1
  end)
end
