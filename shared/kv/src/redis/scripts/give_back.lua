-- Returns one unit to each quota. A full quota is removed, so that the limit is never exceeded.
-- KEYS: the quotas. ARGV: for each its limit and its period in microseconds.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
for i, key in ipairs(KEYS) do
  local stored = redis.call('GET', key)
  if stored then
    local limit, period = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
    local arrival = tonumber(stored) - math.max(1, math.floor(period / math.max(1, limit)))
    if arrival > now then
      redis.call('SET', key, string.format('%.0f', arrival), 'PX', math.ceil((arrival - now) / 1000))
    else
      redis.call('DEL', key)
    end
  end
end
