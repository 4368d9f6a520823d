-- KEYS: checkpoint, key to remove …   ARGV: expected ('' where there is none), next
local stands = redis.pcall('GET', KEYS[1]) or ''
-- Somebody put another type there by hand: no checkpoint, and a look does not see it either.
if type(stands) == 'table' then stands = '' end
if stands ~= ARGV[1] then return 0 end
local function epoch(checkpoint) return tonumber(string.sub(checkpoint, 2, 13), 16) or 0 end
if epoch(ARGV[2]) < epoch(stands) then return 0 end
-- A write that needs no memory first: after it a full Redis lets the script move its checkpoint.
redis.call('PERSIST', KEYS[1])
for i = 2, #KEYS do redis.call('DEL', KEYS[i]) end
redis.call('SET', KEYS[1], ARGV[2])
return 1
