-- Whole runs: dumped, ended so that they go on elsewhere, restored, erased; keyed results; what is stored.
--
-- Everything here is of one run at a time, but what pages through indexes: dedupe ids, `res` and `created`.

local MOVING = 'moving'

local function by_id(one, other)
  return precedes(one[1], other[1])
end

local function waiting_of(run)
  local found = {}
  deliveries.each(run, function(d) found[#found + 1] = deliveries.shown(d) end)
  table.sort(found, by_id)
  return found
end

local function letters_of(run)
  local found, letters = {}, call('HGETALL', P .. 'd:' .. run)
  for i = 1, #letters, 2 do
    local kind, due, token, slot, dedupe, cause, payload, reason, since = cmsgpack.unpack(letters[i + 1])
    found[#found + 1] = {letters[i], kind, payload, due, token, slot, dedupe, NO, cause, reason, since}
  end
  table.sort(found, by_id)
  return found
end

local function each_task(run, tell)
  for _, token in ipairs(tasks.tokens(run)) do
    for _, t in ipairs(tasks.of_token(run, token)) do
      tell(t)
    end
  end
end

local function image_of(r)
  local open, reported = {}, {}
  each_task(r.id, function(t) open[#open + 1], reported[#reported + 1] = tasks.shown(t), t.reported end)
  return {
    runs.shown(r), waiting_of(r.id), open, reported, letters_of(r.id), attributes.shown(r.id),
    r.version - runs.count_records(r.id), runs.eternal(r.id) and 1 or 0, runs.past(r.id), crews.shown(r.id),
  }
end

-- Whatever changes in the image, but for dedupe ids: these change only when a delivery comes or a turn is taken.
local function mark_of(image)
  return redis.sha1hex(cmsgpack.pack(image))
end

function verbs.dump()
  return list(function()
    local r = runs.get(bytes())
    if not r then
      return false
    end
    local image = image_of(r)
    return {image, mark_of(image)}
  end)
end

-- What `seen` has of an entry: {run, dedupe id, when it was consumed, reply}; false where it has none.
local function seen_shown(member, consumed)
  return consumed and {string.sub(member, 1, 16), string.sub(member, 17), consumed ~= 'inf' and tonumber(consumed),
    call('HGET', P .. 'rep', member)}
end

-- Dedupe ids of runs, from behind an entry of the first of them on, so many at most: whether the index is whole, which
-- it is not while entries of a former release are there; what was found; with how many runs the call is through,
-- and the last entry of the next one.
function verbs.seen_of()
  local most, after, asked, found = number(), bytes(), list(bytes), {}
  if call('ZCARD', P .. 'seen') ~= call('ZCARD', P .. 'seenof') then
    return {0, {}, 0, ''}
  end
  for i, run in ipairs(asked) do
    local from = i == 1 and after ~= '' and '(' .. after or '[' .. run
    local page = call('ZRANGEBYLEX', P .. 'seenof', from, '(' .. run .. '\255', 'LIMIT', 0, most) -- no text has that byte
    for _, member in ipairs(page) do
      found[#found + 1] = seen_shown(member, call('ZSCORE', P .. 'seen', member)) or nil
    end
    if #page == most then
      return {1, found, i - 1, page[#page]}
    end
    most = most - #page
  end
  return {1, found, #asked, ''}
end

-- The same of a page of all entries, which makes the index whole on the way. The end of the pages is the cursor 0.
function verbs.scan_seen()
  local cursor, count, wanted, found = bytes(), number(), {}, {}
  for _, run in ipairs(list(bytes)) do
    wanted[run] = true
  end
  local page = call('ZSCAN', P .. 'seen', cursor, 'COUNT', count)
  for i = 1, #page[2], 2 do
    local member, consumed = page[2][i], page[2][i + 1]
    redis.pcall('ZADD', P .. 'seenof', 0, member) -- refused where the server is full: then it stays as it is
    if wanted[string.sub(member, 1, 16)] then
      found[#found + 1] = seen_shown(member, consumed)
    end
  end
  return {page[1], found}
end

-- Drops entries of a page of the index that a former release has removed from `seen`.
function verbs.tidy_seen()
  local page = call('ZSCAN', P .. 'seenof', bytes(), 'COUNT', number())
  for i = 1, #page[2], 2 do
    if not call('ZSCORE', P .. 'seen', page[2][i]) then
      call('ZREM', P .. 'seenof', page[2][i])
    end
  end
  return page[1]
end

-- --- out

local function forget_letters(run)
  for _, id in ipairs(call('HKEYS', P .. 'd:' .. run)) do
    call('ZREM', P .. 'dx', run .. id)
  end
  call('DEL', P .. 'd:' .. run)
end

local function leave(r, id, body, outcome)
  local last, before = runs.last_record(r.id), r.status
  runs.forget_past(r.id) -- what stays here only says where it went
  call('ZREM', P .. 'eternal', r.id)
  local at_ = math.max(now, last and last[2] or now)
  runs.append(r.id, r.version + 1, runs.packed_record(CONTROL, at_, id, id, body))
  runs.unlease(r)
  r.version, r.commit_id, r.fence, r.updated = r.version + 1, id, next_fence(r.fence), now
  r.status, r.cause, r.outcome, r.tries = TERMINATED, MOVING, outcome, math.min(r.tries, SUSPECT)
  runs.put(r)
  runs.moved(r, before)
  deliveries.each(r.id, deliveries.remove)
  each_task(r.id, tasks.drop)
  forget_letters(r.id)
  attributes.forget(r.id)
  crews.forget(r.id)
end

local function depart()
  local run, mark, id, body, outcome = bytes(), bytes(), bytes(), bytes(), bytes()
  local r = runs.get(run)
  if not r then
    return 'unknown run'
  end
  if ENDED[r.status] then
    return r.commit_id == id and 'departed' or 'run over'
  end
  local held = r.lease_until and r.lease_until > now
  each_task(run, function(t) held = held or (t.lease_until and t.lease_until > now) end)
  if held then
    return 'busy'
  end
  if mark_of(image_of(r)) ~= mark then
    return 'changed'
  end
  leave(r, id, body, outcome)
  return 'departed'
end

function verbs.depart()
  ticked()
  return list(depart)
end

local function moves(r)
  return r.status == TERMINATED and r.cause == MOVING
end

function verbs.arrived()
  ticked()
  return list(function()
    local r, forwarded, waits = runs.get(bytes()), list(bytes), flag()
    if not r or r.status ~= TERMINATED then
      return 0
    end
    if r.cause == MOVING and not waits then
      r.cause = ''
      runs.put(r)
    end
    for _, id in ipairs(forwarded) do
      local d = deliveries.get(r.id, id)
      if d then
        deliveries.remove(d)
      end
      call('HDEL', P .. 'd:' .. r.id, id)
      call('ZREM', P .. 'dx', r.id .. id)
    end
    return 1
  end)
end

function verbs.erase()
  ticked()
  return list(function()
    local r, commit_id = runs.get(bytes()), maybe(bytes)
    if not r or not ENDED[r.status] or r.commit_id ~= commit_id or moves(r)
      or runs.eternal(r.id) then
      return 0
    end
    forget_run(r.id)
    return 1
  end)
end

-- --- in

local function read_run()
  return {
    id = bytes(), machine = bytes(), fingerprint = bytes(), key = maybe(bytes), digest = bytes(),
    generation = number(), version = number(), status = number(), cause = bytes(), snapshot = bytes(),
    outcome = maybe(bytes), fence = number(), lease_until = false, claim_id = false, commit_id = maybe(bytes),
    tries = number(), parent = maybe(bytes), root = maybe(bytes), created = number(), updated = number(),
  }
end

local function read_whole_delivery()
  local d = deliveries.read_argument()
  d.held = number()
  return d
end

local function read_whole_task()
  return {
    run = bytes(), token = number(), slot = number(), activity = bytes(), queue = bytes(), priority = number(),
    due = number(), scheduled = number(), payload = bytes(), key = maybe(bytes), undo = flag(),
    attempt = number(), losses = number(), fence = number(), lease_until = false, claim_id = false,
    cancel = flag(), details = maybe(bytes), failure = maybe(bytes), fairness = bytes(), reported = number(),
  }
end

local function read_letter()
  return {delivery = deliveries.read_argument(), reason = bytes(), at = number()}
end

local function read_image()
  return {
    run = read_run(),
    records = list(bytes), versions = list(number), eternal = flag(), past = list(function() return {number(), number()} end),
    deliveries = list(read_whole_delivery), tasks = list(read_whole_task), dead = list(read_letter),
    seen = list(function() return {bytes(), maybe(number), maybe(bytes)} end),
    attributes = list(attributes.read_argument),
    members = list(crews.read_member), departure = maybe(bytes),
  }
end

local function same(r, image)
  local version = image.run.version
  if r.machine ~= image.run.machine or r.digest ~= image.run.digest or r.version < version then
    return false
  end
  if version == 0 or version == r.version then
    return version == 0 or r.commit_id == image.run.commit_id
  end
  local record = runs.record(r.id, version)
  return record and record[4] == image.run.commit_id
end

local function put_letter(d, reason, since)
  local letter = cmsgpack.pack(d.kind, d.due, d.token, d.slot, d.dedupe, d.cause, d.payload, reason, since)
  call('HSET', P .. 'd:' .. d.run, d.id, letter)
  call('ZADD', P .. 'dx', since, d.run .. d.id)
end

-- What was sent to the run while it was not here.
local function strays_of(run)
  local found = {}
  for _, letter in ipairs(letters_of(run)) do
    local id, kind, payload, due, token, slot, dedupe, _, cause, reason = unpack(letter)
    if reason == 'unknown run' then
      found[#found + 1] = {
        id = id, run = run, kind = kind, payload = payload, due = due, token = token, slot = slot,
        dedupe = dedupe, cause = cause, floor = 0,
      }
    end
  end
  return found
end

local function write_image(image)
  local r = image.run
  runs.put(r)
  runs.add(r)
  if image.eternal then
    runs.make_eternal(r.id)
  end
  runs.moved(r, RUNNING)
  attributes.describe(r.id, image.attributes)
  crews.keep(r.id, image.members)
  for i, record in ipairs(image.records) do
    runs.append(r.id, image.versions[i], record)
  end
  for _, each in ipairs(image.past) do
    runs.note_past(r.id, each[1], each[2])
  end
  for _, entry in ipairs(image.seen) do
    deliveries.note_seen(r.id, entry[1], entry[2] or '+inf')
    if entry[3] then
      call('HSET', P .. 'rep', r.id .. entry[1], entry[3])
    end
  end
  for _, d in ipairs(image.deliveries) do
    local held = d.held
    deliveries.insert(d)
    deliveries.hold(r.id, d.id, held)
  end
  for _, t in ipairs(image.tasks) do
    tasks.begin_entry(r.id, t.token)
    tasks.add(t)
  end
  for _, letter in ipairs(image.dead) do
    put_letter(letter.delivery, letter.reason, letter.at)
  end
end

-- What is told of an image for which there is nothing to do, or which must not be.
local function met(image)
  local r = image.run
  if image.departure and call('SISMEMBER', P .. 'arr', r.id .. image.departure) == 1 then
    return 'exists'
  end
  local known = runs.get(r.id)
  return known and (same(known, image) and 'exists' or 'conflict')
end

local function restore()
  local image = read_image()
  local r, told = image.run, met(image)
  if told then
    return told
  end
  if image.departure then
    call('SADD', P .. 'arr', r.id .. image.departure)
  end
  local strays = ENDED[r.status] and {} or strays_of(r.id)
  for _, d in ipairs(strays) do
    call('HDEL', P .. 'd:' .. r.id, d.id)
    call('ZREM', P .. 'dx', r.id .. d.id)
  end
  write_image(image)
  for _, d in ipairs(strays) do
    if call('HEXISTS', P .. 'd:' .. r.id, d.id) == 0 then
      deliveries.send(d)
    end
  end
  if not ENDED[r.status] then
    receiving.born(r.id, now)
  end
  return 'restored'
end

function verbs.restore()
  ticked()
  return list(restore)
end

-- An image whose arguments could be read can be written. What the server refuses for want of room it refuses here
-- too, because of the time that is written.
function verbs.rehearse()
  ticked()
  return list(function() return met(read_image()) or 'restored' end)
end

function verbs.forget()
  ticked()
  return list(function()
    local run, departure = bytes(), maybe(bytes)
    return departure and call('SREM', P .. 'arr', run .. departure) or 0
  end)
end

-- --- keyed results

function verbs.results()
  local found, page = {}, call('HSCAN', P .. 'res', bytes(), 'COUNT', number())
  for i = 1, #page[2], 2 do
    local owner, till, outcome = cmsgpack.unpack(page[2][i + 1])
    if outcome and till > now then
      found[#found + 1] = {page[2][i], owner, till, outcome}
    end
  end
  return {page[1], found}
end

function verbs.keep()
  ticked()
  return list(function()
    local name, owner, till, outcome = result_name(bytes(), bytes()), bytes(), number(), bytes()
    local known = results.get(name)
    if till > now and not (known and known.outcome and known.till > now) then
      results.put(name, owner, till, outcome)
    end
    return 1
  end)
end

-- --- what is stored: a page of runs, summed up; it ends early where these have many records

local function size_of(r)
  local size = #r.snapshot + (r.outcome and #r.outcome or 0)
  for _, record in ipairs(runs.records(r.id, 0, r.version)) do
    size = size + #record[6]
  end
  deliveries.each(r.id, function(d) size = size + #d.payload end)
  each_task(r.id, function(t) size = size + #t.payload end)
  return size + crews.size(r.id) + blobs.size(r.id)
end

function verbs.tally()
  local from, count, day, most = number(), number(), number(), number()
  local page, sums, found = call('ZRANGE', P .. 'created', from, from + count - 1), {}, {}
  for i, run in ipairs(page) do
    local r = runs.get(run)
    local born = math.floor(r.created / day)
    local name = r.status .. ':' .. born .. ':' .. r.machine
    local sum = sums[name]
    if not sum then
      sum = {r.machine, r.status, born, 0, 0, 0}
      sums[name], found[#found + 1] = sum, sum
    end
    local records = runs.count_records(r.id)
    sum[4], sum[5], sum[6] = sum[4] + 1, sum[5] + records, sum[6] + size_of(r)
    most = most - records
    if most <= 0 then
      return {i, found}
    end
  end
  return {#page, found}
end
