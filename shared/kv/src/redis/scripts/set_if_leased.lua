-- Sets a value while a lease is held. Returns 1, or 0 when the lease was lost.
-- KEYS: the lease, the key to set. ARGV: `fence:holder`, the value, its time to live in milliseconds.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return 1
