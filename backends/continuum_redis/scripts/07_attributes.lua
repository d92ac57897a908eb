-- What runs are found by. at:<run> has the keys of each attribute, ax:<name> an entry for each key and run, all of
-- one score, and so in the order of their bytes. No key is the beginning of another followed by the byte 0, so
-- that `key \0 run` sorts by key, then by run.

local attributes = {}

local function described_key(run)
  return P .. 'at:' .. run
end

local function index_key(name)
  return P .. 'ax:' .. name
end

local function unlist(run, name)
  local stored = call('HGET', described_key(run), name)
  for _, key in ipairs(stored and cmsgpack.unpack(stored) or {}) do
    call('ZREM', index_key(name), key .. '\0' .. run)
  end
end

function attributes.read_argument()
  return {name = bytes(), keys = list(bytes)}
end

-- A run has these from now on; others stay.
function attributes.describe(run, given)
  for _, attribute in ipairs(given) do
    unlist(run, attribute.name)
    if #attribute.keys == 0 then
      call('HDEL', described_key(run), attribute.name)
    else
      call('HSET', described_key(run), attribute.name, cmsgpack.pack(attribute.keys))
      for _, key in ipairs(attribute.keys) do
        call('ZADD', index_key(attribute.name), 0, key .. '\0' .. run)
      end
    end
  end
end

-- By name.
function attributes.of(run)
  local found, stored = {}, call('HGETALL', described_key(run))
  for i = 1, #stored, 2 do
    found[stored[i]] = cmsgpack.unpack(stored[i + 1])
  end
  return found
end

-- As a list of {name, keys}, by name.
function attributes.shown(run)
  local found = {}
  for name, keys in pairs(attributes.of(run)) do
    found[#found + 1] = {name, keys}
  end
  table.sort(found, function(one, other) return precedes(one[1], other[1]) end)
  return found
end

function attributes.forget(run)
  for _, name in ipairs(call('HKEYS', described_key(run))) do
    unlist(run, name)
  end
  call('DEL', described_key(run))
end
