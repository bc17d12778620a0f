-- Acquires a lost lease with its former fence. Returns 1, or 0 when a later holder has or had it.
-- KEYS: the lease, its last fence. ARGV: the holder, the time to live of the lease and of the last fence in milliseconds,
-- the former fence.
-- A larger last fence belongs to a later holder. A smaller one means that the server has lost its data.
local fence = tonumber(ARGV[4])
local last = tonumber(redis.call('GET', KEYS[2]) or 0)
local held = redis.call('GET', KEYS[1])
local value = ARGV[4] .. ':' .. ARGV[1]
if last > fence or (held and held ~= value and tonumber(string.match(held, '^(%d+):')) >= fence) then
  return 0
end
redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[3])
redis.call('SET', KEYS[1], value, 'PX', ARGV[2])
return 1
