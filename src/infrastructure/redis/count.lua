-- One more under a name: KEYS[1] the counter, ARGV[1] the milliseconds that it lives from its first on. A counter without
-- an end, which two commands could leave behind, would stay for ever.
local now = redis.call('INCR', KEYS[1])
if now == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return now
