-- Starts and commits: how a run begins and how its version moves.
--
-- Rule: everything is checked before anything is written, so that a turn is all or nothing.

local turns = {}

-- Fields that follow one another are read in one call: commits are what there is most of. A record comes as
-- `runs.packed_record` makes it.
local function read_id()
  local id
  id, at = unpack_struct('c16', blob, at)
  return id
end

local function read_task()
  local token, slot, priority, lease, has_key, undo, has_lease, has_claim, claim, activity, queue, fairness
  local key, payload
  token, slot, priority, lease, has_key, undo, has_lease, has_claim, claim, activity, queue, fairness, key,
    payload, at = unpack_struct('>ddddBBBBc16I4c0I4c0I4c0I4c0I4c0', blob, at)
  return {
    token = token, slot = slot, activity = activity, queue = queue, priority = priority, payload = payload,
    key = has_key == 1 and key, undo = undo == 1, lease = has_lease == 1 and lease,
    claim_id = has_claim == 1 and claim, fairness = fairness,
  }
end

local function read_hold()
  return {bytes(), number()}
end

local function some(count, read)
  if count == 0 then
    return NOTHING
  end
  local found = {}
  for i = 1, count do
    found[i] = read()
  end
  return found
end

local function read_reply()
  return {bytes(), bytes()}
end

-- What most turns have nothing of. A turn is made with what it has: smaller tables are less to make and to collect.
local PLAIN = {
  __index = {
    fence = false, base = false, outcome = false, release = false, eternal = false, kept = false, begins = 0,
    hold = NOTHING, deliveries = NOTHING, tasks = NOTHING, closed = NOTHING, attributes = NOTHING,
    replies = NOTHING, starts = NOTHING, members = NOTHING,
  },
}

function turns.read_argument()
  local run, has_fence, has_base, has_outcome, release, fence, version, base, commit_id, status, now_
  local records, consumed, hold, sent, started, closed, described, children, kept, fingerprint, snapshot, cause
  run, has_fence, has_base, has_outcome, release, fence, version, base, commit_id, status, now_,
    records, consumed, hold, sent, started, closed, described, children, kept, fingerprint, snapshot, cause, at =
    unpack_struct('>c16BBBBddc16c16ddI4I4I4I4I4I4I4I4I4I4c0I4c0I4c0', blob, at)
  local turn = setmetatable({
    run = run, version = version, after = version + records, commit_id = commit_id, fingerprint = fingerprint,
    status = status, snapshot = snapshot, now = now_, cause = cause, fence = has_fence == 1 and fence or nil,
    base = has_base == 1 and base or nil, outcome = has_outcome == 1 and bytes() or nil,
    release = release == 1 or nil, records = some(records, bytes), consumed = some(consumed, read_id),
  }, PLAIN)
  if hold + sent + started + closed > 0 then
    turn.hold, turn.deliveries = some(hold, read_hold), some(sent, deliveries.read_argument)
    turn.tasks, turn.closed = some(started, read_task), some(closed, number)
  end
  if described > 0 then
    turn.attributes = some(described, attributes.read_argument)
  end
  local replies = number()
  if replies + children + kept > 0 then
    turn.replies, turn.starts = some(replies, read_reply), some(children, turns.read_new)
    turn.members = some(kept, crews.read_member)
  end
  if flag() then -- it says what is kept, and for how long
    local steps = number()
    turn.begins, turn.eternal = number(), flag()
    local versions = list(number)
    if steps > 0 then
      turn.after, turn.kept = turn.version + steps, versions
    end
  end
  return turn
end

-- This very turn was committed before, even if others have followed since.
local function stands(r, turn)
  if #turn.records == 0 then
    return r.version == turn.after and r.commit_id == turn.commit_id
  end
  local first = turn.kept and turn.kept[1] or turn.version + 1
  local record = turn.version < r.version and runs.record(r.id, first)
  return record and record[4] == turn.commit_id
end

local function follows(r, turn)
  return r.status == RUNNING and r.version == turn.version and r.commit_id == turn.base
end

