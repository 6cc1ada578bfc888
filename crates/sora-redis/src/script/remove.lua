-- Empties keys, and leaves blocks.
for _, key in ipairs(KEYS) do
  local held = redis.pcall('GETRANGE', key, 0, 12)
  if type(held) ~= 'string' or not (#held == 12 and string.find(held, '^SB%x+$')) then
    redis.call('UNLINK', key)
  end
end
return #KEYS
