-- Reads what a verb was given, and names keys. A call works in one hash tag, and so in one slot: what it has
-- for another tag goes by the outbox, and what it needs of another tag it is given, or asks for.
--
-- KEYS: two names that never exist. While the slot moves to another node, they make the node answer ASK or
-- TRYAGAIN before anything runs; without them a script would find some of its keys here and others gone.
-- ARGV: the keys' prefix, the time (empty: this server's), the limits, the arguments, the number of tags, and
-- which of them this is.
--
-- Tables are made with all their fields at once, and fields that follow one another read in one call: filling
-- a table field by field has it grown again and again, which cost a third of a commit.
--
-- Rule: Lua does not roll back. Nothing here can fail once a verb has begun to write: all arguments were
-- checked by the client, and a malformed value in the store would be a fault of these scripts.

local call = redis.call
local unpack_struct, pack_struct = struct.unpack, struct.pack
local P, blob, at = ARGV[1], ARGV[4], 1
local TAGS, TAG = tonumber(ARGV[5]), tonumber(ARGV[6])

local pending_cap, dedupe_window, result_window, loss_backoff = unpack_struct('>dddd', ARGV[3])

-- The journal's clock never goes back, whatever the server's does.
local now
do
  local told = tonumber(ARGV[2])
  if not told then
    local time = call('TIME')
    told = time[1] * 1000000 + time[2]
  end
  now = math.max(told, tonumber(call('GET', P .. 'clk')) or 0)
end

local function ticked()
  call('SET', P .. 'clk', now)
end

-- --- arguments: numbers as doubles, texts and bytes with their length, lists with their count

local function number()
  local value
  value, at = unpack_struct('>d', blob, at)
  return value
end

local function bytes()
  local value
  value, at = unpack_struct('>I4c0', blob, at)
  return value
end

-- `false` stands for None: a hole in a table would end it.
local function maybe(read)
  local flag
  flag, at = unpack_struct('B', blob, at)
  return flag == 1 and read()
end

local function flag()
  local value
  value, at = unpack_struct('B', blob, at)
  return value == 1
end

local function list(read)
  local found = {}
  for i = 1, number() do
    found[i] = read()
  end
  return found
end

local NOTHING = {} -- most lists of most members; nobody writes into one

-- An end of a range that is not in it. `..` would keep fourteen digits of a time.
local function beyond(score)
  return string.format('(%.0f', score)
end

-- Whether `one` sorts before `other` by its bytes. `<` would ask the server's locale.
local function precedes(one, other)
  for i = 1, math.min(#one, #other) do
    local a, b = string.byte(one, i), string.byte(other, i)
    if a ~= b then
      return a < b
    end
  end
  return #one < #other
end

-- The tag of what has that name: of a run, a keyed result, a queue. The client tells the same.
local function tag_of(name)
  return TAGS == 1 and 0 or tonumber(string.sub(redis.sha1hex(name), 1, 8), 16) % TAGS
end

local function next_fence(last)
  return math.max(last + 1, now)
end
