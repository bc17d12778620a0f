-- Acquires a free lease, or renews it for its holder. Returns the fence, or nothing when another holder has the lease.
-- The value of a lease is `fence:holder`.
-- KEYS: the lease, its last fence. ARGV: the holder, the time to live of the lease and of the last fence in milliseconds.
local held = redis.call('GET', KEYS[1])
if held then
  local fence, holder = string.match(held, '^(%d+):(.*)$')
  if holder ~= ARGV[1] then
    return false
  end
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return fence
end
-- The time makes fences grow even when the server has lost its data; the last fence plus one, even when its clock was
-- set back.
local time = redis.call('TIME')
local last = tonumber(redis.call('GET', KEYS[2]) or 0)
local fence = string.format('%.0f', math.max(last + 1, time[1] * 1000000 + time[2]))
redis.call('SET', KEYS[2], fence, 'PX', ARGV[3])
redis.call('SET', KEYS[1], fence .. ':' .. ARGV[1], 'PX', ARGV[2])
return fence
