-- Deletes a lease that is still held with this fence.
-- KEYS: the lease. ARGV: `fence:holder`.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
