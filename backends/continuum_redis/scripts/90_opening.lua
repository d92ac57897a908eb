-- The layout's version and the oldest release that may use it.

function verbs.open()
  local version, min_reader = number(), number()
  if call('SETNX', P .. 'schema', cmsgpack.pack(version, min_reader)) == 1 then
    return {version, min_reader}
  end
  return {cmsgpack.unpack(call('GET', P .. 'schema'))}
end
