-- The layout's version, the oldest release that may use it, the number of tags, and when it was made, by which
-- one journal is told from another: in the namespace's home.

function verbs.open()
  local version, min_reader, tags = number(), number(), number()
  local known = call('GET', P .. 'schema') -- read first: on a full server, which takes no SETNX, one opens to prune
  if not known then
    known = cmsgpack.pack(version, min_reader, tags, now)
    call('SET', P .. 'schema', known)
  end
  local stated = {cmsgpack.unpack(known)}
  return {stated[1], stated[2], stated[3] or 1, known}
end

-- The same of a namespace that somebody opened; nothing of another, and nothing is written.
function verbs.look()
  local stored = call('GET', P .. 'schema')
  if not stored then
    return {}
  end
  local stated = {cmsgpack.unpack(stored)}
  return {stated[1], stated[2], stated[3] or 1, stored}
end
