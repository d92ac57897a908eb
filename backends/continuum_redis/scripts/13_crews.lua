-- Child runs that begin with a commit, and what came of members of crews.
--
-- mb:<run><token> holds the members of a crew, by their numbers: each begins with its number, in four bytes. mt:<run>
-- names the crews of a run.

local function crew_key(run, token)
  return P .. 'mb:' .. run .. string.format('%.0f', token)
end

function crews.read_member()
  return {token = number(), number = number(), body = bytes()}
end

-- What is there already stays.
function crews.keep(run, members)
  for _, m in ipairs(members) do
    local key = crew_key(run, m.token)
    if #call('ZRANGEBYSCORE', key, m.number, m.number, 'LIMIT', 0, 1) == 0 then
      call('ZADD', key, m.number, pack_struct('>I4', m.number) .. m.body)
      call('SADD', P .. 'mt:' .. run, string.format('%.0f', m.token))
    end
  end
end

function crews.shown(run)
  local found, tokens = {}, call('SMEMBERS', P .. 'mt:' .. run)
  table.sort(tokens, precedes)
  for i, token in ipairs(tokens) do
    found[i] = {token, call('ZRANGE', P .. 'mb:' .. run .. token, 0, -1)}
  end
  return found
end

function crews.forget(run)
  for _, token in ipairs(call('SMEMBERS', P .. 'mt:' .. run)) do
    call('UNLINK', P .. 'mb:' .. run .. token)
  end
  call('UNLINK', P .. 'mt:' .. run)
end

-- The crews that began below a version: a token is a version and 16 more bits. How many there were of all.
function crews.forget_below(run, below)
  local tokens = call('SMEMBERS', P .. 'mt:' .. run)
  for _, token in ipairs(tokens) do
    if math.floor(tonumber(token) / 65536) < below then
      call('UNLINK', P .. 'mb:' .. run .. token)
      call('SREM', P .. 'mt:' .. run, token)
    end
  end
  return #tokens
end

function crews.each_body(run, tell)
  for _, crew in ipairs(crews.shown(run)) do
    for _, member in ipairs(crew[2]) do
      tell(string.sub(member, 5))
    end
  end
end

function crews.size(run)
  local size = 0
  crews.each_body(run, function(body) size = size + #body end)
  return size
end

function verbs.members()
  local run, token, after, limit = bytes(), number(), number(), number()
  return call('ZRANGEBYSCORE', crew_key(run, token), beyond(after), '+inf', 'LIMIT', 0, limit)
end

-- --- child runs

-- The row of a run that is not there yet.
function crews.create(new)
  local r = {
    id = new.run, machine = new.machine, fingerprint = new.fingerprint, key = new.key, digest = new.digest,
    generation = 0, version = 0, status = RUNNING, cause = '', snapshot = '', outcome = false, fence = 0,
    lease_until = false, claim_id = false, commit_id = false, tries = 0, parent = new.parent, root = new.root,
    created = now, updated = now,
  }
  runs.put(r)
  runs.add(r)
  return r
end

-- A run of this tag begins by its delivery, unless it is there already.
function crews.begin(new)
  if runs.get(new.run) then
    return
  end
  crews.create(new)
  attributes.describe(new.run, new.attributes or {})
  deliveries.insert(new.delivery)
  if TAGS > 1 then
    receiving.born(new.run, new.delivery.due)
  end
end

function crews.start(started)
  for _, new in ipairs(started) do
    local target = tag_of(new.run)
    if target == TAG then
      crews.begin(new)
    else
      outbox.put(target, new.delivery, {new.machine, new.fingerprint, new.digest, new.parent, new.root})
    end
  end
end
