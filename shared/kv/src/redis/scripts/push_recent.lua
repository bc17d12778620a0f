-- A line is a sorted set; the score is the microsecond in which a member was the newest.
-- KEYS: the line. ARGV: the member, how many the line keeps, the time to live in milliseconds. Returns those who left it.
local time = redis.call('TIME')
local newest = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2]
-- Two of one microsecond, and one after the clock was set back, still stand in the order in which they came.
local score = math.max(time[1] * 1000000 + time[2], tonumber(newest or 0) + 1)
redis.call('ZADD', KEYS[1], string.format('%.0f', score), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
local surplus = redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[2])
local left = {}
if surplus > 0 then
  left = redis.call('ZRANGE', KEYS[1], 0, surplus - 1)
  redis.call('ZREMRANGEBYRANK', KEYS[1], 0, surplus - 1)
end
return left
