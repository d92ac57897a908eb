-- The layout's version, the oldest release that may use it, and the number of tags: in the namespace's home.

function verbs.open()
  local version, min_reader, tags = number(), number(), number()
  if call('SETNX', P .. 'schema', cmsgpack.pack(version, min_reader, tags)) == 1 then
    return {version, min_reader, tags}
  end
  local stated = {cmsgpack.unpack(call('GET', P .. 'schema'))}
  return {stated[1], stated[2], stated[3] or 1}
end
