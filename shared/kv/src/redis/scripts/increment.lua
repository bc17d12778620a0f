-- KEYS: the counter. ARGV: its time to live in milliseconds, which the first increment starts.
-- Returns the count and the milliseconds left to live.
local count = redis.call('INCR', KEYS[1])
if count == 1 then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return { count, redis.call('PTTL', KEYS[1]) }
