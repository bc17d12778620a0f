-- Returns the units of each quota. A full quota is removed, so that the limit is never exceeded.
-- KEYS: the quotas. ARGV: for each its limit, its period in microseconds, and the units.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
for i, key in ipairs(KEYS) do
  local stored = redis.call('GET', key)
  if stored then
    local limit, period, units = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
    local arrival = tonumber(stored) - units * math.max(1, math.floor(period / math.max(1, limit)))
    if arrival > now then
      redis.call('SET', key, string.format('%.0f', arrival), 'PX', math.ceil((arrival - now) / 1000))
    else
      redis.call('DEL', key)
    end
  end
end
