-- KEYS: checkpoint, entry …   ARGV: breaks ('1' a store, '0' a fill), then per entry: value, lease ('' without), ttl in ms

-- Never `<` on text: Lua compares by the server's locale, and in a Danish one aa comes after ab. 13 digits are 52 bits, which
-- a Lua number holds exactly. What is no number counts as the oldest.
local function number(text, from, to) return tonumber(string.sub(text, from, to), 16) or 0 end
local function older(a, b)
  local x, y = number(a, 1, 13), number(b, 1, 13)
  return x < y or (x == y and number(a, 14, 26) < number(b, 14, 26))
end

local checkpoint = redis.pcall('GETRANGE', KEYS[1], 0, 12)
local epoch = type(checkpoint) == 'string' and number(checkpoint, 2, 13) or 0
local out, gone = {}, {}
for i = 2, #KEYS do
  local key, value, lease, ttl = KEYS[i], ARGV[3 * i - 4], ARGV[3 * i - 3], ARGV[3 * i - 2]
  local stands = redis.pcall('GETRANGE', key, 0, 45)
  -- Somebody put another type there by hand: neither an entry nor a lease.
  if type(stands) == 'table' then stands = '?' end
  local rank = string.sub(value, 2, 27)
  local keep, outcome = false, nil
  if number(rank, 1, 12) < epoch then
    outcome = 'refused'
  elseif string.sub(stands, 1, 1) == '1' and #stands == 46 then
    local there = string.sub(stands, 2, 27)
    if older(there, rank) then keep = true elseif there == rank then outcome = 'current' else outcome = 'older' end
  elseif lease ~= '' and stands == 'L' .. lease then
    keep = true
  else
    -- Nothing stands here, or somebody else's lease, which may be about to be filled with what was read before this change.
    if stands ~= '' and ARGV[1] == '1' then gone[#gone + 1] = key end
    outcome = 'absent'
  end
  if keep then
    -- Too large to be kept, or no memory left: what is there would be stale, so it goes.
    if string.sub(value, 46, 46) == 'x' or redis.pcall('SET', key, value, 'PX', ttl).err then
      gone[#gone + 1] = key
      outcome = 'absent'
    else
      outcome = 'stored'
    end
  end
  out[i - 1] = outcome
end
-- Last: after its first write a script is no longer stopped by a full Redis, and would fill it further.
if #gone > 0 then redis.call('DEL', unpack(gone)) end
-- A write that changes nothing, so that a replica, or a Redis that cannot save, is an error and not an answer from old data.
redis.call('PERSIST', KEYS[1])
return out
