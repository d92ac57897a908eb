-- Searches: a condition over rows and attributes, and the runs of this tag for which it holds, in an order.
--
-- A search begins with the entries that an index of attributes has for it, where these are few. Otherwise it
-- walks the order it asks for, as far as one call may read: others wait, and the client asks again from there.

local searching = {}

local GOES_ON = 2
local NUMBERS = {status = true, created = true, updated = true}

local function read_span(read)
  return {low = maybe(read), high = maybe(read), above = flag(), below = flag()}
end

-- 0: of a column, 1: of an attribute, 2: all, 3: any, 4: not.
function searching.read()
  local kind = number()
  if kind == 4 then
    return {negated = searching.read()}
  elseif kind > 1 then
    return {all = kind == 2, terms = list(searching.read)}
  end
  local name = bytes()
  local read = kind == 0 and NUMBERS[name] and number or bytes
  local spans = list(function() return read_span(read) end)
  return {column = kind == 0 and name, attribute = kind == 1 and name, spans = spans}
end

local function less(one, other)
  if type(one) == 'number' then
    return one < other
  end
  return precedes(one, other)
end

local function within(value, spans)
  for _, span in ipairs(spans) do
    local low, high = span.low, span.high
    local under = low and (less(value, low) or (span.above and value == low))
    local over = high and (less(high, value) or (span.below and value == high))
    if not under and not over then
      return true
    end
  end
  return false
end

function searching.holds(where, r)
  if where.negated then
    return not searching.holds(where.negated, r)
  elseif where.terms then
    for _, term in ipairs(where.terms) do
      if searching.holds(term, r) ~= where.all then
        return not where.all
      end
    end
    return where.all
  elseif where.column then
    local value = r[where.column]
    return value and within(value, where.spans) or false
  end
  r.described = r.described or attributes.of(r.id)
  for _, key in ipairs(r.described[where.attribute] or {}) do
    if within(key, where.spans) then
      return true
    end
  end
  return false
end

-- --- entries of an index of attributes

local function ends(span)
  local from = span.low and '[' .. span.low .. (span.above and '\1' or '') or '-'
  local to = span.high and '(' .. span.high .. (span.below and '' or '\1') or '+'
  return from, to
end

local function each_conjunct(where, tell)
  if where.terms and where.all then
    for _, term in ipairs(where.terms) do
      each_conjunct(term, tell)
    end
  elseif where.attribute then
    tell(where)
  end
end

-- Of the conjuncts that name few runs, the one that names fewest.
local function driver_of(where, most)
  local found, fewest = false, most + 1
  each_conjunct(where, function(each)
    local count = 0
    for _, span in ipairs(each.spans) do
      count = count + call('ZLEXCOUNT', index_key(each.attribute), ends(span))
    end
    if count < fewest then
      found, fewest = each, count
    end
  end)
  return found
end

local function hits(driver, tell)
  local seen = {}
  for _, span in ipairs(driver.spans) do
    for _, entry in ipairs(call('ZRANGEBYLEX', index_key(driver.attribute), ends(span))) do
      local run = string.sub(entry, -16)
      if not seen[run] then
        seen[run] = true
        tell(runs.get(run))
      end
    end
  end
end

-- --- orders

-- What a run has its place by: {value, run}; false where it lacks the attribute.
local function place_of(r, sort)
  if not sort.attribute then
    return {r[sort.by], r.id}
  end
  r.described = r.described or attributes.of(r.id)
  local keys = r.described[sort.by]
  return keys and {keys[1], r.id}
end

local function before(one, other, descending)
  if one[1] ~= other[1] then
    return less(one[1], other[1]) ~= descending
  end
  return one[2] ~= other[2] and precedes(one[2], other[2]) ~= descending
end

-- The runs among the hits, in order, from behind the place on.
local function from_hits(search, driver)
  local found = {}
  hits(driver, function(r)
    local place = place_of(r, search.sort)
    local behind = place and (not search.after or before(search.after, place, search.sort.descending))
    if behind and searching.holds(search.where, r) then
      found[#found + 1] = {place, runs.shown(r)}
    end
  end)
  table.sort(found, function(one, other) return before(one[1], other[1], search.sort.descending) end)
  while #found > search.limit do
    found[#found] = nil
  end
  return {found, false, 0}
end

-- A page of `created` behind a place; pairs of {value, run}.
local function page_of_created(after, descending, offset)
  local from, verb = descending and '+inf' or '-inf', descending and 'ZREVRANGEBYSCORE' or 'ZRANGEBYSCORE'
  local to = descending and '-inf' or '+inf'
  local start = after and string.format('%.0f', after[1]) or from
  local page, found = call(verb, P .. 'created', start, to, 'WITHSCORES', 'LIMIT', offset, 200), {}
  for i = 1, #page, 2 do
    found[#found + 1] = {tonumber(page[i + 1]), page[i]}
  end
  return found
end

-- A page of an attribute's entries behind a place.
local function page_of_attribute(name, after, descending)
  local verb = descending and 'ZREVRANGEBYLEX' or 'ZRANGEBYLEX'
  local start = after and '(' .. after[1] .. '\0' .. after[2] or (descending and '+' or '-')
  local found = {}
  for i, entry in ipairs(call(verb, index_key(name), start, descending and '-' or '+', 'LIMIT', 0, 200)) do
    found[i] = {string.sub(entry, 1, -18), string.sub(entry, -16)}
  end
  return found
end

-- Goes through the order, and tells each run for which the condition holds, until it answers true.
local function walk(search, tell)
  local sort, after, last, read = search.sort, search.after, search.after, 0
  while true do
    local page
    if sort.attribute then
      page = page_of_attribute(sort.by, last, sort.descending)
    else
      page = page_of_created(after, sort.descending, read)
    end
    for _, place in ipairs(page) do
      if not after or before(after, place, sort.descending) then
        last = place
        local r = runs.get(place[2])
        if searching.holds(search.where, r) and tell(place, r) then
          return last, 1
        end
      end
    end
    read = read + #page
    if #page == 0 then
      return last, 0
    end
    if read >= search.scan then
      return last, GOES_ON
    end
  end
end

local function read_search()
  local search = {where = searching.read(), sort = {by = bytes(), attribute = flag(), descending = flag()}}
  if flag() then
    search.after = {search.sort.attribute and bytes() or number(), bytes()}
  end
  search.limit, search.scan, search.few = number(), number(), number()
  return search
end

-- The first runs of this tag: {{place, run}, …}, the last place that was read, and whether it goes on.
function verbs.search()
  local search = read_search()
  local driver = driver_of(search.where, search.few)
  if driver then
    return from_hits(search, driver)
  end
  local found = {}
  local last, more = walk(search, function(place, r)
    found[#found + 1] = {place, runs.shown(r)}
    return #found >= search.limit
  end)
  return {found, last or false, more}
end

function verbs.count_found()
  local search = read_search()
  local driver = driver_of(search.where, search.few)
  local count = 0
  if driver then
    hits(driver, function(r)
      count = count + (searching.holds(search.where, r) and 1 or 0)
    end)
    return {count, false, 0}
  end
  local last, more = walk(search, function()
    count = count + 1
    return count >= search.limit
  end)
  return {count, last or false, more}
end

function verbs.attributes()
  return list(function() return attributes.shown(bytes()) end)
end
