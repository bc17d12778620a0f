-- Increments a counter; the first increment sets its time to live. Returns the count and the remaining milliseconds.
-- KEYS: the counter. ARGV: the time to live in milliseconds.
local count = redis.call('INCR', KEYS[1])
if count == 1 then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return { count, redis.call('PTTL', KEYS[1]) }
