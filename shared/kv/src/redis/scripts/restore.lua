-- KEYS: the lease, its last fence. ARGV: the holder, the time to live of the lease and of the last fence in milliseconds,
-- the fence that the holder had. Returns 1 if the lease is held so from now on.
-- A last fence that is greater is of a later holder; one that is smaller, of a server that has lost its memory.
local fence = tonumber(ARGV[4])
local last = tonumber(redis.call('GET', KEYS[2]) or 0)
local held = redis.call('GET', KEYS[1])
local ours = ARGV[4] .. ':' .. ARGV[1]
if last > fence or (held and held ~= ours and tonumber(string.match(held, '^(%d+):')) >= fence) then
  return 0
end
redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[3])
redis.call('SET', KEYS[1], ours, 'PX', ARGV[2])
return 1
