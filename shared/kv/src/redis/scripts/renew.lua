-- KEYS: the lease. ARGV: `fence:holder`, the time to live in milliseconds. Returns 1 if it was still held so.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
