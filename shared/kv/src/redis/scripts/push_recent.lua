-- Makes a member the most recent one of a bounded list. Returns the evicted members, the oldest first.
-- The list is a sorted set; the score is the time of the member's last push in microseconds.
-- KEYS: the list. ARGV: the member, the limit of the list, the time to live in milliseconds.
local time = redis.call('TIME')
local newest = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2]
-- Keeps the order of pushes within one microsecond, and after the clock was set back.
local score = math.max(time[1] * 1000000 + time[2], tonumber(newest or 0) + 1)
redis.call('ZADD', KEYS[1], string.format('%.0f', score), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
local surplus = redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[2])
local evicted = {}
if surplus > 0 then
  evicted = redis.call('ZRANGE', KEYS[1], 0, surplus - 1)
  redis.call('ZREMRANGEBYRANK', KEYS[1], 0, surplus - 1)
end
return evicted
