-- Keeps a session and its place among those of its owner. KEYS[1] the session, KEYS[2] the owner's, by when they end;
-- ARGV[1] the value, ARGV[2] the milliseconds that it lives. Where the owner's were ended nothing is kept.
if redis.call('ZSCORE', KEYS[2], 'ended') then
  redis.call('DEL', KEYS[1])
  return 0
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now))
redis.call('ZADD', KEYS[2], string.format('%.0f', now + ARGV[2]), KEYS[1])
-- It stays for as long as the longest of them.
if redis.call('PTTL', KEYS[2]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[2], ARGV[2]) end
return 1
