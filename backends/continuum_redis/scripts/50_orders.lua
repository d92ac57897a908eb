-- Operators' orders: carried out at once, whoever holds the run. `o` keeps answers, `ox` when they were given.

local SUSPEND, RESUME, CANCEL_RUN, TERMINATE, UNPARK, DESCRIBE, POSTPONE = 0, 1, 2, 3, 4, 5, 6

local ACTS_ON = {
  [SUSPEND] = {[RUNNING] = true},
  [RESUME] = {[SUSPENDED] = true},
  [UNPARK] = {[PARKED] = true},
  [CANCEL_RUN] = {[RUNNING] = true, [SUSPENDED] = true, [PARKED] = true},
  [TERMINATE] = {[RUNNING] = true, [SUSPENDED] = true, [PARKED] = true},
  [DESCRIBE] = {[RUNNING] = true, [SUSPENDED] = true, [PARKED] = true},
  [POSTPONE] = {[RUNNING] = true, [SUSPENDED] = true},
}

local FREES = {
  [RESUME] = {[PAUSED] = true},
  [UNPARK] = {[PAUSED] = true, [POISON] = true},
  [CANCEL_RUN] = {[PAUSED] = true}, -- the poison stays where it can do no harm
}

local function cancelled_already(r, kind)
  local found = false
  if kind == CANCEL_RUN and r.status == RUNNING then
    deliveries.each(r.id, function(d)
      found = found or (d.kind == CANCEL and d.held == NO)
    end)
  end
  return found
end

-- What starts the run, if it waits still.
local function start_of(run)
  local found = false
  deliveries.each(run, function(d)
    found = found or (d.kind == START and d)
  end)
  return found
end

-- What every order does to a run: a record, a new fence that ends the holder's, fewer tries.
local function write_order(r, order)
  local last = runs.last_record(r.id)
  local at_ = math.max(now, last and last[2] or now)
  runs.append(r.id, r.version + 1, runs.packed_record(CONTROL, at_, order.id, order.id, order.body))
  r.version, r.commit_id, r.fence = r.version + 1, order.id, next_fence(r.fence)
  runs.unlease(r)
  r.tries, r.updated = math.min(r.tries, SUSPECT), now
  if order.kind ~= DESCRIBE and order.kind ~= POSTPONE then
    r.cause = ''
  end
end

local function carry_out(r, order)
  local before = r.status
  write_order(r, order)
  if order.kind == SUSPEND then
    r.status, r.cause = SUSPENDED, order.cause
  elseif order.kind == TERMINATE then
    r.status, r.outcome = TERMINATED, order.outcome
  elseif order.kind == DESCRIBE then
    attributes.describe(r.id, order.attributes)
  elseif order.kind == POSTPONE then
    r.digest = order.digest or r.digest
  else
    r.status = RUNNING
  end
  runs.put(r)
  runs.moved(r, before)
  if FREES[order.kind] then
    deliveries.free(r.id, FREES[order.kind])
  end
  if order.kind == TERMINATE then
    turns.close_everything(r)
  elseif order.kind == CANCEL_RUN and order.delivery then -- due at the epoch: it sorts before all that waits
    local older = deliveries.get(r.id, order.delivery.id) -- of an order that was forgotten since
    if older then
      deliveries.remove(older)
    end
    order.delivery.due = 0
    deliveries.insert(order.delivery)
  elseif order.kind == POSTPONE then
    deliveries.remove(start_of(r.id))
    deliveries.insert(order.delivery)
  end
end

local function control()
  local order = {
    id = bytes(), run = bytes(), kind = number(), body = bytes(), cause = bytes(), outcome = maybe(bytes),
    delivery = maybe(deliveries.read_argument), attributes = list(attributes.read_argument),
    digest = maybe(bytes),
    version = maybe(number), sends = list(deliveries.read_argument),
  }
  local given = call('ZSCORE', P .. 'ox', order.id)
  if given and now < given + dedupe_window then
    return {cmsgpack.unpack(call('HGET', P .. 'o', order.id))}
  end
  local r = runs.get(order.run)
  if not r then
    return {'unknown run', false}
  end
  if ENDED[r.status] then
    return {'run over', r.status}
  end
  if order.version and order.version ~= r.version then
    return {'moved', r.status}
  end
  local outcome = 'unchanged'
  local late = order.kind == POSTPONE and not start_of(r.id)
  if ACTS_ON[order.kind][r.status] and not cancelled_already(r, order.kind) and not late then
    carry_out(r, order)
    for _, d in ipairs(order.sends) do
      deliveries.send(d)
    end
    outcome = 'done'
  end
  call('HSET', P .. 'o', order.id, cmsgpack.pack(outcome, r.status))
  call('ZADD', P .. 'ox', now, order.id)
  return {outcome, r.status}
end

function verbs.control()
  ticked()
  return list(control)
end

-- The same, for a batch that only ends runs: a full server carries it out.
function verbs.terminate()
  ticked()
  return list(control)
end
