-- Payloads that are kept apart. bl:<run> holds a run's by their hashes, bs:<run> the version of the run whose
-- snapshot each is, 0 for what is something else, too. `bx` tells by run and hash when each was put last, or looked
-- at by pruning.

local blobs = {}

local function blob_key(run)
  return P .. 'bl:' .. run
end

local function marks_key(run)
  return P .. 'bs:' .. run
end

-- The hash that a payload refers to; false where it is whole.
local function hash_in(payload)
  if not payload or #payload ~= HASH_AT + 32 or string.sub(payload, 1, #REFERENCE) ~= REFERENCE then
    return false
  end
  return string.sub(payload, HASH_AT + 1)
end

local function drop_blob(run, hash)
  call('HDEL', blob_key(run), hash)
  call('HDEL', marks_key(run), hash)
  call('ZREM', P .. 'bx', run .. hash)
end

local function keep_blob(run, hash, snapshot, data)
  call('HSETNX', blob_key(run), hash, data)
  local known = tonumber(call('HGET', marks_key(run), hash))
  if known then
    snapshot = (known == 0 or snapshot == 0) and 0 or math.max(known, snapshot)
  end
  call('HSET', marks_key(run), hash, string.format('%.0f', snapshot))
  call('ZADD', P .. 'bx', now, run .. hash)
end

-- What was put for the snapshots of earlier versions alone: nothing can refer to it any more.
local function drop_superseded(run)
  local r = runs.get(run)
  if not r then
    return
  end
  local present, marks = hash_in(r.snapshot), call('HGETALL', marks_key(run))
  for i = 1, #marks, 2 do
    local snapshot = tonumber(marks[i + 1])
    if snapshot > 0 and snapshot < r.version and marks[i] ~= present then
      drop_blob(run, marks[i])
    end
  end
end

function verbs.keep_blobs()
  ticked()
  local snapshots = {}
  list(function()
    local run, hash, snapshot = bytes(), bytes(), number()
    keep_blob(run, hash, snapshot, bytes())
    if snapshot > 0 then
      snapshots[run] = true
    end
  end)
  for run in pairs(snapshots) do
    drop_superseded(run)
  end
  return 1
end

function verbs.fetch_blobs()
  return list(function()
    local run, hash = bytes(), bytes()
    return call('HGET', blob_key(run), hash)
  end)
end

-- --- with what referred to them

function blobs.count(run)
  return call('HLEN', blob_key(run))
end

-- How many go with a run that has ended, and, unless it is a dry run, their removal. What was put after its end is
-- for a row that is still to come.
function blobs.of_ended(r, dry)
  local count = 0
  for _, hash in ipairs(call('HKEYS', blob_key(r.id))) do
    if tonumber(call('ZSCORE', P .. 'bx', r.id .. hash)) <= r.updated then
      count = count + 1
      if not dry then
        drop_blob(r.id, hash)
      end
    end
  end
  return count
end

local PAGE = 500

-- The hashes that rows of a run refer to, be the run there or not; and how many records were read.
local function held_by(run)
  local held, count = {}, 0
  local function look(payload)
    local hash = hash_in(payload)
    if hash then
      held[hash] = true
    end
  end
  for _, key in ipairs({'d:', 'w:'}) do -- dead letters; what came before the run
    local found = call('HGETALL', P .. key .. run)
    for i = 2, #found, 2 do
      local first, second, _, _, _, _, seventh = cmsgpack.unpack(found[i])
      look(key == 'd:' and seventh or second)
    end
  end
  local r, after = runs.get(run), 0
  if not r then
    return held, count
  end
  look(r.snapshot)
  look(r.outcome)
  repeat
    local page = runs.records(run, after, PAGE)
    count = count + #page
    for _, record in ipairs(page) do
      after = record[1]
      look(record[6])
    end
  until #page == 0
  deliveries.each(run, function(d) look(d.payload) end)
  for _, token in ipairs(tasks.tokens(run)) do
    for _, t in ipairs(tasks.of_token(run, token)) do
      look(t.payload)
      look(t.details)
      look(t.failure)
    end
  end
  crews.each_body(run, look)
  return held, count
end

local READ_AT_ONCE = 2000 -- records, but for the last run's, which are read whole

-- Looks at some whose time has come; how many these are, how many nothing refers to any more, and whether there may be
-- others.
function verbs.sweep_blobs()
  local grace, limit, offset, dry = number(), number(), number(), flag()
  local found = call('ZRANGEBYSCORE', P .. 'bx', '-inf', now - grace, 'LIMIT', dry and offset or 0, limit)
  local held, gone, read = {}, 0, 0
  for i, name in ipairs(found) do
    local run, hash = string.sub(name, 1, 16), string.sub(name, 17)
    if not held[run] then
      if read >= READ_AT_ONCE then
        return {i - 1, gone, 1}
      end
      local of_run, count = held_by(run)
      held[run], read = of_run, read + count
    end
    if not held[run][hash] then
      gone = gone + 1
      if not dry then
        drop_blob(run, hash)
      end
    elseif not dry then
      call('ZADD', P .. 'bx', now, name)
    end
  end
  return {#found, gone, #found == limit and 1 or 0}
end

function blobs.size(run)
  local size = 0
  for _, hash in ipairs(call('HKEYS', blob_key(run))) do
    size = size + call('HSTRLEN', blob_key(run), hash)
  end
  return size
end
