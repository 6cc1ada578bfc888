-- Puts values in the place of leases that stand. ARGV of each key: lease, value, milliseconds.
local filled = {}
for i, key in ipairs(KEYS) do
  local lease = ARGV[3 * i - 2]
  if redis.pcall('GETRANGE', key, 0, #lease) == lease then
    redis.call('SET', key, ARGV[3 * i - 1], 'PX', ARGV[3 * i])
    -- What a connection writes is not tracked for it until it is read again.
    redis.call('EXISTS', key)
    filled[i] = 1
  else
    filled[i] = 0
  end
end
return filled
