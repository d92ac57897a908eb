-- Rows of runs, and the indexes over them. A row is one string under r:<run>: most runs wait, and a hash would
-- take twice the memory.
--
-- `created` holds every run, s:<status> those neither running nor completed, c:<parent> children, `ended` what
-- pruning looks for, cl:<claim> what a claim holds.

local verbs = {}
local runs = {}
local crews = {}

local function row_key(run)
  return P .. 'r:' .. run
end

-- Rows of a batch go in one call each way: a command called from a script costs several times what the server does
-- for it. `known_rows` are packed, `false` where there is none; `changed_rows` names those that are to be written:
-- a script that puts rows ends with `runs.write_changed`.
local known_rows, changed_rows = {}, {}

local AT_ONCE = 1000 -- arguments of one call; Lua's stack takes some thousands

-- Calls `use(first, last)` for `count` things, so many at once.
local function in_parts(count, use)
  for first = 1, count, AT_ONCE do
    use(first, math.min(first + AT_ONCE - 1, count))
  end
end

-- Reads the rows of the runs that these are about, and returns their ids.
function runs.read_ahead(asked)
  local ids = {}
  for i, each in ipairs(asked) do
    ids[i] = each.run
  end
  in_parts(#ids, function(first, last)
    local keys = {}
    for i = first, last do
      keys[#keys + 1] = row_key(ids[i])
    end
    for i, row in ipairs(call('MGET', unpack(keys))) do
      local run = ids[first + i - 1]
      if not changed_rows[run] then
        known_rows[run] = row
      end
    end
  end)
  return ids
end

local function row_of(run)
  local row = known_rows[run]
  if row == nil then -- read alone, it is not kept: what looks through all runs must not gather them
    return call('GET', row_key(run))
  end
  return row
end

function runs.get(run)
  local value = row_of(run)
  if not value then
    return false
  end
  local machine, fingerprint, key, digest, generation, version, status, cause, snapshot, outcome, fence,
    lease_until, claim_id, commit_id, tries, parent, root, created, updated = cmsgpack.unpack(value)
  return {
    id = run, machine = machine, fingerprint = fingerprint, key = key, digest = digest, generation = generation,
    version = version, status = status, cause = cause, snapshot = snapshot, outcome = outcome, fence = fence,
    lease_until = lease_until, claim_id = claim_id, commit_id = commit_id, tries = tries, parent = parent,
    root = root, created = created, updated = updated,
  }
end

function runs.put(r)
  known_rows[r.id] = cmsgpack.pack(r.machine, r.fingerprint, r.key, r.digest, r.generation, r.version, r.status,
    r.cause, r.snapshot, r.outcome, r.fence, r.lease_until, r.claim_id, r.commit_id, r.tries, r.parent, r.root,
    r.created, r.updated)
  changed_rows[r.id] = true
end

function runs.write_changed()
  local pairs_ = {}
  for run in pairs(changed_rows) do
    pairs_[#pairs_ + 1] = row_key(run)
    pairs_[#pairs_ + 1] = known_rows[run]
  end
  in_parts(#pairs_, function(first, last)
    call('MSET', unpack(pairs_, first, last))
  end)
end

function runs.exists(run)
  return row_of(run) and true or false
end

function runs.remove_row(run)
  call('DEL', row_key(run))
  known_rows[run], changed_rows[run] = false, nil
end

function runs.shown(r)
  return {r.id, r.machine, r.fingerprint, r.key, r.digest, r.generation, r.version, r.status, r.cause,
    r.snapshot, r.outcome, r.fence, r.lease_until, r.claim_id, r.commit_id, r.tries, r.parent, r.root,
    r.created, r.updated}
end

function runs.status(run)
  local r = runs.get(run)
  return r and r.status
end

function runs.add(r)
  call('ZADD', P .. 'created', r.created, r.id)
  if r.parent then
    call('ZADD', P .. 'c:' .. r.parent, r.created, r.id)
  end
end

-- Whoever changes a run's status calls this, after.
function runs.moved(r, before)
  if before == r.status then
    return
  end
  if before > COMPLETED then
    call('ZREM', P .. 's:' .. before, r.id)
  end
  if r.status > COMPLETED then
    call('ZADD', P .. 's:' .. r.status, r.created, r.id)
  end
  if ENDED[r.status] then
    local index = runs.eternal(r.id) and 'eternal' or 'ended'
    call('ZADD', P .. index, r.updated, r.id)
  end
end

function runs.unlease(r)
  if r.claim_id then
    call('SREM', P .. 'cl:' .. r.claim_id, r.id)
  end
  r.claim_id, r.lease_until = false, false
end

function runs.lease(r, claim, till)
  runs.unlease(r)
  r.claim_id, r.lease_until = claim, till
  call('SADD', P .. 'cl:' .. claim, r.id)
end

-- --- eternal runs: `eternal`, by when they ended. `past` holds past generations by when they were over, each
-- as the run and the version below which its records are.

function runs.eternal(run)
  return call('ZSCORE', P .. 'eternal', run)
end

function runs.make_eternal(run)
  call('ZADD', P .. 'eternal', '+inf', run)
  runs.forget_past(run)
end

local function past_key(run)
  return P .. 'g:' .. run
end

-- The versions below which past generations of the run are that have records still, ascending, each with when it
-- was over.
function runs.past(run)
  local found, page = {}, call('ZRANGE', past_key(run), 0, -1)
  for i, below in ipairs(page) do
    found[i] = {tonumber(below), tonumber(call('ZSCORE', P .. 'past', run .. below))}
  end
  return found
end

function runs.note_past(run, below, over)
  local name = string.format('%.0f', below)
  call('ZADD', past_key(run), below, name)
  call('ZADD', P .. 'past', over, run .. name)
end

-- When the generation of the run that ends below this version was over; false where it is gone. And the version
-- since which it is.
function runs.past_one(run, below)
  local name = string.format('%.0f', below)
  local over = call('ZSCORE', P .. 'past', run .. name)
  local earlier_ = call('ZREVRANGEBYSCORE', past_key(run), beyond(below), '-inf', 'LIMIT', 0, 1)[1]
  return over and tonumber(over), tonumber(earlier_ or 1)
end

function runs.drop_past(run, below)
  local name = string.format('%.0f', below)
  call('ZREM', past_key(run), name)
  call('ZREM', P .. 'past', run .. name)
end

function runs.forget_past(run)
  for _, each in ipairs(runs.past(run)) do
    runs.drop_past(run, each[1])
  end
end

-- --- records: a list of those before the first gap, whose place tells the version; a sorted set, v:<run>, of those
-- behind it. While the first ones are being cut away, in as many calls as that takes, the sorted set has copies of
-- others, too: what the list has counts, until it goes.

local function record_key(run)
  return P .. 'h:' .. run
end

function runs.packed_record(kind, at_, cause, commit_id, body)
  return cmsgpack.pack(kind, at_, cause, commit_id, body)
end

local function sparse_key(run)
  return P .. 'v:' .. run
end

local function packed_sparse(version, packed)
  return pack_struct('>d', version) .. packed
end

local function read_sparse(value)
  local version = unpack_struct('>d', value)
  return version, cmsgpack.unpack(string.sub(value, 9))
end

-- One that `packed_record` made.
function runs.append(run, version, packed)
  if call('RPUSH', record_key(run), packed) ~= version then
    call('RPOP', record_key(run))
    call('ZADD', sparse_key(run), version, packed_sparse(version, packed))
  end
end

-- Of the record with that version: {kind, at, cause, commit_id, body}; false where there is none.
function runs.record(run, version)
  local value = call('LINDEX', record_key(run), version - 1)
  if value then
    return {cmsgpack.unpack(value)}
  end
  local found = call('ZRANGEBYSCORE', sparse_key(run), version, version)[1]
  if not found then
    return false
  end
  local _, kind, at_, cause, commit_id, body = read_sparse(found)
  return {kind, at_, cause, commit_id, body}
end

-- The last record, as `record` gives it.
function runs.last_record(run)
  local found = call('ZREVRANGE', sparse_key(run), 0, 0)[1]
  if found then
    local version, kind, at_, cause, commit_id, body = read_sparse(found)
    if version > call('LLEN', record_key(run)) then
      return {kind, at_, cause, commit_id, body}
    end
  end
  local value = call('LINDEX', record_key(run), -1)
  return value and {cmsgpack.unpack(value)}
end

function runs.records(run, after, limit)
  local found = {}
  if limit <= 0 then
    return found
  end
  for i, value in ipairs(call('LRANGE', record_key(run), after, after + limit - 1)) do
    local kind, at_, cause, commit_id, body = cmsgpack.unpack(value)
    found[i] = {after + i, kind, at_, cause, commit_id, body}
  end
  if #found < limit then
    local behind = beyond(math.max(after, call('LLEN', record_key(run))))
    for _, value in ipairs(call('ZRANGEBYSCORE', sparse_key(run), behind, '+inf', 'LIMIT', 0, limit - #found)) do
      found[#found + 1] = {read_sparse(value)}
    end
  end
  return found
end

-- How many records there are from version `since` on and below `below`.
function runs.count_between(run, since, below)
  local listed = call('LLEN', record_key(run))
  local behind = call('ZCOUNT', sparse_key(run), math.max(since, listed + 1), beyond(below))
  return math.max(0, math.min(listed, below - 1) - (since - 1)) + behind
end

function runs.count_records(run)
  return runs.count_between(run, 1, 2 ^ 53)
end

-- Copies of records that the list has, from `below` on, so many more at most: how many, and whether that is all.
local function copy_on(run, below, most)
  local last = call('ZREVRANGEBYSCORE', sparse_key(run), call('LLEN', record_key(run)), below, 'LIMIT', 0, 1)[1]
  local next_ = last and unpack_struct('>d', last) + 1 or below
  local page = call('LRANGE', record_key(run), next_ - 1, next_ + most - 2)
  in_parts(#page, function(first, final)
    local entries = {}
    for i = first, final do
      entries[#entries + 1] = next_ + i - 1
      entries[#entries + 1] = packed_sparse(next_ + i - 1, page[i])
    end
    call('ZADD', sparse_key(run), unpack(entries))
  end)
  return #page, next_ + #page > call('LLEN', record_key(run))
end

-- Cuts away what is below `below`, touching so many records at most: how many are gone, how many were touched,
-- and whether that is all. A list is not shortened in front, for its places tell versions: what it keeps is copied
-- into the sorted set, and then it goes as a whole.
function runs.cut(run, below, most)
  local listed = call('LLEN', record_key(run))
  local sparse = math.min(call('ZCOUNT', sparse_key(run), '-inf', beyond(below)), most)
  local gone = runs.count_between(run, listed + 1, below) -- of the sorted set's own, no copies
  if sparse > 0 then
    call('ZREMRANGEBYRANK', sparse_key(run), 0, sparse - 1)
  end
  gone = gone - runs.count_between(run, listed + 1, below)
  if sparse == most or listed == 0 then
    return gone, sparse, sparse < most
  end
  local copied, whole = copy_on(run, below, most - sparse)
  if whole then
    call('UNLINK', record_key(run))
    gone = gone + math.min(listed, below - 1)
  end
  return gone, sparse + copied, whole
end
