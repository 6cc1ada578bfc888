-- Makes counters that are not there, or all of them larger. ARGV: this run, milliseconds, 1 for all.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local counters = {}
for i, key in ipairs(KEYS) do
  local held = redis.pcall('GET', key)
  local run, number
  if type(held) == 'string' then
    run, number = string.match(held, '^SC(%x+):(%d+)$')
  end
  number = tonumber(number)
  -- Larger ones cannot be counted on exactly; nobody here wrote them.
  if number and number >= 9000000000000000 then
    number = nil
  end
  if not number or run ~= ARGV[1] or ARGV[3] == '1' then
    number = math.max(now, (number or 0) + 1)
    redis.call('SET', key, string.format('SC%s:%.0f', ARGV[1], number), 'PX', ARGV[2])
  end
  -- What a connection writes is not tracked for it until it is read again.
  counters[i] = redis.call('GET', key)
end
return counters
