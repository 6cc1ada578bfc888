-- Gives leases back that stand. ARGV of each key: lease.
for i, key in ipairs(KEYS) do
  local lease = ARGV[i]
  if redis.pcall('GETRANGE', key, 0, #lease) == lease then
    redis.call('UNLINK', key)
  end
end
return #KEYS
