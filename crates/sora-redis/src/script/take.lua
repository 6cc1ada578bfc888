-- Takes the leases of keys that hold what another run of a server left. ARGV: this run, then of each
-- key: lease, milliseconds.
local slots = {}
for i, key in ipairs(KEYS) do
  local head = redis.pcall('GETRANGE', key, 0, 11)
  local run = type(head) == 'string' and #head == 12 and string.match(head, '^S[LV](%x+)$')
  if run and run ~= ARGV[1] then
    redis.call('SET', key, ARGV[2 * i], 'PX', ARGV[2 * i + 1])
  end
  local slot = redis.pcall('GET', key)
  slots[i] = type(slot) == 'string' and slot
end
return slots
