-- KEYS: the lease, what it guards. ARGV: fence and holder, the value, time to live in milliseconds.
-- Returns 1 if the lease was held so and the value is set.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return 1
