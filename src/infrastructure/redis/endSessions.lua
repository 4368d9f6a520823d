-- Ends an owner's sessions and answers how many. KEYS[1] the owner's; ARGV[1] what their values begin with, for another's
-- session may have taken an id over; ARGV[2] for how many milliseconds new ones are refused.
local ended = 0
-- Somebody put another type there by hand: no session, and it keeps none from being ended.
for _, key in ipairs(redis.pcall('ZRANGE', KEYS[1], 0, -1)) do
  if redis.pcall('GETRANGE', key, 0, #ARGV[1] - 1) == ARGV[1] then ended = ended + redis.call('DEL', key) end
end
redis.call('DEL', KEYS[1])
redis.call('ZADD', KEYS[1], 'inf', 'ended')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return ended
