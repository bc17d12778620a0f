-- Takes one unit from each quota, or nothing from any (GCRA). The state of a quota is its theoretical arrival time: the
-- time of the server's clock, in microseconds, at which it is full again.
-- KEYS: the quotas. ARGV: for each its limit and its period in microseconds.
-- Returns {0, 0} when granted, else {microseconds to wait, index of the quota with the longest wait}.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local arrivals, worst, which = {}, 0, 0
for i, key in ipairs(KEYS) do
  local limit, period = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  -- Whole microseconds, so that sums are exact.
  local interval = math.max(1, math.floor(period / math.max(1, limit)))
  local arrival = math.max(now, tonumber(redis.call('GET', key) or now)) + interval
  local wait = arrival - interval * limit - now
  if wait > worst then
    worst, which = wait, i
  end
  arrivals[i] = arrival
end
if worst > 0 then
  return { worst, which }
end
for i, key in ipairs(KEYS) do
  redis.call('SET', key, string.format('%.0f', arrivals[i]), 'PX', math.ceil((arrivals[i] - now) / 1000))
end
return { 0, 0 }
