-- Renews a lease. Returns 1, or 0 when it was lost.
-- KEYS: the lease. ARGV: `fence:holder`, the time to live in milliseconds.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
