-- What people and clients read.

function verbs.now()
  return now
end

function verbs.load()
  return list(function()
    local r = runs.get(bytes())
    return r and runs.shown(r)
  end)
end

function verbs.history()
  return runs.records(bytes(), number(), number())
end

function verbs.inspect()
  local r, most = runs.get(bytes()), number()
  if not r then
    return false
  end
  local waiting, open, places, dead = {}, {}, {}, {}
  deliveries.each(r.id, function(d) waiting[#waiting + 1] = deliveries.shown(d) end)
  for _, token in ipairs(tasks.tokens(r.id)) do
    for _, t in ipairs(tasks.of_token(r.id, token)) do
      open[#open + 1], places[#places + 1] = tasks.shown(t), dealing.place(t, most)
    end
  end
  local letters = call('HGETALL', P .. 'd:' .. r.id)
  for i = 1, #letters, 2 do
    local kind, due, token, slot, dedupe, cause, payload, reason, since = cmsgpack.unpack(letters[i + 1])
    dead[#dead + 1] = {{letters[i], kind, payload, due, token, slot, dedupe, NO, cause}, reason, since}
  end
  return {runs.shown(r), waiting, open, places, dead}
end

-- A page of runs, newest first, and whether it ended because it had read enough.
function verbs.page()
  local machine, status, parent = maybe(bytes), maybe(number), maybe(bytes)
  local from, to = maybe(number), maybe(number)
  local created, after, limit, scan = maybe(number), maybe(bytes), number(), number()
  local index = P .. (parent and 'c:' .. parent or (status and status > COMPLETED and 's:' .. status or 'created'))
  local top = created or (to and beyond(to)) or '+inf'
  local found, last, offset = {}, false, 0
  while true do
    local page = call('ZREVRANGEBYSCORE', index, top, from or '-inf', 'WITHSCORES', 'LIMIT', offset, 200)
    for i = 1, #page, 2 do
      local run, at_ = page[i], tonumber(page[i + 1])
      if not (created and at_ == created and not precedes(run, after)) and not (to and at_ >= to) then
        local r = runs.get(run)
        last = {at_, run}
        if (not machine or r.machine == machine) and (not status or r.status == status) then
          found[#found + 1] = runs.shown(r)
          if #found >= limit then
            return {found, last, 1}
          end
        end
      end
    end
    offset = offset + #page / 2
    if #page == 0 then
      return {found, last, 0}
    end
    if offset >= scan then -- others wait: the client asks again from here
      return {found, last, 2}
    end
  end
end

function verbs.define()
  ticked()
  return list(function()
    local fingerprint, machine, version, body = bytes(), bytes(), number(), bytes()
    call('HSETNX', P .. 'def', fingerprint, cmsgpack.pack(machine, version, body))
    return 1
  end)
end

function verbs.definitions()
  local found, stored = {}, call('HGETALL', P .. 'def')
  for i = 1, #stored, 2 do
    found[#found + 1] = {stored[i], cmsgpack.unpack(stored[i + 1])}
  end
  return found
end
