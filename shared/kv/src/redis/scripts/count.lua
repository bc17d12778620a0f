-- KEYS: the counter. Returns the count and the milliseconds left to live, as of one moment.
return { tonumber(redis.call('GET', KEYS[1]) or 0), redis.call('PTTL', KEYS[1]) }