local function overtakes(r, turn)
  local due = deliveries.ids_due(r.id, #turn.consumed + 1)
  if #due == 0 then
    return false
  end
  local consumed = {}
  for _, id in ipairs(turn.consumed) do
    consumed[id] = true
  end
  for _, id in ipairs(due) do
    if not consumed[id] then
      return true
    end
  end
  return false
end

-- What a turn that stands is told: of the tasks that it started claimed those that it still holds.
--
-- `known`: tasks by their place in the turn, where it is known how they are. `idle`: that nothing is due.
local function answer(r, turn, known, idle)
  local held = #turn.tasks > 0 and {} or NOTHING
  for i, new in ipairs(turn.tasks) do
    local t = new.lease and (known[i] or tasks.get(r.id, new.token, new.slot))
    if t and t.claim_id == new.claim_id then
      held[#held + 1] = {tasks.shown(t), r.machine, r.fingerprint}
    end
  end
  local more = not idle and deliveries.anything_due(r.id)
  if not more and #held == 0 then
    return now -- as nearly always: nothing else is to be told
  end
  return {'committed', now, more and 1 or 0, held}
end

local function write_run(r, turn)
  for i, record in ipairs(turn.records) do
    runs.append(r.id, turn.kept and turn.kept[i] or turn.version + i, record)
  end
  if turn.eternal then
    runs.make_eternal(r.id)
  end
  if turn.begins > 0 then
    r.generation = r.generation + 1
    if not runs.eternal(r.id) then
      runs.note_past(r.id, turn.begins, now)
    end
  end
  local before = r.status
  r.version, r.fingerprint, r.status, r.cause = turn.after, turn.fingerprint, turn.status, turn.cause
  r.snapshot, r.outcome, r.commit_id, r.updated = turn.snapshot, turn.outcome, turn.commit_id, now
  if r.status == PARKED then -- its claims stay counted: unpark must find a suspect still one
    r.fence = next_fence(r.fence)
  else
    r.tries = 0
  end
  runs.unlease(r)
  runs.put(r)
  runs.moved(r, before)
  attributes.describe(r.id, turn.attributes)
end

-- The task, unless the run has it already.
local function add_task(r, new)
  if not tasks.begin_entry(r.id, new.token) and tasks.get(r.id, new.token, new.slot) then
    return false
  end
  local born = new.lease and true or false
  local t = {
    run = r.id, token = new.token, slot = new.slot, activity = new.activity, queue = new.queue,
    priority = new.priority, due = now, scheduled = now, payload = new.payload, key = new.key, undo = new.undo,
    attempt = 0, losses = 0, fence = born and next_fence(0) or 0, lease_until = born and now + new.lease,
    claim_id = born and new.claim_id, cancel = false, details = false, failure = false,
    fairness = new.fairness, reported = 0,
  }
  tasks.add(t)
  return t
end

function turns.close_everything(r)
  deliveries.remove_all(r.id)
  tasks.close_all(r.id)
end

local function consume(r, ids, brought)
  local accepted = brought and brought.dedupe and not deliveries.seen(brought)
  for _, id in ipairs(ids) do
    local d = deliveries.get(r.id, id) -- one that is brought may have been delivered before
    if d then
      deliveries.remove(d)
    end
  end
  if accepted then
    deliveries.note_accepted(brought, now)
  end
end

local function close(r, tokens)
  if next(tokens) then
    deliveries.close_timers(r.id, tokens)
  end
  for token in pairs(tokens) do
    tasks.close(r.id, token, true)
  end
end

-- `alone`: nothing was due before it but what it consumes. `brought`: a delivery of `consumed` that is not kept.
local function apply(r, turn, alone, brought)
  write_run(r, turn)
  consume(r, turn.consumed, brought)
  for _, reply in ipairs(turn.replies) do
    deliveries.reply(r.id, reply[1], reply[2])
  end
  for _, hold in ipairs(turn.hold) do
    deliveries.hold(r.id, hold[1], hold[2])
  end
  if turn.release then -- after `hold`: what one step of the fold deferred, a later one may have freed
    deliveries.free(r.id, {[DEFERRED] = true})
  end
  local closed = #turn.closed > 0 and {} or NOTHING
  for _, token in ipairs(turn.closed) do
    closed[token] = true
  end
  local known = #turn.tasks > 0 and {} or NOTHING
  for i, new in ipairs(turn.tasks) do
    local t = add_task(r, new)
    known[i] = not closed[new.token] and t
  end
  crews.keep(r.id, turn.members)
  crews.start(turn.starts)
  for _, d in ipairs(turn.deliveries) do
    deliveries.send(d)
  end
  close(r, closed)
  if ENDED[r.status] then
    turns.close_everything(r)
    known = NOTHING
  end
  return answer(r, turn, known, alone and not turn.release and #turn.deliveries == 0)
end

-- A turn that nobody claimed the run for: it must not overtake anything that is already due.
--
-- `brought`: the delivery that it comes with and consumes, which is written only if the turn does not stand.
local function fuse(r, turn, brought)
  local leased = r and r.lease_until and r.lease_until > now
  if r and not stands(r, turn) and follows(r, turn) and not leased and turn.now <= now and not overtakes(r, turn) then
    return apply(r, turn, true, brought)
  end
  if brought then
    deliveries.send(brought)
  end
  if r and stands(r, turn) then
    return answer(r, turn, NOTHING)
  end
  return {'refused', now, 0, NOTHING}
end

-- What the repeat of a turn that rode along is told, if that very turn stands.
function turns.stood(turn)
  local r = turn and runs.get(turn.run)
  return r and stands(r, turn) and answer(r, turn, NOTHING)
end

local function claimed(turn)
  local r = runs.get(turn.run)
  if not r then
    return {'lost', now, 0, NOTHING}
  end
  if stands(r, turn) then
    return answer(r, turn, NOTHING)
  end
  if not follows(r, turn) or r.fence ~= turn.fence then
    return {'lost', now, 0, NOTHING}
  end
  return apply(r, turn)
end

-- So many of a batch are read before they are carried out. More would save a few calls, and be in the way of the
-- garbage collector, which goes through all that is alive again and again.
local TOGETHER = 24

local function each_of_batch(read, carry_out)
  local count, told = number(), {}
  for first = 1, count, TOGETHER do
    local asked = {}
    for i = first, math.min(first + TOGETHER - 1, count) do
      asked[#asked + 1] = read()
    end
    deliveries.look_ahead(runs.read_ahead(asked))
    for i, each in ipairs(asked) do
      told[first + i - 1] = carry_out(each)
    end
  end
  return told
end

local function commit(turn)
  return turn.fence and claimed(turn) or fuse(runs.get(turn.run), turn)
end

function verbs.commit()
  ticked()
  return each_of_batch(turns.read_argument, commit)
end

-- --- start

function turns.read_new()
  local run, has_key, has_parent, has_root, has_turn, described, parent, root, machine, fingerprint, digest, key
  run, has_key, has_parent, has_root, has_turn, described, parent, root, machine, fingerprint, digest, key, at =
    unpack_struct('>c16BBBBI4c16c16I4c0I4c0I4c0I4c0', blob, at)
  return {
    run = run, machine = machine, fingerprint = fingerprint, digest = digest, key = has_key == 1 and key,
    parent = has_parent == 1 and parent, root = has_root == 1 and root, delivery = deliveries.read_argument(),
    turn = has_turn == 1 and turns.read_argument(), attributes = some(described, attributes.read_argument),
  }
end

local function start(new)
  local known = runs.get(new.run)
  if known then
    if known.digest ~= new.digest then
      return {'conflict', now, known.status, false}
    end
    return {'exists', now, known.status, turns.stood(new.turn)}
  end
  local r = crews.create(new)
  attributes.describe(r.id, new.attributes)
  local told = false
  if new.turn then
    if new.turn.now > now then
      told = {'refused', now, 0, NOTHING}
    else
      if new.delivery.dedupe then
        deliveries.note_accepted(new.delivery, now)
      end
      told = apply(r, new.turn, true)
    end
  end
  if not told or (type(told) == 'table' and told[1] == 'refused') then
    deliveries.insert(new.delivery)
  end
  if TAGS > 1 then
    receiving.born(r.id, new.delivery.due or now)
  end
  return {'started', now, r.status, told}
end

function verbs.start()
  ticked()
  return each_of_batch(turns.read_new, start)
end

-- --- finish

local function reopen(t, ending)
  if tasks.unneeded(t) then
    tasks.drop(t)
    return
  end
  tasks.change(t, function()
    t.reported, t.due, t.lease_until, t.claim_id = t.fence, now + ending.delay, false, false
    t.permit = false
    if ending.kind == 'retry' then
      t.attempt, t.failure = t.attempt + 1, ending.failure
    end
  end)
end

local function consumes(turn, d)
  for _, id in ipairs(turn and turn.run == d.run and turn.consumed or {}) do
    if id == d.id then
      return true
    end
  end
  return false
end

local function read_ending()
  local run, token, slot, fence, delay, has_delivery, has_failure, has_result, has_turn, settled
  local kind, failure, result
  run, token, slot, fence, delay, has_delivery, has_failure, has_result, has_turn, settled, kind, failure,
    result, at = unpack_struct('>c16ddddBBBBBI4c0I4c0I4c0', blob, at)
  return {
    run = run, token = token, slot = slot, fence = fence, kind = kind, failure = has_failure == 1 and failure,
    delay = delay, result = has_result == 1 and result, settled = settled == 1,
    delivery = has_delivery == 1 and deliveries.read_argument(),
    turn = has_turn == 1 and turns.read_argument(),
  }
end

local function finish(ending)
  local t = tasks.get(ending.run, ending.token, ending.slot)
  if not t or (ending.fence == t.reported and ending.fence > 0) then
    return {'gone', now, turns.stood(ending.turn), false}
  end
  if ending.fence ~= t.fence or ending.fence == 0 then
    return {'lost', now, false, false}
  end
  if not ending.settled and results.elsewhere(t, ending.kind) then -- nothing is written before that is done
    return {'keyed', t.activity, t.key}
  end
  if not ending.settled then
    results.settle(t.activity, t.key, name_of(t), ending.kind, ending.result)
  end
  local permit = t.permit and t.queue -- ends with the lease
  local r = runs.get(ending.run)
  if r and ENDED[r.status] then
    tasks.drop(t)
    return {'gone', now, turns.stood(ending.turn), permit}
  end
  if ending.kind == 'retry' or ending.kind == 'return' then
    reopen(t, ending)
    return {'finished', now, false, permit}
  end
  tasks.drop(t)
  local brought = ending.kind ~= 'cancelled' and ending.delivery
  if brought and not consumes(ending.turn, brought) then
    deliveries.send(brought)
    brought = false
  end
  return {'finished', now, ending.turn and fuse(r, ending.turn, brought), permit}
end

function verbs.finish()
  ticked()
  return each_of_batch(read_ending, finish)
end
