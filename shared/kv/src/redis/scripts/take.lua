-- Takes the units of each quota, or nothing from any (GCRA). The state of a quota is its theoretical arrival time: the
-- time of the server's clock, in microseconds, at which it is full again.
-- KEYS: the quotas. ARGV: for each its limit, its period in microseconds, and the units.
-- Returns {0, 0, 0} when granted, else {microseconds to wait, index of the quota with the longest wait, its whole units}.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local arrivals, worst, which, remaining = {}, 0, 0, 0
for i, key in ipairs(KEYS) do
  local limit, period, units = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  -- Whole microseconds, so that sums are exact.
  local interval = math.max(1, math.floor(period / math.max(1, limit)))
  local before = math.max(now, tonumber(redis.call('GET', key) or now))
  local arrival = before + interval * units
  local full = now + interval * limit
  if arrival - full > worst then
    worst, which = arrival - full, i
    remaining = math.max(0, math.floor((full - before) / interval))
  end
  arrivals[i] = arrival
end
if worst > 0 then
  return { worst, which, remaining }
end
for i, key in ipairs(KEYS) do
  redis.call('SET', key, string.format('%.0f', arrivals[i]), 'PX', math.ceil((arrivals[i] - now) / 1000))
end
return { 0, 0, 0 }
