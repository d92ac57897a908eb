-- Rows of runs, and the indexes over them. A row is one string under r:<run>: most runs wait, and a hash would
-- take twice the memory.
--
-- `created` holds every run, s:<status> those neither running nor completed, c:<parent> children, `ended` what
-- pruning looks for, cl:<claim> what a claim holds.

local verbs = {}
local runs = {}

local function row_key(run)
  return P .. 'r:' .. run
end

function runs.get(run)
  local value = call('GET', row_key(run))
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
  call('SET', row_key(r.id), cmsgpack.pack(r.machine, r.fingerprint, r.key, r.digest, r.generation, r.version,
    r.status, r.cause, r.snapshot, r.outcome, r.fence, r.lease_until, r.claim_id, r.commit_id, r.tries,
    r.parent, r.root, r.created, r.updated))
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
    call('ZADD', P .. 'ended', r.updated, r.id)
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

-- --- records: a list, whose place tells the version

local function record_key(run)
  return P .. 'h:' .. run
end

function runs.packed_record(kind, at_, cause, commit_id, body)
  return cmsgpack.pack(kind, at_, cause, commit_id, body)
end

-- One that `packed_record` made.
function runs.append(run, record)
  call('RPUSH', record_key(run), record)
end

-- Of the record with that version: {kind, at, cause, commit_id, body}; false where there is none.
function runs.record(run, version)
  local value = call('LINDEX', record_key(run), version - 1)
  return value and {cmsgpack.unpack(value)}
end

function runs.records(run, after, limit)
  local found = {}
  if limit > 0 then
    for i, value in ipairs(call('LRANGE', record_key(run), after, after + limit - 1)) do
      local kind, at_, cause, commit_id, body = cmsgpack.unpack(value)
      found[i] = {after + i, kind, at_, cause, commit_id, body}
    end
  end
  return found
end
