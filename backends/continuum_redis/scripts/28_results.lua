-- Keyed results: one outcome per (activity, key), whichever run asked for it first.
--
-- They are in the tag of their name. A finish whose result is in another tag says so; it comes again when the
-- outcome is written there, and so never tells a run of an outcome that others would not be told.
--
-- `res` maps (activity, key) to its row; `resx` tells when each expires.

local results = {}

local function result_name(activity, key)
  return pack_struct('>I2', #activity) .. activity .. key
end

function results.get(name)
  local value = call('HGET', P .. 'res', name)
  if not value then
    return false
  end
  local owner, till, outcome = cmsgpack.unpack(value)
  return {owner = owner, till = till, outcome = outcome}
end

function results.put(name, owner, till, outcome)
  call('HSET', P .. 'res', name, cmsgpack.pack(owner, till, outcome))
  call('ZADD', P .. 'resx', till, name)
end

function results.drop(name)
  call('HDEL', P .. 'res', name)
  call('ZREM', P .. 'resx', name)
end

-- Store or free what the task had reserved. A retry goes on with its reservation.
function results.settle(activity, key, owner, kind, outcome)
  if not key or kind == 'retry' or kind == 'return' then
    return
  end
  local name = result_name(activity, key)
  local known = results.get(name)
  if known and known.outcome and known.till > now then
    return -- somebody's outcome was told to others already: the first one stays
  end
  if kind == 'done' and outcome then
    results.put(name, owner, now + result_window, outcome)
  elseif known and not known.outcome and known.owner == owner then
    results.drop(name)
  end
end

function results.elsewhere(t, kind)
  return t.key and kind ~= 'retry' and kind ~= 'return' and tag_of(result_name(t.activity, t.key)) ~= TAG
end

function verbs.settle()
  ticked()
  return list(function()
    results.settle(bytes(), bytes(), bytes(), bytes(), maybe(bytes))
    return 1
  end)
end

local function reserve()
  local name, owner, lease = result_name(bytes(), bytes()), bytes(), number()
  local known = results.get(name)
  if known and known.till > now then
    if known.outcome then
      return {'done', known.outcome, false}
    end
    if known.owner ~= owner then
      return {'busy', false, known.till}
    end
  end
  results.put(name, owner, now + lease, false)
  return {'reserved', false, false}
end

function verbs.reserve()
  ticked()
  return list(reserve)
end
