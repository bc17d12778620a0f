-- Acquires a lease regardless of its holder. Returns the new fence, computed as in `acquire.lua`.
-- KEYS: the lease, its last fence. ARGV: the holder, the time to live of the lease and of the last fence in milliseconds.
local time = redis.call('TIME')
local last = tonumber(redis.call('GET', KEYS[2]) or 0)
local fence = string.format('%.0f', math.max(last + 1, time[1] * 1000000 + time[2]))
redis.call('SET', KEYS[2], fence, 'PX', ARGV[3])
redis.call('SET', KEYS[1], fence .. ':' .. ARGV[1], 'PX', ARGV[2])
return fence
